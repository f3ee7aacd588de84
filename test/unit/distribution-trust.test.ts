import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { ENVELOPE_SIZE_BYTES_MAX } from '../../host/core/index.ts';
import { openHead, openManifest } from '../../host/distribution/documents.ts';
import {
  addSignatures,
  openEnvelope,
  payloadType,
  peekEnvelope,
  publicKeyOf,
  sealEnvelope,
} from '../../host/distribution/envelope.ts';
import {
  advanceTrustRoot,
  checkTrustRootFresh,
  keyIdOf,
  openTrustRoot,
} from '../../host/distribution/trust-root.ts';
import { codeOf, EXPIRES_AT_MS, rootOf, sealRoot, testKey } from '../support/trust-scene.ts';

const [rootKey, releaseKey, headKey, otherKey] = [testKey(), testKey(), testKey(), testKey()];
const trust = rootOf({ root: [rootKey], release: [releaseKey], head: [headKey] });
const head = {
  type: 'head',
  channel: 'app',
  counter: 3,
  sequence: 2,
  version: '1.0.0',
  manifest: { sha256: 'a'.repeat(64), sizeBytes: 10 },
  issuedAtMs: 1,
  expiresAtMs: 2,
};

function parsed(bytes: Uint8Array): Record<string, unknown> {
  return JSON.parse(Buffer.from(bytes).toString('utf8'));
}

function bytesOf(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

describe('an envelope', () => {
  const sealed = sealEnvelope('head', head, [headKey.signer]);

  it('gives back what was signed', () => {
    assert.deepEqual(openEnvelope(sealed, 'head', trust, 'head'), head);
    assert.deepEqual(openHead(sealed, trust), head);
  });

  it('is signed over the bytes that DSSE names', () => {
    // The key of RFC 8032 section 7.1 test 1; the message put together by hand.
    const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const publicBase64 = Buffer.from(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      'hex',
    ).toString('base64');
    const envelope = parsed(
      sealEnvelope('head', { a: 1 }, [{ keyId: keyIdOf(publicBase64), privateKey }]),
    );
    const message = 'DSSEv1 32 application/vnd.sluice.head+json 7 {"a":1}';
    const [signature] = envelope.signatures as { signature: string }[];
    assert.equal(envelope.payload, Buffer.from('{"a":1}').toString('base64'));
    const expected = sign(null, Buffer.from(message), privateKey);
    assert.equal(signature!.signature, expected.toString('base64'));
    assert.equal(publicKeyOf(publicBase64).asymmetricKeyType, 'ed25519');
  });

  it('is refused with any bit of it changed', () => {
    for (let at = 0; at < sealed.length; at += 1) {
      const bytes = Uint8Array.from(sealed);
      bytes[at]! ^= 1;
      const code = codeOf(() => openHead(bytes, trust));
      assert.match(code, /^GW_DIST_(DOCUMENT|SIGNATURE)$/, `byte ${at}`);
    }
  });

  it('is refused when cut anywhere', () => {
    for (let end = 0; end < sealed.length; end += 1) {
      const code = codeOf(() => openHead(sealed.subarray(0, end), trust));
      assert.equal(code, 'GW_DIST_DOCUMENT', `${end} bytes`);
    }
  });

  it('of one type never passes for another', () => {
    const manifest = sealEnvelope('release', head, [headKey.signer]);
    assert.equal(
      codeOf(() => openHead(manifest, trust)),
      'GW_DIST_DOCUMENT',
    );
    // The type is written over; the signature is still the one of a release.
    const renamed = bytesOf({ ...parsed(manifest), payloadType: payloadType('head') });
    assert.equal(
      codeOf(() => openHead(renamed, trust)),
      'GW_DIST_SIGNATURE',
    );
  });

  it('signed by another role counts as not signed', () => {
    const wrong = sealEnvelope('head', head, [releaseKey.signer, rootKey.signer, otherKey.signer]);
    assert.equal(
      codeOf(() => openHead(wrong, trust)),
      'GW_DIST_SIGNATURE',
    );
    assert.deepEqual(peekEnvelope(wrong, 'head'), head);
  });

  it('needs as many different keys as the threshold says', () => {
    const two = rootOf(
      { root: [rootKey], release: [releaseKey], head: [headKey, otherKey] },
      { thresholds: { head: 2 } },
    );
    assert.equal(
      codeOf(() => openHead(sealed, two)),
      'GW_DIST_SIGNATURE',
    );
    const { signatures, ...rest } = parsed(sealed);
    const [one] = signatures as unknown[];
    const doubled = bytesOf({ ...rest, signatures: [one, one] });
    assert.equal(
      codeOf(() => openHead(doubled, two)),
      'GW_DIST_SIGNATURE',
    );
    const both = addSignatures(sealed, 'head', [otherKey.signer]);
    assert.deepEqual(openHead(both, two), head);
    assert.equal((parsed(both).signatures as unknown[]).length, 2);
    const again = addSignatures(both, 'head', [otherKey.signer]);
    assert.deepEqual(parsed(again), parsed(both));
  });

  it('is refused with an unknown key, in other base64, and when too long', () => {
    const value = parsed(sealed);
    assert.equal(
      codeOf(() => openHead(bytesOf({ ...value, more: 1 }), trust)),
      'GW_DIST_DOCUMENT',
    );
    const spaced = bytesOf({ ...value, payload: `${value.payload as string} ` });
    assert.equal(
      codeOf(() => openHead(spaced, trust)),
      'GW_DIST_DOCUMENT',
    );
    const long = new Uint8Array(ENVELOPE_SIZE_BYTES_MAX + 1).fill(0x20);
    assert.equal(
      codeOf(() => openHead(long, trust)),
      'GW_DIST_DOCUMENT',
    );
    const large = { text: 'x'.repeat(ENVELOPE_SIZE_BYTES_MAX) };
    assert.equal(
      codeOf(() => sealEnvelope('head', large, [])),
      'GW_DIST_LIMIT',
    );
  });
});

describe('a trust root', () => {
  const first = sealRoot(trust, [rootKey]);

  it('is read when its own root role has signed it', () => {
    assert.deepEqual(openTrustRoot(first).roles, trust.roles);
    assert.equal(
      codeOf(() => openTrustRoot(sealRoot(trust, [otherKey]))),
      'GW_DIST_SIGNATURE',
    );
  });

  it('is followed by the next version that both root roles have signed', () => {
    const next = rootOf(
      { root: [otherKey], release: [releaseKey], head: [headKey] },
      { version: 2 },
    );
    const advanced = advanceTrustRoot(trust, sealRoot(next, [rootKey, otherKey]));
    assert.equal(advanced.version, 2);
    const byOld = sealRoot(next, [rootKey]);
    const byNew = sealRoot(next, [otherKey]);
    assert.equal(
      codeOf(() => advanceTrustRoot(trust, byOld)),
      'GW_DIST_SIGNATURE',
    );
    assert.equal(
      codeOf(() => advanceTrustRoot(trust, byNew)),
      'GW_DIST_SIGNATURE',
    );
  });

  it('never skips a version and never goes back', () => {
    const keys = { root: [rootKey], release: [releaseKey], head: [headKey] };
    for (const version of [1, 3, 4_000_000]) {
      const other = sealRoot(rootOf(keys, { version }), [rootKey]);
      assert.equal(
        codeOf(() => advanceTrustRoot(trust, other)),
        'GW_DIST_OLDER',
      );
    }
  });

  it('is refused with keys or thresholds that make no sense', () => {
    const bad = [
      { ...trust, roles: { ...trust.roles, head: { keyIds: [], threshold: 1 } } },
      { ...trust, roles: { ...trust.roles, head: { ...trust.roles.head, threshold: 0 } } },
      { ...trust, roles: { ...trust.roles, head: { ...trust.roles.head, threshold: 2 } } },
      { ...trust, roles: { ...trust.roles, head: { keyIds: ['b'.repeat(64)], threshold: 1 } } },
      { ...trust, version: 0 },
      { ...trust, keys: { ...trust.keys, ['c'.repeat(64)]: Object.values(trust.keys)[0]! } },
      { ...trust, extra: true },
    ];
    for (const value of bad) {
      const sealed = sealEnvelope('root', value, [rootKey.signer]);
      assert.equal(
        codeOf(() => openTrustRoot(sealed)),
        'GW_DIST_DOCUMENT',
        JSON.stringify(value),
      );
    }
    const { head: keyIds } = trust.roles;
    const twice = {
      ...trust.roles,
      head: { keyIds: [...keyIds.keyIds, ...keyIds.keyIds], threshold: 2 },
    };
    const sealed = sealEnvelope('root', { ...trust, roles: twice }, [rootKey.signer]);
    assert.equal(
      codeOf(() => openTrustRoot(sealed)),
      'GW_DIST_DOCUMENT',
    );
  });

  it('has an end', () => {
    checkTrustRootFresh(trust, EXPIRES_AT_MS - 1);
    assert.equal(
      codeOf(() => checkTrustRootFresh(trust, EXPIRES_AT_MS)),
      'GW_DIST_EXPIRED',
    );
  });
});

describe('a manifest', () => {
  const hash = (digit: string) => digit.repeat(64);
  const file = (path: string, digit = 'a', sizeBytes = 3) => {
    return { path, sha256: hash(digit), sizeBytes, priority: 'normal' };
  };
  const manifest = {
    type: 'release',
    channel: 'app',
    sequence: 1,
    version: '1.0.0',
    createdAtMs: 0,
    entryPoints: ['b/c.js'],
    files: [file('a.js'), file('b/c.js', 'b', 4)],
    pack: null,
    rollbackOf: null,
  };
  const codeFor = (change: object) => {
    const sealed = sealEnvelope('release', { ...manifest, ...change }, [releaseKey.signer]);
    return codeOf(() => openManifest(sealed, trust));
  };

  it('is read', () => {
    const sealed = sealEnvelope('release', manifest, [releaseKey.signer]);
    assert.deepEqual(openManifest(sealed, trust), manifest);
    assert.equal(codeFor({ pack: { sha256: hash('c'), sizeBytes: 9 } }), 'nothing was thrown');
  });

  it('is refused when its files do not fit each other', () => {
    const cases: readonly [readonly object[], string][] = [
      [[file('b.js'), file('a.js')], 'GW_DIST_DOCUMENT'],
      [[file('a.js'), file('a.js')], 'GW_DIST_DOCUMENT'],
      [[file('A.js'), file('a.js')], 'GW_DIST_REFERENCE'],
      [[file('a'), file('a/b')], 'GW_DIST_REFERENCE'],
      [[file('A'), file('a/b')], 'GW_DIST_REFERENCE'],
      [[file('a.js', 'a', 1), file('b.js', 'a', 2)], 'GW_DIST_REFERENCE'],
      [[file('../a.js')], 'GW_DIST_PATH'],
      [[file('a.js', 'a', 134_217_729)], 'GW_DIST_DOCUMENT'],
      [[file('a.js', 'A')], 'GW_DIST_DOCUMENT'],
    ];
    for (const [files, code] of cases) {
      assert.equal(codeFor({ files, entryPoints: [] }), code, JSON.stringify(files));
    }
    const large = Array.from({ length: 17 }, (_, index) => {
      const sha256 = index.toString(16).padStart(64, '0');
      return { ...file(`f${String(index).padStart(2, '0')}`), sha256, sizeBytes: 134_217_728 };
    });
    assert.equal(codeFor({ files: large, entryPoints: [] }), 'GW_DIST_LIMIT');
  });

  it('is refused with fields that are none', () => {
    for (const change of [
      { sequence: 0 },
      { sequence: 1.5 },
      { sequence: 2 ** 53 },
      { channel: 'App' },
      { channel: '../x' },
      { version: '' },
      { version: 'a/b' },
      { files: {} },
      { pack: 7 },
      { extra: 1 },
      { type: 'head' },
    ]) {
      assert.equal(codeFor(change), 'GW_DIST_DOCUMENT', JSON.stringify(change));
    }
    assert.equal(codeFor({ entryPoints: ['c.js'] }), 'GW_DIST_REFERENCE');
  });
});
