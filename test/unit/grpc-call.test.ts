// gRPC calls of filters against a real HTTP/2 server: what goes on the wire, and what becomes of
// answers that are good, wrong, endless, too large or cut.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { GrpcCall, GrpcHandler, GrpcRequest, HeaderList } from '../../host/core/index.ts';
import { systemClock } from '../../host/core/index.ts';
import { Deadlines, Http2Pool, OutgoingGrpcCall } from '../../host/mesh/index.ts';
import { untilTrue } from '../support/client.ts';
import {
  type GrpcExchange,
  type GrpcServer,
  type GrpcServerOptions,
  grpcFrame,
  startGrpcServer,
} from '../support/grpc-server.ts';
import { UPSTREAM_TEST_CERT, UPSTREAM_TEST_KEY } from '../support/tls-fixture.ts';
import { rawServer } from '../support/upstream.ts';

const OK = 0;
const CANCELLED = 1;
const UNKNOWN = 2;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const UNAVAILABLE = 14;

const REQUEST: GrpcRequest = {
  service: 's',
  path: '/pkg.Service/Method',
  authority: '',
  metadata: [],
  timeoutMs: 0,
  messageSizeBytesMax: 100_000,
  queueSizeBytesMax: 200_000,
};

/** What a call was told, in order, and that nothing came behind the end. */
class Told implements GrpcHandler {
  readonly events: string[] = [];
  readonly messages: string[] = [];
  initial: HeaderList | null = null;
  trailing: HeaderList | null = null;
  status = -1;
  message = '';
  readonly over: Promise<this>;
  onEach: () => void = () => {};
  #resolve: (self: this) => void = () => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  onInitialMetadata(metadata: HeaderList): void {
    this.initial = metadata;
    this.#note('initial');
  }

  onMessage(message: Uint8Array): void {
    this.messages.push(Buffer.from(message).toString('latin1'));
    this.#note('message');
    this.onEach();
  }

  onTrailingMetadata(metadata: HeaderList): void {
    this.trailing = metadata;
    this.#note('trailing');
  }

  onClose(status: number, message: string): void {
    this.#note('close');
    this.status = status;
    this.message = message;
    this.#resolve(this);
  }

  #note(event: string): void {
    assert.equal(this.status, -1, `${event} behind the end`);
    this.events.push(event);
  }
}

interface Scene {
  readonly pool: Http2Pool;
  readonly deadlines: Deadlines;
  readonly server: GrpcServer;
  begin(request?: Partial<GrpcRequest>): { readonly call: GrpcCall; readonly told: Told };
  /** Sends one message and waits for the end. */
  ask(message?: string, request?: Partial<GrpcRequest>): Promise<Told>;
  stop(): Promise<void>;
}

interface SceneOptions extends GrpcServerOptions {
  readonly ca?: string;
  readonly pendingMax?: number;
}

/** A pool for whatever listens on a port of 127.0.0.1. */
function poolFor(port: number, { tls, ca = '', pendingMax = 1_024 }: SceneOptions = {}) {
  const deadlines = new Deadlines(systemClock);
  const protocol = tls === undefined ? 'http' : 'https';
  const pool = new Http2Pool(
    {
      protocol,
      host: '127.0.0.1',
      port,
      authority: `127.0.0.1:${port}`,
      weight: 1,
      labels: {},
    },
    {
      pool: { connectionsMax: 4, pendingMax, keepAliveMs: 60_000 },
      tls: { ca, serverName: tls === undefined ? '' : 'upstream.test' },
    },
    { clock: systemClock, deadlines },
  );
  const begin = (more: Partial<GrpcRequest> = {}) => {
    const told = new Told();
    const request = { ...REQUEST, ...more };
    const call = new OutgoingGrpcCall(request, told, {
      clock: systemClock,
      deadlines,
      endpoint: () => ({
        pool,
        scheme: protocol,
        authority: `127.0.0.1:${port}`,
        connectMs: 5_000,
      }),
    });
    return { call, told };
  };
  const ask = (message = 'hello', more: Partial<GrpcRequest> = {}) => {
    const { call, told } = begin(more);
    assert.equal(call.send(Buffer.from(message, 'latin1')), true);
    call.end();
    return told.over;
  };
  return { pool, deadlines, begin, ask };
}

async function makeScene(
  onExchange: (exchange: GrpcExchange) => void,
  options: SceneOptions = {},
): Promise<Scene> {
  const server = await startGrpcServer(onExchange, options);
  const made = poolFor(server.port, options);
  const stop = async () => {
    made.pool.close();
    await server.stop();
  };
  return { ...made, server, stop };
}

/** Runs one call against a server that does one thing with it. */
async function against(
  onExchange: (exchange: GrpcExchange) => void,
  request: Partial<GrpcRequest> = {},
): Promise<Told> {
  const scene = await makeScene(onExchange);
  const told = await scene.ask('hello', request);
  await scene.stop();
  return told;
}

describe('a gRPC call', () => {
  // A call that came while a connection was being refused shared that fate, with a service that
  // listened again by then.
  it('is not told of a connection that was tried before it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-grpc-'));
    const ca = join(dir, 'ca.pem');
    writeFileSync(ca, UPSTREAM_TEST_CERT);
    const tls = { cert: UPSTREAM_TEST_CERT, key: UPSTREAM_TEST_KEY };
    const server = await startGrpcServer((exchange) => exchange.answer('safe'), { tls });
    const asked: Promise<Told>[] = [];
    const door = createServer((socket) => {
      socket.on('error', () => {});
      if (asked.length === 1) {
        asked.push(made.ask('late'));
        setImmediate(() => socket.destroy());
        return;
      }
      const inner = connect(server.port, '127.0.0.1');
      inner.on('error', () => {});
      socket.pipe(inner).pipe(socket);
    });
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    const made = poolFor((door.address() as AddressInfo).port, { tls, ca });
    asked.push(made.ask('early'));
    assert.equal((await asked[0]!).status, UNAVAILABLE);
    assert.equal((await asked[1]!).status, OK);
    made.pool.close();
    door.close();
    await server.stop();
    rmSync(dir, { recursive: true });
  });

  it('says what gRPC says, and is told what the service says', async () => {
    const scene = await makeScene((exchange) => {
      exchange.onEnd = () => {
        exchange.head({ 'x-initial': 'one' });
        exchange.stream.write(grpcFrame('answer'));
        exchange.end('0', { 'x-trailing': 'two', 'grpc-message': 'fine %E2%82%AC' });
      };
    });
    const told = await scene.ask('hello', {
      timeoutMs: 20_000,
      metadata: ['x-a', '1', 'x-a', '2', 'te', 'gzip', 'grpc-timeout', '1n', 'x-bytes', '\xe9'],
    });
    assert.deepEqual(told.events, ['initial', 'message', 'trailing', 'close']);
    assert.deepEqual([told.status, told.messages], [OK, ['answer']]);
    assert.equal(Buffer.from(told.message, 'latin1').toString(), 'fine \u20ac');
    assert.ok(told.initial!.join().includes('x-initial,one'));
    assert.ok(told.trailing!.join().includes('x-trailing,two'));
    const [{ headers, messages }] = scene.server.exchanges as [GrpcExchange];
    assert.deepEqual(messages, ['hello']);
    assert.equal(headers[':method'], 'POST');
    assert.equal(headers[':path'], '/pkg.Service/Method');
    assert.equal(headers[':scheme'], 'http');
    assert.equal(headers[':authority'], `127.0.0.1:${scene.server.port}`);
    assert.equal(headers['content-type'], 'application/grpc');
    assert.equal(headers.te, 'trailers');
    assert.equal(headers['grpc-timeout'], '20000m');
    assert.equal(headers['x-a'], '1,2');
    assert.equal(headers['x-bytes'], '\xe9');
    await scene.stop();
  });

  it('says a long timeout in seconds, for a timeout has 8 digits', async () => {
    const scene = await makeScene((exchange) => exchange.answer(''));
    await scene.ask('', { timeoutMs: 4_000_000_000, authority: 'other.test' });
    const [{ headers }] = scene.server.exchanges as [GrpcExchange];
    assert.equal(headers['grpc-timeout'], '4000000S');
    assert.equal(headers[':authority'], 'other.test');
    await scene.stop();
  });

  it('goes over TLS where the upstream chooses HTTP/2, with its certificate checked', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-grpc-'));
    const ca = join(dir, 'ca.pem');
    writeFileSync(ca, UPSTREAM_TEST_CERT);
    const tls = { cert: UPSTREAM_TEST_CERT, key: UPSTREAM_TEST_KEY };
    const scene = await makeScene((exchange) => exchange.answer('safe'), { tls, ca });
    assert.deepEqual((await scene.ask()).messages, ['safe']);
    const unknown = poolFor(scene.server.port, { tls });
    const refused = await unknown.ask();
    assert.equal(refused.status, UNAVAILABLE);
    assert.match(refused.message, /GW_UPSTREAM_TLS/);
    unknown.pool.close();
    await scene.stop();
    rmSync(dir, { recursive: true });
  });

  it('shares connections, and waits where the upstream allows no more streams', async () => {
    const held: GrpcExchange[] = [];
    const scene = await makeScene((exchange) => held.push(exchange), { streamsMax: 2 });
    // The first tells how many streams there may be.
    const first = scene.ask('0');
    await untilTrue(() => held.length === 1);
    held.shift()!.answer('0');
    await first;
    const asked = Array.from({ length: 20 }, (_, index) => scene.ask(`${index}`));
    let answered = 0;
    await untilTrue(() => {
      for (const exchange of held.splice(0)) {
        answered += 1;
        exchange.answer(`${answered}`);
      }
      return answered === 20;
    });
    for (const told of await Promise.all(asked)) assert.equal(told.status, OK);
    assert.ok(scene.server.sessionsCount <= 4, `${scene.server.sessionsCount} connections`);
    await scene.stop();
  });

  it('streams in both directions, and half-closes', async () => {
    const scene = await makeScene((exchange) => {
      exchange.head();
      exchange.onMessage = (message) => exchange.stream.write(grpcFrame(`re: ${message}`));
      exchange.onEnd = () => exchange.end('0');
    });
    const { call, told } = scene.begin();
    // Before there is a connection, and after.
    call.send(Buffer.from('one'));
    await untilTrue(() => told.messages.length === 1);
    call.send(Buffer.from('two'));
    call.send(Buffer.alloc(0));
    await untilTrue(() => told.messages.length === 3);
    assert.equal(told.status, -1);
    call.end();
    await told.over;
    assert.deepEqual(told.messages, ['re: one', 're: two', 're: ']);
    assert.equal(told.status, OK);
    await scene.stop();
  });

  it('takes messages however they are cut, thousands in a read too', async () => {
    const texts = Array.from({ length: 5_000 }, (_, index) => `${index}`);
    const scene = await makeScene((exchange) => {
      exchange.head();
      const bytes = Buffer.concat([
        ...texts.map((text) => grpcFrame(text)),
        grpcFrame('x'.repeat(90_000)),
      ]);
      exchange.stream.write(bytes.subarray(0, 3));
      exchange.stream.write(bytes.subarray(3, 4_001));
      exchange.stream.write(bytes.subarray(4_001));
      exchange.end('0');
    });
    const { call, told } = scene.begin();
    call.end();
    // No turn of the event loop belongs to one call.
    let turn = 0;
    const perTurn = new Map<number, number>();
    const turns = setInterval(() => {}, 1_000);
    const count = () => {
      turn += 1;
      if (told.status === -1) setImmediate(count);
    };
    count();
    told.onEach = () => perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
    await told.over;
    clearInterval(turns);
    assert.equal(told.status, OK);
    assert.deepEqual(told.messages.slice(0, -1), texts);
    assert.equal(told.messages.at(-1)!.length, 90_000);
    assert.ok(Math.max(...perTurn.values()) <= 200, `${Math.max(...perTurn.values())} in a turn`);
    await scene.stop();
  });

  it('bounds what waits to be sent', async () => {
    const scene = await makeScene(() => {});
    const { call, told } = scene.begin({ queueSizeBytesMax: 1_000 });
    assert.equal(call.send(Buffer.alloc(995)), true);
    assert.equal(call.send(Buffer.alloc(0)), false);
    await untilTrue(() => scene.server.exchanges[0]?.messages.length === 1);
    // It has left: there is room again, as long as the service reads.
    await untilTrue(() => call.send(Buffer.alloc(10)));
    scene.server.exchanges[0]!.stream.pause();
    await untilTrue(() => !call.send(Buffer.alloc(900)));
    call.cancel();
    await untilTrue(() => scene.server.exchanges[0]!.closedWith === constants.NGHTTP2_CANCEL);
    assert.equal(told.status, -1);
    await scene.stop();
  });
});

describe('the end of a gRPC call', () => {
  it('may be a status alone', async () => {
    const told = await against((exchange) => {
      exchange.stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': '5',
          'grpc-message': 'no%20such thing%zz%',
          'x-why': 'gone',
        },
        { endStream: true },
      );
    });
    assert.deepEqual(told.events, ['trailing', 'close']);
    assert.deepEqual([told.status, told.message], [5, 'no such thing%zz%']);
    assert.ok(told.trailing!.join().includes('x-why,gone'));
  });

  it('may come before all was sent', async () => {
    const scene = await makeScene((exchange) => exchange.answer('enough'));
    const { call, told } = scene.begin();
    call.send(Buffer.from('first'));
    await told.over;
    assert.deepEqual([told.status, told.messages], [OK, ['enough']]);
    // Nothing is done with what comes too late.
    assert.equal(call.send(Buffer.from('second')), true);
    call.end();
    call.cancel();
    assert.deepEqual((await scene.ask()).status, OK);
    await scene.stop();
  });

  it('is the deadline, wherever the call stands', async () => {
    const behaviours: ((exchange: GrpcExchange) => void)[] = [
      () => {},
      (exchange) => exchange.head(),
      (exchange) => {
        exchange.head();
        exchange.stream.write(grpcFrame('a never-ending'));
        exchange.stream.write(grpcFrame('', 0, 50_000));
      },
    ];
    for (const behaviour of behaviours) {
      const scene = await makeScene(behaviour);
      const told = await scene.ask('', { timeoutMs: 250 });
      assert.equal(told.status, DEADLINE_EXCEEDED);
      assert.match(told.message, /250 ms/);
      await untilTrue(() =>
        scene.server.exchanges.every(({ closedWith }) => closedWith === constants.NGHTTP2_CANCEL),
      );
      await scene.stop();
    }
  });

  const faults: Readonly<
    Record<string, readonly [number, RegExp, (exchange: GrpcExchange) => void]>
  > = {
    'a message above the limit': [
      RESOURCE_EXHAUSTED,
      /100001 bytes, the limit is 100000/,
      (exchange) => {
        exchange.head();
        exchange.stream.write(grpcFrame('', 0, 100_001));
      },
    ],
    'the largest size that can be said': [
      RESOURCE_EXHAUSTED,
      /4294967295 bytes/,
      (exchange) => {
        exchange.head();
        exchange.stream.write(grpcFrame('', 0, 0xffff_ffff));
      },
    ],
    'a compressed message': [
      INTERNAL,
      /compressed/,
      (exchange) => {
        exchange.head({ 'grpc-encoding': 'gzip' });
        exchange.stream.write(grpcFrame('zipped', 1));
      },
    ],
    'a flag that there is not': [
      INTERNAL,
      /the flag 7/,
      (exchange) => {
        exchange.head();
        exchange.stream.write(grpcFrame('x', 7));
      },
    ],
    'an end inside a message': [
      INTERNAL,
      /inside a message/,
      (exchange) => {
        exchange.head();
        exchange.stream.write(grpcFrame('short', 0, 10));
        exchange.end('0');
      },
    ],
    'an end inside a prefix': [
      INTERNAL,
      /inside a message/,
      (exchange) => {
        exchange.head();
        exchange.stream.write(Buffer.alloc(3));
        exchange.end('0');
      },
    ],
    'an end without trailers': [
      UNKNOWN,
      /without a status/,
      (exchange) => {
        exchange.stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        exchange.stream.end(grpcFrame('answer'));
      },
    ],
    'trailers without a status': [
      UNKNOWN,
      /without a status/,
      (exchange) => {
        const { stream } = exchange;
        exchange.head();
        stream.once('wantTrailers', () => stream.sendTrailers({ 'x-a': 'b' }));
        stream.end(grpcFrame('answer'));
      },
    ],
    'a status that is no number': [
      UNKNOWN,
      /grpc-status fine/,
      (exchange) => {
        exchange.head();
        exchange.end('fine');
      },
    ],
    'a page of HTML': [
      UNKNOWN,
      /of the type "text\/html"/,
      (exchange) => {
        exchange.stream.respond({ ':status': 200, 'content-type': 'text/html' });
        exchange.stream.end('<html>');
      },
    ],
    'a status of HTTP': [
      UNIMPLEMENTED,
      /HTTP status 404/,
      (exchange) => exchange.stream.respond({ ':status': 404 }, { endStream: true }),
    ],
    'a status of HTTP with a page': [
      UNAVAILABLE,
      /HTTP status 503/,
      (exchange) => {
        exchange.stream.respond({ ':status': 503, 'content-type': 'text/plain' });
        exchange.stream.end('busy');
      },
    ],
    'a reset before the head': [
      INTERNAL,
      /HTTP\/2 error 2/,
      (exchange) => exchange.stream.close(constants.NGHTTP2_INTERNAL_ERROR),
    ],
    'a reset inside the answer': [
      CANCELLED,
      /HTTP\/2 error 8/,
      (exchange) => {
        exchange.head();
        exchange.stream.write(grpcFrame('part', 0, 100), () => {
          exchange.stream.close(constants.NGHTTP2_CANCEL);
        });
      },
    ],
    'a lost connection': [
      UNAVAILABLE,
      /connection was lost/,
      (exchange) => {
        exchange.head();
        exchange.stream.session!.destroy();
      },
    ],
    'too many headers': [
      RESOURCE_EXHAUSTED,
      /HTTP\/2 error 11/,
      (exchange) => {
        const many = Array.from({ length: 300 }, (_, index) => [`x-${index}`, 'a'] as const);
        exchange.head(Object.fromEntries(many));
      },
    ],
  };
  for (const [name, [status, message, behaviour]] of Object.entries(faults)) {
    it(`is told for ${name}, and the next call is not harmed`, async () => {
      let isFirst = true;
      const scene = await makeScene((exchange) => {
        if (isFirst) behaviour(exchange);
        else exchange.answer('good');
        isFirst = false;
      });
      const told = await scene.ask();
      assert.equal(told.status, status, told.message);
      assert.match(told.message, message);
      assert.deepEqual((await scene.ask()).messages, ['good']);
      await scene.stop();
    });
  }

  it('is not a stream that the service has refused unseen, once', async () => {
    let refusals = 1;
    const scene = await makeScene((exchange) => {
      refusals -= 1;
      if (refusals >= 0) exchange.stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else exchange.answer('good');
    });
    assert.deepEqual((await scene.ask('again')).messages, ['good']);
    assert.deepEqual(scene.server.exchanges.at(-1)!.messages, ['again']);
    refusals = 2;
    const told = await scene.ask();
    assert.equal(told.status, UNAVAILABLE);
    assert.match(told.message, /HTTP\/2 error 7/);
    await scene.stop();
  });

  it('is told where nobody listens, and where HTTP/1.1 is spoken', async () => {
    const gone = await startGrpcServer(() => {});
    await gone.stop();
    const none = poolFor(gone.port);
    const refused = await none.ask();
    assert.equal(refused.status, UNAVAILABLE);
    assert.match(refused.message, /GW_UPSTREAM_CONNECT/);
    none.pool.close();
    const old = await rawServer((socket) => {
      socket.write('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n');
    });
    const spoken = poolFor(old.port);
    assert.equal((await spoken.ask()).status, UNAVAILABLE);
    spoken.pool.close();
    await old.stop();
  });

  it('is told where too many wait, and where the pool closes', async () => {
    const silent = await rawServer(() => {});
    const { pool, begin, ask } = poolFor(silent.port, { pendingMax: 0 });
    const refused = await ask();
    assert.equal(refused.status, UNAVAILABLE);
    assert.match(refused.message, /GW_UPSTREAM_POOL_FULL.*more than 0/);
    pool.close();
    const late = begin();
    const closed = await late.told.over;
    assert.match(closed.message, /the pool is closed/);
    await silent.stop();
  });
});

describe('a connection for gRPC', () => {
  it('keeps nothing of calls that are over, in whatever way', async () => {
    const scene = await makeScene((exchange) => {
      if (exchange.headers['x-what'] === 'answer') exchange.answer('a');
      else if (exchange.headers['x-what'] === 'reset') exchange.stream.close(2);
    });
    for (let round = 0; round < 10; round++) {
      const asked = Array.from({ length: 30 }, (_, index) => {
        const what = ['answer', 'reset', 'nothing'][index % 3]!;
        const { call, told } = scene.begin({ timeoutMs: 20_000, metadata: ['x-what', what] });
        call.send(Buffer.from('ask'));
        call.end();
        return { call, told, what };
      });
      for (const { told, what } of asked) if (what !== 'nothing') await told.over;
      for (const { call } of asked) call.cancel();
    }
    // The ends of idle connections are all that is waited for.
    await untilTrue(() => scene.deadlines.armedCount <= scene.pool.connectionsCount);
    await untilTrue(() => scene.server.exchanges.every(({ closedWith }) => closedWith >= 0));
    assert.equal(scene.server.exchanges.length, 300);
    await scene.stop();
  });

  it('that the upstream ends is not used again, and its streams go on', async () => {
    const held: GrpcExchange[] = [];
    const scene = await makeScene((exchange) => held.push(exchange));
    const first = scene.ask();
    await untilTrue(() => held.length === 1);
    const session = held[0]!.stream.session!;
    session.goaway(constants.NGHTTP2_NO_ERROR, held[0]!.stream.id);
    const second = scene.begin();
    await untilTrue(() => held.length === 2);
    held[0]!.answer('old');
    held[1]!.answer('new');
    second.call.end();
    assert.deepEqual((await first).messages, ['old']);
    assert.deepEqual((await second.told.over).messages, ['new']);
    assert.equal(scene.server.sessionsCount, 2);
    await scene.stop();
  });

  it('is closed when its pool is, after its last stream', async () => {
    const scene = await makeScene((exchange) => exchange.head());
    const { call, told } = scene.begin();
    await untilTrue(() => told.events.length === 1);
    scene.pool.close();
    call.send(Buffer.from('still'));
    await untilTrue(() => scene.server.exchanges[0]!.messages.length === 1);
    scene.server.exchanges[0]!.end('0');
    await told.over;
    await untilTrue(() => scene.server.sessions.size === 0 && scene.pool.connectionsCount === 0);
    await scene.stop();
  });
});
