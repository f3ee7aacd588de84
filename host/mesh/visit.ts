// What is known of one exchange while it is in the gateway, for the records. Recorded exactly once,
// whether it was proxied, answered or refused, so that the metrics and the log agree.

import type { Clock, ErrorCode, Exchange } from '../core/index.ts';
import { STATS_ROUTE_SLOT_NONE, STATS_SLOT_ABSENT, type StatsWriter } from '../kernels/index.ts';
import type { AccessLog } from '../telemetry/index.ts';
import type { FilteredExchange } from './filtered-exchange.ts';
import type { Generation } from './generation.ts';
import type { RouteRuntime } from './routes.ts';
import type { EndpointRuntime, ServiceRuntime } from './services.ts';

export class Visit {
  /** As the client sent it. */
  readonly received: Exchange;
  /** As the pipeline sees it: behind the route's filters, where it has any. */
  exchange: Exchange;
  /** Takes the outcome until the filters have let it through; null without filters. */
  filtered: FilteredExchange | null = null;
  /** Whether a filter chose the path, so that the route does not rewrite it. */
  isPathChosen = false;
  readonly generation: Generation;
  readonly startMs: number;
  /** Null until one matches; likewise below. */
  route: RouteRuntime | null = null;
  service: ServiceRuntime | null = null;
  endpoint: EndpointRuntime | null = null;
  /** As sent to the upstream; `''` for none. */
  traceparent = '';
  bytesIn = 0;
  bytesOut = 0;
  isEntered = false;
  /** What went wrong, for the log; `''` for nothing to add to the reason. */
  detail = '';

  constructor(exchange: Exchange, generation: Generation, startMs: number) {
    this.received = exchange;
    this.exchange = exchange;
    this.generation = generation;
    this.startMs = startMs;
  }

  /** A whole body of the gateway's own leaves. */
  answered(bodySizeBytes: number): void {
    this.bytesOut = this.received.method === 'HEAD' ? 0 : bodySizeBytes;
  }
}

export class Recorder {
  readonly #stats: StatsWriter;
  readonly #accessLog: AccessLog | null;
  readonly #clock: Clock;
  /** Why an exchange that is cut with its client was cut: the client left, unless the gateway
   *  itself closes every connection. */
  abortCode: ErrorCode = 'GW_CLIENT_CLOSED';

  constructor(stats: StatsWriter, accessLog: AccessLog | null, clock: Clock) {
    this.#stats = stats;
    this.#accessLog = accessLog;
    this.#clock = clock;
  }

  /** A visit begins. The peer's address is asked for while there is a connection to ask: an answer
   *  that ends at once leaves none for the log line. */
  begin(visit: Visit): void {
    if (this.#accessLog !== null) void visit.received.remoteAddress;
  }

  /** A visit goes on beyond the call that began it, until record() is called with the same. */
  enter(visit: Visit): void {
    const { route, service, endpoint } = visit;
    this.#stats.begin(
      route!.seriesSlot,
      endpoint === null ? STATS_SLOT_ABSENT : endpoint.seriesSlot,
      service === null ? STATS_SLOT_ABSENT : service.seriesSlot,
    );
    if (endpoint !== null) endpoint.state.active += 1;
    visit.generation.enter();
    visit.isEntered = true;
  }

  /** Counts and logs a visit that has ended. `reason`: 0 when nothing went wrong. */
  record(visit: Visit, status: number, reason: number, nowMs: number): void {
    const { route, service, endpoint, filtered } = visit;
    if (filtered !== null) {
      filtered.settle(status, reason);
      return;
    }
    const durationMs = nowMs - visit.startMs;
    this.#stats.record(
      route === null ? STATS_ROUTE_SLOT_NONE : route.seriesSlot,
      endpoint === null ? STATS_SLOT_ABSENT : endpoint.seriesSlot,
      service === null ? STATS_SLOT_ABSENT : service.seriesSlot,
      status,
      reason,
      durationMs * 1000,
      visit.bytesIn,
      visit.bytesOut,
    );
    if (visit.isEntered) this.#leave(visit);
    if (this.#accessLog !== null) this.#log(this.#accessLog, visit, status, reason, durationMs);
  }

  #leave(visit: Visit): void {
    const { route, service, endpoint } = visit;
    this.#stats.finish(
      route!.seriesSlot,
      endpoint === null ? STATS_SLOT_ABSENT : endpoint.seriesSlot,
      service === null ? STATS_SLOT_ABSENT : service.seriesSlot,
    );
    if (endpoint !== null) endpoint.state.active -= 1;
    visit.generation.leave();
  }

  #log(
    accessLog: AccessLog,
    visit: Visit,
    status: number,
    reason: number,
    durationMs: number,
  ): void {
    const exchange = visit.received;
    const { query, path } = exchange;
    accessLog.write({
      wallMs: this.#clock.wallMs() - durationMs,
      clientAddress: visit.generation.clientAddress.of(exchange),
      method: exchange.method,
      path: query === '' ? path : `${path}?${query}`,
      protocol: `HTTP/${exchange.httpVersion}`,
      route: visit.route?.config.name ?? '',
      service: visit.service?.config.name ?? '',
      endpoint: visit.endpoint?.label ?? '',
      status,
      reason,
      bytesIn: visit.bytesIn,
      bytesOut: visit.bytesOut,
      durationMs,
      // 00-<trace id, 32 digits>-<parent id>-<flags>
      traceId: visit.traceparent.slice(3, 35),
      detail: visit.detail,
    });
  }
}
