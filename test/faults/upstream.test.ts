// Everything an upstream can do wrong, as the client, the metrics and the access log see it: one
// status and one reason each.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { ask, assertProblem, open, untilTrue } from '../support/client.ts';
import { freePort, type GatewayProcess, startGateway } from '../support/gateway.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';
import { UPSTREAM_TEST_CERT, UPSTREAM_TEST_KEY } from '../support/tls-fixture.ts';
import { type RawServer, rawServer } from '../support/upstream.ts';

interface Fault {
  readonly name: string;
  readonly status: number;
  readonly reason: number;
  readonly service: object;
}

for (const engine of ['uws', 'node'] as const) {
  describe(`an upstream that fails, on ${engine}`, { timeout: 60_000 }, () => {
    let gateway: GatewayProcess;
    let faults: readonly Fault[];
    const servers: RawServer[] = [];
    const folder = mkdtempSync(join(tmpdir(), 'sluice-faults-'));
    let tls: TlsServer;

    const say = async (answer: (socket: Socket) => void) => {
      const server = await rawServer(answer);
      servers.push(server);
      return `http://127.0.0.1:${server.port}`;
    };

    before(async () => {
      tls = createTlsServer({ cert: UPSTREAM_TEST_CERT, key: UPSTREAM_TEST_KEY }, (socket) => {
        socket.on('error', () => {});
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      });
      await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
      const { port } = tls.address() as { port: number };
      const ca = join(folder, 'ca.pem');
      writeFileSync(ca, UPSTREAM_TEST_CERT);
      const silent = await say(() => {});
      const one = (name: string, status: number, reason: number, service: object): Fault => ({
        name,
        status,
        reason,
        service,
      });
      faults = [
        one('refused', 502, 101, { endpoints: [`http://127.0.0.1:${await freePort()}`] }),
        one('reset', 502, 102, { endpoints: [await say((socket) => socket.resetAndDestroy())] }),
        one('closed', 502, 102, { endpoints: [await say((socket) => socket.end())] }),
        one('half-a-head', 502, 102, {
          endpoints: [await say((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-'))],
        }),
        one('garbage', 502, 103, {
          endpoints: [await say((socket) => socket.end('SSH-2.0\r\n\r\n'))],
        }),
        one('two-lengths', 502, 103, {
          endpoints: [
            await say((socket) =>
              socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'),
            ),
          ],
        }),
        // Beyond 599 the listener refused to send the answer: 500, and the gateway took the blame.
        ...(await Promise.all(
          ['000', '099', '101', '600', '999'].map(async (digits) =>
            one(`status-${digits}`, 502, 103, {
              endpoints: [
                await say((socket) =>
                  socket.end(`HTTP/1.1 ${digits} Odd\r\ncontent-length: 2\r\n\r\nab`),
                ),
              ],
            }),
          ),
        )),
        one('untrusted', 502, 104, { endpoints: [`https://127.0.0.1:${port}`] }),
        one('other-name', 502, 104, {
          endpoints: [`https://127.0.0.1:${port}`],
          tls: { ca, serverName: 'somebody.test' },
        }),
        one('not-tls', 502, 104, {
          endpoints: [
            (await say((socket) => socket.end('HTTP/1.1 400 no\r\n\r\n'))).replace('http', 'https'),
          ],
        }),
        one('no-name', 502, 105, { endpoints: ['http://no-such-host.invalid:80'] }),
        one('slow-handshake', 504, 201, {
          endpoints: [silent.replace('http', 'https')],
          timeouts: { connect: '200ms' },
        }),
        one('slow-answer', 504, 204, { endpoints: [silent], timeouts: { request: '200ms' } }),
      ];
      const services = Object.fromEntries(
        faults.map(({ name, service }) => [name, { timeouts: { connect: '5s' }, ...service }]),
      );
      gateway = await startGateway({
        config: {
          services: {
            ...services,
            'tls-good': {
              endpoints: [`https://127.0.0.1:${port}`],
              tls: { ca, serverName: 'upstream.test' },
            },
          },
          routes: [...faults.map(({ name }) => name), 'tls-good'].map((name) => ({
            name,
            match: { path: `/${name}` },
            to: name,
          })),
          log: { access: 'json' },
        },
        listener: { engine },
      });
    });
    after(async () => {
      assert.equal(await gateway.stop(), 0);
      for (const server of servers) await server.stop();
      tls.close();
      rmSync(folder, { recursive: true });
    });

    it('is answered for with its own status and reason, and counted', async () => {
      for (const { name, status, reason } of faults) {
        const answer = await ask(`${gateway.url}/${name}`);
        assertProblem(answer, status, reason);
        const families = parseExposition(await gateway.metrics());
        const labels = { route: name, service: name, code_class: '5xx' };
        assert.equal(sampleValue(families, 'sluice_requests_total', labels), 1, name);
        assert.equal(sampleValue(families, 'sluice_service_errors_total', { service: name }), 1);
        const family = { route: name, family: `${Math.floor(reason / 100)}xx` };
        assert.equal(sampleValue(families, 'sluice_route_refused_total', family), 1);
      }
      await untilTrue(() => gateway.output().trim().split('\n').length >= faults.length);
      const lines = gateway
        .output()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      for (const { name, status, reason } of faults) {
        const line = lines.find(({ route }) => route === name);
        assert.deepEqual([line.status, line.reason, line.service], [status, reason, name]);
      }
    });

    it('does not stop one over TLS that is as it should be', async () => {
      const answer = await ask(`${gateway.url}/tls-good`);
      assert.deepEqual([answer.status, answer.body], [200, 'ok']);
    });
  });
}

describe('an upstream that is slow or full', { timeout: 60_000 }, () => {
  it('fails an idle exchange: 504 before the head, cut after it', async () => {
    const upstream = await rawServer((socket, text) => {
      if (text.startsWith('GET /part')) {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart');
      }
    });
    const gateway = await startGateway({
      config: {
        services: {
          slow: {
            endpoints: [`http://127.0.0.1:${upstream.port}`],
            timeouts: { idle: '300ms', request: '20s' },
          },
        },
        routes: [{ name: 'slow', match: { path: '/*' }, to: 'slow' }],
      },
    });
    const headers = { 'content-length': '10' };
    const halfUpload = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = open(`${gateway.url}/none`, { method: 'POST', headers }, resolve);
      request.on('error', reject);
      request.write('half');
    });
    assert.equal(halfUpload.statusCode, 504);
    assert.equal(halfUpload.headers['x-sluice-reason'], '205');
    halfUpload.destroy();
    await assert.rejects(ask(`${gateway.url}/part`), { code: 'ECONNRESET' });
    const families = parseExposition(await gateway.metrics());
    const refused = families.get('sluice_refused_total')!.samples;
    assert.equal(refused.find(({ labels }) => labels.reason === '205')?.value, 2);
    assert.equal(await gateway.stop(), 0);
    await upstream.stop();
  });

  it('refuses what finds no connection and no place to wait, and what waits too long', async () => {
    const held: Socket[] = [];
    const upstream = await rawServer((socket) => held.push(socket));
    const service = (pending: number) => ({
      endpoints: [`http://127.0.0.1:${upstream.port}`],
      pool: { connections: 1, pending },
      timeouts: { connect: '300ms' },
    });
    const gateway = await startGateway({
      config: {
        workers: { io: 1 },
        services: { full: service(1), waiting: service(1) },
        routes: [{ name: 'full', match: { path: '/full' }, to: 'full' }],
      },
    });
    const first = ask(`${gateway.url}/full`);
    await untilTrue(() => held.length === 1);
    const rest = await Promise.all([1, 2, 3].map(() => ask(`${gateway.url}/full`)));
    const reasons = rest.map(({ headers }) => headers['x-sluice-reason']).sort();
    assert.deepEqual(reasons, ['116', '116', '201']);
    for (const answer of rest) {
      const reason = Number(answer.headers['x-sluice-reason']);
      assertProblem(answer, reason === 116 ? 503 : 504, reason);
    }
    held[0]!.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    assert.equal((await first).body, 'ok');
    assert.equal(await gateway.stop(), 0);
    await upstream.stop();
  });
});
