// HTTP/2 connections to one endpoint, for gRPC: the only importer of node:http2 on this side. In
// the clear it speaks HTTP/2 at once, as gRPC does; over TLS the upstream has to choose `h2`. It
// pushes no request through a connection that it cannot carry yet: those wait here, bounded in
// number and time, so that a slow upstream is seen as one.

import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { EndpointConfig, PoolConfig, UpstreamTls } from '../../config/index.ts';
import {
  type Clock,
  type ErrorCode,
  HTTP2_CONNECTIONS_COUNT_MAX,
  HTTP2_STREAMS_COUNT_MAX,
  RESPONSE_HEADERS_COUNT_MAX,
  RESPONSE_HEADERS_SIZE_BYTES_MAX,
} from '../../core/index.ts';
import { AddressBook, type Lookup, systemLookup } from './address-book.ts';
import { Connector } from './connector.ts';
import { Deadline, type DeadlineOwner, type Deadlines } from './deadlines.ts';
import { Opening, type OpeningOwner } from './opening.ts';

/** A dead peer is found by TCP: pings of HTTP/2 make servers close that count them. */
const TCP_KEEP_ALIVE_MS = 30_000;

export interface Http2PoolOptions {
  readonly pool: PoolConfig;
  readonly tls: UpstreamTls;
}

export interface Http2PoolDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Instead of the system's resolver. */
  readonly lookup?: Lookup;
}

/** Repeated names are joined: node takes lists of some only. */
export type Http2Head = Readonly<Record<string, string>>;

export interface StreamReceiver {
  /** Later than the call that asked. */
  onStream(stream: ClientHttp2Stream): void;
  onNoStream(code: ErrorCode, detail: string): void;
}

/** Asks for a stream, until it has one or gives up. */
interface Waiter {
  readonly head: Http2Head;
  readonly connectMs: number;
  readonly dueMs: number;
  readonly receiver: StreamReceiver;
  /** A connection has been tried since it asked: who came later learns nothing by its failure. */
  isTried: boolean;
}

export class Http2Pool implements DeadlineOwner, OpeningOwner, LinkOwner {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly #endpoint: EndpointConfig;
  readonly #options: Http2PoolOptions;
  readonly #connector: Connector;
  readonly #addresses: AddressBook;
  readonly #deadline = new Deadline(this);
  readonly #links: Link[] = [];
  #waiters: Waiter[] = [];
  #opening: Opening | null = null;
  #isResolving = false;
  #isClosing = false;

  constructor(endpoint: EndpointConfig, options: Http2PoolOptions, deps: Http2PoolDeps) {
    this.clock = deps.clock;
    this.deadlines = deps.deadlines;
    this.#endpoint = endpoint;
    this.#options = options;
    this.#connector = new Connector(endpoint, options.tls, 'h2');
    this.#addresses = new AddressBook({
      host: endpoint.host,
      lookup: deps.lookup ?? systemLookup,
      clock: deps.clock,
      deadlines: deps.deadlines,
      onChange: (addresses) => this.#onAddresses(addresses),
    });
  }

  get connectionsCount(): number {
    return this.#links.length;
  }

  get idleMs(): number {
    return this.#options.pool.keepAliveMs;
  }

  /** Opens a stream. Returns what gives it up: the receiver is not called then. */
  open(head: Http2Head, connectMs: number, receiver: StreamReceiver): () => void {
    const dueMs = this.clock.nowMs() + connectMs;
    const waiter: Waiter = { head, connectMs, dueMs, receiver, isTried: false };
    this.#addresses.touch();
    if (this.#isClosing || this.#waiters.length >= this.#options.pool.pendingMax) {
      this.#refuseLater(waiter);
    }
    this.#waiters.push(waiter);
    this.deadlines.arm(this.#deadline, waiter.dueMs);
    process.nextTick(() => this.onRoom());
    return () => this.#remove(waiter);
  }

  /** Takes no more streams; those that are open go on. */
  close(): void {
    this.#isClosing = true;
    this.#opening?.cancel();
    this.#opening = null;
    this.#failAll('GW_UPSTREAM_CONNECT', 'the pool is closed');
    this.deadlines.disarm(this.#deadline);
    this.#addresses.close();
    for (const link of [...this.#links]) link.retire();
  }

  onDeadline(nowMs: number): number {
    const overdue = this.#waiters.filter(({ dueMs }) => dueMs <= nowMs);
    this.#waiters = this.#waiters.filter(({ dueMs }) => dueMs > nowMs);
    for (const { receiver, connectMs } of overdue) {
      receiver.onNoStream('GW_TIMEOUT_CONNECT', `no connection within ${connectMs} ms`);
    }
    return this.#waiters.reduce((next, { dueMs }) => Math.min(next, dueMs), Infinity);
  }

  // === OpeningOwner

  onOpened(opening: Opening, socket: Socket): void {
    this.#opening = null;
    if (this.#endpoint.protocol === 'https' && (socket as TLSSocket).alpnProtocol !== 'h2') {
      socket.on('error', () => {});
      socket.destroy();
      this.#failAll('GW_UPSTREAM_TLS', 'the upstream chose no HTTP/2');
      return;
    }
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#links.push(new Link(this, socket, this.#endpoint, opening.address));
    this.onRoom();
  }

  onOpenFailed(_opening: Opening, code: ErrorCode, detail: string): void {
    this.#opening = null;
    // Others wait for room in a connection that lives.
    if (this.#links.length > 0) return;
    const tried = this.#waiters.filter(({ isTried }) => isTried);
    this.#waiters = this.#waiters.filter(({ isTried }) => !isTried);
    for (const { receiver } of tried) receiver.onNoStream(code, detail);
    this.onRoom();
  }

  // === LinkOwner

  onRoom(): void {
    while (this.#waiters.length > 0) {
      const link = this.#links.find((each) => each.hasRoom);
      if (link === undefined) {
        this.#openAnother();
        return;
      }
      const { head, receiver } = this.#waiters.shift()!;
      const stream = link.request(head);
      if (typeof stream === 'string') receiver.onNoStream('GW_INTERNAL', stream);
      else receiver.onStream(stream);
    }
    this.deadlines.disarm(this.#deadline);
  }

  onLost(link: Link, detail: string): void {
    const place = this.#links.indexOf(link);
    if (place >= 0) this.#links.splice(place, 1);
    // An upstream that ends each connection at once would be tried for ever.
    if (detail !== '') this.#failAll('GW_UPSTREAM_BAD_RESPONSE', detail);
    else this.onRoom();
  }

  #openAnother(): void {
    if (this.#opening !== null || this.#isResolving || this.#isClosing) return;
    if (this.#links.length >= HTTP2_CONNECTIONS_COUNT_MAX) return;
    if (this.#links.some((link) => link.isGreeting)) return;
    this.#isResolving = true;
    this.#addresses.whenKnown((error) => {
      this.#isResolving = false;
      if (this.#isClosing) return;
      if (error !== '') this.#failAll('GW_UPSTREAM_DNS', error);
      else if (this.#waiters.length > 0) {
        for (const waiter of this.#waiters) waiter.isTried = true;
        this.#opening = new Opening(this, this.#connector, this.#waiters[0]!.connectMs);
        this.#opening.begin(this.#addresses.takeTurn());
      }
    });
  }

  #refuseLater(waiter: Waiter): void {
    const { pendingMax } = this.#options.pool;
    process.nextTick(() => {
      if (!this.#remove(waiter)) return;
      const { receiver } = waiter;
      if (this.#isClosing) receiver.onNoStream('GW_UPSTREAM_CONNECT', 'the pool is closed');
      else {
        const detail = `more than ${pendingMax} calls wait for a connection`;
        receiver.onNoStream('GW_UPSTREAM_POOL_FULL', detail);
      }
    });
  }

  #failAll(code: ErrorCode, detail: string): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { receiver } of waiters) receiver.onNoStream(code, detail);
  }

  #remove(waiter: Waiter): boolean {
    const place = this.#waiters.indexOf(waiter);
    if (place >= 0) this.#waiters.splice(place, 1);
    return place >= 0;
  }

  #onAddresses(addresses: readonly string[]): void {
    for (const link of [...this.#links]) {
      if (!addresses.includes(link.address)) link.retire();
    }
  }
}

interface LinkOwner {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** A connection without streams is closed after this. */
  readonly idleMs: number;
  onRoom(): void;
  /** `detail`: why it ended before it could be used; `''` where it was. */
  onLost(link: Link, detail: string): void;
}

/** One connection and its streams. */
class Link implements DeadlineOwner {
  readonly address: string;
  readonly #owner: LinkOwner;
  readonly #session: ClientHttp2Session;
  readonly #deadline = new Deadline(this);
  #streamsCount = 0;
  #idleSinceMs: number;
  /** Its settings have come, which are the first that it says: before them nothing is sent, for it
   *  may refuse streams above a number that only they tell. */
  #isReady = false;
  #isRetiring = false;

  constructor(owner: LinkOwner, socket: Socket, endpoint: EndpointConfig, address: string) {
    this.address = address;
    this.#owner = owner;
    this.#idleSinceMs = owner.clock.nowMs();
    this.#session = connect(`${endpoint.protocol}://${endpoint.authority}`, {
      createConnection: () => socket,
      maxHeaderListPairs: RESPONSE_HEADERS_COUNT_MAX,
      settings: { enablePush: false, maxHeaderListSize: RESPONSE_HEADERS_SIZE_BYTES_MAX },
    });
    let why = 'the upstream closed before it said anything in HTTP/2';
    // Who waits for an answer keeps the process alive, not a connection.
    this.#session.unref();
    // Streams are told by their own events.
    this.#session.on('error', (error) => {
      why = error.message;
    });
    this.#session.on('goaway', () => this.retire());
    this.#session.on('remoteSettings', () => {
      this.#isReady = true;
      owner.onRoom();
    });
    this.#session.once('close', () => {
      this.#isRetiring = true;
      owner.deadlines.disarm(this.#deadline);
      owner.onLost(this, this.#isReady ? '' : why);
    });
    this.#restIdle();
  }

  get hasRoom(): boolean {
    if (!this.#isReady || this.#isRetiring || this.#session.closed) return false;
    const theirs = this.#session.remoteSettings.maxConcurrentStreams ?? HTTP2_STREAMS_COUNT_MAX;
    return this.#streamsCount < Math.min(theirs, HTTP2_STREAMS_COUNT_MAX);
  }

  /** Connected, and not yet told what the upstream allows. */
  get isGreeting(): boolean {
    return !this.#isReady && !this.#isRetiring;
  }

  /** A stream, or why node will not begin it. */
  request(head: Http2Head): ClientHttp2Stream | string {
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request(head, { endStream: false });
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    this.#streamsCount += 1;
    stream.once('close', () => {
      this.#streamsCount -= 1;
      if (this.#streamsCount === 0) this.#restIdle();
      this.#owner.onRoom();
    });
    return stream;
  }

  /** Takes no more streams, and ends with the last one. */
  retire(): void {
    this.#isRetiring = true;
    if (!this.#session.destroyed) this.#session.close();
  }

  onDeadline(nowMs: number): number {
    if (this.#streamsCount > 0) return Infinity;
    const dueMs = this.#idleSinceMs + this.#owner.idleMs;
    if (nowMs < dueMs) return dueMs;
    this.retire();
    return Infinity;
  }

  #restIdle(): void {
    const nowMs = this.#owner.clock.nowMs();
    this.#idleSinceMs = nowMs;
    this.#owner.deadlines.arm(this.#deadline, nowMs + this.#owner.idleMs);
  }
}
