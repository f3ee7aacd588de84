// A listener in a process of its own, so that an engine that ends the process fails a test and not
// the test runner. The path chooses what the handler does; what happened is asked for by message.

import { createHash } from 'node:crypto';
import {
  BODY_SIZE_UNKNOWN,
  type Exchange,
  type HeaderList,
  type PreparedHead,
  Progress,
  RESPOND_COPY_SIZE_BYTES_MAX,
  systemClock,
  UploadBudget,
} from '../../host/core/index.ts';
import {
  type Listener,
  type ListenerOptions,
  listenNode,
  listenUws,
  prepareUwsEnvironment,
} from '../../host/edge/index.ts';
import { serveWebSocket } from './listener-fixture-websocket.ts';

/** What happened, in order. `text` says it in words: `GET /late`, `onAbort /hang`. */
export interface FixtureEvent {
  readonly kind: 'dispatch' | 'abort' | 'error' | 'refused' | 'note';
  readonly text: string;
}

const events: FixtureEvent[] = [];

export function note(kind: FixtureEvent['kind'], text: string): void {
  events.push({ kind, text });
}

const ANSWERS: Readonly<Record<string, (exchange: Exchange, query: URLSearchParams) => void>> = {
  '/late': (exchange) => afterBody(exchange, () => setTimeout(() => ok(exchange, 'late'), 20)),
  '/late-unread': (exchange) => void setTimeout(() => ok(exchange, 'late'), 20),
  '/microtask': (exchange) => void Promise.resolve().then(() => ok(exchange, 'micro')),
  '/after-body': (exchange) => afterBody(exchange, () => ok(exchange, 'after')),
  '/now': (exchange, query) => {
    const status = Number(query.get('status') ?? 200);
    const location = status === 302 ? ['location', '/elsewhere'] : [];
    exchange.respond(status, ['x-mark', 'now', ...location], `now ${status}`);
  },
  '/stream-now': (exchange) => streamParts(exchange, BODY_SIZE_UNKNOWN),
  '/known-now': (exchange) => streamParts(exchange, 9),
  '/stream-late': (exchange) => afterBody(exchange, () => streamParts(exchange, BODY_SIZE_UNKNOWN)),
  '/known-late': (exchange) => afterBody(exchange, () => streamParts(exchange, 9)),
  '/big-respond': (exchange, query) =>
    afterBody(exchange, () => exchange.respond(200, [], Buffer.alloc(sizeOf(query), 'r'))),
  '/inspect': inspect,
  '/headers': (exchange, query) => exchange.respond(200, responseHeaders(query), 'headers'),
  '/prepared': (exchange, query) => {
    const { head, body } = prepared(exchange.query, query);
    exchange.respondPrepared(head, body);
  },
  '/prepared-late': (exchange, query) => {
    const { head, body } = prepared(exchange.query, query);
    setTimeout(() => exchange.respondPrepared(head, body), 5);
  },
  '/begin-headers': (exchange, query) => {
    exchange.begin(200, responseHeaders(query), 4);
    exchange.write(Buffer.from('body'));
    exchange.end();
  },
  '/empty': (exchange, query) => exchange.respond(Number(query.get('status')), [], ''),
  '/begin-empty': (exchange, query) => {
    exchange.begin(Number(query.get('status') ?? 200), [], sizeOf(query));
    exchange.write(Buffer.from('never sent where no body may be'));
    exchange.end();
  },
  '/big': big,
  '/reused-buffer': reusedBuffer,
  '/echo': echo,
  '/sum': sum,
  '/sum-late': (exchange, query) => void setTimeout(() => sum(exchange, query), 150),
  // A client that leaves while it is held back is noticed when it is read again.
  '/hold-body': (exchange) => {
    let isFirst = true;
    exchange.readBody({
      onChunk() {
        if (isFirst) exchange.pauseBody();
        isFirst = false;
      },
    });
    setTimeout(() => exchange.resumeBody(), 1_500);
  },
  '/hang': () => {},
  '/throw': () => {
    throw new Error('thrown by the handler');
  },
  '/throw-in-body': (exchange) =>
    exchange.readBody({
      onChunk() {
        throw new Error('thrown by onChunk');
      },
    }),
  '/throw-after-begin': (exchange) => {
    exchange.begin(200, [], 100);
    throw new Error('thrown after begin');
  },
  '/throw-in-abort': (exchange) => {
    exchange.onAbort = () => {
      throw new Error('thrown by onAbort');
    };
  },
  '/late-answer': (exchange) => {
    setTimeout(() => {
      exchange.respond(200, [], 'too late');
      exchange.begin(200, [], 3);
      exchange.write(Buffer.from('abc'));
      exchange.end();
      exchange.pauseBody();
      exchange.resumeBody();
      exchange.readBody({ onChunk() {} });
      exchange.abort();
      note('note', `late ${exchange.isEnded} ${exchange.remoteAddress === ''}`);
    }, 150);
  },
  '/abort-now': (exchange) => exchange.abort(),
  '/abort-midway': (exchange) => {
    exchange.begin(200, [], 1000);
    exchange.write(Buffer.from('some'));
    setTimeout(() => exchange.abort(), 50);
  },
  '/short': (exchange) => {
    exchange.begin(200, [], 10);
    exchange.write(Buffer.from('four'));
    exchange.end();
  },
  '/long': (exchange) => {
    exchange.begin(200, [], 2);
    exchange.write(Buffer.from('four'));
    exchange.end();
  },
  // One write that fills the socket, and nothing after it for long.
  '/one-write': (exchange) => {
    exchange.begin(200, [], BODY_SIZE_UNKNOWN);
    exchange.write(Buffer.alloc(30_000_000, 'o'));
  },
  '/drip': drip,
  '/silent-stream': silentStream,
  '/ws': serveWebSocket,
  '/speak': (exchange) => {
    speak();
    ok(exchange, 'spoken');
  },
};

let speak = (): void => {};

function ok(exchange: Exchange, body: string): void {
  exchange.respond(200, ['content-type', 'text/plain'], body);
}

function sizeOf(query: URLSearchParams): number {
  return Number(query.get('size') ?? BODY_SIZE_UNKNOWN);
}

function afterBody(exchange: Exchange, then: () => void): void {
  exchange.readBody({
    onChunk(_chunk, isLast) {
      if (isLast) then();
    },
  });
}

function streamParts(exchange: Exchange, sizeBytes: number): void {
  exchange.begin(200, ['x-mark', 'stream'], sizeBytes);
  for (const part of ['one', 'two', 'six']) exchange.write(Buffer.from(part));
  exchange.end();
}

function inspect(exchange: Exchange): void {
  const { method, path, query, authority, scheme, httpVersion, headers, isAscii } = exchange;
  const { remoteAddress, localPort, bodySizeBytes, isWebSocketUpgrade } = exchange;
  const facts = { method, path, query, authority, scheme, httpVersion, headers, isAscii };
  const more = { remoteAddress, localPort, bodySizeBytes, isWebSocketUpgrade };
  afterBody(exchange, () => {
    exchange.respond(
      200,
      ['content-type', 'application/json'],
      JSON.stringify({ ...facts, ...more }),
    );
  });
}

interface Prepared {
  readonly head: PreparedHead;
  readonly body: Uint8Array;
}

const preparedByQuery = new Map<string, Prepared>();

/** One answer for each query, so that a second request finds what the first has made of it. */
function prepared(text: string, query: URLSearchParams): Prepared {
  const known = preparedByQuery.get(text);
  if (known !== undefined) return known;
  const headers = responseHeaders(query);
  const status = Number(query.get('status') ?? 200);
  const body = Buffer.alloc(Number(query.get('size') ?? 8), 'p');
  const made = { head: { status, headers, listenerHead: null }, body };
  preparedByQuery.set(text, made);
  return made;
}

/** `h=name:value` repeated; values are percent-decoded to one char per byte. */
function responseHeaders(query: URLSearchParams): HeaderList {
  return query.getAll('h').flatMap((pair) => {
    const mark = pair.indexOf(':');
    return [pair.slice(0, mark), pair.slice(mark + 1)];
  });
}

/** Sends `size` bytes as fast as the client takes them, and notes what was accepted before. */
/** Answers out of a buffer that the next read overwrites, as the upstream client does. */
function reusedBuffer(exchange: Exchange): void {
  const buffer = Buffer.alloc(RESPOND_COPY_SIZE_BYTES_MAX, 'a');
  const respond = () => {
    exchange.respond(200, [], buffer);
    buffer.fill('b');
  };
  if (exchange.bodySizeBytes === 0) respond();
  else exchange.readBody({ onChunk: (_chunk, isLast) => (isLast ? respond() : undefined) });
}

function big(exchange: Exchange, query: URLSearchParams): void {
  const sizeBytes = sizeOf(query);
  const announced = query.get('mode') === 'known' ? sizeBytes : BODY_SIZE_UNKNOWN;
  const part = Buffer.alloc(65_536, 'b');
  let leftSizeBytes = sizeBytes;
  let isFirstStop = true;
  const pump = () => {
    while (leftSizeBytes > 0) {
      const chunk = leftSizeBytes < part.length ? part.subarray(0, leftSizeBytes) : part;
      leftSizeBytes -= chunk.length;
      if (!exchange.write(chunk) && leftSizeBytes > 0) {
        if (isFirstStop) note('note', `stopped at ${sizeBytes - leftSizeBytes}`);
        isFirstStop = false;
        return;
      }
    }
    exchange.end();
    note('note', 'sent all');
  };
  exchange.begin(200, [], announced);
  exchange.onDrain = pump;
  if (query.get('body') === 'read') afterBody(exchange, pump);
  else pump();
}

function echo(exchange: Exchange): void {
  exchange.begin(200, [], BODY_SIZE_UNKNOWN);
  exchange.onDrain = () => exchange.resumeBody();
  exchange.readBody({
    onChunk(chunk, isLast) {
      if (!exchange.write(chunk)) exchange.pauseBody();
      if (isLast) exchange.end();
    },
  });
}

function sum(exchange: Exchange, query: URLSearchParams): void {
  const hash = createHash('sha256');
  const pauses = Number(query.get('pauses') ?? 0);
  let sizeBytes = 0;
  let pauseCount = 0;
  exchange.readBody({
    onChunk(chunk, isLast) {
      sizeBytes += chunk.length;
      hash.update(chunk);
      if (isLast) {
        ok(exchange, `${sizeBytes} ${hash.digest('hex')}`);
      } else if (pauseCount++ < pauses) {
        exchange.pauseBody();
        setTimeout(() => exchange.resumeBody(), 10);
      }
    },
  });
}

/** Server-sent events: three, one every 30 ms. */
function drip(exchange: Exchange): void {
  exchange.begin(200, ['content-type', 'text/event-stream'], BODY_SIZE_UNKNOWN);
  let count = 0;
  const timer = setInterval(() => {
    exchange.write(Buffer.from(`data: ${++count}\n\n`));
    if (count < 3) return;
    clearInterval(timer);
    exchange.end();
  }, 30);
}

/** A stream whose first bytes come when somebody says so. */
function silentStream(exchange: Exchange): void {
  exchange.begin(200, ['content-type', 'text/event-stream'], BODY_SIZE_UNKNOWN);
  speak = () => {
    exchange.write(Buffer.from('data: first\n\n'));
    exchange.end();
  };
}

function handler(exchange: Exchange): void {
  note('dispatch', `${exchange.method} ${exchange.path}`);
  exchange.onAbort = () => note('abort', exchange.path);
  const answer = ANSWERS[exchange.path];
  if (answer === undefined) ok(exchange, `no behaviour for ${exchange.path}`);
  else answer(exchange, new URLSearchParams(exchange.query.replaceAll('+', '%2B')));
}

interface Command {
  readonly id: number;
  readonly kind: 'listen' | 'events' | 'stop' | 'close' | 'counts';
  readonly engine?: 'uws' | 'node';
  readonly tls?: ListenerOptions['tls'];
  readonly chunked?: ListenerOptions['chunked'];
}

let listener: Listener | null = null;
let progressReports = 0;

async function run(command: Command): Promise<unknown> {
  switch (command.kind) {
    case 'listen': {
      const listen = command.engine === 'uws' ? listenUws : listenNode;
      listener = await listen({
        port: 0,
        address: '127.0.0.1',
        tls: command.tls ?? null,
        chunked: command.chunked ?? 'accept',
        handler,
        onRefused: (code, detail) => note('refused', `${code} ${detail}`),
        onError: (error) => note('error', error instanceof Error ? error.message : String(error)),
        clock: systemClock,
        uploadBudget: new UploadBudget(),
        progress: new Progress(() => {
          progressReports += 1;
        }),
      });
      return listener.port;
    }
    case 'events':
      return events.splice(0);
    case 'counts':
      return {
        active: listener?.activeCount(),
        connections: listener?.connectionCount(),
        progressReports,
      };
    case 'stop':
      listener?.stopAccepting();
      return null;
    case 'close':
      await listener?.close();
      return null;
  }
}

if (process.send !== undefined) {
  prepareUwsEnvironment();
  process.on('message', (command: Command) => {
    run(command).then(
      (result) => process.send?.({ id: command.id, result }),
      (error) => process.send?.({ id: command.id, error: String(error) }),
    );
  });
  process.on('disconnect', () => {
    if (listener === null) process.exit(0);
    listener.close().then(() => process.exit(0));
  });
  // Whatever gets here would have ended a worker: a test asks for it.
  process.on('uncaughtException', (error) => note('error', `uncaught ${error.stack}`));
}
