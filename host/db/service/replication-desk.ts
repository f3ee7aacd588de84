// Replication in one db worker: answers followers, or follows, as the gateway stands. The two never
// meet: a change of the standing ends the one before the other begins.

import { type Clock, type ErrorCode, GatewayError, isGatewayError } from '../../core/index.ts';
import { isHranaError } from '../hrana/index.ts';
import {
  Following,
  type FollowingEvent,
  REPLICATION_ACTIONS,
  ReplicationSource,
  worstLag,
} from '../replication/index.ts';
import type { DatabaseShelf, OpenedDatabase, ReplicationOptions } from './shelf.ts';

export interface ReplicationDeskOptions extends ReplicationOptions {
  readonly clock: Clock;
  readonly owns?: (name: string) => boolean;
  readonly onFollowing?: (event: FollowingEvent) => void;
  readonly onFenced?: () => void;
  readonly onError: (error: unknown) => void;
}

/** What goes back to a follower. */
export interface LinkReply {
  readonly form: 'lines' | 'error';
  readonly status: number;
  readonly pieces: readonly Uint8Array[];
}

/** Statuses of what a follower is refused with; its code stands in the body. */
const STATUSES: Partial<Record<ErrorCode, number>> = {
  DB_LOG_TRIMMED: 410,
  DB_NO_STATE: 404,
  DB_NOT_FOUND: 404,
  DB_LOG_DIVERGED: 409,
  DB_STANDING: 409,
  DB_REPLICA_OTHER: 412,
  DB_FEED_CORRUPT: 400,
};

export class ReplicationDesk {
  readonly #shelf: DatabaseShelf;
  readonly #options: ReplicationDeskOptions;
  readonly #source: ReplicationSource;
  #following: Following | null = null;
  #turns: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(shelf: DatabaseShelf, options: ReplicationDeskOptions) {
    this.#shelf = shelf;
    this.#options = options;
    const { standing, clock, onFenced } = options;
    this.#source = new ReplicationSource({
      standing,
      clock,
      xxh64: shelf.xxh64,
      names: () => shelf.catalog.list(),
      use: (name, job) => this.#use(name, job),
      onFenced: () => onFenced?.(),
    });
    this.#begin();
  }

  get standing() {
    return this.#options.standing;
  }

  /** Answers a question, or says why not; never rejects. */
  async answer(action: number, name: string, body: Uint8Array): Promise<LinkReply> {
    try {
      const pieces = await this.#source.answer(REPLICATION_ACTIONS[action]!, name, body);
      return { form: 'lines', status: 200, pieces };
    } catch (error) {
      const known = isGatewayError(error) ? error : null;
      if (known === null) this.#options.onError(error);
      const code = known?.code ?? 'GW_INTERNAL';
      const message = known?.detail ?? 'internal error';
      const pieces = [Buffer.from(JSON.stringify({ code, message }))];
      return { form: 'error', status: STATUSES[code] ?? 503, pieces };
    }
  }

  /** Throws the copy of a database away; the next one is made of a snapshot. */
  async drop(name: string): Promise<void> {
    if (this.#following === null) throw new GatewayError('DB_STANDING', 'it follows nobody');
    await this.#following.drop(name);
  }

  /** Of the copies that are open here. */
  lag(): { readonly followerLagCount: number; readonly followerLagMs: number } {
    const followers = [...this.#shelf.opened()].flatMap(({ follower }) => follower ?? []);
    const { commits, ms } = worstLag(followers.map(({ lag }) => lag));
    const count = this.#following === null ? 0 : this.#following.count;
    const isAnyAway = this.standing.role === 'follower' && (count ?? 1) > followers.length;
    const followerLagMs = isAnyAway ? Number.POSITIVE_INFINITY : ms;
    return { followerLagCount: commits, followerLagMs };
  }

  sweep(): void {
    this.#source.sweep();
  }

  /** The standing has changed: copies become databases that take writes. */
  turn(): Promise<void> {
    this.#turns = this.#turns.then(async () => {
      await this.#end();
      await this.#shelf.closeAll();
      this.#begin();
    });
    return this.#turns;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turns;
    await this.#end();
    this.#source.close();
  }

  /** A promoted gateway goes on asking the former primary, so that it learns of its term. */
  #begin(): void {
    const { standing, token, clock, owns, onFollowing } = this.#options;
    if (standing.follow === '' || standing.role === 'fenced' || this.#isClosed) return;
    this.#following = new Following({
      standing,
      token,
      clock,
      xxh64: this.#shelf.xxh64,
      owns: owns ?? (() => true),
      names: () => this.#shelf.catalog.list(),
      use: (name, job) =>
        this.#use(name, ({ store, follower }) => {
          if (follower === null) throw new GatewayError('DB_STANDING', `${name} is no copy`);
          return job({ id: store.id, database: follower });
        }),
      receive: (name, copy) =>
        this.#shelf.catalog.receive(name, copy, (replace) => this.#shelf.alone(name, replace)),
      remove: (name) =>
        this.#shelf.alone(name, async () => {
          if ((await this.#shelf.catalog.list()).includes(name)) {
            await this.#shelf.catalog.remove(name);
          }
        }),
      reopen: (name) => this.#shelf.alone(name, async () => {}),
      report: (event) => onFollowing?.(event),
    });
  }

  async #end(): Promise<void> {
    const following = this.#following;
    this.#following = null;
    await following?.close();
  }

  /** Errors as replication knows them. */
  async #use<T>(name: string, job: (opened: OpenedDatabase) => Promise<T>): Promise<T> {
    try {
      return await this.#shelf.use(name, job);
    } catch (error) {
      if (!isHranaError(error)) throw error;
      if (isGatewayError(error.cause)) throw error.cause;
      const code = error.code === 'DATABASE_NOT_FOUND' ? 'DB_NOT_FOUND' : 'DB_UNAVAILABLE';
      throw new GatewayError(code, error.message);
    }
  }
}
