// The follower's side, in one db worker: looks which databases the primary has, and follows each of
// them that this worker owns. Whatever fails is tried again, later and later; a copy that cannot go
// on from where it is becomes a new one, of a snapshot, and is read until that is there.
//
//     ┌─► feed ──┬─ trimmed, or another database ──► snapshot ──► feed
//     └──────────┴─ diverged, silent, corrupt ─────► told, and tried again

import { type Clock, GatewayError, isGatewayError } from '../../core/index.ts';
import type { ReceivedCopy } from '../catalog/index.ts';
import { DB_PAGE_SIZE_BYTES, type FoldedPage } from '../contract.ts';
import type { FollowerDatabase, FollowerLag } from '../follower-database.ts';
import type { Xxh64 } from '../log/index.ts';
import { PrimaryClient } from './client.ts';
import { LOOK_INTERVAL_MS, RETRY_MS_MAX, RETRY_MS_MIN } from './limits.ts';
import {
  type Asker,
  chainText,
  decodePiece,
  type FeedQuestion,
  isSnapshotAnswer,
  isStateAnswer,
  openJson,
  type PagesQuestion,
  REPLICATION_VERSION,
  type SnapshotAnswer,
  type StateAnswer,
  sealJson,
} from './protocol.ts';
import type { Standing } from './standing.ts';

export interface FollowingOptions {
  readonly standing: Standing;
  readonly token: string;
  readonly clock: Clock;
  readonly xxh64: Xxh64;
  /** Whether a database is this worker's. */
  readonly owns: (name: string) => boolean;
  readonly names: () => Promise<readonly string[]>;
  /** Runs a job with a copy that is here. Errors: DB_NOT_FOUND, and others. */
  readonly use: <T>(
    name: string,
    job: (copy: { readonly id: string; readonly database: FollowerDatabase }) => Promise<T>,
  ) => Promise<T>;
  /** Puts a copy in the place of what is here under its name. */
  readonly receive: (name: string, copy: ReceivedCopy) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
  /** Closes a copy; whoever wants it opens it again. */
  readonly reopen: (name: string) => Promise<void>;
  readonly report: (event: FollowingEvent) => void;
}

/** `database`: `''` for all of them. */
export type FollowingEvent =
  | { readonly kind: 'following' | 'removed'; readonly database: string }
  | { readonly kind: 'snapshot'; readonly database: string; readonly why: string }
  | { readonly kind: 'fault'; readonly database: string; readonly error: unknown };

interface Loop {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** What makes a copy useless: the next one is made of a snapshot. */
const NEEDS_SNAPSHOT: readonly string[] = [
  'DB_NOT_FOUND',
  'DB_LOG_TRIMMED',
  'DB_REPLICA_OTHER',
  'DB_LOG_CORRUPT',
  'DB_DELTA_CORRUPT',
  'DB_PAGE_CORRUPT',
];
/** After these a log takes nothing more until it has been opened again. */
const NEEDS_OPENING: readonly string[] = ['DB_LOG_FAILED', 'DB_LOG_FULL'];

export class Following {
  readonly #options: FollowingOptions;
  readonly #client: PrimaryClient;
  readonly #loops = new Map<string, Loop>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #hasLooked = false;

  constructor(options: FollowingOptions) {
    this.#options = options;
    this.#client = new PrimaryClient(options.standing.follow, options.token);
    this.#ended = this.#lookOn();
  }

  /** How many databases it knows of; null before the primary has said so. */
  get count(): number | null {
    return this.#hasLooked ? this.#loops.size : null;
  }

  /** Ends all questions, and waits until nothing is being written any more. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const { stop } of this.#loops.values()) stop.abort();
    await this.#ended;
    await Promise.all([...this.#loops.values()].map(({ ended }) => ended));
    this.#client.close();
  }

  /** Throws a copy away; the next look finds that it is missing. */
  async drop(name: string): Promise<void> {
    const loop = this.#loops.get(name);
    loop?.stop.abort();
    await loop?.ended;
    try {
      await this.#options.remove(name);
    } finally {
      if (this.#loops.get(name) === loop) this.#loops.delete(name);
    }
  }

  // --- which databases there are ---------------------------------------------------------------

  async #lookOn(): Promise<void> {
    const { signal } = this.#stop;
    let told = '';
    while (!signal.aborted) {
      try {
        const { standing, owns } = this.#options;
        const state = await this.#look();
        // A promoted gateway only goes on telling its term to the former primary.
        if (standing.role === 'follower') await this.#take(state.databases.filter(owns));
        this.#hasLooked = true;
        told = '';
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        if (!signal.aborted && text !== told) this.#fault('', error);
        told = text;
      }
      await pause(LOOK_INTERVAL_MS, signal);
    }
  }

  /** Errors: DB_STANDING where the primary is none, or an older one than is known here. */
  async #look(): Promise<StateAnswer> {
    const { xxh64, standing } = this.#options;
    const question = sealJson(this.#asker(), xxh64);
    const answer = await this.#client.read('state', '', question, this.#stop.signal);
    const state = openJson<StateAnswer>(answer, xxh64, isStateAnswer);
    if (standing.role !== 'follower') return state;
    standing.join(state.cluster);
    if (state.term < standing.term) {
      const detail = `${standing.follow} is of term ${state.term}, known here is ${standing.term}`;
      throw new GatewayError('DB_STANDING', detail);
    }
    if (state.role !== 'primary') {
      throw new GatewayError('DB_STANDING', `${standing.follow} is no primary: ${state.role}`);
    }
    standing.hear(state.term);
    return state;
  }

  async #take(names: readonly string[]): Promise<void> {
    const { names: listNames, owns, standing } = this.#options;
    for (const name of names) if (!this.#loops.has(name)) this.#begin(name);
    const { unproven } = standing.record;
    for (const name of await listNames()) {
      if (!owns(name) || names.includes(name)) continue;
      if (unproven.includes(name)) {
        const detail = `${name} was made here and is not at ${standing.follow}: it is kept`;
        throw new GatewayError('DB_LOG_DIVERGED', detail);
      }
      await this.drop(name);
      this.#options.report({ kind: 'removed', database: name });
    }
    for (const [name, { stop }] of this.#loops) {
      if (names.includes(name)) continue;
      stop.abort();
      this.#loops.delete(name);
    }
  }

  #begin(name: string): void {
    const stop = new AbortController();
    this.#loops.set(name, { stop, ended: this.#followOn(name, stop.signal) });
  }

  // --- one database ----------------------------------------------------------------------------

  async #followOn(name: string, signal: AbortSignal): Promise<void> {
    let pauseMs = RETRY_MS_MIN;
    let told = '';
    let isFollowing = false;
    while (!signal.aborted) {
      try {
        await this.#feedOrSnapshot(name, signal);
        if (!isFollowing) this.#options.report({ kind: 'following', database: name });
        isFollowing = true;
        pauseMs = RETRY_MS_MIN;
        told = '';
      } catch (error) {
        if (signal.aborted) return;
        const code = isGatewayError(error) ? error.code : String(error);
        if (code !== told) this.#fault(name, error);
        told = code;
        isFollowing = false;
        if (NEEDS_OPENING.includes(code)) await this.#options.reopen(name).catch(() => {});
        await pause(pauseMs, signal);
        pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX);
      }
    }
  }

  async #feedOrSnapshot(name: string, signal: AbortSignal): Promise<void> {
    let why: string;
    try {
      await this.#feed(name, signal);
      return;
    } catch (error) {
      if (signal.aborted || !isGatewayError(error) || !NEEDS_SNAPSHOT.includes(error.code))
        throw error;
      // What the primary has deleted is not asked for again, but looked for in its list.
      why = `${error.code}: ${error.detail}`;
    }
    const { standing } = this.#options;
    if (standing.record.unproven.includes(name)) {
      const detail = `${name} was made here and is no copy of what ${standing.follow} has: ${why}`;
      throw new GatewayError('DB_LOG_DIVERGED', detail);
    }
    this.#options.report({ kind: 'snapshot', database: name, why });
    await this.#snapshot(name, signal);
  }

  #feed(name: string, signal: AbortSignal): Promise<void> {
    const { use, xxh64, standing } = this.#options;
    return use(name, async ({ id, database }) => {
      const { nextLsn, chain } = database.position;
      const question: FeedQuestion = {
        ...this.#asker(),
        database: id,
        nextLsn,
        chain: chainText(chain),
      };
      const answer = await this.#client.open('feed', name, sealJson(question, xxh64), signal);
      standing.prove(name);
      await database.follow(answer);
      if (database.isBehindFolding) await database.checkpoint();
    });
  }

  async #snapshot(name: string, signal: AbortSignal): Promise<void> {
    const { xxh64, receive } = this.#options;
    const question = sealJson(this.#asker(), xxh64);
    const answer = await this.#client.read('snapshot', name, question, signal);
    const begun = openJson<SnapshotAnswer>(answer, xxh64, isSnapshotAnswer);
    const { database: id, term, lsn, chain, pageCount } = begun;
    const batches = this.#pages(name, begun, signal);
    await receive(name, {
      id,
      epoch: term,
      lsn,
      chain: BigInt(`0x${chain}`),
      fill: async (store) => {
        if (lsn > 0) await store.load(lsn, pageCount, batches);
      },
    });
  }

  /** The pages of a snapshot, batch by batch; a batch that came damaged or not at all is asked for
   *  again. Errors: DB_NO_STATE where the snapshot has ended. */
  async *#pages(
    name: string,
    { snapshot, lsn, pageCount }: SnapshotAnswer,
    signal: AbortSignal,
  ): AsyncGenerator<readonly FoldedPage[]> {
    let pauseMs = RETRY_MS_MIN;
    for (let firstPage = 1; firstPage <= pageCount; ) {
      try {
        const { xxh64 } = this.#options;
        const question: PagesQuestion = { ...this.#asker(), snapshot, firstPage };
        const body = sealJson(question, xxh64);
        const answer = await this.#client.read('pages', name, body, signal);
        const { pages } = decodePiece(answer, { lsn, firstPage }, xxh64);
        const batch = pagesOf(firstPage, pages);
        yield batch;
        firstPage += batch.length;
        pauseMs = RETRY_MS_MIN;
      } catch (error) {
        const isLost = !isGatewayError(error) || !PASSING.includes(error.code);
        if (signal.aborted || isLost) throw error;
        this.#fault(name, error);
        await pause(pauseMs, signal);
        pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX);
      }
    }
    // The primary need not keep it until it is forgotten.
    const end: PagesQuestion = { ...this.#asker(), snapshot, firstPage: pageCount + 1 };
    const body = sealJson(end, this.#options.xxh64);
    await this.#client.read('pages', name, body, signal).catch(() => {});
  }

  #asker(): Asker {
    const { standing } = this.#options;
    const { node, cluster } = standing.record;
    return { version: REPLICATION_VERSION, node, cluster, term: standing.term };
  }

  #fault(database: string, error: unknown): void {
    this.#options.report({ kind: 'fault', database, error });
  }
}

/** Faults of the way, that the next attempt may not have. */
const PASSING: readonly string[] = ['DB_UNAVAILABLE', 'DB_FEED_CORRUPT', 'DB_FEED_REFUSED'];

function pagesOf(firstPage: number, bytes: Uint8Array): FoldedPage[] {
  return Array.from({ length: bytes.length / DB_PAGE_SIZE_BYTES }, (_, index) => ({
    pageNumber: firstPage + index,
    bytes: bytes.subarray(index * DB_PAGE_SIZE_BYTES, (index + 1) * DB_PAGE_SIZE_BYTES),
  }));
}

/** The worst of some lags: of the one that is least known, or furthest behind. */
export function worstLag(lags: Iterable<FollowerLag>): { commits: number; ms: number } {
  let commits = 0;
  let ms = 0;
  for (const { lsn, primaryLsn, lagMs } of lags) {
    commits = Math.max(commits, primaryLsn === null ? 0 : primaryLsn - lsn);
    ms = Math.max(ms, lagMs ?? Number.POSITIVE_INFINITY);
  }
  return { commits, ms };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
