// A native call that throws, on stand-ins for both engines' objects: it ends one exchange and is
// reported. Planes call from sockets and timers of their own, so an exception that got out of an
// exchange ended the io worker.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ErrorCode,
  type Exchange,
  Progress,
  problemResponse,
  systemClock,
  UploadBudget,
} from '../../host/core/index.ts';
import { NodeExchange } from '../../host/edge/node-exchange.ts';
import type { NodeHost } from '../../host/edge/node-host.ts';
import { inspectRequest } from '../../host/edge/request-checks.ts';
import { SolePeer } from '../../host/edge/sole-peer.ts';
import { UploadWatch } from '../../host/edge/upload-watch.ts';
import { UwsExchange } from '../../host/edge/uws-exchange.ts';
import type { UwsHost, UwsResponse } from '../../host/edge/uws-native.ts';

interface Scene {
  readonly exchange: Exchange;
  readonly errors: string[];
  readonly calls: string[];
  readonly host: { readonly active: number };
  /** Lets the socket take bytes again, where it was full. */
  drain(): void;
  stop(): void;
}

/** What a plane may do with an exchange, at any time. */
const WAYS: Readonly<Record<string, (exchange: Exchange) => void>> = {
  respond: (exchange) => exchange.respond(200, ['x-a', '1'], 'body'),
  'respond large': (exchange) => exchange.respond(200, [], Buffer.alloc(200_000)),
  'respond without a body': (exchange) => exchange.respond(204, [], ''),
  'respond prepared': (exchange) => {
    const { status, headers, body } = problemResponse('GW_ROUTE_NONE', '');
    exchange.respondPrepared({ status, headers, listenerHead: null }, Buffer.from(body));
  },
  'stream a known size': (exchange) => stream(exchange, 6),
  'stream in chunks': (exchange) => stream(exchange, -1),
  'stream nothing': (exchange) => {
    exchange.begin(200, [], -1);
    exchange.end();
  },
  'begin and wait': (exchange) => exchange.begin(200, [], 6),
  'read the body': (exchange) => {
    exchange.readBody({ onChunk() {} });
    exchange.pauseBody();
    exchange.resumeBody();
    exchange.abort();
  },
  abort: (exchange) => exchange.abort(),
};

function stream(exchange: Exchange, sizeBytes: number): void {
  exchange.begin(200, [], sizeBytes);
  exchange.write(Buffer.from('one'));
  exchange.write(Buffer.from('two'));
  exchange.end();
}

function factsOf(method: string) {
  const headers = ['host', 'h', 'content-length', '3'];
  return { headers, facts: { ...inspectRequest(method, '/', '', headers, 'bytes') } };
}

/** `broken`: the native calls that throw, `x once` for the first only. */
function nodeScene(broken: readonly string[]): Scene {
  const errors: string[] = [];
  const calls: string[] = [];
  const native = nativeCalls(broken, calls);
  const host: NodeHost = {
    scheme: 'http',
    uploads: new UploadWatch(),
    progress: new Progress(() => {}),
    closing: new WeakSet(),
    port: 0,
    active: 0,
    isDraining: false,
    onError: (error) => errors.push(String(error)),
  };
  const socket = { destroy: () => native('destroy') };
  const req = Object.assign(new EventEmitter(), {
    method: 'POST',
    httpVersion: '1.1',
    socket,
    complete: false,
    pause: () => native('pause'),
    resume: () => native('resume'),
  });
  const res = Object.assign(new EventEmitter(), {
    socket,
    headersSent: false,
    writableLength: 0,
    writeHead() {
      native('writeHead');
      res.headersSent = true;
    },
    getHeaderNames: () => ['x-left-over'],
    removeHeader: () => native('removeHeader'),
    flushHeaders: () => native('flushHeaders'),
    write: () => native('write'),
    end: () => native('end'),
  });
  const { headers, facts } = factsOf('POST');
  const request = { headers, upgrade: null, isContinueExpected: false };
  const exchange = new NodeExchange({ req, res } as never, host, request, facts);
  const stop = () => host.uploads.stop();
  return { exchange, errors, calls, host, drain: () => res.emit('drain'), stop };
}

function uwsScene(broken: readonly string[]): Scene {
  const errors: string[] = [];
  const calls: string[] = [];
  const native = nativeCalls(broken, calls);
  let onWritable: (offset: number) => boolean = () => true;
  let isFull = true;
  let offset = 0;
  const host: UwsHost = {
    scheme: 'http',
    clock: systemClock,
    uploads: new UploadWatch(),
    progress: new Progress(() => {}),
    uploadBudget: new UploadBudget(),
    port: 0,
    active: 0,
    connections: 0,
    peers: new SolePeer(),
    isDraining: false,
    upgradeCork: { run: () => false, close() {} },
    onError: (error) => errors.push(String(error)),
  };
  const response: UwsResponse = {
    pause: () => void native('pause'),
    resume: () => void native('resume'),
    writeStatus: () => native('writeStatus'),
    writeHeader: () => native('writeHeader'),
    write() {
      native('write');
      return !isFull;
    },
    end: () => native('end'),
    endWithoutBody: () => native('endWithoutBody'),
    tryEnd(chunk, totalSizeBytes) {
      native('tryEnd');
      if (!isFull) offset += chunk.length;
      return [!isFull, offset >= totalSizeBytes];
    },
    close: () => native('close'),
    getWriteOffset: () => offset,
    onWritable(handler) {
      onWritable = handler;
    },
    onAborted() {},
    onData() {},
    getRemoteAddress: () => new ArrayBuffer(4),
    cork(callback) {
      native('cork');
      callback();
    },
    upgrade: () => void native('upgrade'),
  };
  const { headers, facts } = factsOf('POST');
  const request = { method: 'POST', headers, context: null };
  const exchange = new UwsExchange(response, host, request, facts);
  exchange.isInHandler = false;
  const drain = () => {
    isFull = false;
    onWritable(0);
  };
  return { exchange, errors, calls, host, drain, stop: () => host.uploads.stop() };
}

function nativeCalls(broken: readonly string[], calls: string[]): (name: string) => true {
  return (name) => {
    const isFirst = !calls.includes(name);
    calls.push(name);
    const isBroken = broken.includes(name) || (isFirst && broken.includes(`${name} once`));
    if (isBroken) throw new Error(`${name} threw`);
    return true;
  };
}

const ENGINES: readonly (readonly [string, (broken: readonly string[]) => Scene, string[]])[] = [
  ['node', nodeScene, ['writeHead', 'removeHeader', 'flushHeaders', 'write', 'end', 'destroy']],
  [
    'uws',
    uwsScene,
    ['writeStatus', 'write', 'tryEnd', 'end', 'endWithoutBody', 'cork', 'pause', 'resume', 'close'],
  ],
];

for (const [engine, makeScene, names] of ENGINES) {
  describe(`a native call that throws on ${engine}`, () => {
    for (const broken of [...names.map((name) => [name]), names]) {
      const told = broken.length > 1 ? 'all of them' : broken[0];
      for (const [way, run] of Object.entries(WAYS)) {
        it(`${told}: ${way}`, async () => {
          const { exchange, errors, calls, host, drain, stop } = makeScene(broken);
          let aborts = 0;
          exchange.onAbort = () => {
            aborts += 1;
          };
          run(exchange);
          await sleep(2);
          drain();
          await sleep(2);
          exchange.abort();
          const thrown = calls.filter((name) => broken.includes(name)).length;
          assert.equal(errors.length, thrown, `${errors} of ${calls}`);
          assert.ok(exchange.isEnded);
          assert.ok(aborts <= 1);
          if (engine === 'uws' && thrown > 0) assert.equal(host.active, 0, `${calls}`);
          stop();
        });
      }
    }

    it('tells a plane that streams', async () => {
      const { exchange, stop } = makeScene(engine === 'node' ? ['writeHead'] : ['cork']);
      const refusals: (ErrorCode | undefined)[] = [];
      exchange.onAbort = (refusal) => refusals.push(refusal);
      exchange.begin(200, [], 6);
      await sleep(2);
      assert.deepEqual(refusals, [engine === 'node' ? undefined : 'GW_INTERNAL']);
      assert.ok(exchange.isEnded);
      stop();
    });
  });
}

describe('a head that node refuses', () => {
  it('is answered with 500', () => {
    const { exchange, calls, errors, stop } = nodeScene(['writeHead once']);
    exchange.respond(200, ['x-a', '1'], 'fine');
    assert.deepEqual(calls, ['writeHead', 'removeHeader', 'writeHead', 'resume', 'end']);
    assert.deepEqual(errors, ['Error: writeHead threw']);
    assert.ok(exchange.isEnded);
    stop();
  });
});
