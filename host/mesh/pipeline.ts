// The mesh: match, limit, choose an endpoint, proxy, record. One instance per io worker. It answers
// every exchange exactly once; what cannot be answered from here, it refuses with a reason.

import type { Snapshot } from '../config/index.ts';
import {
  type Clock,
  type ErrorCode,
  type Exchange,
  type ExchangeHandler,
  type FilterChain,
  type FilterPlane,
  type HeaderList,
  headerValue,
  LOOP_HOPS_COUNT_MAX,
  PATH_SEGMENTS_COUNT_MAX,
  type PreparedProblem,
  type Progress,
  prepareProblem,
  problemWith,
  type Random,
  type RoutePlane,
  secretBytes,
  TARGET_SIZE_BYTES_MAX,
  type UploadBudget,
} from '../core/index.ts';
import {
  type Limiter,
  type Matcher,
  STATUS_BAD_PATH,
  STATUS_TOO_LONG,
  type StatsWriter,
} from '../kernels/index.ts';
import type { AccessLog } from '../telemetry/index.ts';
import { FilteredExchange } from './filtered-exchange.ts';
import { Generation, type GenerationDeps, type GenerationSlots } from './generation.ts';
import { hash32 } from './hash32.ts';
import { applyHeaderOperations } from './header-operations.ts';
import { NO_CAPTURE, type PathCapture } from './path-parameters.ts';
import { PlaneExchange } from './plane-exchange.ts';
import { ProxyCall } from './proxy-call.ts';
import { RateGate } from './rate-gate.ts';
import { upstreamHost } from './rewrite.ts';
import type { ProxyRuntime, RouteRuntime } from './routes.ts';
import type { EndpointRuntime, ServiceRuntime } from './services.ts';
import { TraceparentSource } from './trace-context.ts';
import type { UpstreamRequest } from './upstream/contract.ts';
import { Deadlines } from './upstream/deadlines.ts';
import { Recorder, Visit } from './visit.ts';
import { callWebSocket } from './websocket-call.ts';
import type { WebSocketProxy } from './websocket-proxy.ts';

export interface MeshDeps {
  readonly matcher: Matcher;
  readonly limiter: Limiter;
  readonly stats: StatsWriter;
  /** Null when the access log is off. */
  readonly accessLog: AccessLog | null;
  readonly clock: Clock;
  readonly random: Random;
  /** One for all listeners and upstreams of a worker. */
  readonly uploadBudget: UploadBudget;
  /** What answers distribution routes; null where none is configured. */
  readonly distribution: RoutePlane | null;
  /** Noted for each read from an upstream. */
  readonly progress: Progress;
  /** What runs plugins; null where none is configured. */
  readonly filters: FilterPlane | null;
  /** What answers routes of databases; null where there are none. */
  readonly db: RoutePlane | null;
  /** No exchange of a superseded generation is in flight any more. */
  readonly onReleased: (generation: number) => void;
}

const NO_HEADERS: readonly string[] = [];
/** Source: RFC 6455 section 7.4.1. */
const CLOSE_GOING_AWAY = 1001;
const TOO_MANY_HOPS = `it has passed ${LOOP_HOPS_COUNT_MAX} gateways, which is the limit`;
const NO_ROUTE = prepareProblem('GW_ROUTE_NONE', '');

export class Mesh {
  readonly #matcher: Matcher;
  readonly #clock: Clock;
  readonly #recorder: Recorder;
  readonly #rateGate: RateGate;
  readonly #generationDeps: GenerationDeps;
  readonly #onReleased: (generation: number) => void;
  readonly #webSockets = new Set<WebSocketProxy>();
  #generation: Generation | null = null;
  #isDraining = false;

  constructor(deps: MeshDeps) {
    this.#matcher = deps.matcher;
    this.#clock = deps.clock;
    this.#recorder = new Recorder(deps.stats, deps.accessLog, deps.clock);
    this.#rateGate = new RateGate(deps.limiter);
    this.#onReleased = deps.onReleased;
    this.#generationDeps = {
      limiter: deps.limiter,
      clock: deps.clock,
      random: deps.random,
      uploadBudget: deps.uploadBudget,
      distribution: deps.distribution,
      progress: deps.progress,
      filters: deps.filters,
      db: deps.db,
      deadlines: new Deadlines(deps.clock),
      traceparents: new TraceparentSource(secretBytes),
    };
  }

  /** Takes a configuration into force, whose route table must be the active one. Exchanges in
   *  progress go on with the one they began with. */
  publish(snapshot: Snapshot, slots: GenerationSlots): void {
    const before = this.#generation;
    const next = new Generation(snapshot, slots, before, this.#generationDeps, this.#onReleased);
    this.#matcher.acquire();
    this.#generation = next;
    before?.retire(next);
  }

  /** A service of the newest configuration; for calls that filters make. */
  service(name: string): ServiceRuntime | undefined {
    return this.#generation?.services.named(name);
  }

  /** Asks every WebSocket to close, for none ends by itself, and begins no more. */
  drain(): void {
    this.#isDraining = true;
    for (const proxy of [...this.#webSockets]) proxy.close(CLOSE_GOING_AWAY, 'shutting down');
  }

  /** What is cut from now on is cut by the gateway. Comes before the listeners close. */
  cut(): void {
    this.#recorder.abortCode = 'GW_DRAINING';
  }

  close(): void {
    this.#generation?.close();
    this.#matcher.release();
  }

  handle(exchange: Exchange): void {
    const visit = new Visit(exchange, this.#generation!, this.#clock.nowMs());
    this.#recorder.begin(visit);
    const index = this.#match(visit);
    if (index < 0) {
      this.#refuseUnmatched(visit, index);
      return;
    }
    const route = visit.generation.routes.route(index);
    visit.route = route;
    const { requestBodySizeBytesMax: limit } = route.config;
    if (exchange.bodySizeBytes > limit) {
      const detail = `${exchange.bodySizeBytes} bytes, the limit of this route is ${limit}`;
      this.#refuse(visit, 'GW_PROTOCOL_BODY_TOO_LARGE', detail, NO_HEADERS);
      return;
    }
    const capture = route.needsCapture ? this.#capture() : NO_CAPTURE;
    let extra = NO_HEADERS;
    if (route.rates !== null) {
      const isGranted = this.#rateGate.pass(route.rates, exchange, capture, visit.startMs);
      if (!isGranted) {
        this.#answer(visit, this.#rateGate.refusal);
        return;
      }
      extra = this.#rateGate.headers;
    }
    if (route.filters !== null) {
      this.#filter(visit, route, route.filters, capture, extra);
      return;
    }
    this.#act(visit, route, this.#matcher.normalisedPath, capture, extra);
  }

  /** Sends a request through its filters first. They may hold it for long, so that everything the
   *  matcher knows is taken now. */
  #filter(
    visit: Visit,
    route: RouteRuntime,
    chain: FilterChain,
    capture: PathCapture,
    extra: readonly string[],
  ): void {
    const path = this.#matcher.normalisedPath;
    const filtered = new FilteredExchange(visit, path, chain, this.#recorder, this.#clock, () => {
      this.#act(visit, route, filtered.path, capture, extra);
    });
    visit.exchange = filtered;
    visit.filtered = filtered;
    filtered.start();
  }

  #act(
    visit: Visit,
    route: RouteRuntime,
    path: string,
    capture: PathCapture,
    extra: readonly string[],
  ): void {
    const { exchange } = visit;
    if (route.action.kind === 'proxy') {
      this.#proxy(visit, route, route.action.proxy, path, capture, extra);
    } else if (route.action.kind === 'plane') {
      this.#handOver(visit, route, route.action.handle, path, extra);
    } else if (route.action.answer(exchange, capture, extra)) {
      visit.answered(route.action.bodySizeBytes);
      this.#recorder.record(visit, route.action.status, 0, this.#clock.nowMs());
    } else {
      this.#refuse(visit, 'GW_PROTOCOL_MALFORMED', 'a path parameter does not fit', extra);
    }
  }

  /** The index of the route, or a negative status. */
  #match(visit: Visit): number {
    const matcher = this.#matcher;
    const { method, authority, path, query, headers } = visit.exchange;
    let index = matcher.match(method, authority, path, query, headers);
    while (index >= 0 && matcher.needsHostCheck) {
      const { regex } = visit.generation.routes.route(index);
      if (regex === null || regex.matches(0, matcher.normalisedPath)) break;
      index = matcher.next();
    }
    return index;
  }

  #capture(): PathCapture {
    const matcher = this.#matcher;
    const values: string[] = [];
    for (let index = 0; index < matcher.paramCount; index++) values.push(matcher.param(index));
    return { values, rest: matcher.suffix };
  }

  #proxy(
    visit: Visit,
    route: RouteRuntime,
    proxy: ProxyRuntime,
    givenPath: string,
    capture: PathCapture,
    extra: readonly string[],
  ): void {
    const { exchange, generation } = visit;
    const path =
      proxy.rewritePath === null || visit.isPathChosen
        ? givenPath
        : proxy.rewritePath(capture, exchange.query);
    if (path === null) {
      this.#refuse(visit, 'GW_PROTOCOL_MALFORMED', 'a path parameter does not fit', extra);
      return;
    }
    const service = generation.routes.pickService(proxy);
    visit.service = service;
    const endpoint = pickEndpoint(service, proxy, exchange, capture);
    if (endpoint === null) {
      const detail = `service ${service.config.name} has no endpoint to take the request`;
      this.#refuse(visit, 'GW_UPSTREAM_NO_HEALTHY', detail, extra);
      return;
    }
    visit.endpoint = endpoint;
    const host = upstreamHost(proxy.rewriteHost, exchange, endpoint.state.config);
    const { query, method } = exchange;
    const target = query === '' ? path : `${path}?${query}`;
    const timeouts = route.config.timeouts ?? service.config.timeouts;
    if (exchange.isWebSocketUpgrade) {
      if (this.#isDraining) {
        this.#refuse(visit, 'GW_DRAINING', '', extra);
        return;
      }
      const headers = forwardedList(visit, route, host);
      if (headers === null) {
        this.#refuse(visit, 'GW_ROUTE_LOOP', TOO_MANY_HOPS, extra);
        return;
      }
      const to = { route, service, endpoint, target, headers, timeouts, extra };
      callWebSocket(visit, to, this.#webSockets, this.#recorder, this.#clock);
      return;
    }
    let lines = '';
    if (route.requestOperations === null) {
      lines = generation.forwardHeaders.buildLines(exchange, host);
      if (lines !== '') visit.traceparent = generation.forwardHeaders.traceparent;
    }
    const headers = lines === '' ? forwardedList(visit, route, host) : lines;
    if (headers === null) {
      this.#refuse(visit, 'GW_ROUTE_LOOP', TOO_MANY_HOPS, extra);
      return;
    }
    const call = new ProxyCall(visit, route, service, endpoint, extra, this.#recorder, this.#clock);
    const request: UpstreamRequest = {
      method,
      target,
      headers,
      bodySizeBytes: exchange.bodySizeBytes,
      connectMs: timeouts.connectMs,
      requestMs: timeouts.requestMs,
      idleMs: timeouts.idleMs,
    };
    // Filters may have held it; else it has begun in this very callback.
    call.start(request, visit.filtered === null ? visit.startMs : this.#clock.nowMs());
  }

  /** Lets a plane answer. What it answers at once is recorded at once; otherwise the visit goes
   *  on. */
  #handOver(
    visit: Visit,
    route: RouteRuntime,
    handle: ExchangeHandler,
    path: string,
    extra: readonly string[],
  ): void {
    const exchange = new PlaneExchange(visit, route, path, extra, this.#recorder, this.#clock);
    try {
      handle(exchange);
    } catch (error) {
      exchange.recordFault();
      throw error;
    }
    if (exchange.isRecorded) return;
    this.#recorder.enter(visit);
    exchange.watch();
  }

  #refuseUnmatched(visit: Visit, status: number): void {
    if (status === STATUS_BAD_PATH) {
      const detail = 'the path holds a character or an escape that is not allowed';
      this.#refuse(visit, 'GW_PROTOCOL_MALFORMED', detail, NO_HEADERS);
    } else if (status === STATUS_TOO_LONG) {
      const limits = `${TARGET_SIZE_BYTES_MAX} bytes and ${PATH_SEGMENTS_COUNT_MAX} segments`;
      const detail = `the target is longer than ${limits}`;
      this.#refuse(visit, 'GW_PROTOCOL_MALFORMED', detail, NO_HEADERS);
    } else {
      this.#answer(visit, NO_ROUTE);
    }
  }

  #refuse(visit: Visit, code: ErrorCode, detail: string, extra: readonly string[]): void {
    visit.detail = detail;
    this.#answer(visit, problemWith(prepareProblem(code, detail), extra));
  }

  #answer(visit: Visit, problem: PreparedProblem): void {
    visit.answered(problem.body.length);
    this.#recorder.record(visit, problem.status, problem.reason, this.#clock.nowMs());
    visit.exchange.respondPrepared(problem, problem.body);
  }
}

/** The headers for an upstream, with the route's operations done; null for a request that goes in
 *  circles. */
function forwardedList(visit: Visit, route: RouteRuntime, host: string): HeaderList | null {
  const { forwardHeaders } = visit.generation;
  const headers = forwardHeaders.build(visit.exchange, host);
  if (headers === null) {
    visit.traceparent = forwardHeaders.traceparent;
    return null;
  }
  applyHeaderOperations(headers, route.requestOperations);
  visit.traceparent = headerValue(headers, 'traceparent') ?? '';
  return headers;
}

function pickEndpoint(
  service: ServiceRuntime,
  proxy: ProxyRuntime,
  exchange: Exchange,
  capture: PathCapture,
): EndpointRuntime | null {
  const readKey = proxy.hashKeys.size === 0 ? undefined : proxy.hashKeys.get(service);
  const key = readKey === undefined ? null : readKey(exchange, capture.values);
  const state = service.balancer.pick(key === null ? 0 : hash32(key), null);
  return state === null ? null : service.endpoints[state.index]!;
}
