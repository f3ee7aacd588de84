// The primary's side: answers what followers ask of the databases that one db worker owns. Nothing
// is kept for a follower but where it is; what it has not asked for is not read.

import { type Clock, GatewayError } from '../../core/index.ts';
import { DB_PAGE_SIZE_BYTES, type Lsn, type PagePin } from '../contract.ts';
import type { LogTail, Xxh64 } from '../log/index.ts';
import type { LmdbPageStore } from '../page-store/index.ts';
import type { LogHolds } from './holds.ts';
import {
  FEED_ANSWER_SIZE_BYTES,
  FEED_WAIT_MS,
  SNAPSHOT_IDLE_MS_MAX,
  SNAPSHOT_PIECE_PAGES_COUNT,
  SNAPSHOTS_COUNT_MAX,
} from './limits.ts';
import {
  type Asker,
  chainText,
  encodePiece,
  type FeedQuestion,
  isAsker,
  isFeedQuestion,
  isPagesQuestion,
  openJson,
  type PagesQuestion,
  positionOf,
  REPLICATION_VERSION,
  type ReplicationAction,
  type SnapshotAnswer,
  type StateAnswer,
  sealJson,
} from './protocol.ts';
import type { Standing } from './standing.ts';

/** A database that is open, as followers need it. */
export interface ReplicatedDatabase {
  readonly store: LmdbPageStore;
  readonly holds: LogHolds;
  /** Of the log that is open now. */
  tail(): LogTail;
  checkpoint(): Promise<void>;
}

export interface ReplicationSourceOptions {
  readonly standing: Standing;
  readonly clock: Clock;
  readonly xxh64: Xxh64;
  readonly names: () => Promise<readonly string[]>;
  /** Runs a job with a database, which stays open for as long. Errors: DB_NOT_FOUND, and others. */
  readonly use: <T>(name: string, job: (database: ReplicatedDatabase) => Promise<T>) => Promise<T>;
  /** The gateway is fenced from now on. */
  readonly onFenced: () => void;
}

interface Transfer {
  readonly name: string;
  readonly store: LmdbPageStore;
  readonly pin: PagePin;
  readonly end: () => void;
  readAtMs: number;
}

export class ReplicationSource {
  readonly #options: ReplicationSourceOptions;
  readonly #transfers = new Map<number, Transfer>();
  #lastTransfer = 0;

  constructor(options: ReplicationSourceOptions) {
    this.#options = options;
  }

  /** Answers a question. Errors: a GatewayError says why not. */
  async answer(
    action: ReplicationAction,
    name: string,
    body: Uint8Array,
  ): Promise<readonly Uint8Array[]> {
    const { xxh64 } = this.#options;
    switch (action) {
      case 'state':
        return [sealJson(await this.#state(openJson<Asker>(body, xxh64, isAsker)), xxh64)];
      case 'feed':
        return this.#feed(name, openJson<FeedQuestion>(body, xxh64, isFeedQuestion));
      case 'snapshot': {
        const asker = openJson<Asker>(body, xxh64, isAsker);
        return [sealJson(await this.#begin(name, asker), xxh64)];
      }
      case 'pages':
        return [this.#pages(name, openJson<PagesQuestion>(body, xxh64, isPagesQuestion))];
    }
  }

  /** Ends snapshots that nobody reads any more; to be called about once a second. */
  sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const { end, readAtMs } of [...this.#transfers.values()]) {
      if (nowMs - readAtMs > SNAPSHOT_IDLE_MS_MAX) end();
    }
  }

  close(): void {
    for (const { end } of [...this.#transfers.values()]) end();
  }

  /** Terms are compared before anything else is said: whoever has a newer one fences this gateway.
   *  A gateway of another cluster is told so, and fences nobody. */
  #meet(asker: Asker): { readonly cluster: string } {
    const { standing, onFenced } = this.#options;
    const { cluster } = standing.record;
    if (asker.cluster !== null && asker.cluster !== cluster) {
      const detail = `this gateway is of cluster ${cluster}, the follower of ${asker.cluster}`;
      throw new GatewayError('DB_STANDING', detail);
    }
    if (cluster === null) throw new GatewayError('DB_STANDING', 'it has reached no primary yet');
    if (standing.hear(asker.term)) onFenced();
    return { cluster };
  }

  async #state(asker: Asker): Promise<StateAnswer> {
    const { cluster } = this.#meet(asker);
    const { standing, names } = this.#options;
    const { role, term } = standing;
    return { version: REPLICATION_VERSION, cluster, role, term, databases: await names() };
  }

  /** Errors: DB_STANDING where it is no primary. */
  #meetFollower(asker: Asker): void {
    this.#meet(asker);
    const { standing } = this.#options;
    if (standing.role !== 'primary') {
      throw new GatewayError('DB_STANDING', standing.explanation);
    }
  }

  async #feed(name: string, question: FeedQuestion): Promise<readonly Uint8Array[]> {
    this.#meetFollower(question);
    return this.#options.use(name, async ({ store, holds, tail }) => {
      if (store.id !== question.database) {
        throw new GatewayError('DB_REPLICA_OTHER', `${name} is ${store.id} here`);
      }
      const position = positionOf(question);
      holds.note(question.node, position.nextLsn);
      const size = { sizeBytes: FEED_ANSWER_SIZE_BYTES, waitMs: FEED_WAIT_MS };
      return tail().poll(position, size);
    });
  }

  /** Keeps the newest folded state, and the log behind it, until the snapshot ends. */
  #begin(name: string, asker: Asker): Promise<SnapshotAnswer> {
    this.#meetFollower(asker);
    if (this.#transfers.size >= SNAPSHOTS_COUNT_MAX) {
      const detail = `${this.#transfers.size} snapshots are sent, the limit is as many`;
      throw new GatewayError('DB_BUSY', detail);
    }
    this.#lastTransfer += 1;
    const snapshot = this.#lastTransfer;
    return new Promise((resolve, reject) => {
      const hold = async (database: ReplicatedDatabase): Promise<void> => {
        const { store, holds } = database;
        const holder = `snapshot ${snapshot}`;
        holds.note(holder, store.lsn + 1);
        await database.checkpoint();
        const pin = store.pin(store.lsn);
        try {
          const { lsn, pageCount } = pin;
          const chain = chainText(await database.tail().chainAt(lsn));
          const { id } = store;
          const { term } = this.#options.standing;
          await new Promise<void>((end) => {
            const readAtMs = this.#options.clock.nowMs();
            this.#transfers.set(snapshot, { name, store, pin, end, readAtMs });
            resolve({ snapshot, database: id, term, lsn, chain, pageCount });
          });
        } finally {
          this.#transfers.delete(snapshot);
          pin.release();
          // Whoever has the pages asks for the log now.
          holds.note(asker.node, pin.lsn + 1);
          holds.release(holder);
        }
      };
      this.#options.use(name, hold).catch(reject);
    });
  }

  #pages(name: string, question: PagesQuestion): Uint8Array {
    this.#meetFollower(question);
    const { snapshot, firstPage } = question;
    const transfer = this.#transfers.get(snapshot);
    if (transfer === undefined || transfer.name !== name) {
      throw new GatewayError('DB_NO_STATE', `snapshot ${snapshot} of ${name} has ended`);
    }
    const { store, pin, end } = transfer;
    transfer.readAtMs = this.#options.clock.nowMs();
    const count = Math.min(SNAPSHOT_PIECE_PAGES_COUNT, pin.pageCount - firstPage + 1);
    if (count <= 0) {
      end();
      return sealJson(null, this.#options.xxh64);
    }
    const pages = new Uint8Array(count * DB_PAGE_SIZE_BYTES);
    readPages(store, { lsn: pin.lsn, firstPage }, pages);
    return encodePiece({ lsn: pin.lsn, firstPage, pages }, this.#options.xxh64);
  }
}

/** A page that was never written is one of zeros, such as that of SQLite's locks. */
function readPages(
  store: LmdbPageStore,
  { lsn, firstPage }: { readonly lsn: Lsn; readonly firstPage: number },
  pages: Uint8Array,
): void {
  for (let at = 0; at < pages.length; at += DB_PAGE_SIZE_BYTES) {
    const into = pages.subarray(at, at + DB_PAGE_SIZE_BYTES);
    if (!store.readPage(firstPage + at / DB_PAGE_SIZE_BYTES, lsn, into)) into.fill(0);
  }
}
