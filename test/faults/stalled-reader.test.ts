// A client of the node engine that asks and does not read. Time is the sweep, which the test calls.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, it } from 'node:test';
import { BODY_IDLE_TIMEOUT_MS, BODY_SIZE_UNKNOWN, Progress } from '../../host/core/index.ts';
import { NodeExchange } from '../../host/edge/node-exchange.ts';
import type { NodeHost } from '../../host/edge/node-host.ts';
import { readRequest } from '../../host/edge/node-request.ts';
import { UploadWatch } from '../../host/edge/upload-watch.ts';
import { untilTrue } from '../support/client.ts';

const CHUNK = new Uint8Array(1_048_576);
/** More sweeps than the idle timeout has, which is at least one a second. */
const SWEEPS_COUNT = BODY_IDLE_TIMEOUT_MS / 1_000;

describe('a response on node', { timeout: 30_000 }, () => {
  // Nothing ended a response that its client did not read: each held an upstream connection for
  // ever, and a pool was emptied by as many requests as it has connections.
  it('is cut when its client reads nothing, and only then', async () => {
    const scene = await startScene();
    for (let count = 0; count < SWEEPS_COUNT; count++) {
      scene.host.uploads.sweep();
      await scene.clientReads();
    }
    assert.equal(scene.aborts, 0);
    for (let count = 0; count < SWEEPS_COUNT && scene.aborts === 0; count++) {
      scene.host.uploads.sweep();
    }
    assert.equal(scene.aborts, 1);
    await untilTrue(() => scene.host.active === 0);
    await scene.stop();
  });

  it('may wait for its plane as long as it takes', async () => {
    const scene = await startScene(() => {});
    for (let count = 0; count < SWEEPS_COUNT; count++) scene.host.uploads.sweep();
    assert.equal(scene.aborts, 0);
    await scene.stop();
  });
});

/** Writes as long as the client reads. */
function flood(exchange: NodeExchange): void {
  while (exchange.write(CHUNK));
  exchange.onDrain = () => flood(exchange);
}

async function startScene(serve: (exchange: NodeExchange) => void = flood) {
  const host: NodeHost = {
    scheme: 'http',
    uploads: new UploadWatch(),
    progress: new Progress(() => {}),
    closing: new WeakSet(),
    port: 0,
    active: 0,
    isDraining: false,
    onError: (error) => assert.fail(String(error)),
  };
  let received = 0;
  const server = createServer((req, res) => {
    const { headers, facts } = readRequest(req);
    const request = { headers, upgrade: null, isContinueExpected: false };
    const exchange = new NodeExchange({ req, res }, host, request, facts);
    exchange.onAbort = () => {
      scene.aborts += 1;
    };
    exchange.begin(200, [], BODY_SIZE_UNKNOWN);
    serve(exchange);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1', () =>
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  );
  client.on('error', () => client.destroy());
  client.on('data', (bytes) => {
    received += bytes.length;
  });
  const scene = {
    host,
    aborts: 0,
    /** Lets the client read more than the sockets between can hold, and stop again. */
    async clientReads() {
      const goal = received + 16 * CHUNK.length;
      client.resume();
      await untilTrue(() => received >= goal, 1);
      client.pause();
    },
    async stop() {
      host.uploads.stop();
      client.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  await untilTrue(() => host.active === 1);
  return scene;
}
