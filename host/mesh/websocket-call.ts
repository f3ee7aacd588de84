// A WebSocket upgrade in the mesh: hands it to the proxy and records how it ended. A refusal by the
// upstream is an ordinary response, so the route's header operations apply to it.

import type { TimeoutsConfig } from '../config/index.ts';
import {
  type Clock,
  ERRORS,
  type Exchange,
  type HeaderList,
  problemResponse,
} from '../core/index.ts';
import { cleanResponseHeaders } from './header-operations.ts';
import { publicDetail } from './public-detail.ts';
import type { RouteRuntime } from './routes.ts';
import type { EndpointRuntime, ServiceRuntime } from './services.ts';
import type { Recorder, Visit } from './visit.ts';
import {
  proxyWebSocket,
  type WebSocketProxy,
  type WebSocketProxyResult,
} from './websocket-proxy.ts';

export interface WebSocketTarget {
  readonly route: RouteRuntime;
  readonly service: ServiceRuntime;
  readonly endpoint: EndpointRuntime;
  readonly target: string;
  readonly headers: HeaderList;
  readonly timeouts: TimeoutsConfig;
  /** Headers that every answer of this exchange carries: a rate limit's. */
  readonly extra: readonly string[];
}

const SWITCHING_PROTOCOLS = 101;

/** Proxies an upgrade and records it when both sides are closed; until then it is among `live`. */
export function callWebSocket(
  visit: Visit,
  to: WebSocketTarget,
  live: Set<WebSocketProxy>,
  recorder: Recorder,
  clock: Clock,
): void {
  const { route, service, endpoint, timeouts } = to;
  // The status that the client saw: 101 unless it was answered otherwise.
  let status = SWITCHING_PROTOCOLS;
  const answer = (
    exchange: Exchange,
    given: number,
    headers: HeaderList,
    body: string | Uint8Array,
  ) => {
    status = given;
    visit.answered(Buffer.byteLength(body));
    for (const text of to.extra) headers.push(text);
    exchange.respond(given, headers, body);
  };
  let proxy: WebSocketProxy | null = null;
  let isDone = false;
  const onDone = (result: WebSocketProxyResult) => {
    isDone = true;
    if (proxy !== null) live.delete(proxy);
    if (status === SWITCHING_PROTOCOLS) {
      visit.bytesIn = result.bytesIn;
      visit.bytesOut = result.bytesOut;
    }
    const entry = result.error === null ? null : ERRORS[result.error];
    // A client that left before the answer never saw one.
    if (status === SWITCHING_PROTOCOLS && result.code === 0 && entry !== null) {
      status = entry.status;
    }
    recorder.record(visit, status, entry === null ? 0 : entry.reason, clock.nowMs());
  };
  recorder.enter(visit);
  proxy = proxyWebSocket(
    visit.exchange,
    {
      endpoint: endpoint.state.config,
      tls: { caPem: service.caPem, serverName: service.config.tls.serverName },
      target: to.target,
      headers: to.headers,
      connectMs: timeouts.connectMs,
      requestMs: timeouts.requestMs,
      idleMs: timeouts.idleMs,
      fail: (exchange, code, detail) => {
        visit.detail = detail;
        const problem = problemResponse(code, publicDetail(code, detail));
        answer(exchange, problem.status, problem.headers, problem.body);
      },
      refuse: (exchange, given, headers, body) => {
        cleanResponseHeaders(headers, route.responseOperations);
        answer(exchange, given, headers, body);
      },
    },
    onDone,
  );
  // What is refused at once is over before it has a name.
  if (!isDone) live.add(proxy);
}
