// The compute pool: what takes longer than about a millisecond and must not hold up a thread that
// answers. It is the only importer of piscina.

import { Piscina } from 'piscina';
import type { ConfigIssue, KeyPlace, PathPart } from '../config/index.ts';
import { type ErrorCode, GatewayError } from '../core/index.ts';
import type { Repaging } from '../db/index.ts';
import type { ContentRef, DeltaTask, FormResult, VariantTask } from '../distribution/index.ts';
import { computeWorkerPath } from './assets.ts';
import type { InstalledPlugin, PluginOutcome, PluginTask } from './plugins/plugin-task.ts';

export interface CompileTask {
  readonly text: string;
  readonly fileName: string;
  readonly generation: number;
}

export interface LocateTask {
  readonly text: string;
  readonly paths: readonly (readonly PathPart[])[];
}

/** A configuration that is ready to be published: the snapshot that workers read in place, and
 *  the route table's bytes, still to be put into the shared memory. */
export type CompileResult =
  | {
      readonly ok: true;
      readonly snapshot: SharedArrayBuffer;
      readonly routeTable: Uint8Array;
    }
  | { readonly ok: false; readonly issues: readonly ConfigIssue[] };

/** What a task of distribution comes to. An error loses its code on the way between threads, so it
 *  travels as data. */
export type FormOutcome =
  | { readonly ok: true; readonly result: FormResult }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

export interface IndexTask {
  /** The store's folder. */
  readonly dir: string;
  readonly version: string;
  readonly manifest: ContentRef;
}

export type IndexOutcome =
  | { readonly ok: true; readonly index: SharedArrayBuffer }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** A database file that is written once more with pages of 4,096 bytes. */
export type RepageTask = Omit<Repaging, 'clock'>;

export type RepageOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** Tasks that wait at most; a reload takes one, so more means that something calls in a loop. */
const QUEUE_TASKS_MAX = 64;
/** An idle pool thread is ended after this; a reload starts it again in about 100 ms. */
const IDLE_TIMEOUT_MS = 30_000;

export class ComputePool {
  readonly #pool: Piscina;

  constructor(threadsMax: number) {
    this.#pool = new Piscina({
      filename: computeWorkerPath(),
      minThreads: 0,
      maxThreads: threadsMax,
      maxQueue: QUEUE_TASKS_MAX,
      idleTimeout: IDLE_TIMEOUT_MS,
    });
  }

  /** Loads, validates, normalises and compiles a configuration. Errors: GatewayError or whatever
   *  ended the thread; issues of the configuration itself are a result. */
  compile(task: CompileTask): Promise<CompileResult> {
    return this.#pool.run(task, { name: 'compile' });
  }

  /** Makes a delta in the store, decoded before it is put. Errors: GW_DIST_DELTA, GW_DIST_CORRUPT,
   *  GW_DIST_DISK. Cost: about 0.1 s a MB at effort 3. */
  async makeDelta(task: DeltaTask): Promise<FormResult> {
    return formResult(await this.#pool.run(task, { name: 'delta' }));
  }

  /** Makes a compressed variant in the store. Errors: as above. Cost: up to 2 s a MB for brotli. */
  async makeVariant(task: VariantTask): Promise<FormResult> {
    return formResult(await this.#pool.run(task, { name: 'variant' }));
  }

  /** Builds the index of a release (host/distribution/release-index.ts) from its manifest.
   *  Errors: GW_DIST_CORRUPT. Cost: some 100 ms for the most files. */
  async indexRelease(task: IndexTask): Promise<SharedArrayBuffer> {
    const outcome: IndexOutcome = await this.#pool.run(task, { name: 'indexRelease' });
    if (outcome.ok) return outcome.index;
    throw new GatewayError(outcome.code, outcome.detail);
  }

  /** Writes a database file once more with our pages. Errors: DB_FORMAT, DB_STORE_FULL. Cost: some
   *  10 s a GiB. */
  async repage(task: RepageTask): Promise<void> {
    const outcome: RepageOutcome = await this.#pool.run(task, { name: 'repage' });
    if (!outcome.ok) throw new GatewayError(outcome.code, outcome.detail);
  }

  /** Loads a plugin and tries whether it starts; null for what runs already. Errors:
   *  GW_PLUGIN_FILE, GW_PLUGIN_STORE, and those of loadModule() and PluginBook.install(). Cost:
   *  some 100 ms a MB that was not compiled before. */
  async loadPlugin(task: PluginTask): Promise<InstalledPlugin | null> {
    const outcome: PluginOutcome = await this.#pool.run(task, { name: 'loadPlugin' });
    if (outcome.ok) return outcome.plugin;
    throw new GatewayError(outcome.code, outcome.detail);
  }

  /** Says where keys stand in a text that compiles. Reading 100,000 routes again for it would hold
   *  up the main thread. */
  locate(task: LocateTask): Promise<readonly KeyPlace[]> {
    return this.#pool.run(task, { name: 'locate' });
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function formResult(outcome: FormOutcome): FormResult {
  if (outcome.ok) return outcome.result;
  throw new GatewayError(outcome.code, outcome.detail);
}
