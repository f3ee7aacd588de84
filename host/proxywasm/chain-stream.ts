// One exchange in the filters of its route. Heads and bodies are pushed from filter to filter; what
// a filter holds stays in its place until it lets go. The request meets the filters in their order,
// the response in the reverse one, and an answer of a filter passes those that stand before it.
// Trailers are shown when the body has passed every filter: none can let go of a body that a filter
// holds, as it would in Envoy, for a client's trailer must not be a way around a check.

import {
  type ErrorCode,
  type FilterFacts,
  type FilterOutcome,
  type FilterSink,
  type FilterStream,
  type GatewayError,
  type HeaderList,
  type LocalAnswer,
  STREAM_BUFFER_SIZE_BYTES_MAX,
} from '../core/index.ts';
import {
  MAP_REQUEST_HEADERS,
  MAP_REQUEST_TRAILERS,
  MAP_RESPONSE_HEADERS,
  MAP_RESPONSE_TRAILERS,
} from './abi/values.ts';
import type { ExchangeMaps, StreamContext } from './contexts.ts';
import type { PluginVersion } from './plugin-version.ts';
import { type Direction, Stage, type Verdict } from './stage.ts';

const REQUEST = 0;
const RESPONSE = 1;
const HEAD_MAPS = [MAP_REQUEST_HEADERS, MAP_RESPONSE_HEADERS] as const;
const TRAILER_MAPS = [MAP_REQUEST_TRAILERS, MAP_RESPONSE_TRAILERS] as const;
const NO_BYTES = new Uint8Array(0);
const TOO_LARGE: readonly [ErrorCode, ErrorCode] = [
  'GW_PLUGIN_BODY_TOO_LARGE',
  'GW_PLUGIN_RESPONSE_TOO_LARGE',
];

export class ChainStream implements FilterStream {
  readonly #stages: readonly Stage[];
  readonly #sink: FilterSink;
  readonly #exchange: ExchangeMaps;
  readonly #missing: string;
  /** By direction: whether the source was told to wait; whether the sink did not want more. */
  readonly #isSourceWaiting: [boolean, boolean] = [false, false];
  readonly #isSinkFull: [boolean, boolean] = [false, false];
  /** What follows the bodies, until it has passed; null for nothing. */
  readonly #trailers: [HeaderList | null, HeaderList | null] = [null, null];
  /** Stages whose context exists: those before this index. */
  #openedCount = 0;
  #answer: { readonly details: string; status: number; headers: HeaderList } | null = null;
  #answerBody: Uint8Array[] = [];
  #isResponseBegun = false;
  /** Failed, closed or ended: nothing leaves the chain any more. */
  #isOver = false;
  #isEnded = false;

  /** `missing`: a plugin that should be in the chain and is not; `''` for none. */
  constructor(
    versions: readonly PluginVersion[],
    facts: FilterFacts,
    sink: FilterSink,
    missing: string,
  ) {
    this.#stages = versions.map((version, index) => new Stage(version, index));
    this.#sink = sink;
    this.#missing = missing;
    this.#exchange = {
      maps: [null, null, null, null],
      isWritable: [true, false, true, false],
      facts,
      responseDetails: '',
      properties: null,
    };
  }

  get wantsRequestBody(): boolean {
    return this.#stages.some((stage) => stage.wantsBody(REQUEST) || stage.wantsTrailers(REQUEST));
  }

  get wantsResponseBody(): boolean {
    return this.#stages.some((stage) => stage.wantsBody(RESPONSE));
  }

  requestHeaders(headers: HeaderList, isLast: boolean): void {
    this.#exchange.maps[MAP_REQUEST_HEADERS] = headers;
    if (this.#missing !== '') {
      this.#fail('GW_PLUGIN_UNAVAILABLE', `plugin ${this.#missing} is not installed`);
      return;
    }
    this.#pushHead(REQUEST, 0, isLast);
  }

  requestBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean {
    if (this.#isOver || this.#answer !== null) return true;
    this.#trailers[REQUEST] = trailers ?? null;
    return this.#pushFromSource(REQUEST, 0, chunk, isLast);
  }

  requestDrained(): void {
    this.#drained(REQUEST);
  }

  responseHeaders(headers: HeaderList, isLast: boolean): void {
    if (this.#isOver || this.#answer !== null) return;
    this.#exchange.maps[MAP_RESPONSE_HEADERS] = headers;
    this.#pushHead(RESPONSE, this.#stages.length - 1, isLast);
  }

  responseBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean {
    if (this.#isOver || this.#answer !== null) return true;
    this.#trailers[RESPONSE] = trailers ?? null;
    return this.#pushFromSource(RESPONSE, this.#stages.length - 1, chunk, isLast);
  }

  responseDrained(): void {
    this.#drained(RESPONSE);
  }

  end(outcome: FilterOutcome): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isOver = true;
    if (this.#exchange.responseDetails === '') this.#exchange.responseDetails = outcome.details;
    this.#exchange.maps[MAP_RESPONSE_HEADERS] ??= [':status', String(outcome.status)];
    this.#exchange.isWritable.fill(false);
    for (const stage of this.#stages) stage.skip();
  }

  /** A head goes to the stage at `from` and those behind it. */
  #pushHead(direction: Direction, from: number, isLast: boolean): void {
    const headers = this.#exchange.maps[HEAD_MAPS[direction]]!;
    for (let place = from; this.#isStage(place); place += step(direction)) {
      const stage = this.#stages[place]!;
      if (direction === REQUEST && !this.#open(stage)) return;
      const flow = stage.flows[direction];
      flow.isHeadLast = isLast;
      const verdict = stage.headers(direction, headers.length / 2, isLast);
      if (verdict === 'pause') {
        flow.state = 'headers';
        return;
      }
      if (!this.#mayGoOn(stage, verdict)) return;
    }
    if (direction === REQUEST) this.#emitRequestHead(headers, isLast);
    else this.#emitResponseHead(headers, isLast);
  }

  #pushFromSource(direction: Direction, from: number, chunk: Uint8Array, isLast: boolean): boolean {
    this.#pushBody(direction, from, chunk, isLast);
    const mayContinue = this.#mayTake(direction);
    this.#isSourceWaiting[direction] = !mayContinue;
    return mayContinue;
  }

  /** Body bytes go to the stage at `from` and those behind it. */
  #pushBody(direction: Direction, from: number, chunk: Uint8Array, isLast: boolean): void {
    let bytes = chunk;
    for (let place = from; this.#isStage(place); place += step(direction)) {
      const stage = this.#stages[place]!;
      const flow = stage.flows[direction];
      const body = stage.body(direction);
      flow.isLast = isLast;
      const isShown = this.#isShown(stage, direction);
      if (flow.state === 'headers' && !isShown) {
        body.add(bytes);
        body.keep();
        flow.isSeen = false;
        return;
      }
      if (!isShown) continue;
      body.add(bytes);
      flow.isSeen = true;
      const limit = stage.version.spec.limits.bodySizeBytes;
      const isHeld = flow.state !== 'open';
      if (isHeld && body.sizeBytes > limit) {
        const { name } = stage.version.spec;
        const detail = `${body.sizeBytes} bytes, the limit of ${name} is ${limit}`;
        stage.version.countFailed(TOO_LARGE[direction]);
        this.#fail(TOO_LARGE[direction], detail);
        return;
      }
      const verdict = stage.bodyBytes(direction, isLast);
      if (verdict === 'pause') {
        if (flow.state === 'open') flow.state = 'body';
        body.keep();
        return;
      }
      if (!this.#mayGoOn(stage, verdict)) return;
      const isHeadHeld = flow.state === 'headers';
      flow.state = 'open';
      bytes = body.take();
      if (isHeadHeld) this.#pushHead(direction, place + step(direction), false);
      if (this.#isOver) return;
    }
    const trailers = this.#trailers[direction];
    if (trailers === null || !isLast) {
      this.#emitBody(direction, bytes, isLast);
      return;
    }
    if (bytes.length > 0) this.#emitBody(direction, bytes, false);
    this.#exchange.maps[TRAILER_MAPS[direction]] = trailers;
    this.#exchange.isWritable[TRAILER_MAPS[direction]] = true;
    this.#pushTrailers(direction, direction === REQUEST ? 0 : this.#stages.length - 1);
  }

  /** Trailers go to the stage at `from` and those behind it, all of which have let the body go. */
  #pushTrailers(direction: Direction, from: number): void {
    const trailers = this.#trailers[direction]!;
    for (let place = from; this.#isStage(place); place += step(direction)) {
      const stage = this.#stages[place]!;
      const verdict = stage.trailers(direction, trailers.length / 2);
      if (verdict === 'pause') {
        stage.flows[direction].state = 'trailers';
        return;
      }
      if (!this.#mayGoOn(stage, verdict)) return;
    }
    this.#exchange.isWritable[TRAILER_MAPS[direction]] = false;
    this.#emitBody(direction, NO_BYTES, true, trailers);
  }

  /** Whether a stage sees body bytes now. */
  #isShown(stage: Stage, direction: Direction): boolean {
    if (!stage.wantsBody(direction)) return false;
    const { allowOnHeadersStopIteration } = stage.version.spec;
    return stage.flows[direction].state !== 'headers' || allowOnHeadersStopIteration;
  }

  /** A filter lets go of what it holds. */
  #resume(stage: Stage, direction: Direction): void {
    const flow = stage.flows[direction];
    if (flow.state === 'open') return;
    const wasHead = flow.state === 'headers';
    const wasEnd = flow.state === 'trailers';
    flow.state = 'open';
    const next = stage.index + step(direction);
    if (wasEnd) {
      const isVoid = this.#isOver || (direction === REQUEST && this.#answer !== null);
      if (!isVoid) this.#pushTrailers(direction, next);
      return;
    }
    if (wasHead) this.#pushHead(direction, next, flow.isHeadLast);
    if (this.#isOver) return;
    const body = stage.body(direction);
    const hasBody = body.sizeBytes > 0 || (flow.isLast && !flow.isHeadLast);
    if (hasBody) {
      const from = flow.isSeen ? next : stage.index;
      this.#pushBody(direction, from, body.take(), flow.isLast);
    }
    this.#tellSource(direction);
  }

  /** Takes what a filter asked for while another call ran, and its death. */
  #onTouched(stage: Stage): void {
    const { context } = stage;
    if (this.#isEnded || context === null) return;
    const verdict = stage.verdict(REQUEST, 1);
    const isResponseResumed = context.isResumed[RESPONSE];
    context.isResumed[RESPONSE] = false;
    if (verdict !== 'pause' && verdict !== 'continue') {
      if (!this.#mayGoOn(stage, verdict)) return;
      // Skipped: what it held goes on without it.
      this.#resume(stage, REQUEST);
      this.#resume(stage, RESPONSE);
      return;
    }
    if (verdict === 'continue') this.#resume(stage, REQUEST);
    if (isResponseResumed) this.#resume(stage, RESPONSE);
  }

  /** Makes the stage's context. False: the exchange does not go on. */
  #open(stage: Stage): boolean {
    if (stage.index < this.#openedCount) return true;
    this.#openedCount = stage.index + 1;
    const error = stage.open(this.#exchange, (touched) => this.#onTouched(touched));
    return error === null || this.#mayGoOn(stage, error);
  }

  /** Acts on a verdict other than to pause. Whether the push goes on behind the stage. */
  #mayGoOn(stage: Stage, verdict: Exclude<Verdict, 'pause'>): boolean {
    if (verdict === 'continue') return !this.#isOver;
    if (verdict === 'answered') this.#answerFrom(stage, stage.context!);
    else if (verdict === 'closed') this.#close(stage.version.spec.name);
    else return this.#survive(stage, verdict);
    return false;
  }

  /** A plugin failed: whether the exchange goes on without it. */
  #survive(stage: Stage, error: GatewayError): boolean {
    if (stage.version.spec.onFailure === 'open') {
      stage.version.countSkipped();
      stage.skip();
      return true;
    }
    stage.version.countFailed(error.code);
    this.#fail(error.code, `plugin ${stage.version.spec.name}: ${error.detail}`);
    return false;
  }

  #answerFrom(stage: Stage, context: StreamContext): void {
    const answer = context.answer!;
    if (this.#isOver) return;
    if (this.#isResponseBegun || this.#answer !== null) {
      this.#close(`${stage.version.spec.name} answered too late`);
      return;
    }
    const { status, details, body } = answer;
    this.#answer = { details, status, headers: [] };
    this.#trailers[RESPONSE] = null;
    this.#exchange.responseDetails = details;
    this.#exchange.maps[MAP_RESPONSE_HEADERS] = [':status', String(status), ...answer.headers];
    for (const other of this.#stages) {
      other.flows[RESPONSE].state = 'open';
      other.body(RESPONSE).clear();
    }
    const next = stage.index - 1;
    this.#pushHead(RESPONSE, next, body.length === 0);
    if (body.length > 0 && !this.#isOver) this.#pushBody(RESPONSE, next, body, true);
  }

  #emitRequestHead(headers: HeaderList, isLast: boolean): void {
    if (this.#isOver || this.#answer !== null) return;
    this.#exchange.isWritable[MAP_REQUEST_HEADERS] = false;
    this.#sink.onRequestHeaders(headers, isLast);
  }

  #emitResponseHead(headers: HeaderList, isLast: boolean): void {
    if (this.#isOver) return;
    this.#isResponseBegun = true;
    this.#exchange.isWritable[MAP_RESPONSE_HEADERS] = false;
    if (this.#answer === null) {
      this.#sink.onResponseHeaders(headers, isLast);
      return;
    }
    this.#answer.headers = headers;
    if (isLast) this.#emitAnswer();
  }

  #emitBody(direction: Direction, bytes: Uint8Array, isLast: boolean, trailers?: HeaderList): void {
    if (this.#isOver) return;
    if (direction === REQUEST) {
      if (this.#answer !== null) return;
      this.#isSinkFull[REQUEST] = !this.#sink.onRequestBody(bytes, isLast, trailers);
    } else if (this.#answer === null) {
      this.#isSinkFull[RESPONSE] = !this.#sink.onResponseBody(bytes, isLast, trailers);
    } else {
      this.#answerBody.push(new Uint8Array(bytes));
      if (isLast) this.#emitAnswer();
    }
  }

  #emitAnswer(): void {
    const { headers, details, status } = this.#answer!;
    const own = headers.filter((_, index) => !headers[index - (index % 2)]!.startsWith(':'));
    const given = Number(headers[headers.indexOf(':status') + 1]);
    const answer: LocalAnswer = {
      status: Number.isInteger(given) && given >= 200 && given <= 599 ? given : status,
      headers: own,
      body: Buffer.concat(this.#answerBody),
      details,
    };
    this.#answerBody = [];
    this.#sink.onLocalResponse(answer);
  }

  #fail(code: ErrorCode, detail: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink.onFailure(code, detail);
  }

  #close(detail: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink.onClose(detail);
  }

  #drained(direction: Direction): void {
    this.#isSinkFull[direction] = false;
    this.#tellSource(direction);
  }

  #tellSource(direction: Direction): void {
    if (this.#isOver || !this.#isSourceWaiting[direction] || !this.#mayTake(direction)) return;
    this.#isSourceWaiting[direction] = false;
    if (direction === REQUEST) this.#sink.onRequestDrain();
    else this.#sink.onResponseDrain();
  }

  /** Whether the source may send more: the sink takes it, and no filter holds bytes unseen. */
  #mayTake(direction: Direction): boolean {
    if (this.#isSinkFull[direction]) return false;
    return this.#stages.every((stage) => {
      const isUnseen =
        stage.flows[direction].state === 'headers' && !this.#isShown(stage, direction);
      return !isUnseen || stage.body(direction).sizeBytes < STREAM_BUFFER_SIZE_BYTES_MAX;
    });
  }

  #isStage(place: number): boolean {
    return place >= 0 && place < this.#stages.length;
  }
}

function step(direction: Direction): number {
  return direction === REQUEST ? 1 : -1;
}
