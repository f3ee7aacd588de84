// One plugin's place in the chain of one exchange: its context in a guest, and what it holds back
// in each direction.

import { GatewayError } from '../core/index.ts';
import { BodyBuffer } from './body-buffer.ts';
import { type ExchangeMaps, StreamContext } from './contexts.ts';
import type { PluginVersion } from './plugin-version.ts';
import { Vm } from './vm.ts';

/** Of an exchange: 0 is the request, 1 the response. */
export type Direction = 0 | 1;

/** `headers`: the head is held, and what follows it; `body`: the body is held; `trailers`: they are
 *  held, and with them the end. */
export type FlowState = 'open' | 'headers' | 'body' | 'trailers';

interface Flow {
  state: FlowState;
  /** Whether nothing follows the head; whether nothing follows what has come. */
  isHeadLast: boolean;
  isLast: boolean;
  /** Whether the filter has seen the body bytes that are held. */
  isSeen: boolean;
}

/** What a guest's callback led to. */
export type Verdict = 'continue' | 'pause' | 'answered' | 'closed' | GatewayError;

const HEADERS_CALLBACKS = ['proxy_on_request_headers', 'proxy_on_response_headers'] as const;
const BODY_CALLBACKS = ['proxy_on_request_body', 'proxy_on_response_body'] as const;
const TRAILERS_CALLBACKS = ['proxy_on_request_trailers', 'proxy_on_response_trailers'] as const;
const PAUSE = 1;

export class Stage {
  readonly version: PluginVersion;
  readonly index: number;
  readonly flows: readonly [Flow, Flow] = [newFlow(), newFlow()];
  context: StreamContext | null = null;
  #vm: Vm | null = null;
  /** Bodies that pass a stage without a context. */
  readonly #unused: [BodyBuffer | null, BodyBuffer | null] = [null, null];

  constructor(version: PluginVersion, index: number) {
    this.version = version;
    this.index = index;
  }

  /** Finds an instance and makes a context in it. Returns why it cannot. */
  open(exchange: ExchangeMaps, onTouched: (stage: Stage) => void): GatewayError | null {
    this.version.countOpened();
    const vm = this.version.instance(exchange.maps[0] ?? []);
    if (!(vm instanceof Vm)) return new GatewayError('GW_PLUGIN_UNAVAILABLE', this.#named(vm));
    this.#vm = vm;
    const context = vm.createStream((id) => new StreamContext(id, exchange));
    if (context === null) {
      if (vm.death !== null) return vm.death;
      return new GatewayError('GW_PLUGIN_UNAVAILABLE', `${this.version.spec.name} has no room`);
    }
    context.onTouched = () => onTouched(this);
    this.context = context;
    return null;
  }

  wantsBody(direction: Direction): boolean {
    return this.context !== null && this.#vm!.has(BODY_CALLBACKS[direction]);
  }

  wantsTrailers(direction: Direction): boolean {
    return this.context !== null && this.#vm!.has(TRAILERS_CALLBACKS[direction]);
  }

  body(direction: Direction): BodyBuffer {
    if (this.context !== null) return this.context.body(direction);
    this.#unused[direction] ??= new BodyBuffer();
    return this.#unused[direction];
  }

  headers(direction: Direction, count: number, isLast: boolean): Verdict {
    const { context } = this;
    if (context === null) return 'continue';
    const args = [context.id, count];
    if (this.version.module.report.abi !== '0.1.0') args.push(isLast ? 1 : 0);
    const action = this.#vm!.callStream(context, HEADERS_CALLBACKS[direction], args);
    return this.verdict(direction, action);
  }

  /** Shows the filter all the body that is held. */
  bodyBytes(direction: Direction, isLast: boolean): Verdict {
    const context = this.context!;
    context.hasBody[direction] = true;
    const args = [context.id, context.body(direction).sizeBytes, isLast ? 1 : 0];
    const action = this.#vm!.callStream(context, BODY_CALLBACKS[direction], args);
    return this.verdict(direction, action);
  }

  trailers(direction: Direction, count: number): Verdict {
    const { context } = this;
    if (context === null) return 'continue';
    const action = this.#vm!.callStream(context, TRAILERS_CALLBACKS[direction], [
      context.id,
      count,
    ]);
    return this.verdict(direction, action);
  }

  /** What the last call led to: an answer stands above everything but the guest's death. */
  verdict(direction: Direction, action: number): Verdict {
    const context = this.context!;
    const { death } = this.#vm!;
    if (death !== null) return death;
    if (context.answer !== null) return 'answered';
    if (context.isClosed) return 'closed';
    const isResumed = context.isResumed[direction];
    context.isResumed[direction] = false;
    return action >= PAUSE && !isResumed ? 'pause' : 'continue';
  }

  /** The filter sees no more of this exchange. */
  skip(): void {
    const { context } = this;
    this.context = null;
    if (context !== null) this.#vm!.finish(context);
  }

  #named(error: GatewayError): string {
    return `${this.version.spec.name}: ${error.detail}`;
  }
}

function newFlow(): Flow {
  return { state: 'open', isHeadLast: false, isLast: false, isSeen: false };
}
