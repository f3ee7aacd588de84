// The loader's readers of signed documents against the host's writers: two programs, one contract.

import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { hasEd25519 } from '../../client/digest.ts';
import { readHead, readManifest } from '../../client/documents.ts';
import { readEnvelope, verifyEnvelope } from '../../client/envelope.ts';
import { checkResourcePath, foldedPath } from '../../client/resource-path.ts';
import { advanceTrustRoot, hasNewKeys, openTrustRoot } from '../../client/trust-root.ts';
import { openHead, openManifest } from '../../host/distribution/documents.ts';
import { sealEnvelope } from '../../host/distribution/envelope.ts';
import * as hostPath from '../../host/distribution/resource-path.ts';
import {
  advanceTrustRoot as hostAdvance,
  openTrustRoot as hostOpen,
  keyIdOf,
} from '../../host/distribution/trust-root.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

interface Key {
  readonly keyId: string;
  readonly public: string;
  readonly privateKey: KeyObject;
}

function makeKey(): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const der = publicKey.export({ format: 'der', type: 'spki' });
  const text = der.subarray(der.length - 32).toString('base64');
  return { keyId: keyIdOf(text), public: text, privateKey };
}

const rootKeys = [makeKey(), makeKey(), makeKey()];
const releaseKey = makeKey();
const headKey = makeKey();

function rootDocument(version: number, roots: readonly Key[], threshold: number): object {
  const all = [...roots, releaseKey, headKey];
  const keys = Object.fromEntries(
    all.map((key) => [key.keyId, { algorithm: 'ed25519', public: key.public }]),
  );
  const role = (of: readonly Key[], count: number) => {
    return { keyIds: of.map((key) => key.keyId), threshold: count };
  };
  const roles = {
    root: role(roots, threshold),
    release: role([releaseKey], 1),
    head: role([headKey], 1),
  };
  return { type: 'root', version, expiresAtMs: 4e12, keys, roles };
}

const rootOne = sealEnvelope('root', rootDocument(1, rootKeys, 2), rootKeys);
const file = { path: 'a/main.js', sha256: 'a'.repeat(64), sizeBytes: 3, priority: 'critical' };
const manifest = {
  type: 'release',
  channel: 'app',
  sequence: 7,
  version: '1.4.0',
  createdAtMs: 0,
  entryPoints: ['a/main.js'],
  files: [file],
  pack: null,
  rollbackOf: null,
};
const head = {
  type: 'head',
  channel: 'app',
  counter: 93,
  sequence: 7,
  version: '1.4.0',
  manifest: { sha256: 'b'.repeat(64), sizeBytes: 10 },
  issuedAtMs: 0,
  expiresAtMs: 1,
};

describe('signed documents', () => {
  it('has ed25519 here', async () => {
    assert.equal(await hasEd25519(), true);
  });

  it('opens what the host seals', async () => {
    const root = await openTrustRoot(rootOne);
    const sealed = sealEnvelope('release', manifest, [releaseKey]);
    const { type: _, ...expected } = manifest;
    const opened = readManifest(await verifyEnvelope(readEnvelope(sealed, 'release'), root));
    assert.deepEqual(opened, expected);
    const { type: __, ...expectedHead } = head;
    const sealedHead = sealEnvelope('head', head, [headKey]);
    const openedHead = readHead(await verifyEnvelope(readEnvelope(sealedHead, 'head'), root));
    assert.deepEqual(openedHead, expectedHead);
  });

  it('refuses a key of another role, a key twice, and another type', async () => {
    const root = await openTrustRoot(rootOne);
    const wrong = readEnvelope(sealEnvelope('release', manifest, [headKey]), 'release');
    await assert.rejects(verifyEnvelope(wrong, root), { code: 'LOADER_SIGNATURE' });
    const once = rootDocument(2, rootKeys, 2);
    const twice = sealEnvelope('root', once, [rootKeys[0]!, rootKeys[0]!]);
    await assert.rejects(openTrustRoot(twice), { code: 'LOADER_SIGNATURE' });
    const asHead = sealEnvelope('head', manifest, [releaseKey, headKey]);
    assert.throws(() => readEnvelope(asHead, 'release'), { code: 'LOADER_DOCUMENT' });
    const relabelled = JSON.parse(Buffer.from(asHead).toString());
    relabelled.payloadType = 'application/vnd.sluice.release+json';
    const bytes = Buffer.from(JSON.stringify(relabelled));
    await assert.rejects(verifyEnvelope(readEnvelope(bytes, 'release'), root), {
      code: 'LOADER_SIGNATURE',
    });
  });

  it('rotates the root with the thresholds of both versions', async () => {
    const one = await openTrustRoot(rootOne);
    const fresh = [makeKey(), makeKey()];
    const two = rootDocument(2, fresh, 2);
    const both = sealEnvelope('root', two, [rootKeys[0]!, rootKeys[1]!, ...fresh]);
    const advanced = await advanceTrustRoot(one, both);
    assert.equal(advanced.version, hostAdvance(hostOpen(rootOne), both).version);
    assert.equal(hasNewKeys(one, advanced, 'root'), true);
    assert.equal(hasNewKeys(one, advanced, 'head'), false);
    const oldOnly = sealEnvelope('root', two, [rootKeys[0]!, rootKeys[1]!, fresh[0]!]);
    await assert.rejects(advanceTrustRoot(one, oldOnly), { code: 'LOADER_SIGNATURE' });
    const newOnly = sealEnvelope('root', two, [rootKeys[0]!, ...fresh]);
    await assert.rejects(advanceTrustRoot(one, newOnly), { code: 'LOADER_SIGNATURE' });
    const skipped = sealEnvelope('root', rootDocument(3, rootKeys, 2), rootKeys);
    await assert.rejects(advanceTrustRoot(one, skipped), { code: 'LOADER_OLDER' });
    await assert.rejects(advanceTrustRoot(one, rootOne), { code: 'LOADER_OLDER' });
  });

  it('says the same of a path as the host', () => {
    const paths = ['a', 'a/b.js', '', '/a', 'a//b', '../a', 'a/..', 'a\\b', 'C:x', 'nul.txt', 'a.'];
    paths.push('a b', 'é', 'e\u0301', '\ud800', 'a\0', 'x'.repeat(256), 'Com1', 'a/'.repeat(600));
    paths.push('LPT\u00b2.txt', 'conin$', 'com\u00b9', 'com10', 'cont');
    for (const path of paths) {
      const says = (check: (path: string) => string): boolean => {
        try {
          return check(path) === path;
        } catch {
          return false;
        }
      };
      assert.equal(says(checkResourcePath), says(hostPath.checkResourcePath), path);
      assert.equal(foldedPath(path), hostPath.foldedPath(path));
    }
  });
});

/** A small generator of numbers: the same seed, the same run. Source: mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Changes one thing somewhere inside a JSON value. */
function mutate(value: unknown, random: () => number): unknown {
  const odd = [null, true, -1, 0, 1.5, 2 ** 60, '', '../x', 'a', [], {}, 'A'.repeat(70)];
  if (typeof value !== 'object' || value === null || random() < 0.1) {
    return odd[Math.floor(random() * odd.length)];
  }
  if (Array.isArray(value)) {
    if (value.length === 0 || random() < 0.2) return [...value, ...value];
    const at = Math.floor(random() * value.length);
    return value.map((one, index) => (index === at ? mutate(one, random) : one));
  }
  const keys = Object.keys(value);
  const key = keys[Math.floor(random() * keys.length)] ?? 'x';
  if (random() < 0.1) return { ...value, [`${key}x`]: 1 };
  return { ...value, [key]: mutate((value as Record<string, unknown>)[key], random) };
}

describe('documents under fire', () => {
  it('agree with the host on every altered document, and fail in one way', async () => {
    const random = randomOf(testSeed('client documents'));
    const root = await openTrustRoot(rootOne);
    const hostRoot = hostOpen(rootOne);
    const until = Date.now() + FUZZ_TIME_MS;
    let acceptedCount = 0;
    while (Date.now() < until) {
      const isHead = random() < 0.5;
      const altered = mutate(isHead ? head : manifest, random);
      if (typeof altered !== 'object' || altered === null) continue;
      const type = isHead ? 'head' : 'release';
      const sealed = sealEnvelope(type, altered, [isHead ? headKey : releaseKey]);
      let hostTakes = true;
      try {
        if (isHead) openHead(sealed, hostRoot);
        else openManifest(sealed, hostRoot);
      } catch {
        hostTakes = false;
      }
      let clientTakes = true;
      try {
        const value = await verifyEnvelope(readEnvelope(sealed, type), root);
        if (isHead) readHead(value);
        else readManifest(value);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'LOADER_DOCUMENT', String(error));
        clientTakes = false;
      }
      assert.equal(clientTakes, hostTakes, JSON.stringify(altered));
      if (clientTakes) acceptedCount += 1;
    }
    assert.ok(acceptedCount > 0);
  });

  it('refuse envelopes with any byte changed, without another kind of error', async () => {
    const random = randomOf(testSeed('client envelopes'));
    const root = await openTrustRoot(rootOne);
    const sealed = sealEnvelope('head', head, [headKey]);
    const until = Date.now() + FUZZ_TIME_MS;
    while (Date.now() < until) {
      const bytes = Buffer.from(sealed);
      const at = Math.floor(random() * bytes.length);
      bytes[at] = (bytes[at]! + 1 + Math.floor(random() * 255)) & 255;
      const cut = random() < 0.2 ? bytes.subarray(0, at) : bytes;
      const open = async () => await verifyEnvelope(readEnvelope(cut, 'head'), root);
      await assert.rejects(open, (error: { code?: string }) => {
        return error.code === 'LOADER_DOCUMENT' || error.code === 'LOADER_SIGNATURE';
      });
    }
  });
});
