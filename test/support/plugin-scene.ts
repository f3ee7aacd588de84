// A plugin host on its own: plugins from text or source, exchanges driven by hand, everything that
// leaves the chain written down.

import {
  type FilterFacts,
  type FilterSink,
  type FilterStream,
  type HeaderList,
  type LocalAnswer,
  ManualClock,
  type ServiceCaller,
} from '../../host/core/index.ts';
import {
  loadModule,
  PluginBook,
  type PluginLogLine,
  type PluginSpec,
  pluginSpec,
  type Timers,
  threadServices,
} from '../../host/proxywasm/index.ts';

export const REQUEST: HeaderList = [
  ':method',
  'GET',
  ':path',
  '/a?b=1',
  ':authority',
  'example.com',
  ':scheme',
  'http',
  'x-in',
  'one',
];

/** Timers that run when they are told to. */
export class ManualTimers implements Timers {
  readonly #due: { onTime: () => void; ms: number; isRepeated: boolean }[] = [];

  every(ms: number, onTime: () => void): () => void {
    return this.#add({ ms, onTime, isRepeated: true });
  }

  after(ms: number, onTime: () => void): () => void {
    return this.#add({ ms, onTime, isRepeated: false });
  }

  get periods(): number[] {
    return this.#due.filter(({ isRepeated }) => isRepeated).map(({ ms }) => ms);
  }

  /** Lets everything that waits happen once. */
  run(): void {
    for (const timer of [...this.#due]) {
      if (!this.#due.includes(timer)) continue;
      if (!timer.isRepeated) this.#due.splice(this.#due.indexOf(timer), 1);
      timer.onTime();
    }
  }

  #add(timer: { ms: number; onTime: () => void; isRepeated: boolean }): () => void {
    this.#due.push(timer);
    return () => {
      const place = this.#due.indexOf(timer);
      if (place >= 0) this.#due.splice(place, 1);
    };
  }
}

export class PluginScene {
  readonly clock = new ManualClock();
  readonly timers = new ManualTimers();
  readonly lines: PluginLogLine[] = [];
  readonly services;
  readonly book: PluginBook;

  constructor(services: ServiceCaller | null = null) {
    this.services = threadServices({
      clock: this.clock,
      timers: this.timers,
      log: (line) => this.lines.push(line),
      logLevel: 'trace',
      services,
    });
    this.book = new PluginBook(this.services);
  }

  install(bytes: Uint8Array<ArrayBuffer>, given: Partial<PluginSpec> = {}): number {
    const spec = pluginSpec({ name: 'test', ...given });
    const module = loadModule(bytes, {
      sha256: '',
      memorySizeBytesMax: spec.limits.memorySizeBytes,
      strictImports: spec.strictImports,
    });
    return this.book.install(spec, module);
  }

  open(plugins: readonly string[] = ['test']): Visited {
    return new Visited(this.book.chain(plugins).open.bind(this.book.chain(plugins)));
  }

  /** A whole request without a body. */
  get(plugins: readonly string[] = ['test'], headers = REQUEST): Visited {
    const visited = this.open(plugins);
    visited.stream.requestHeaders([...headers], true);
    return visited;
  }

  messages(): string[] {
    return this.lines.map(({ message }) => message);
  }
}

export const FACTS: FilterFacts = {
  routeName: 'r',
  scheme: 'http',
  httpVersion: '1.1',
  peerAddress: '127.0.0.1',
  peerPort: 5000,
  localAddress: '127.0.0.1',
  localPort: 8080,
  startWallMs: 1_700_000_000_000,
  serviceName: 's',
  endpointAddress: '127.0.0.1:9000',
  traceparent: '',
  requestBodySizeBytes: 0,
  responseBodySizeBytes: 0,
  durationMs: 2,
};

/** One exchange, and what left its chain. */
export class Visited implements FilterSink {
  readonly stream: FilterStream;
  readonly events: string[] = [];
  requestHead: HeaderList | null = null;
  responseHead: HeaderList | null = null;
  requestBody = '';
  responseBody = '';
  requestTrailers: HeaderList | null = null;
  responseTrailers: HeaderList | null = null;
  answer: LocalAnswer | null = null;
  failure = '';
  detail = '';
  takesMore = true;

  constructor(open: (facts: FilterFacts, sink: FilterSink) => FilterStream) {
    this.stream = open(FACTS, this);
  }

  onRequestHeaders(headers: HeaderList, isLast: boolean): void {
    this.requestHead = headers;
    this.events.push(`request head${isLast ? ' last' : ''}`);
  }

  onRequestBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean {
    this.requestTrailers = trailers ?? null;
    this.requestBody += Buffer.from(chunk).toString('latin1');
    this.events.push(`request ${chunk.length}${isLast ? ' last' : ''}`);
    return this.takesMore;
  }

  onRequestDrain(): void {
    this.events.push('request drain');
  }

  onResponseHeaders(headers: HeaderList, isLast: boolean): void {
    this.responseHead = headers;
    this.events.push(`response head${isLast ? ' last' : ''}`);
  }

  onResponseBody(chunk: Uint8Array, isLast: boolean, trailers?: HeaderList): boolean {
    this.responseTrailers = trailers ?? null;
    this.responseBody += Buffer.from(chunk).toString('latin1');
    this.events.push(`response ${chunk.length}${isLast ? ' last' : ''}`);
    return this.takesMore;
  }

  onResponseDrain(): void {
    this.events.push('response drain');
  }

  onLocalResponse(answer: LocalAnswer): void {
    this.answer = answer;
    this.events.push(`answer ${answer.status}`);
  }

  onFailure(code: string, detail: string): void {
    this.failure = code;
    this.detail = detail;
    this.events.push(code);
  }

  onClose(detail: string): void {
    this.detail = detail;
    this.events.push('close');
  }

  end(): void {
    this.stream.end({ status: this.answer?.status ?? 200, reason: 0, details: '' });
  }
}
