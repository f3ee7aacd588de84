// CPU of the upstream client per request, against a bare `node:net` upstream in another process.
// It does not measure the listener, matching or latency.
// Run: npx tsx bench/upstream-client.bench.ts [requests] [in flight] [pipeline]

import { fork } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Progress, systemClock, systemRandom, UploadBudget } from '../host/core/index.ts';
import {
  Deadlines,
  type UpstreamHandler,
  UpstreamPool,
  type UpstreamRequest,
} from '../host/mesh/index.ts';

const BODY = JSON.stringify({ id: 4711, name: 'red packet', amount: 888, owner: 'u-1029384756' });
const RESPONSE =
  'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n' +
  `Content-Length: ${BODY.length}\r\nDate: Mon, 23 Nov 2026 20:00:00 GMT\r\n` +
  `Connection: keep-alive\r\nKeep-Alive: timeout=60\r\nCache-Control: no-store\r\n\r\n${BODY}`;

const request: UpstreamRequest = {
  method: 'GET',
  target: '/api/pay/4711?currency=cny',
  headers: [
    ...['host', 'pay.example.com', 'user-agent', 'bench/1.0', 'accept', 'application/json'],
    ...['accept-encoding', 'gzip, br', 'x-forwarded-for', '203.0.113.7'],
    ...['x-forwarded-proto', 'https', 'x-request-id', '7d8f2a6c5b4e3f21'],
    ...['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
  ],
  bodySizeBytes: 0,
  connectMs: 1000,
  requestMs: 5000,
  idleMs: 60_000,
};

function serve(): void {
  const one = Buffer.from(RESPONSE, 'latin1');
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      let count = 0;
      for (let at = bytes.indexOf('\r\n\r\n'); at >= 0; at = bytes.indexOf('\r\n\r\n', at + 4)) {
        count += 1;
      }
      socket.write(count === 1 ? one : Buffer.concat(new Array<Buffer>(count).fill(one)));
    });
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.on('disconnect', () => process.exit());
}

class Loop implements UpstreamHandler {
  readonly #pool: UpstreamPool;
  readonly #counter: { left: number; bytes: number; done: () => void };

  constructor(pool: UpstreamPool, counter: { left: number; bytes: number; done: () => void }) {
    this.#pool = pool;
    this.#counter = counter;
  }

  begin(): void {
    this.#pool.send(request, this);
  }

  onHead(): void {}
  onDrain(): void {}

  onChunk(chunk: Uint8Array): void {
    this.#counter.bytes += chunk.length;
  }

  onEnd(): void {
    this.#counter.left -= 1;
    if (this.#counter.left === 0) this.#counter.done();
    else if (this.#counter.left > 0) this.begin();
  }

  onError(code: string, detail: string): void {
    throw new Error(`${code}: ${detail}`);
  }
}

async function run(pool: UpstreamPool, count: number, inFlight: number): Promise<void> {
  const started = process.cpuUsage();
  const startedMs = systemClock.nowMs();
  const counter = { left: count, bytes: 0, done: () => {} };
  const finished = new Promise<void>((resolve) => {
    counter.done = resolve;
  });
  for (let index = 0; index < inFlight; index++) new Loop(pool, counter).begin();
  await finished;
  const used = process.cpuUsage(started);
  const elapsedMs = systemClock.nowMs() - startedMs;
  await sleep(50);
  console.log(
    `${((used.user + used.system) / count).toFixed(2)} us CPU/request ` +
      `(user ${(used.user / count).toFixed(2)}, system ${(used.system / count).toFixed(2)}), ` +
      `${Math.round((1000 * count) / elapsedMs)}/s, ${pool.connectionsCount} connections, ` +
      `${counter.bytes} body bytes`,
  );
}

async function main(): Promise<void> {
  const [count = 200_000, inFlight = 64, pipeline = 1] = process.argv.slice(2).map(Number);
  const server = fork(fileURLToPath(import.meta.url), { env: { ...process.env, SERVE: '1' } });
  const port = await new Promise<number>((resolve) => server.once('message', resolve));
  const endpoint = {
    protocol: 'http' as const,
    host: '127.0.0.1',
    port,
    authority: `127.0.0.1:${port}`,
    weight: 1,
    labels: {},
  };
  const pool = new UpstreamPool(
    endpoint,
    {
      pool: { connectionsMax: 256, pendingMax: 1024, keepAliveMs: 60_000 },
      pipeline,
      tls: { ca: '', serverName: '' },
    },
    {
      clock: systemClock,
      random: systemRandom(),
      deadlines: new Deadlines(systemClock),
      uploadBudget: new UploadBudget(),
      progress: new Progress(() => {}),
    },
  );
  for (let round = 0; round < 3; round++) await run(pool, count, inFlight);
  pool.close();
  server.kill();
}

if (process.env.SERVE === '1') serve();
else await main();
