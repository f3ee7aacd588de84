// What anybody may send or a disk may hold, read by every parser of distribution: it is taken or
// refused with a code of ours, and nothing else ever comes out.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isGatewayError, SeededRandom } from '../../host/core/index.ts';
import { readState } from '../../host/distribution/channel-state.ts';
import { checkedContent } from '../../host/distribution/checked-json.ts';
import { openHead, openManifest, readManifest } from '../../host/distribution/documents.ts';
import { openEnvelope, peekEnvelope, sealEnvelope } from '../../host/distribution/envelope.ts';
import { parseReleaseOptions } from '../../host/distribution/release-options.ts';
import { openTrustRoot, readTrustRoot } from '../../host/distribution/trust-root.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { rootOf, sealRoot, testKey } from '../support/trust-scene.ts';

const seed = testSeed('distribution parsers');
const random = new SeededRandom(seed);
const key = testKey();
const trust = rootOf({ root: [key], release: [key], head: [key] });

const MANIFEST = {
  type: 'release',
  channel: 'app',
  sequence: 7,
  version: '1.4.0',
  createdAtMs: 5,
  entryPoints: ['main.js'],
  files: [
    { path: 'lib/a.js', sha256: 'a'.repeat(64), sizeBytes: 1, priority: 'idle' },
    { path: 'main.js', sha256: 'b'.repeat(64), sizeBytes: 2, priority: 'critical' },
  ],
  pack: { sha256: 'c'.repeat(64), sizeBytes: 3 },
  rollbackOf: '1.3.0',
};
const STATE = {
  channel: 'app',
  generation: 3,
  isPacked: true,
  releases: [
    {
      sequence: 7,
      version: '1.4.0',
      salt: 'x',
      state: 'active',
      rollout: 100,
      schedule: [
        { atMs: 1, rollout: 200 },
        { atMs: 2, rollout: 300 },
      ],
      targeting: {
        appVersion: '>=1.0.0 <2',
        platforms: ['ios'],
        regions: null,
        devices: ['d'],
        attributes: { tier: ['gold'] },
      },
      halt: { failureShare: 0.1, minimumCount: 5 },
      createdAtMs: 5,
      manifest: { sha256: 'c'.repeat(64), sizeBytes: 3 },
      isBuiltIn: false,
    },
  ],
};

/** Values that tend to find what a check forgot. */
const ODD: readonly unknown[] = [
  ...[null, true, 0, -1, 1.5, 1e308, 2 ** 53, '', ' ', '..', '../../etc/passwd', '__proto__'],
  ...[
    [],
    {},
    [[]],
    { length: 3 },
    'a'.repeat(300),
    '\u0000',
    '\ud800',
    'constructor',
    'b'.repeat(64),
  ],
];

function pick<T>(list: readonly T[]): T {
  return list[random.uint32() % list.length]!;
}

/** The value with something in it changed, removed, added or moved. */
function mutated(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || random.uint32() % 5 === 0) return pick(ODD);
  if (Array.isArray(value)) {
    const copy = [...value];
    const at = random.uint32() % (copy.length + 1);
    const kind = random.uint32() % 8;
    if (kind < 2) copy.splice(at, 1);
    else if (kind === 2) copy.splice(at, 0, copy[0]);
    else copy[at] = mutated(copy[at]);
    return copy;
  }
  const copy: Record<string, unknown> = { ...value };
  const name = pick([...Object.keys(copy), '__proto__', 'toString', 'extra']);
  if (random.uint32() % 6 === 0) delete copy[name];
  else {
    const inner = Object.hasOwn(copy, name) ? mutated(copy[name]) : pick(ODD);
    Object.defineProperty(copy, name, { value: inner, enumerable: true, configurable: true });
  }
  return copy;
}

function changedBytes(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let count = 1 + (random.uint32() % 4); count > 0; --count) {
    copy[random.uint32() % copy.length] = random.uint32();
  }
  return random.uint32() % 4 === 0 ? copy.subarray(0, random.uint32() % copy.length) : copy;
}

function bytesOf(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value) ?? '', 'utf8');
}

interface Outcomes {
  takenCount: number;
  refusedCount: number;
}

const RUNS_COUNT_MIN = 400;

/** Runs a parser over mutations for its share of the time. */
function fuzz(name: string, run: () => void): Outcomes {
  const outcomes: Outcomes = { takenCount: 0, refusedCount: 0 };
  const endMs = Date.now() + FUZZ_TIME_MS / 4;
  // A busy machine takes longer for the least there is.
  while (Date.now() < endMs || outcomes.takenCount + outcomes.refusedCount < RUNS_COUNT_MIN) {
    try {
      run();
      outcomes.takenCount += 1;
    } catch (error) {
      assert.ok(isGatewayError(error), `${name}, SEED=${seed}: ${(error as Error).stack}`);
      assert.match(error.code, /^GW_DIST_/, name);
      const { message } = error as unknown as Error;
      assert.ok(message.length < 1000 && !/[\n\0]/.test(message), `${name}: ${message}`);
      outcomes.refusedCount += 1;
    }
  }
  assert.ok(outcomes.refusedCount > 100, `${name}: ${JSON.stringify(outcomes)}`);
  return outcomes;
}

describe('mutations', () => {
  it('of a manifest', () => {
    readManifest(MANIFEST);
    const { takenCount } = fuzz('manifest', () => {
      const manifest = readManifest(mutated(MANIFEST));
      assert.deepEqual(readManifest(JSON.parse(JSON.stringify(manifest))), manifest);
    });
    assert.ok(takenCount > 0);
  });

  it('of a state', () => {
    readState(STATE, 'app');
    const { takenCount } = fuzz('state', () => {
      const state = readState(JSON.parse(JSON.stringify(mutated(STATE)) ?? 'null'), 'app');
      const text = JSON.stringify(state);
      assert.equal(JSON.stringify(readState(JSON.parse(text), 'app')), text);
    });
    assert.ok(takenCount > 0);
  });

  it('of a trust root', () => {
    fuzz('root', () => readTrustRoot(mutated(trust)));
  });

  it('of the options of a folder', () => {
    const options = { entryPoints: ['a', 'b'], priorities: { 'a/': 'idle', b: 'critical' } };
    fuzz('options', () => parseReleaseOptions(bytesOf(mutated(options))));
  });

  it('of envelopes never pass for signed', () => {
    const sealed = sealEnvelope('release', MANIFEST, [key.signer]);
    const parsed = JSON.parse(Buffer.from(sealed).toString('utf8'));
    fuzz('envelope', () => {
      const isByBytes = random.uint32() % 2 === 0;
      const bytes = isByBytes ? changedBytes(sealed) : bytesOf(mutated(parsed));
      const manifest = openManifest(bytes, trust);
      // Taken: then what was changed is not what was signed.
      assert.deepEqual(manifest, MANIFEST);
    });
  });

  it('of payloads that somebody signed', () => {
    fuzz('signed', () => {
      openManifest(sealEnvelope('release', Object(mutated(MANIFEST)), [key.signer]), trust);
    });
  });
});

describe('noise', () => {
  const sealedRoot = sealRoot(trust, [key]);

  it('is refused by all that read bytes', () => {
    const readers: readonly ((bytes: Uint8Array) => unknown)[] = [
      (bytes) => openManifest(bytes, trust),
      (bytes) => openHead(bytes, trust),
      (bytes) => openTrustRoot(bytes),
      (bytes) => openEnvelope(bytes, 'root', trust, 'root'),
      (bytes) => peekEnvelope(bytes, 'head'),
      (bytes) => checkedContent(bytes, 'noise'),
      (bytes) => parseReleaseOptions(bytes),
    ];
    fuzz('noise', () => {
      const bytes = Uint8Array.from({ length: random.uint32() % 200 }, () => random.uint32());
      pick(readers)(random.uint32() % 2 === 0 ? bytes : changedBytes(sealedRoot));
    });
  });

  // A complaint shows the value it is about, and JSON.stringify overflowed the stack on one that
  // was nested deep: an error without a code, from anybody who could send 64 KiB.
  it('nested deep is refused and overflows nothing', () => {
    const deep = Buffer.from('['.repeat(200_000) + ']'.repeat(200_000));
    for (const read of [checkedContent, (bytes: Uint8Array) => openTrustRoot(bytes)]) {
      assert.throws(
        () => read(deep, 'deep'),
        (error) => isGatewayError(error),
      );
    }
    const text = `{"sha256":"${'a'.repeat(64)}","content":${deep.toString()}}`;
    assert.throws(
      () => checkedContent(Buffer.from(text), 'deep'),
      (error) => isGatewayError(error),
    );
  });
});
