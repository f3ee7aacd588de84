// What one worker knows of the forms of contents: which there are, how large, and the bytes of
// those that were sent lately. What is known is forgotten after a minute, for other processes add
// to the store too; what is found damaged is forgotten at once.

import { type Clock, GatewayError } from '../core/index.ts';
import { payloadSizeOf } from './artefact-file.ts';
import { BoundedCache } from './bounded-cache.ts';
import { isDeltaAllowed } from './delta.ts';
import type { FullForms } from './negotiate.ts';
import { bodyKey } from './resource.ts';
import type { Store } from './store.ts';
import { type ArtefactRef, ENCODINGS, shownArtefact } from './store-paths.ts';

/** A delta against one base. */
export interface DeltaKnown {
  /** Null when there is none. */
  readonly sizeBytes: number | null;
  /** Whether there could be one: the base is kept, and the format reaches far enough. */
  readonly isPossible: boolean;
  /** Whether it has been asked for: a crowd is one question to the main thread. */
  isAsked: boolean;
}

/** The forms of one content. Units: bytes; null where there is none. */
export interface FormsKnown {
  readonly sizes: FullForms;
  readonly deltas: Map<string, DeltaKnown>;
  readonly expiresMs: number;
  /** Whether the missing variants have been asked for, and whether there is none yet but hope. */
  isAsked: boolean;
  isHoped: boolean;
}

export interface FormBookDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** For the bytes that are kept. */
  readonly memorySizeBytesMax: number;
  /** Told of each damaged artefact. */
  readonly onFault: (error: unknown) => void;
}

/** Contents whose forms are known at once: a release of the most files. */
const CONTENTS_COUNT_MAX = 16_384;
/** Bases remembered of one content: clients choose what they name. */
const BASES_COUNT_MAX = 64;
const KNOWN_MS = 60_000;
/** A body of more than this share of all memory is streamed from the disk each time. */
const BODY_SHARE_MAX = 1 / 8;
/** What an entry costs beside its bytes. */
const BODY_OVERHEAD_BYTES = 256;
/** Bodies that are read as a whole at once; more are streamed, which holds less memory. */
const LOADS_COUNT_MAX = 32;

export class FormBook {
  readonly #deps: FormBookDeps;
  readonly #forms = new BoundedCache<FormsKnown>(CONTENTS_COUNT_MAX);
  readonly #bodies: BoundedCache<Uint8Array>;
  /** What is being read, so that a crowd that asks for one thing costs one reading. */
  readonly #loads = new Map<string, Promise<void>>();
  readonly #bodySizeBytesMax: number;

  constructor(deps: FormBookDeps) {
    this.#deps = deps;
    this.#bodies = new BoundedCache(deps.memorySizeBytesMax);
    this.#bodySizeBytesMax = deps.memorySizeBytesMax * BODY_SHARE_MAX;
  }

  /** Undefined when it is to be loaded first. */
  forms(sha256: string, nowMs: number): FormsKnown | undefined {
    const known = this.#forms.get(sha256);
    return known !== undefined && known.expiresMs > nowMs ? known : undefined;
  }

  loadForms(sha256: string, sizeBytes: number): Promise<void> {
    return this.#once(`forms ${sha256}`, async () => {
      const [gzip, br, zstd] = await Promise.all(
        ENCODINGS.map((encoding) => this.#sizeOf({ kind: 'variant', sha256, encoding })),
      );
      const expiresMs = this.#deps.clock.nowMs() + KNOWN_MS;
      const sizes = { identity: sizeBytes, gzip: gzip!, br: br!, zstd: zstd! };
      const asked = { isAsked: false, isHoped: false };
      this.#forms.set(sha256, { sizes, deltas: new Map(), expiresMs, ...asked }, 1);
    });
  }

  /** Finds out about the delta of `target`, whose forms are known, against `base`. */
  loadDelta(target: string, targetSizeBytes: number, base: string): Promise<void> {
    return this.#once(`delta ${target} ${base}`, async () => {
      const [sizeBytes, baseSizeBytes] = await Promise.all([
        this.#sizeOf({ kind: 'delta', target, base }),
        this.#sizeOf({ kind: 'object', sha256: base }),
      ]);
      const isReachable = isDeltaAllowed(targetSizeBytes, baseSizeBytes ?? 0);
      const deltas = this.#forms.get(target)?.deltas;
      if (deltas === undefined) return;
      if (deltas.size >= BASES_COUNT_MAX) deltas.delete(deltas.keys().next().value!);
      const isPossible = baseSizeBytes !== null && isReachable && base !== target;
      deltas.set(base, { sizeBytes: isReachable ? sizeBytes : null, isPossible, isAsked: false });
    });
  }

  body(key: string): Uint8Array | undefined {
    return this.#bodies.get(key);
  }

  /** Whether a body is read as a whole and kept, rather than streamed. */
  isKept(sizeBytes: number): boolean {
    return sizeBytes <= this.#bodySizeBytesMax && this.#loads.size < LOADS_COUNT_MAX;
  }

  /** Reads a body and keeps it. A damaged form is forgotten, so that another is chosen.
   *  Errors: GW_DIST_CORRUPT when the content itself is damaged or missing. */
  loadBody(key: string, ref: ArtefactRef, sizeBytes: number): Promise<void> {
    return this.#once(`body ${key}`, async () => {
      try {
        const bytes = await this.#deps.store.readWhole(ref);
        // Replaced since its size was looked up: another look.
        if (bytes === null || bytes.length !== sizeBytes) this.missed(ref);
        else this.#bodies.set(key, bytes, bytes.length + BODY_OVERHEAD_BYTES);
      } catch (error) {
        this.fault(ref, error);
      }
    });
  }

  /** Deals with what reading an artefact threw: it is told and forgotten, and another form is
   *  chosen. Errors: for the content itself there is no other form, so its error is thrown on. */
  fault(ref: ArtefactRef, error: unknown): void {
    this.forget(ref);
    this.#deps.onFault(error);
    if (ref.kind === 'object') throw error;
  }

  /** Deals with an artefact that was known and is not there. Errors: GW_DIST_CORRUPT for the
   *  content itself, which the store has lost. */
  missed(ref: ArtefactRef): void {
    this.forget(ref);
    if (ref.kind === 'object') {
      throw new GatewayError('GW_DIST_CORRUPT', `${shownArtefact(ref)} is missing`);
    }
  }

  /** Nothing is known any more of the content that an artefact is a form of. */
  forget(ref: ArtefactRef): void {
    const sha256 = ref.kind === 'delta' ? ref.target : ref.sha256;
    this.#forms.delete(sha256);
    this.#bodies.delete(bodyKey(ref));
  }

  /** What other processes may have changed is looked at again. Bytes stay: they have not
   *  changed. */
  forgetForms(): void {
    this.#forms.clear();
  }

  async #sizeOf(ref: ArtefactRef): Promise<number | null> {
    const fileSizeBytes = await this.#deps.store.fileSizeOf(ref);
    return fileSizeBytes === null ? null : payloadSizeOf(fileSizeBytes);
  }

  #once(key: string, load: () => Promise<void>): Promise<void> {
    const running = this.#loads.get(key);
    if (running !== undefined) return running;
    const loading = load().finally(() => this.#loads.delete(key));
    this.#loads.set(key, loading);
    return loading;
  }
}
