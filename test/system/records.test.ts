// What a gateway records of its answers, read from the access log and the metrics of a real one.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { ask, open, untilTrue } from '../support/client.ts';
import { freePort, type GatewayProcess, startGateway } from '../support/gateway.ts';
import { startOrigin } from '../support/origin.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';

interface Line {
  readonly path: string;
  readonly method: string;
  readonly status: number;
  readonly reason: number;
  readonly bytesOut: number;
  readonly detail?: string;
}

async function lineOf(gateway: GatewayProcess, path: string, method = 'GET'): Promise<Line> {
  const lines = () =>
    gateway
      .output()
      .split('\n')
      .slice(0, -1)
      .map((text) => JSON.parse(text) as Line)
      .filter((line) => line.path === path && line.method === method);
  await untilTrue(() => lines().length > 0);
  return lines()[0]!;
}

for (const engine of ['uws', 'node'] as const) {
  describe(`records on ${engine}`, { timeout: 60_000 }, () => {
    let gateway: GatewayProcess;
    let deadPort: number;

    before(async () => {
      deadPort = await freePort();
      gateway = await startGateway({
        listener: { engine },
        config: {
          log: { access: 'json' },
          services: { dead: { endpoints: [`http://127.0.0.1:${deadPort}`] } },
          routes: [
            { name: 'fixed', match: { path: '/fixed' }, respond: { body: 'grüße' } },
            { name: 'dead', match: { path: '/dead' }, to: 'dead' },
          ],
        },
      });
    });
    after(() => gateway.stop());

    // Fixed answers once counted as 0 bytes, in the log and in the metrics.
    it('counts the bytes of a fixed answer, and none for HEAD', async () => {
      assert.equal((await ask(`${gateway.url}/fixed`)).body, 'grüße');
      await ask(`${gateway.url}/fixed`, { method: 'HEAD' });
      assert.equal((await lineOf(gateway, '/fixed')).bytesOut, 7);
      assert.equal((await lineOf(gateway, '/fixed', 'HEAD')).bytesOut, 0);
      const families = parseExposition(await gateway.metrics());
      const labels = { route: 'fixed' };
      assert.equal(sampleValue(families, 'sluice_response_bytes_total', labels), 7);
      const refused = await ask(`${gateway.url}/nowhere`);
      const { bytesOut } = await lineOf(gateway, '/nowhere');
      assert.equal(bytesOut, Buffer.byteLength(refused.body));
    });

    // A 502 told every client the address that the upstream has inside.
    it('keeps the address of an upstream for the log', async () => {
      const answer = await ask(`${gateway.url}/dead`);
      assert.equal(answer.status, 502);
      assert.doesNotMatch(answer.body, /127\.0\.0\.1|detail/);
      const line = await lineOf(gateway, '/dead');
      assert.match(line.detail!, new RegExp(`ECONNREFUSED 127\\.0\\.0\\.1:${deadPort}`));
    });
  });

  describe(`a drain on ${engine}`, { timeout: 60_000 }, () => {
    // It was logged as if the client had left.
    it('is what cut an answer that it did not wait for', async () => {
      const held: ServerResponse[] = [];
      const origin = await startOrigin('stuck', (_request, response) => {
        response.writeHead(200, { 'content-length': '10' });
        response.write('part');
        held.push(response);
      });
      const gateway = await startGateway({
        listener: { engine },
        flags: ['--drain-timeout', '200ms'],
        config: {
          log: { access: 'json' },
          services: { origin: { endpoints: [origin.url] } },
          routes: [{ match: { path: '/*' }, to: 'origin' }],
        },
      });
      const begun = new Promise<void>((resolve) => {
        const request = open(`${gateway.url}/cut`, {}, (response) => {
          response.on('data', () => resolve());
          response.on('error', () => {});
        });
        request.on('error', () => {});
        request.end();
      });
      await begun;
      await gateway.stop();
      const { status, reason } = await lineOf(gateway, '/cut');
      assert.deepEqual([status, reason], [200, 620]);
      await origin.stop();
    });
  });
}
