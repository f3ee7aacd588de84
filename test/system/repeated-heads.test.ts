// An upstream that gives the same head again and again, which the gateway then neither reads nor
// writes anew: whatever a route, a limit, a method or an engine does to one answer, no other shows
// it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type RawServer, rawServer } from '../support/upstream.ts';

const WAIT_MS_MAX = 30_000;
const ROUNDS_COUNT = 6;
/** With a byte beyond ASCII, and what the gateway must not pass on. */
const HEAD =
  'HTTP/1.1 200 Fine\r\nX-Origin: gr\xfcn\r\nDate: then\r\nKeep-Alive: timeout=60\r\n' +
  'X-Sluice-Reason: 1\r\nContent-Length: 5\r\n\r\n';

let upstream: RawServer;
let gateway: GatewayProcess;

before(async () => {
  upstream = await rawServer((socket, received) => {
    if (!received.endsWith('\r\n\r\n')) return;
    const line = received.slice(received.lastIndexOf('\r\n\r\n', received.length - 5)).trimStart();
    socket.write(HEAD, 'latin1');
    if (line.startsWith('HEAD ')) return;
    if (line.includes('/pieces ')) setTimeout(() => socket.write('hello'), 10);
    else socket.write('hello');
  });
  const address = '127.0.0.1';
  gateway = await startGateway({
    config: {
      listen: [
        { port: 0, address },
        { port: 0, address, engine: 'node' },
      ],
      services: { up: { endpoints: [`http://127.0.0.1:${upstream.port}`] } },
      routes: [
        {
          match: { path: '/changed' },
          to: 'up',
          headers: { response: { remove: ['x-origin'], add: { 'x-new': '1' } } },
        },
        {
          match: { path: '/limited' },
          to: 'up',
          rate: [{ name: 'all', limit: 1000, per: '1h', key: 'route' }],
        },
        { match: { path: '/*' }, to: 'up' },
      ],
    },
  });
});

after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});

/** One request on a connection of its own; the answer as a byte string, without its date. */
async function ask(port: number, line: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n`);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(socket, 'close', { signal: AbortSignal.timeout(WAIT_MS_MAX) });
  assert.equal(text.match(/^date:/gim)?.length, 1, text);
  assert.ok(!/then|keep-alive|reason/i.test(text), text);
  return text.replace(/^date: .*\r\n/im, '');
}

for (const [index, engine] of ['uws', 'node'].entries()) {
  describe(`heads that repeat, on the ${engine} engine`, { timeout: 60_000 }, () => {
    it('leave every answer its own', async () => {
      const send = (line: string) => ask(gateway.ports[index]!, line);
      for (let round = 0; round < ROUNDS_COUNT; round++) {
        for (const line of ['GET /plain', 'GET /pieces', 'POST /plain']) {
          const text = await send(line);
          assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
          assert.match(text, /^x-origin: gr\xfcn\r$/m, `${line}, round ${round}`);
          assert.match(text, /^content-length: 5\r$/im);
          assert.ok(text.endsWith('\r\n\r\nhello'), text);
          assert.ok(!/x-new|ratelimit/i.test(text), text);
        }
        const changed = await send('GET /changed');
        assert.ok(changed.includes('\r\nx-new: 1\r\n') && !changed.includes('x-origin'), changed);
        const limited = await send('GET /limited');
        assert.match(limited, /^ratelimit: "all";r=\d+;t=\d+\r$/m);
        assert.ok(limited.includes('\r\nx-origin: gr\xfcn\r\n'), limited);
        const bare = await send('HEAD /plain');
        assert.match(bare, /^content-length: 5\r$/im);
        assert.ok(bare.endsWith('\r\n\r\n'), bare);
      }
    });
  });
}
