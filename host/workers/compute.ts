// The compute pool: what takes longer than about a millisecond and must not hold up a thread that
// answers. It is the only importer of piscina.

import { Piscina } from 'piscina';
import type { ConfigIssue, KeyPlace, PathPart } from '../config/index.ts';
import { computeWorkerPath } from './assets.ts';

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

  /** Says where keys stand in a text that compiles. Reading 100,000 routes again for it would hold
   *  up the main thread. */
  locate(task: LocateTask): Promise<readonly KeyPlace[]> {
    return this.#pool.run(task, { name: 'locate' });
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
