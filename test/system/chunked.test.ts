// What a chunk extension comes to through a real gateway: a listener that takes no chunked
// requests, and one on uWS, where the service's timeout ends a request whose end uWS has not seen.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.ts';
import { startOrigin } from '../support/origin.ts';

const EXTENDED =
  'POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2;a\r\nxx\r\n0\r\n\r\n';

/** Sends the text and waits for the end of the connection. */
async function untilClosed(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1');
  });
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

describe('a chunked request', { timeout: 60_000 }, () => {
  for (const engine of ['uws', 'node'] as const) {
    it(`is answered with 411 on ${engine} where the listener is to refuse it`, async () => {
      const config = { routes: [{ match: { path: '/*' }, respond: { body: 'hello' } }] };
      const gateway = await startGateway({ config, listener: { engine, chunked: 'refuse' } });
      const answer = await untilClosed(gateway.port, EXTENDED);
      assert.match(answer, /^HTTP\/1\.1 411 /);
      assert.match(answer, /x-sluice-reason: 305\r\n/i);
      assert.match(await gateway.metrics(), /sluice_refused_total\{[^}]*reason="305"[^}]*\} 1\n/);
      assert.equal(await gateway.stop(), 0);
    });
  }

  it('whose end uWS does not see is ended by the timeout of its service, and closed', async () => {
    const origin = await startOrigin('origin');
    const timeouts = { idle: '300ms' };
    const config = {
      services: { origin: { endpoints: [origin.url], timeouts } },
      routes: [{ match: { path: '/*' }, to: 'origin' }],
    };
    const gateway = await startGateway({ config });
    const answer = await untilClosed(gateway.port, EXTENDED);
    assert.match(answer, /^HTTP\/1\.1 504 /);
    assert.match(answer, /x-sluice-reason: 205\r\n/i);
    assert.match(answer, /connection: close\r\n/i);
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
  });
});
