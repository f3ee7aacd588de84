// What counting and logging cost a request. It measures one thread with warm caches, not two
// threads that meet on one histogram bucket, and neither the system call that writes a batch.

import { readFileSync } from 'node:fs';
import benchmark from 'benchmark';
import { createEdgeImage, instantiateEdge, StatsWriter } from '../../host/kernels/index.ts';
import {
  type AccessEntry,
  jsonLine,
  LineTime,
  textLine,
} from '../../host/telemetry/access-line.ts';

const ROUTES_COUNT = 1_000;
/** As the access log hands lines on; a line costs its share of making the bytes. */
const BATCH_SIZE_BYTES = 4_096;

const ENTRY: AccessEntry = {
  wallMs: 1_700_000_000_007,
  clientAddress: '203.0.113.9',
  method: 'GET',
  path: '/api/pay/7?x=1',
  protocol: 'HTTP/1.1',
  route: 'pay',
  service: 'wallet',
  endpoint: '127.0.0.1:9001',
  status: 200,
  reason: 0,
  bytesIn: 12,
  bytesOut: 3_456,
  durationMs: 1.23456,
  detail: '',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
};

/** `sizeFactor` 1 is the real run; a smaller one shortens it. */
export async function run(
  report: (name: string, opsPerSecond: number) => void,
  sizeFactor: number,
): Promise<void> {
  const image = createEdgeImage(new Uint8Array(readFileSync('build/edge.wasm')));
  const stats = new StatsWriter(instantiateEdge(image, 0));
  const time = new LineTime();
  const hostile = { ...ENTRY, path: '/\u001b[2J"\\é'.repeat(4) };
  const bytes = Buffer.alloc(2 * BATCH_SIZE_BYTES);
  let batch = '';
  let turn = 0;
  let length = 0;
  const cases: readonly (readonly [string, () => void])[] = [
    ['stats/record/one-route', () => stats.record(5, 6, 7, 200, 0, turn++ & 4095, 10, 200)],
    [
      'stats/record/1000-routes',
      () => {
        turn = (turn + 1) % ROUTES_COUNT;
        stats.record(2 + turn, 2 + turn, 2 + (turn & 63), 200, 0, turn, 10, 200);
      },
    ],
    ['stats/record/refused', () => stats.record(5, -1, -1, 429, 604, turn++ & 63, 10, 200)],
    [
      'stats/begin-finish',
      () => {
        stats.begin(5, 6, 7);
        stats.finish(5, 6, 7);
      },
    ],
    [
      'access-log/json',
      () => {
        batch += jsonLine(ENTRY, time.text(ENTRY.wallMs + (turn++ & 1023)));
        if (batch.length >= BATCH_SIZE_BYTES) {
          length += bytes.write(batch, 'latin1');
          batch = '';
        }
      },
    ],
    [
      'access-log/text',
      () => {
        length += textLine(ENTRY, time.text(ENTRY.wallMs + (turn++ & 1023))).length;
      },
    ],
    [
      'access-log/json-hostile',
      () => {
        length += jsonLine(hostile, time.text(ENTRY.wallMs)).length;
      },
    ],
  ];
  for (const [name, step] of cases) report(name, await opsPerSecond(name, step, sizeFactor));
  // Used, so that no engine may leave a line unmade.
  if (!(length > 0)) throw new Error('the lines were not made');
}

function opsPerSecond(name: string, step: () => void, sizeFactor: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const bench = new benchmark(name, step, {
      async: true,
      maxTime: 2 * sizeFactor,
      minSamples: Math.max(1, Math.round(20 * sizeFactor)),
    });
    bench.on('complete', () => resolve(bench.hz));
    bench.on('error', () => reject(new Error(`${name} failed`)));
    bench.run();
  });
}
