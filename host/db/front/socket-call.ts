// A WebSocket of a client: its hello is checked here, everything after it is the db worker's. What
// a client does not read is not sent on; the db worker is told how much was, and stops taking
// requests of a connection whose answers stand still.

import {
  type Exchange,
  joinedHeaderValue,
  type WebSocketChannel,
  type WebSocketPeer,
} from '../../core/index.ts';
import {
  type Access,
  decodeSocketJson,
  decodeSocketProtobuf,
  type Encoding,
  faultOf,
  HranaError,
  type HranaFault,
  isHranaError,
  replyWriter,
  type SocketVersion,
} from '../hrana/index.ts';
import { CREDIT_UNIT_BYTES } from '../link/index.ts';
import { refuse } from './refuse.ts';
import type { SocketEar, WorkerLink } from './worker-link.ts';

/** What a connection needs of the plane. */
export interface SocketHost {
  check(jwt: string | null, database: string): Promise<Access>;
  linkOf(database: string): WorkerLink | null;
  readonly sockets: Set<SocketCall>;
  readonly onError: (error: unknown) => void;
}

interface Protocol {
  readonly version: SocketVersion;
  readonly encoding: Encoding;
}

/** In the order of preference; without any, version 1 is spoken. */
const PROTOCOLS: ReadonlyMap<string, Protocol> = new Map([
  ['hrana3-protobuf', { version: 3, encoding: 'protobuf' }],
  ['hrana3', { version: 3, encoding: 'json' }],
  ['hrana2', { version: 2, encoding: 'json' }],
  ['hrana1', { version: 1, encoding: 'json' }],
]);

/** Messages, and bytes of them, that may come before the hello has been checked. */
const EARLY_COUNT_MAX = 1_024;
const EARLY_SIZE_BYTES_MAX = 4_194_304;
/** Answers that wait for a client that does not read; the db worker stops long before. */
const QUEUED_SIZE_BYTES_MAX = 268_435_456;
const GOING_AWAY = 1001;
const CREDIT_UNITS_MAX = 65_535;

export function acceptSocket(exchange: Exchange, database: string, host: SocketHost): void {
  const offered = joinedHeaderValue(exchange.headers, 'sec-websocket-protocol');
  const names = offered === undefined ? [] : offered.split(',').map((name) => name.trim());
  const name = [...PROTOCOLS.keys()].find((known) => names.includes(known));
  if (name === undefined && names.length > 0) {
    const message = `no known sub-protocol, expected one of ${[...PROTOCOLS.keys()].join(', ')}`;
    refuse(exchange, 'DB_REQUEST', { code: 'PROTOCOL_ERROR', message });
    return;
  }
  const call = new SocketCall(database, PROTOCOLS.get(name ?? 'hrana1')!, host);
  call.channel = exchange.acceptWebSocket(name ?? '', call);
  if (call.channel !== null) host.sockets.add(call);
}

export class SocketCall implements WebSocketPeer, SocketEar {
  channel: WebSocketChannel | null = null;
  readonly #database: string;
  readonly #protocol: Protocol;
  readonly #host: SocketHost;
  #state: 'new' | 'checking' | 'open' | 'closed' = 'new';
  #early: { readonly bytes: Uint8Array; readonly kind: 'text' | 'binary' }[] = [];
  #earlySizeBytes = 0;
  #link: WorkerLink | null = null;
  #id = 0;
  /** What the client has not read yet. */
  #queue: Uint8Array[] = [];
  #queuedSizeBytes = 0;
  #isBlocked = false;
  #end: { readonly code: number; readonly reason: string } | null = null;
  /** Bytes that were sent and not told to the db worker. */
  #uncredited = 0;

  constructor(database: string, protocol: Protocol, host: SocketHost) {
    this.#database = database;
    this.#protocol = protocol;
    this.#host = host;
  }

  // --- the client --------------------------------------------------------------------------------

  onMessage(data: Uint8Array, kind: 'text' | 'binary'): void {
    if (this.#state === 'open') this.#link!.message(this.#id, data, kind);
    else if (this.#state === 'new') this.#hello(new Uint8Array(data), kind);
    else if (this.#state === 'checking') this.#hold(new Uint8Array(data), kind);
  }

  onDrain(): void {
    this.#isBlocked = false;
    this.#pump();
  }

  onClose(): void {
    this.#host.sockets.delete(this);
    this.#state = 'closed';
    this.#early = [];
    this.#queue = [];
    this.#link?.closed(this.#id);
  }

  // --- the database ------------------------------------------------------------------------------

  send(message: Uint8Array): void {
    if (this.#state === 'closed') return;
    if (!this.#isBlocked && this.#queue.length === 0) {
      this.#write(message);
      return;
    }
    this.#queue.push(message);
    this.#queuedSizeBytes += message.length;
    if (this.#queuedSizeBytes > QUEUED_SIZE_BYTES_MAX) this.#close(1013, 'answers are not read');
  }

  end(code: number, reason: string): void {
    if (this.#queue.length === 0) this.#close(code, reason);
    else this.#end = { code, reason };
  }

  /** The gateway ends. */
  leave(): void {
    this.#close(GOING_AWAY, 'the gateway is shutting down');
  }

  #pump(): void {
    while (!this.#isBlocked && this.#queue.length > 0) {
      const message = this.#queue.shift()!;
      this.#queuedSizeBytes -= message.length;
      this.#write(message);
    }
    if (this.#queue.length === 0 && this.#end !== null) {
      this.#close(this.#end.code, this.#end.reason);
    }
  }

  #write(message: Uint8Array): void {
    const kind = this.#protocol.encoding === 'json' ? 'text' : 'binary';
    if (this.channel?.send(message, kind) === false) this.#isBlocked = true;
    this.#uncredited += message.length;
    const units = Math.min(Math.floor(this.#uncredited / CREDIT_UNIT_BYTES), CREDIT_UNITS_MAX);
    if (units === 0 || this.#link === null) return;
    this.#uncredited -= units * CREDIT_UNIT_BYTES;
    this.#link.credit(this.#id, units);
  }

  #close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#link?.closed(this.#id);
    this.channel?.close(code, reason);
  }

  // --- the hello ---------------------------------------------------------------------------------

  #hello(bytes: Uint8Array, kind: 'text' | 'binary'): void {
    const { encoding } = this.#protocol;
    let jwt: string | null;
    try {
      if ((kind === 'text') !== (encoding === 'json')) {
        throw new HranaError('PROTOCOL_ERROR', `expected messages of ${encoding}, found ${kind}`);
      }
      const message = encoding === 'json' ? decodeSocketJson(bytes) : decodeSocketProtobuf(bytes);
      if (message.type !== 'hello')
        throw new HranaError('PROTOCOL_ERROR', 'expected a hello first');
      jwt = message.jwt;
    } catch (error) {
      if (!isHranaError(error)) throw error;
      this.#close(1002, error.message);
      return;
    }
    this.#state = 'checking';
    this.#hold(bytes, kind);
    this.#host.check(jwt, this.#database).then(
      (access) => this.#open(access),
      (error) => this.#refuse(isHranaError(error) ? faultOf(error) : this.#internal(error)),
    );
  }

  #hold(bytes: Uint8Array, kind: 'text' | 'binary'): void {
    this.#earlySizeBytes += bytes.length;
    this.#early.push({ bytes, kind });
    const isFull = this.#early.length > EARLY_COUNT_MAX;
    if (isFull || this.#earlySizeBytes > EARLY_SIZE_BYTES_MAX) {
      this.#close(1013, 'too much was sent before the hello was answered');
    }
  }

  #open(access: Access): void {
    if (this.#state !== 'checking') return;
    const link = this.#host.linkOf(this.#database);
    const { version, encoding } = this.#protocol;
    const id = link?.open({ version, encoding, access }, this.#database, this) ?? 0;
    if (link === null || id === 0) {
      const message = 'the database takes no further connections now';
      this.#refuse({ code: 'DATABASE_UNAVAILABLE', message });
      return;
    }
    this.#link = link;
    this.#id = id;
    this.#state = 'open';
    const early = this.#early;
    this.#early = [];
    for (const { bytes, kind } of early) link.message(id, bytes, kind);
  }

  #refuse(fault: HranaFault): void {
    if (this.#state === 'closed') return;
    const writer = replyWriter(this.#protocol.encoding);
    writer.helloError(fault);
    this.#write(writer.take());
    this.#close(1000, 'the hello was refused');
  }

  #internal(error: unknown): HranaFault {
    this.#host.onError(error);
    return { code: 'INTERNAL', message: 'internal error' };
  }
}
