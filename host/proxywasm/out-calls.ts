// HTTP calls to services that a guest has in flight. The answer comes to the root context, however
// long the stream that asked has been gone; what comes after the guest's end is dropped.

import type { HeaderList, ServiceReply, ServiceRequest } from '../core/index.ts';
import { CALL_REPLY_SIZE_BYTES_MAX } from './limits.ts';
import type { Vm } from './vm.ts';

const NO_BYTES = new Uint8Array(0);
const NO_HEADERS: HeaderList = [];

export class OutCalls {
  readonly #vm: Vm;
  readonly #inFlight = new Map<number, () => void>();
  #nextId = 1;

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  get count(): number {
    return this.#inFlight.size;
  }

  /** The configured service that a guest means; null for none. */
  service(name: string): string | null {
    const { services, spec } = this.#vm;
    const service = Object.hasOwn(spec.upstreams, name) ? spec.upstreams[name]! : name;
    return services.services?.knows(service) === true ? service : null;
  }

  /** Sends a request. Returns the id by which the guest will know the answer. */
  send(request: ServiceRequest): number {
    const id = this.#nextId;
    this.#nextId = id >= 0x7fff_ffff ? 1 : id + 1;
    const cancel = this.#vm.services.services!.call(request, CALL_REPLY_SIZE_BYTES_MAX, (reply) => {
      this.#inFlight.delete(id);
      this.#deliver(id, reply);
    });
    this.#inFlight.set(id, cancel);
    return id;
  }

  close(): void {
    for (const cancel of this.#inFlight.values()) cancel();
    this.#inFlight.clear();
  }

  /** No headers at all mean that there was no answer. */
  #deliver(id: number, reply: ServiceReply | null): void {
    const headers = reply?.headers ?? NO_HEADERS;
    const body = reply?.body ?? NO_BYTES;
    const trailers = reply?.trailers ?? NO_HEADERS;
    const { root } = this.#vm;
    this.#vm.deliver({ headers, trailers, body }, 'proxy_on_http_call_response', [
      root.id,
      id,
      headers.length / 2,
      body.length,
      trailers.length / 2,
    ]);
  }
}
