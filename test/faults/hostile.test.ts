// Clients and upstreams that mean harm, against the whole gateway: what one exchange does must not
// reach another, and must leave a trace.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ask, untilTrue } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { countHeads, okResponse, rawServer } from '../support/upstream.ts';

describe('hostile upstreams', { timeout: 60_000 }, () => {
  // A 204 announced a body; the connection was kept, and the body, sent a moment later, was given
  // to the next client as its answer.
  for (const framing of ['content-length: 60', 'transfer-encoding: chunked']) {
    it(`a late body of a 204 is not the next answer: ${framing}`, async () => {
      const upstream = await rawServer((socket, received) => {
        const answersFirst = received.startsWith('GET /204') && countHeads(received) === 1;
        if (!answersFirst) {
          setTimeout(() => socket.write(okResponse('good')), 100);
          return;
        }
        socket.write(`HTTP/1.1 204 No Content\r\n${framing}\r\n\r\n`);
        setTimeout(() => socket.write(okResponse('poison')), 30);
      });
      const gateway = await startGateway({
        config: {
          workers: { io: 1 },
          services: { raw: { endpoints: [`http://127.0.0.1:${upstream.port}`] } },
          routes: [{ match: { path: '/*' }, to: 'raw' }],
        },
      });
      assert.equal((await ask(gateway.url, { path: '/204' })).status, 204);
      assert.equal((await ask(gateway.url, { path: '/next' })).body, 'good');
      assert.equal(await gateway.stop(), 0);
      await upstream.stop();
    });
  }
});

const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

for (const engine of ['uws', 'node'] as const) {
  // The log line of a request that was refused for its hops named the trace of the one before it.
  it(`a refused loop is logged with its own trace on ${engine}`, async () => {
    const upstream = await rawServer((socket) => socket.write(okResponse('good')));
    const gateway = await startGateway({
      config: {
        log: { access: 'json' },
        workers: { io: 1 },
        services: { raw: { endpoints: [`http://127.0.0.1:${upstream.port}`] } },
        routes: [{ match: { path: '/*' }, to: 'raw' }],
      },
      listener: { engine },
    });
    const loop = { 'cdn-loop': Array.from({ length: 8 }, () => 'sluice').join(', ') };
    assert.equal((await ask(gateway.url, { path: '/victim' })).status, 200);
    assert.equal((await ask(gateway.url, { path: '/bare', headers: loop })).status, 508);
    const traced = { ...loop, traceparent: TRACEPARENT };
    assert.equal((await ask(gateway.url, { path: '/traced', headers: traced })).status, 508);
    await untilTrue(() => gateway.output().split('\n').length === 4);
    const traces = gateway
      .output()
      .split('\n')
      .slice(0, 3)
      .map((line) => JSON.parse(line).traceId);
    assert.match(traces[0], /^[0-9a-f]{32}$/);
    assert.deepEqual([traces[1] ?? '', traces[2]], ['', 'a'.repeat(32)]);
    assert.equal(await gateway.stop(), 0);
    await upstream.stop();
  });

  describe(`an endpoint that is the gateway itself, on ${engine}`, { timeout: 60_000 }, () => {
    // One request went round until the connections or the memory were used up.
    it('is refused after eight rounds, and the gateway goes on', async () => {
      const config = (endpoint: string) => ({
        log: { access: 'json' },
        services: { self: { endpoints: [endpoint] } },
        routes: [
          { name: 'loop', match: { path: '/loop/*' }, to: 'self' },
          { name: 'hello', match: {}, respond: { body: 'hello' } },
        ],
      });
      const gateway = await startGateway({
        config: config('http://127.0.0.1:1'),
        listener: { engine },
      });
      assert.equal((await gateway.reload(config(gateway.url))).taken, true);
      const refused = await ask(gateway.url, { path: '/loop/x', method: 'POST', body: 'b' });
      assert.equal(refused.status, 508);
      assert.equal((JSON.parse(refused.body) as { reason: number }).reason, 508);
      // The last round's reason; the first round's answer is an upstream's.
      assert.equal(refused.headers['x-sluice-reason'], undefined);
      const upgrade = {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
      };
      const key = Buffer.alloc(16).toString('base64');
      const headers = { ...upgrade, 'sec-websocket-key': key };
      assert.equal((await ask(gateway.url, { path: '/loop/ws', headers })).status, 508);
      assert.equal((await ask(gateway.url)).body, 'hello');
      await untilTrue(() => gateway.output().split('\n').length === 2 * 9 + 1 + 1);
      assert.match(await gateway.metrics(), /sluice_refused_total\{reason="508".* 2$/m);
      assert.equal(await gateway.stop(), 0);
    });
  });

  describe(`hostile clients on ${engine}`, { timeout: 60_000 }, () => {
    // On uWS the address was read for the log line after the answer had ended, when there is none
    // any more: whoever was refused left no trace.
    it('a client that is refused or answered at once is named in the access log', async () => {
      const gateway = await startGateway({
        config: {
          log: { access: 'json' },
          routes: [
            { match: { path: '/fixed' }, respond: { body: 'hello' } },
            { match: { path: '/rare' }, respond: {}, rate: [{ limit: 1, per: '1h' }] },
          ],
        },
        listener: { engine },
      });
      const paths = ['/fixed', '/rare', '/rare', '/none'];
      for (const path of paths) await ask(gateway.url, { path });
      const lines = () => gateway.output().split('\n').slice(0, -1);
      await untilTrue(() => lines().length === paths.length);
      for (const line of lines()) {
        assert.equal((JSON.parse(line) as { client: string }).client, '127.0.0.1', line);
      }
      assert.equal(await gateway.stop(), 0);
    });
  });
}
