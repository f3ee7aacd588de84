// The database plane in an io worker: finds out which database is asked for, checks tokens, and
// passes bytes to the db worker that owns it. It parses nothing but the first message of a
// WebSocket.

import { createHash, timingSafeEqual } from 'node:crypto';
import {
  type Clock,
  ERRORS,
  type ErrorCode,
  type Exchange,
  type ExchangeHandler,
  headerValue,
  type PlaneRoute,
  type RoutePlane,
} from '../../core/index.ts';
import { Authenticator } from '../auth/index.ts';
import { type Access, isHranaError } from '../hrana/index.ts';
import { QUESTION_SIZE_BYTES_MAX } from '../replication/index.ts';
import { JSON_TYPE, refuse } from './refuse.ts';
import { acceptSocket, type SocketCall, type SocketHost } from './socket-call.ts';
import { CALLS, type Call, CHECKS, findTarget, type RouteShape, routeShape } from './target.ts';
import type { RemoteReply, WorkerLink } from './worker-link.ts';

export interface FrontDeps {
  readonly clock: Clock;
  /** Threads that databases are spread over. */
  readonly workersCount: number;
  /** As Authenticator takes it. */
  readonly publicKey: string;
  /** What a follower shows; `''` where nobody may follow. */
  readonly replicationToken: string;
  readonly requestSizeBytesMax: number;
  readonly onError: (error: unknown) => void;
}

const VERSION_TEXT = 'sluice';

export class DatabaseFront implements RoutePlane {
  readonly #deps: FrontDeps;
  readonly #links: (WorkerLink | null)[];
  readonly #checked: Promise<Authenticator>;
  readonly #socketHost: SocketHost;
  readonly #sockets = new Set<SocketCall>();
  #authenticator: Authenticator | null = null;

  constructor(deps: FrontDeps) {
    this.#deps = deps;
    this.#links = new Array(deps.workersCount).fill(null);
    this.#checked = Authenticator.create(deps.publicKey, deps.clock);
    this.#socketHost = {
      check: async (jwt, database) => (await this.#checked).check(jwt, database),
      linkOf: (database) => this.linkOf(database),
      sockets: this.#sockets,
      onError: deps.onError,
    };
    this.#checked.then(
      (authenticator) => {
        this.#authenticator = authenticator;
      },
      (error) => deps.onError(error),
    );
  }

  /** The way to a db worker; it replaces the one to its predecessor. */
  connect(workerIndex: number, link: WorkerLink): void {
    this.#links[workerIndex]?.close();
    this.#links[workerIndex] = link;
  }

  /** Connections that live on end now; requests over HTTP are still answered. */
  drain(): void {
    for (const socket of [...this.#sockets]) socket.leave();
  }

  close(): void {
    for (const link of this.#links) link?.close();
  }

  /** The way to the owner of a database; null while there is none. */
  linkOf(database: string): WorkerLink | null {
    const link = this.#links[ownerOf(database, this.#deps.workersCount)] ?? null;
    return link?.isOpen ? link : null;
  }

  handler({ prefix }: PlaneRoute): ExchangeHandler {
    const shape = routeShape(prefix);
    return (exchange) => this.#handle(exchange, shape);
  }

  #handle(exchange: Exchange, shape: RouteShape): void {
    const target = findTarget(exchange, shape);
    if (target.kind === 'refused') {
      refuse(exchange, 'DB_NAME', { code: 'DATABASE_NAME_INVALID', message: target.message });
      return;
    }
    if (target.kind === 'replication') {
      this.#replicate(exchange, target.action, target.database);
      return;
    }
    const { database, rest } = target;
    if (exchange.isWebSocketUpgrade) {
      acceptSocket(exchange, database, this.#socketHost);
      return;
    }
    const call = CALLS.get(rest);
    if (call === undefined) {
      this.#check(exchange, target);
      return;
    }
    if (exchange.method !== 'POST') {
      const message = `${exchange.method} on ${rest}, expected POST`;
      refuse(exchange, 'DB_REQUEST', { code: 'PROTOCOL_ERROR', message });
      return;
    }
    this.#call(exchange, database, call);
  }

  #check(exchange: Exchange, { database, rest }: { database: string; rest: string }): void {
    if (CHECKS.has(rest) && (exchange.method === 'GET' || exchange.method === 'HEAD')) {
      exchange.respond(200, ['content-type', 'text/plain'], rest === 'version' ? VERSION_TEXT : '');
      return;
    }
    const message =
      rest === ''
        ? `the URL of the database ${database}, for clients of libSQL; they ask for v2/pipeline`
        : `nothing of the Hrana protocol: ${JSON.stringify(rest.slice(0, 80))}`;
    refuse(exchange, 'DB_REQUEST', { code: 'PROTOCOL_ERROR', message });
  }

  #call(exchange: Exchange, database: string, call: Call): void {
    const access = this.#authorise(exchange, database);
    if (access === null) return;
    if (typeof access === 'string') {
      this.#read(exchange, database, call, access);
      return;
    }
    access.then(
      (allowed) => {
        if (!exchange.isEnded) this.#read(exchange, database, call, allowed);
      },
      (error) => this.#refuseToken(exchange, error),
    );
  }

  /** Null: it has been refused. */
  #authorise(exchange: Exchange, database: string): Access | Promise<Access> | null {
    try {
      const jwt = bearerOf(exchange);
      if (this.#authenticator !== null) return this.#authenticator.check(jwt, database);
      return this.#checked.then((authenticator) => authenticator.check(jwt, database));
    } catch (error) {
      this.#refuseToken(exchange, error);
      return null;
    }
  }

  #refuseToken(exchange: Exchange, error: unknown): void {
    if (!isHranaError(error)) {
      this.#deps.onError(error);
      refuse(exchange, 'GW_INTERNAL', { code: 'INTERNAL', message: 'internal error' });
      return;
    }
    refuse(exchange, error.code === 'AUTH_FORBIDDEN' ? 'DB_FORBIDDEN' : 'DB_TOKEN', error);
  }

  /** A question of a follower: everything else than its token is the db worker's to judge. */
  #replicate(exchange: Exchange, action: number, database: string): void {
    const { replicationToken } = this.#deps;
    if (replicationToken === '') {
      const message = 'nobody may follow this gateway: it has no db.replication';
      refuse(exchange, 'DB_FORBIDDEN', { code: 'DB_FORBIDDEN', message });
    } else if (!isSameText(bearerOf(exchange) ?? '', replicationToken)) {
      const message = 'the token is not that of db.replication';
      refuse(exchange, 'DB_TOKEN', { code: 'DB_TOKEN', message });
    } else if (exchange.method !== 'POST') {
      const message = `${exchange.method} of a follower, expected POST`;
      refuse(exchange, 'DB_REQUEST', { code: 'DB_REQUEST', message });
    } else {
      readBody(exchange, QUESTION_SIZE_BYTES_MAX, (body) => {
        const link = this.linkOf(database);
        const isTaken = link?.replication(action, database, body, (reply) => {
          if (exchange.isEnded) return;
          if (reply === null) refuseUnavailable(exchange);
          else respond(exchange, reply);
        });
        if (isTaken !== true) refuseUnavailable(exchange);
      });
    }
  }

  #read(exchange: Exchange, database: string, call: Call, access: Access): void {
    readBody(exchange, this.#deps.requestSizeBytesMax, (body) => {
      this.#ask(exchange, database, call, access, body);
    });
  }

  #ask(
    exchange: Exchange,
    database: string,
    { endpoint, encoding }: Call,
    access: Access,
    body: Uint8Array,
  ): void {
    const link = this.linkOf(database);
    if (link === null) {
      refuseUnavailable(exchange);
      return;
    }
    const isTaken = link.request({ endpoint, encoding, access }, database, body, (reply) => {
      if (exchange.isEnded) return;
      if (reply === null) refuseUnavailable(exchange);
      else respond(exchange, reply);
    });
    if (isTaken) return;
    const message = 'too many requests wait for the database';
    refuse(exchange, 'DB_BUSY', { code: 'BLOCKED', message });
  }
}

/** Reads a body of at most so many bytes; a larger one is refused. */
function readBody(exchange: Exchange, most: number, take: (body: Uint8Array) => void): void {
  if (exchange.bodySizeBytes > most) {
    refuseSize(exchange, most);
    return;
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  exchange.readBody({
    onChunk: (chunk, isLast) => {
      if (size > most) return;
      size += chunk.length;
      if (size > most) {
        chunks.length = 0;
        refuseSize(exchange, most);
        return;
      }
      if (isLast && chunks.length === 0) take(chunk);
      else {
        chunks.push(new Uint8Array(chunk));
        if (isLast) take(Buffer.concat(chunks, size));
      }
    },
  });
}

/** Compares in a time that says nothing of how much is the same. */
function isSameText(text: string, secret: string): boolean {
  const hash = (value: string): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(hash(text), hash(secret));
}

/** FNV-1a over the name: the same in every thread. */
export function ownerOf(database: string, workersCount: number): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < database.length; at++) {
    hash = Math.imul(hash ^ database.charCodeAt(at), 0x01000193);
  }
  return (hash >>> 0) % workersCount;
}

function bearerOf(exchange: Exchange): string | null {
  const value = headerValue(exchange.headers, 'authorization');
  if (value === undefined) return null;
  const space = value.indexOf(' ');
  return value.slice(0, space).toLowerCase() === 'bearer' ? value.slice(space + 1).trim() : null;
}

function respond(exchange: Exchange, reply: RemoteReply): void {
  const { status, form, encoding, body } = reply;
  if (form === 'error') {
    const reason = String(ERRORS[codeOfStatus(status)].reason);
    exchange.respond(status, [...JSON_TYPE, 'x-sluice-reason', reason], body);
    return;
  }
  const type = form === 'message' ? MESSAGE_TYPES[encoding] : LINES_TYPES[encoding];
  exchange.respond(status, ['content-type', type], body);
}

const MESSAGE_TYPES = { json: 'application/json', protobuf: 'application/x-protobuf' };
/** As sqld. */
const LINES_TYPES = { json: 'text/plain', protobuf: 'application/octet-stream' };

function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 400:
      return 'DB_REQUEST';
    case 403:
      return 'DB_FORBIDDEN';
    case 404:
      return 'DB_NOT_FOUND';
    case 409:
      return 'DB_STANDING';
    case 410:
      return 'DB_LOG_TRIMMED';
    case 412:
      return 'DB_REPLICA_OTHER';
    case 503:
      return 'DB_BUSY';
    default:
      return 'GW_INTERNAL';
  }
}

function refuseSize(exchange: Exchange, most: number): void {
  const message = `the request has more than ${most} bytes, the limit`;
  refuse(exchange, 'GW_PROTOCOL_BODY_TOO_LARGE', { code: 'PROTOCOL_LIMIT', message });
}

function refuseUnavailable(exchange: Exchange): void {
  const message = 'the worker of the database is starting again';
  refuse(exchange, 'DB_UNAVAILABLE', { code: 'DATABASE_UNAVAILABLE', message });
}
