// Calls that filters make to services, over the pools that requests have: what is sent, what comes
// back whole, and what is no answer.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GrpcHandler, ServiceReply, ServiceRequest } from '../../host/core/index.ts';
import { systemClock } from '../../host/core/index.ts';
import { MeshServiceCaller } from '../../host/mesh/index.ts';
import { makePool, type RawServer, rawServer, until } from '../support/upstream.ts';

const REQUEST: ServiceRequest = {
  service: 'checks',
  headers: [':method', 'POST', ':path', '/ask?b=1', ':authority', 'a.test', 'x-a', 'b', 'te', 'x'],
  body: Buffer.from('hello'),
  trailers: [],
  timeoutMs: 0,
};

interface Scene {
  readonly server: RawServer;
  readonly caller: MeshServiceCaller;
  ask(more?: Partial<ServiceRequest>, sizeBytesMax?: number): Promise<ServiceReply | null>;
  stop(): Promise<void>;
}

/** A service `checks` with one endpoint that answers each whole request with `response`. */
async function makeScene(response: string): Promise<Scene> {
  const server = await rawServer((socket, received) => {
    const isChunked = received.includes('transfer-encoding: chunked');
    const isWhole = isChunked
      ? /\r\n0\r\n(?:[^\r]+\r\n)*\r\n$/.test(received)
      : received.endsWith('hello');
    if (isWhole) socket.write(response, 'latin1');
  });
  const pool = makePool({ port: server.port });
  const service = {
    config: { timeouts: { connectMs: 5_000, requestMs: 5_000, idleMs: 5_000 } },
    balancer: { pick: () => ({ index: 0 }) },
    endpoints: [{ pool }],
  };
  const lookup = (name: string) => (name === 'checks' ? service : undefined);
  const caller = new MeshServiceCaller(
    lookup as unknown as ConstructorParameters<typeof MeshServiceCaller>[0],
    systemClock,
  );
  const ask = (more: Partial<ServiceRequest> = {}, sizeBytesMax = 1_000) =>
    new Promise<ServiceReply | null>((resolve) => {
      caller.call({ ...REQUEST, ...more }, sizeBytesMax, resolve);
    });
  const stop = async () => {
    pool.close();
    await server.stop();
  };
  return { server, caller, ask, stop };
}

const PLAIN = 'HTTP/1.1 201 Created\r\nX-C: d\r\nContent-Length: 4\r\n\r\ntold';

describe('a call of a filter', () => {
  it('sends a request of known length, and is told the whole answer', async () => {
    const scene = await makeScene(PLAIN);
    const reply = await scene.ask();
    assert.equal(
      scene.server.received[0],
      'POST /ask?b=1 HTTP/1.1\r\nhost: a.test\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello',
    );
    assert.deepEqual(reply, {
      headers: [':status', '201', 'x-c', 'd'],
      body: Buffer.from('told'),
      trailers: [],
    });
    await scene.stop();
  });

  it('sends trailers behind chunks, and is told those of the answer', async () => {
    const scene = await makeScene(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntold\r\n0\r\nX-T: u\r\n\r\n',
    );
    const reply = await scene.ask({
      trailers: ['x-v', 'w', 'host', 'evil', 'x-forwarded-for', 'x'],
    });
    assert.match(
      scene.server.received[0]!,
      /transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-v: w\r\n\r\n$/,
    );
    assert.deepEqual(reply?.trailers, ['x-t', 'u']);
    assert.equal(String(reply?.body), 'told');
    // Without a body they have chunks as well.
    await scene.ask({ body: new Uint8Array(0), trailers: ['x-v', 'w'] });
    assert.match(scene.server.received.join(''), /chunked\r\n\r\n0\r\nx-v: w\r\n\r\n$/);
    await scene.stop();
  });

  it('is told nothing where there is no whole answer, and when it was given up', async () => {
    const scene = await makeScene(PLAIN);
    assert.equal(await scene.ask({}, 3), null);
    assert.equal(await scene.ask({ service: 'other' }), null);
    assert.equal(await scene.ask({ body: Buffer.from('never whole'), timeoutMs: 200 }), null);
    let hasReply = false;
    const { length } = scene.server.received.join('');
    const cancel = scene.caller.call({ ...REQUEST, body: Buffer.from('part') }, 1_000, () => {
      hasReply = true;
    });
    await until(() => scene.server.received.join('').length > length);
    cancel();
    assert.ok((await scene.ask()) !== null);
    assert.equal(hasReply, false);
    await scene.stop();
  });

  it('of gRPC ends with a status where there is no such service', async () => {
    const scene = await makeScene(PLAIN);
    const told: unknown[] = [];
    const handler: GrpcHandler = {
      onInitialMetadata: () => told.push('initial'),
      onMessage: () => told.push('message'),
      onTrailingMetadata: () => told.push('trailing'),
      onClose: (status, message) => told.push([status, message]),
    };
    const request = {
      service: 'other',
      path: '/a/b',
      authority: '',
      metadata: [],
      timeoutMs: 0,
      messageSizeBytesMax: 10,
      queueSizeBytesMax: 10,
    };
    scene.caller.grpc(request, handler);
    const given = scene.caller.grpc(request, handler);
    assert.deepEqual(told, []);
    given.cancel();
    await until(() => told.length > 0);
    assert.deepEqual(told, [[14, 'GW_UPSTREAM_NO_HEALTHY: no endpoint to call']]);
    await scene.stop();
  });
});
