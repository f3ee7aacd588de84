// The chain of roots from the app's own to the newest that is known here.

import type { EnvelopeSource, LoaderClock } from './api.ts';
import { utf8, utf8Text } from './bytes.ts';
import { throwIfAborted } from './clock.ts';
import { hasEd25519 } from './digest.ts';
import { type Envelope, verifyEnvelope } from './envelope.ts';
import { isFinal, LoaderError, toLoaderError } from './errors.ts';
import { shown } from './fields.ts';
import { ROOT_STEPS_COUNT_MAX, ROOTS_KEPT_COUNT_MAX } from './limits.ts';
import type { Bytes, TrustRoot } from './model.ts';
import type { Network } from './network.ts';
import type { Notes } from './notes.ts';
import type { LoaderState, StateKeeper } from './state.ts';
import { advanceTrustRoot, hasNewKeys, openTrustRoot } from './trust-root.ts';

export interface TrustOptions {
  readonly shipped: Bytes;
  readonly keeper: StateKeeper;
  readonly notes: Notes;
  readonly clock: LoaderClock;
}

export class Trust {
  readonly #options: TrustOptions;
  /** Oldest first; empty where signatures cannot be checked. */
  #chain: TrustRoot[] = [];

  constructor(options: TrustOptions) {
    this.#options = options;
  }

  /** Opens the app's root and those that are stored. Errors: LOADER_CRYPTO, LOADER_DOCUMENT,
   *  LOADER_SIGNATURE: the app's own root is no good. */
  async open(): Promise<void> {
    if (!(await hasEd25519())) {
      throw new LoaderError('LOADER_CRYPTO', 'this platform checks no ed25519 signatures');
    }
    this.#chain = [await openTrustRoot(this.#options.shipped)];
    for (const text of this.#options.keeper.state.roots) {
      try {
        await this.#step(utf8(text));
      } catch (error) {
        // An app that ships a later root has no use for the earlier ones.
        const known = toLoaderError(error, 'LOADER_DISK');
        if (known.code === 'LOADER_OLDER') continue;
        this.#note(known, 'a stored root');
      }
    }
  }

  get isOpen(): boolean {
    return this.#chain.length > 0;
  }

  /** Errors: LOADER_CRYPTO where there is none. */
  get newest(): TrustRoot {
    const root = this.#chain.at(-1);
    if (root !== undefined) return root;
    throw new LoaderError('LOADER_CRYPTO', 'no trust root is open; see the trail');
  }

  /** Takes later roots, then refuses one whose time is over.
   *  Errors: LOADER_EXPIRED, LOADER_CRYPTO, LOADER_DISK, LOADER_ABORTED. */
  async refresh(network: Network, nowMs: number, signal: AbortSignal): Promise<TrustRoot> {
    for (let step = 0; step < ROOT_STEPS_COUNT_MAX; step += 1) {
      if (!(await this.#takeNext(network, signal))) break;
    }
    if (nowMs < this.newest.expiresAtMs) return this.newest;
    const when = new Date(this.newest.expiresAtMs).toISOString();
    throw new LoaderError('LOADER_EXPIRED', `trust root ${this.newest.version} ended at ${when}`);
  }

  /** The document of a release that was taken earlier: its keys may have been replaced since.
   *  Errors: LOADER_SIGNATURE of the newest root when no root of the chain knows it. */
  async verifyKept(envelope: Envelope): Promise<unknown> {
    let failure: unknown = null;
    for (const root of [...this.#chain].reverse()) {
      try {
        return await verifyEnvelope(envelope, root);
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure ?? new LoaderError('LOADER_CRYPTO', 'no trust root is open');
  }

  /** Asks the first origin that answers; one that answers with nonsense is passed over. */
  async #takeNext(network: Network, signal: AbortSignal): Promise<boolean> {
    const version = this.newest.version + 1;
    for (const origin of network.origins.ordered()) {
      throwIfAborted(signal);
      try {
        const bytes = await network.root(origin, version, signal);
        if (bytes === null) return false;
        await this.#keep(bytes);
        return true;
      } catch (error) {
        const known = toLoaderError(error, 'LOADER_NETWORK');
        if (isFinal(known) || known.code === 'LOADER_DISK') throw known;
        network.origins.failed(origin, known);
        this.#note(known, `root ${version}`, origin);
      }
    }
    return false;
  }

  async #keep(bytes: Bytes): Promise<void> {
    const before = this.newest;
    const next = await advanceTrustRoot(before, bytes);
    const text = utf8Text(bytes)!;
    // Kept before it is used: the one before may have been given up for a reason.
    await this.#options.keeper.change((state) => withRoot(state, text, before, next));
    this.#chain.push(next);
  }

  async #step(bytes: Bytes): Promise<void> {
    this.#chain.push(await advanceTrustRoot(this.newest, bytes));
  }

  #note(error: LoaderError, what: string, origin?: string): void {
    const place = { level: 'root', channel: null, what } as const;
    this.#options.notes.fallback(
      error,
      error.code,
      origin === undefined ? place : { ...place, origin },
    );
  }
}

function withRoot(
  state: LoaderState,
  text: string,
  before: TrustRoot,
  next: TrustRoot,
): LoaderState {
  const roots = state.roots.includes(text) ? state.roots : [...state.roots, text];
  if (roots.length > ROOTS_KEPT_COUNT_MAX) {
    throw new LoaderError(
      'LOADER_LIMIT',
      `more than ${ROOTS_KEPT_COUNT_MAX} roots since the app's`,
    );
  }
  // A thief of the old keys could have driven a counter to its end.
  const forgets = {
    ...(hasNewKeys(before, next, 'head') ? { counter: 0 } : {}),
    ...(hasNewKeys(before, next, 'release') ? { sequence: 0 } : {}),
  };
  const channels = [...state.channels].map(([name, record]) => {
    return [name, { ...record, ...forgets }] as const;
  });
  return { ...state, roots, channels: new Map(channels) };
}

/** Errors: LOADER_OPTIONS, which names `name`. */
export function envelopeBytes(source: EnvelopeSource, name: string): Bytes {
  if (typeof source === 'string') return utf8(source);
  if (source instanceof Uint8Array) return source.slice() as Bytes;
  if (typeof source === 'object' && source !== null) return utf8(JSON.stringify(source));
  throw new LoaderError(
    'LOADER_OPTIONS',
    `${name} is ${shown(source)}; expected an envelope: text, bytes, or the parsed JSON`,
  );
}
