// What filters may ask about a visit.

import type { Clock, Exchange, FilterFacts } from '../core/index.ts';
import type { Visit } from './visit.ts';

export class VisitFacts implements FilterFacts {
  /** Listeners do not tell the peer's port, nor the address that it came to. */
  readonly peerPort = 0;
  readonly localAddress = '';
  readonly startWallMs: number;
  readonly #visit: Visit;
  readonly #clock: Clock;

  constructor(visit: Visit, clock: Clock) {
    this.#visit = visit;
    this.#clock = clock;
    this.startWallMs = clock.wallMs();
  }

  get routeName(): string {
    return this.#visit.route!.config.name;
  }

  get scheme(): Exchange['scheme'] {
    return this.#visit.received.scheme;
  }

  get httpVersion(): Exchange['httpVersion'] {
    return this.#visit.received.httpVersion;
  }

  get peerAddress(): string {
    return this.#visit.received.remoteAddress;
  }

  get localPort(): number {
    return this.#visit.received.localPort;
  }

  get serviceName(): string {
    return this.#visit.service?.config.name ?? '';
  }

  get endpointAddress(): string {
    const endpoint = this.#visit.endpoint?.state.config;
    return endpoint === undefined ? '' : `${endpoint.host}:${endpoint.port}`;
  }

  get traceparent(): string {
    return this.#visit.traceparent;
  }

  get requestBodySizeBytes(): number {
    return this.#visit.bytesIn;
  }

  get responseBodySizeBytes(): number {
    return this.#visit.bytesOut;
  }

  get durationMs(): number {
    return this.#clock.nowMs() - this.#visit.startMs;
  }
}
