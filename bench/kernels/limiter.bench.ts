// One take from a token bucket: the kernel, the test oracle, and rate-limiter-flexible's memory
// limiter, over the same keys of 20 characters. The last answers through a promise, so that it is
// awaited in runs of a hundred. Does not measure contention between threads, nor refusals of the
// library, which it makes by throwing. `sizeFactor` 1 is real; a small one proves that it runs.

import { pathToFileURL } from 'node:url';
import Benchmark from 'benchmark';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { initialiseLimiter, Limiter } from '../../host/kernels/index.ts';
import { LimiterOracle } from '../../test/kernels/limiter-oracle.ts';
import { edgeImage, edgeInstance } from '../../test/support/wasm.ts';

const KEYS_COUNT = 1024;
const SECONDS_EACH = 2;
const AWAITED_COUNT = 100;
const RULE = { limit: 1e9, perMs: 1000, burst: 1e6 };
/** Time between two takes, so that the bucket never runs dry. Units: ms. */
const STEP_MS = 0.0001;

const KEYS = Array.from({ length: KEYS_COUNT }, (_, index) =>
  // A flat string, as a parser of requests makes it, not a rope.
  Buffer.from(`user-${100_000_000_000_000 + index}`).toString('latin1'),
);

/** Reports takes per second, named `limiter/<subject>`. */
export async function run(
  report: (name: string, opsPerSecond: number) => void,
  sizeFactor: number,
): Promise<void> {
  const seconds = SECONDS_EACH * sizeFactor;
  const limiter = createLimiter();
  const policy = limiter.policy('bench/per-user', RULE);
  const narrow = limiter.policy('bench/refused', { limit: 1, perMs: 60_000, burst: 1 });
  const pair = ['bench/first', 'bench/second'].map((name) => limiter.policy(name, RULE));
  const pairKeys = ['', ''];
  const oracle = new LimiterOracle();
  const oraclePolicy = oracle.policy('bench/per-user', RULE);

  const subjects: Readonly<Record<string, (key: string, nowMs: number) => boolean>> = {
    kernel: (key, nowMs) => limiter.take(policy, key, nowMs),
    'kernel-refused': (key) => limiter.take(narrow, key, 1000),
    'kernel-two-policies': (key, nowMs) => {
      pairKeys[0] = key;
      pairKeys[1] = key;
      return limiter.takeAll(pair, pairKeys, nowMs) === -1;
    },
    oracle: (key, nowMs) => oracle.take(oraclePolicy, key, nowMs),
  };
  for (const [name, take] of Object.entries(subjects)) {
    report(`limiter/${name}`, measure(take, seconds));
    // A turn of the event loop, so that a runner may print or stop.
    await new Promise((resolve) => setImmediate(resolve));
  }
  report('limiter/rate-limiter-flexible', await measureFlexible(seconds));
}

function createLimiter(): Limiter {
  const image = edgeImage();
  initialiseLimiter(image, { seed: new Uint8Array(16).fill(42) });
  return new Limiter(edgeInstance(image));
}

function measure(take: (key: string, nowMs: number) => boolean, seconds: number): number {
  let index = 0;
  let granted = 0;
  const bench = new Benchmark(
    () => {
      const key = KEYS[index & (KEYS_COUNT - 1)]!;
      if (take(key, 1000 + index * STEP_MS)) granted += 1;
      index += 1;
    },
    { maxTime: seconds, minSamples: 1, minTime: Math.min(0.05, seconds / 10) },
  );
  bench.run();
  if (granted === 0) throw new Error('nothing was granted while measured');
  return bench.hz;
}

async function measureFlexible(seconds: number): Promise<number> {
  const limiter = new RateLimiterMemory({ points: Number.MAX_SAFE_INTEGER, duration: 3600 });
  let index = 0;
  const takeSome = async () => {
    for (let taken = 0; taken < AWAITED_COUNT; ++taken) {
      await limiter.consume(KEYS[index++ & (KEYS_COUNT - 1)]!);
    }
  };
  const opsPerSecond = await new Promise<number>((resolve, reject) => {
    const bench = new Benchmark(
      (deferred: { resolve(): void }) => {
        takeSome().then(() => deferred.resolve(), reject);
      },
      {
        defer: true,
        maxTime: seconds,
        minSamples: 1,
        minTime: Math.min(0.05, seconds / 10),
        onComplete: () => resolve(bench.hz * AWAITED_COUNT),
      },
    );
    bench.run();
  });
  // Its buckets hold a timer each, of an hour.
  await Promise.all(KEYS.map((key) => limiter.delete(key)));
  return opsPerSecond;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run(
    (name, opsPerSecond) => {
      const rate = Math.round(opsPerSecond).toLocaleString('en');
      console.log(`${name.padEnd(32)} ${rate}/s, ${(1e9 / opsPerSecond).toFixed(1)} ns each`);
    },
    Number(process.argv[2] ?? 1),
  );
}
