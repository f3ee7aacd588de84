// The connections of one worker to one endpoint, and the requests that wait for one. The most
// recently used idle connection is taken first, so that the others grow old and are closed.
//
// Pipelining (`pipeline` above 1) puts GET, HEAD and OPTIONS without a body on connections they
// share: the first one with room, in the order of their opening, so that few connections carry many
// requests each; writing and reading many at once is what pipelining is for. The price is that a
// slow response holds up those behind it, `pipeline` - 1 at most. All others have a connection to
// themselves.
//
// A request that died on a reused connection before one byte of its response came is sent once more
// on a fresh connection, if it has no body and is idempotent: the peer closed the connection while
// it was idle and the two crossed. Every other failure is the caller's to judge.

import type { Socket } from 'node:net';
import type { EndpointConfig, PoolConfig, UpstreamTls } from '../../config/index.ts';
import type { Clock, ErrorCode, Progress, Random, UploadBudget } from '../../core/index.ts';
import { AddressBook, type Lookup, systemLookup } from './address-book.ts';
import { Call, type CallOwner } from './call.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { Connector } from './connector.ts';
import type { UpstreamCall, UpstreamHandler, UpstreamRequest } from './contract.ts';
import { Deadline, type DeadlineOwner, type Deadlines } from './deadlines.ts';
import { KnownHeads } from './known-heads.ts';
import { Opening, type OpeningOwner } from './opening.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** What a service says about its connections; a ServiceConfig is one. */
export interface UpstreamPoolOptions {
  readonly pool: PoolConfig;
  readonly pipeline: number;
  readonly tls: UpstreamTls;
}

export interface UpstreamPoolDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** One for all pools of a worker. */
  readonly deadlines: Deadlines;
  /** One for all listeners and upstreams of a worker. */
  readonly uploadBudget: UploadBudget;
  /** Noted for each read. */
  readonly progress: Progress;
  /** Instead of the system's resolver. */
  readonly lookup?: Lookup;
}

/** How long an idle connection's age may differ from the configured one, as a share of it: pools
 *  that were filled at one moment should not empty at one moment. */
const KEEP_ALIVE_SPREAD = 0.1;

export class UpstreamPool implements CallOwner, ConnectionOwner, DeadlineOwner, OpeningOwner {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly uploadBudget: UploadBudget;
  readonly progress: Progress;
  readonly pipeline: number;
  readonly knownHeads = new KnownHeads();
  readonly #random: Random;
  readonly #config: PoolConfig;
  readonly #connector: Connector;
  readonly #addresses: AddressBook;
  readonly #deadline = new Deadline(this);
  readonly #waiting: WaitingQueue;
  /** In the order of their opening. */
  readonly #connections: Connection[] = [];
  readonly #idle: Connection[] = [];
  readonly #openings = new Set<Opening>();
  #staged: Connection[] = [];
  readonly #flush = (): void => this.#flushStaged();
  readonly #openLater = (): void => this.#openWanted();
  #resolvingCount = 0;
  #activeCount = 0;
  #isClosing = false;

  constructor(endpoint: EndpointConfig, options: UpstreamPoolOptions, deps: UpstreamPoolDeps) {
    this.clock = deps.clock;
    this.deadlines = deps.deadlines;
    this.uploadBudget = deps.uploadBudget;
    this.progress = deps.progress;
    this.pipeline = options.pipeline;
    this.#random = deps.random;
    this.#config = options.pool;
    this.#connector = new Connector(endpoint, options.tls, 'http/1.1');
    this.#waiting = new WaitingQueue(options.pool.pendingMax);
    this.#addresses = new AddressBook({
      host: endpoint.host,
      lookup: deps.lookup ?? systemLookup,
      clock: deps.clock,
      deadlines: deps.deadlines,
      onChange: (addresses) => this.#onAddresses(addresses),
    });
  }

  /** Requests sent and not yet over, waiting ones included. */
  get activeCount(): number {
    return this.#activeCount;
  }

  /** Connections, those being opened included. */
  get connectionsCount(): number {
    return this.#connections.length + this.#openings.size + this.#resolvingCount;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  get waitingCount(): number {
    return this.#waiting.count;
  }

  /** Sends a request. The handler is first called after this has returned.
   *  Units: `nowMs` of the clock.
   *  Errors: through the handler. Cost: one object and the head's text per request. */
  send(
    request: UpstreamRequest,
    handler: UpstreamHandler,
    nowMs: number = this.clock.nowMs(),
  ): UpstreamCall {
    const call = new Call(request, handler, this);
    this.#activeCount += 1;
    this.#addresses.touch();
    const connection = this.#connectionFor(call);
    if (connection === undefined) this.#enqueue(call);
    else if (!connection.dispatch(call, nowMs)) {
      process.nextTick(refuseHead, call);
      if (connection.inFlight.length === 0) this.onRoom(connection);
    }
    return call;
  }

  /** Serves what was sent and then closes every connection; idle ones at once. */
  close(): void {
    this.#isClosing = true;
    for (const connection of [...this.#idle]) connection.close();
    this.#closeIfDone();
  }

  // === CallOwner

  onWithdrawn(call: Call): void {
    this.#waiting.remove(call);
    this.#closeIfDone();
  }

  onSettled(): void {
    this.#activeCount -= 1;
  }

  // === OpeningOwner

  onOpened(opening: Opening, socket: Socket): void {
    this.#openings.delete(opening);
    const keepAliveMs = this.#config.keepAliveMs * (1 - KEEP_ALIVE_SPREAD * this.#random.unit());
    const connection = new Connection(this, opening, socket, keepAliveMs);
    this.#connections.push(connection);
    this.onRoom(connection);
  }

  onOpenFailed(opening: Opening, code: ErrorCode, detail: string): void {
    this.#openings.delete(opening);
    this.#failOpening(code, detail);
  }

  // === ConnectionOwner

  onRoom(connection: Connection): void {
    for (;;) {
      const call = this.#waiting.first;
      if (call === undefined || !connection.hasRoomFor(call)) break;
      this.#waiting.shift();
      if (!connection.dispatch(call, this.clock.nowMs())) process.nextTick(refuseHead, call);
    }
    if (connection.inFlight.length > 0 || connection.isClosed) return;
    if (this.#isClosing || connection.isRetiring) {
      connection.close();
      return;
    }
    this.#idle.push(connection);
    connection.beIdle();
  }

  onStaged(connection: Connection): void {
    if (this.#staged.length === 0) setImmediate(this.#flush);
    this.#staged.push(connection);
  }

  onLost(connection: Connection): void {
    removeFrom(this.#connections, connection);
    removeFrom(this.#idle, connection);
    this.#openWanted();
    this.#closeIfDone();
  }

  onRepeat(call: Call): void {
    call.retriesCount += 1;
    call.dueMs = this.clock.nowMs() + call.request.connectMs;
    this.deadlines.arm(this.#deadline, call.dueMs);
    this.#waiting.pushFront(call);
    // Other idle connections may be as dead as the one that was lost: they make room for a new one.
    if (this.connectionsCount >= this.#config.connectionsMax) this.#idle[0]?.close();
    this.#openWanted();
  }

  // === DeadlineOwner

  onDeadline(nowMs: number): number {
    for (const call of this.#waiting.takeOverdue(nowMs)) {
      const detail =
        `no connection within ${call.request.connectMs} ms, ` +
        `${this.#connections.length} of ${this.#config.connectionsMax} in use`;
      call.fail('GW_TIMEOUT_CONNECT', detail, { sent: 'nothing', connection: 'none' });
    }
    this.#closeIfDone();
    return this.#waiting.nextDueMs();
  }

  // === inside

  #connectionFor(call: Call): Connection | undefined {
    if (call.isShareable && this.pipeline > 1 && this.#mayOvertake()) {
      for (const connection of this.#connections) {
        if (connection.inFlight.length > 0 && connection.hasRoomFor(call)) return connection;
      }
    }
    return this.#idle.pop();
  }

  /** Whether a shareable request may go before those that wait: not where they wait for one of the
   *  shared connections to become empty, for then it never would. */
  #mayOvertake(): boolean {
    return this.#waiting.count === 0 || this.#connections.length < this.#config.connectionsMax;
  }

  #enqueue(call: Call): void {
    if (this.#isClosing || this.#waiting.isFull) {
      // The caller has no handle yet; what happens to it must come later.
      process.nextTick(refuse, call, this.#isClosing ? -1 : this.#config.pendingMax);
      return;
    }
    call.dueMs = this.clock.nowMs() + call.request.connectMs;
    this.deadlines.arm(this.#deadline, call.dueMs);
    this.#waiting.push(call);
    process.nextTick(this.#openLater);
  }

  #openWanted(): void {
    const { connectionsMax } = this.#config;
    const wanted = this.#waiting.connectionsWanted(this.pipeline);
    let openingCount = this.#openings.size + this.#resolvingCount;
    while (openingCount < wanted && this.connectionsCount < connectionsMax) {
      openingCount += 1;
      this.#open();
    }
  }

  #open(): void {
    this.#resolvingCount += 1;
    const connectMs = this.#waiting.first!.request.connectMs;
    this.#addresses.whenKnown((error) => {
      this.#resolvingCount -= 1;
      if (error !== '') {
        this.#failOpening('GW_UPSTREAM_DNS', error);
        return;
      }
      // Whoever wanted it may have given up while the name was looked up.
      const openingCount = this.#openings.size + this.#resolvingCount;
      if (this.#waiting.connectionsWanted(this.pipeline) <= openingCount) return;
      const opening = new Opening(this, this.#connector, connectMs);
      this.#openings.add(opening);
      opening.begin(this.#addresses.takeTurn());
    });
  }

  /** One connection could not be had: one request, for which none is left, learns it. */
  #failOpening(code: ErrorCode, detail: string): void {
    const openingCount = this.#openings.size + this.#resolvingCount;
    if (this.#waiting.connectionsWanted(this.pipeline) > openingCount) {
      const call = this.#waiting.shift();
      call?.fail(code, detail, { sent: 'nothing', connection: 'none' });
    }
    this.#openWanted();
    this.#closeIfDone();
  }

  /** Connections to addresses that the name no longer has serve what they carry and are closed. */
  #onAddresses(addresses: readonly string[]): void {
    for (const connection of [...this.#connections]) {
      if (addresses.includes(connection.address)) continue;
      connection.isRetiring = true;
      if (connection.inFlight.length === 0) connection.close();
    }
  }

  #flushStaged(): void {
    const staged = this.#staged;
    this.#staged = [];
    for (const connection of staged) connection.flush();
  }

  #closeIfDone(): void {
    if (!this.#isClosing || this.#waiting.count > 0) return;
    for (const opening of this.#openings) opening.cancel();
    this.#openings.clear();
    this.deadlines.disarm(this.#deadline);
    if (this.#connections.length === 0) this.#addresses.close();
  }
}

/** `pendingMax`: the limit that was reached, or -1 where the pool is closed. */
function refuse(call: Call, pendingMax: number): void {
  const facts = { sent: 'nothing', connection: 'none' } as const;
  if (pendingMax < 0) call.fail('GW_UPSTREAM_CONNECT', 'the pool is closed', facts);
  else {
    const detail = `${pendingMax} requests wait for a connection, the limit is ${pendingMax}`;
    call.fail('GW_UPSTREAM_POOL_FULL', detail, facts);
  }
}

/** Later, as the caller of send() may not have its handle yet. */
function refuseHead(call: Call): void {
  const detail = 'a character above 0xff in the request head for the upstream';
  call.fail('GW_INTERNAL', detail, { sent: 'nothing', connection: 'none' });
}

function removeFrom(list: Connection[], connection: Connection): void {
  const index = list.indexOf(connection);
  if (index >= 0) list.splice(index, 1);
}
