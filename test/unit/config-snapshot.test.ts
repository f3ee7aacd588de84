// The snapshot that workers read: what goes in comes out, in place, in other threads; damage is an
// error.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import {
  type Config,
  encodeSnapshot,
  loadConfig,
  openSnapshot,
  type Snapshot,
} from '../../host/config/index.ts';
import { isGatewayError, SeededRandom } from '../../host/core/index.ts';
import { anyConfig } from '../support/config-arbitrary.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

const HEADER_SIZE_BYTES = 32;

/** Boots a thread that reads TypeScript. */
const READER = `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(${JSON.stringify(new URL('../support/snapshot-reader.ts', import.meta.url).href)});
});`;

function goldenConfig(): Config {
  const text = readFileSync('test/golden/config/full.yaml', 'utf8');
  const result = loadConfig(text, 'conf/full.yaml', 4);
  assert.ok(result.ok);
  return result.config;
}

function readAll(snapshot: Snapshot): Config {
  const indices = (count: number) => Array.from({ length: count }, (_, index) => index);
  return {
    listeners: snapshot.listeners,
    trustedProxies: snapshot.trustedProxies,
    admin: snapshot.admin,
    workers: snapshot.workers,
    services: indices(snapshot.serviceCount).map((index) => snapshot.service(index)),
    routes: indices(snapshot.routeCount).map((index) => snapshot.route(index)),
    log: snapshot.log,
    plugins: snapshot.plugins,
    pluginStore: snapshot.pluginStore,
    distribution: snapshot.distribution,
    db: snapshot.db,
  };
}

function copyOf(buffer: SharedArrayBuffer, sizeBytes = buffer.byteLength): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(sizeBytes);
  new Uint8Array(copy).set(new Uint8Array(buffer).subarray(0, sizeBytes));
  return copy;
}

describe('the configuration snapshot', () => {
  it('holds the golden configuration', () => {
    const config = goldenConfig();
    const snapshot = openSnapshot(encodeSnapshot(config, 7));
    assert.equal(snapshot.generation, 7);
    assert.deepEqual(readAll(snapshot), config);
    assert.equal(snapshot.routeName(0), 'pay');
    assert.equal(snapshot.routeName(1), 'route-1');
  });

  it('holds any configuration', () => {
    const seed = testSeed('config snapshot round trip');
    const property = fc.property(anyConfig, fc.maxSafeNat(), (config, generation) => {
      const snapshot = openSnapshot(encodeSnapshot(config, generation));
      assert.equal(snapshot.generation, generation);
      assert.deepEqual(readAll(snapshot), config);
      for (const [index, { name }] of config.routes.entries()) {
        assert.equal(snapshot.routeName(index), name);
      }
    });
    fc.assert(property, { seed, numRuns: 200, interruptAfterTimeLimit: FUZZ_TIME_MS });
  });

  it('is read in place by another thread', async () => {
    const config = goldenConfig();
    const worker = new Worker(READER, { eval: true, workerData: encodeSnapshot(config, 9) });
    try {
      const [seen] = await once(worker, 'message');
      const service = config.services.at(-1);
      assert.deepEqual(seen, { generation: 9, route: config.routes[0], service });
    } finally {
      await worker.terminate();
    }
  });

  it('is compact: routes that are alike cost less than 100 bytes each', () => {
    const count = 10_000;
    const routes = Array.from({ length: count }, (_, index) => ({
      name: `r${index}`,
      match: { host: `h${index % 50}.example.com`, path: `/api/x${index}/{id}`, methods: ['GET'] },
      to: 'a',
      rate: [{ limit: 10, per: '1s', key: 'client.ip' }],
    }));
    const file = { listen: [{ port: 0 }], services: { a: { endpoints: ['http://a'] } }, routes };
    const result = loadConfig(JSON.stringify(file), 'x.json');
    assert.ok(result.ok);
    const buffer = encodeSnapshot(result.config, 1);
    assert.ok(buffer.byteLength < count * 100, `${buffer.byteLength / count} bytes a route`);
    assert.deepEqual(openSnapshot(buffer).route(count - 1), result.config.routes[count - 1]);
  });

  it('refuses an index outside its lists', () => {
    const snapshot = openSnapshot(encodeSnapshot(goldenConfig(), 1));
    for (const index of [-1, snapshot.routeCount, 0.5, Number.NaN]) {
      assert.throws(() => snapshot.route(index), RangeError);
      assert.throws(() => snapshot.service(index), RangeError);
      assert.throws(() => snapshot.routeName(index), RangeError);
    }
  });
});

describe('a damaged snapshot', () => {
  const whole = encodeSnapshot(goldenConfig(), 1);

  it('is refused when magic, version or size are not its own', () => {
    for (const offset of [0, 4, 16, 20]) {
      const copy = copyOf(whole);
      new Uint8Array(copy)[offset]! ^= 1;
      assert.throws(() => openSnapshot(copy), isGatewayError);
    }
  });

  it('is refused at every length', () => {
    for (let sizeBytes = 0; sizeBytes < whole.byteLength; sizeBytes += 7) {
      assert.throws(() => openSnapshot(copyOf(whole, sizeBytes)), isGatewayError);
    }
  });

  it('is refused with any bit flipped', () => {
    const seed = testSeed('config snapshot damage');
    const random = new SeededRandom(seed);
    for (let run = 0; run < 2_000; run++) {
      const copy = copyOf(whole);
      const bit = random.uint32() % (whole.byteLength * 8);
      new Uint8Array(copy)[bit >> 3]! ^= 1 << (bit & 7);
      assert.throws(() => openSnapshot(copy), isGatewayError, `SEED=${seed} bit ${bit}`);
    }
  });

  it('with a checksum that fits gives values or an error, and ends', () => {
    const seed = testSeed('config snapshot forgery');
    const random = new SeededRandom(seed);
    const deadlineMs = Date.now() + FUZZ_TIME_MS;
    for (let run = 0; run < 3_000 && Date.now() < deadlineMs; run++) {
      const copy = copyOf(whole);
      const bytes = new Uint8Array(copy);
      for (let flips = 1 + (random.uint32() % 4); flips > 0; flips--) {
        const place = HEADER_SIZE_BYTES + (random.uint32() % (bytes.length - HEADER_SIZE_BYTES));
        bytes[place] = random.uint32() & 0xff;
      }
      reseal(copy);
      try {
        readAll(openSnapshot(copy));
      } catch (cause) {
        assert.ok(isGatewayError(cause), `SEED=${seed} run ${run}: ${cause}`);
      }
    }
  });
});

/** Writes the checksum that fits: FNV-1a over the words, its own left out. */
function reseal(buffer: SharedArrayBuffer): void {
  const words = new Int32Array(buffer);
  let hash = 0x811c9dc5;
  for (const [index, word] of words.entries()) {
    if (index !== 5) hash = Math.imul(hash ^ word, 0x01000193);
  }
  words[5] = hash;
}
