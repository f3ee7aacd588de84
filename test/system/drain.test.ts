// How a gateway stops: nobody who has been served loses an answer, and what takes too long is cut
// and said.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, type ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import { ask, assertProblem, Load, open, untilTrue } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startOrigin } from '../support/origin.ts';

for (const engine of ['uws', 'node'] as const) {
  describe(`drain on ${engine}`, { timeout: 60_000 }, () => {
    const listener = { engine };

    it('fails no request under load and exits with 0', async () => {
      const origin = await startOrigin('fast');
      const gateway = await startGateway({ config: proxyTo(origin.url), listener });
      const load = new Load({ url: gateway.url, connections: 32, endsWhenRefused: true });
      await load.untilAnswered(500);
      const code = await gateway.stop();
      await load.ended();
      assert.deepEqual(load.failures, []);
      assert.equal(code, 0);
      assert.match(gateway.log(), /draining/);
      await origin.stop();
    });

    it('answers what is in flight, closes its connection, and says so meanwhile', async () => {
      const held: ServerResponse[] = [];
      const origin = await startOrigin('slow', (_request, response) => held.push(response));
      const gateway = await startGateway({ config: proxyTo(origin.url), listener });
      const agent = new Agent({ keepAlive: true });
      const answers = [1, 2, 3, 4].map(() => ask(gateway.url, { agent }));
      await untilTrue(() => held.length === 4);
      const exited = once(gateway.child, 'exit');
      const drain = await ask(`${gateway.adminUrl}/drain`, { method: 'POST' });
      assert.equal(drain.status, 202, drain.body);
      await untilTrue(async () => (await ask(`${gateway.adminUrl}/readyz`)).status === 503);
      assert.match((await ask(`${gateway.adminUrl}/readyz`)).body, /drain/);
      assert.equal((await ask(`${gateway.adminUrl}/healthz`)).status, 200);
      await untilTrue(() =>
        ask(gateway.url).then(
          () => false,
          (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
        ),
      );
      for (const response of held) response.end('in the end');
      for (const { status, body, headers } of await Promise.all(answers)) {
        assert.equal(status, 200);
        assert.equal(body, 'in the end');
        assert.equal(headers.connection, 'close');
      }
      const [code] = await exited;
      assert.equal(code, 0);
      await gateway.stop();
      agent.destroy();
      await origin.stop();
    });

    it('cuts what outlasts the drain timeout, and says how many', async () => {
      const held: ServerResponse[] = [];
      const origin = await startOrigin('stuck', (_request, response) => {
        response.writeHead(200, { 'content-length': '10' });
        response.write('part');
        held.push(response);
      });
      const flags = ['--drain-timeout', '300ms'];
      const gateway = await startGateway({ config: proxyTo(origin.url), listener, flags });
      const cut = [1, 2, 3].map(
        () =>
          new Promise<string>((resolve) => {
            const request = open(gateway.url, {}, (response) => {
              response.resume();
              response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
              response.on('end', () => resolve('a clean end'));
            });
            request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
            request.end();
          }),
      );
      await untilTrue(() => held.length === 3);
      assert.equal(await gateway.stop(), 0);
      assert.deepEqual(await Promise.all(cut), ['ECONNRESET', 'ECONNRESET', 'ECONNRESET']);
      assert.match(gateway.log(), /"abandoned":3/);
      await origin.stop();
    });
  });
}

describe('a second gateway on the same port', { timeout: 60_000 }, () => {
  it('is refused with GW_LISTEN, and the first goes on', async () => {
    const first = await startGateway({ config: { routes: [HELLO] }, ports: 'fixed' });
    const child = spawn(process.execPath, ['dist/sluice.js', 'serve', '-c', first.configPath], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const [code] = await once(child, 'exit');
    assert.equal(code, 1);
    assert.match(said, new RegExp(`127\\.0\\.0\\.1 port ${first.port}.*GW_LISTEN`));
    const answers = await Promise.all([1, 2, 3, 4].map(() => ask(first.url)));
    assert.ok(answers.every(({ body }) => body === 'hello'));
    assert.equal(await first.stop(), 0);
  });
});

describe('a gateway without traffic', { timeout: 60_000 }, () => {
  it('stops at once on SIGINT, and a second signal changes nothing', async () => {
    const gateway = await startGateway({ config: { routes: [HELLO] } });
    assertProblem(await ask(`${gateway.url}/nothing`), 404, 501);
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGINT');
    gateway.child.kill('SIGTERM');
    const [code, signal] = await exited;
    assert.deepEqual([code, signal], [0, null]);
    await gateway.stop();
  });
});

const HELLO = { match: { path: '/' }, respond: { body: 'hello' } };

function proxyTo(url: string) {
  return {
    services: { origin: { endpoints: [url], timeouts: { request: '30s' } } },
    routes: [{ name: 'all', match: { path: '/*' }, to: 'origin' }],
  };
}
