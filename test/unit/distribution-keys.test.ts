import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { openEnvelope, sealEnvelope } from '../../host/distribution/envelope.ts';
import { readKeyFile, signersIn } from '../../host/distribution/key-files.ts';
import { addKey, initKeys, renewRoot, rotateKey, signFile } from '../../host/distribution/keys.ts';
import { ROLES } from '../../host/distribution/model.ts';
import {
  installRoots,
  newestRoot,
  readRootChain,
} from '../../host/distribution/trust-root-chain.ts';
import { storeScene } from '../support/store-scene.ts';
import { codeOfAsync, EXPIRES_AT_MS } from '../support/trust-scene.ts';

const scene = storeScene();
after(() => scene.remove());
let count = 0;
const expiresAtMs = EXPIRES_AT_MS;

async function keysDir(): Promise<string> {
  count += 1;
  const dir = join(scene.root, `keys-${count}`);
  await initKeys(dir, expiresAtMs);
  return dir;
}

function keyFile(dir: string, role: string): string {
  return join(dir, readdirSync(dir).find((name) => name.startsWith(`${role}-`))!);
}

describe('new keys', () => {
  it('are one for each role, and nobody else may read them', async () => {
    const dir = await keysDir();
    const root = await newestRoot(dir);
    assert.equal(root.version, 1);
    for (const role of ROLES) {
      const [signer] = await signersIn(dir, role, root);
      assert.deepEqual(root.roles[role], { keyIds: [signer!.keyId], threshold: 1 });
      assert.equal(statSync(keyFile(dir, role)).mode & 0o777, 0o600);
      const sealed = sealEnvelope('head', { a: 1 }, [signer!]);
      assert.deepEqual(openEnvelope(sealed, 'head', root, role), { a: 1 });
    }
    assert.equal(Object.keys(root.keys).length, 3);
    assert.equal(await codeOfAsync(() => initKeys(dir, expiresAtMs)), 'GW_DIST_KEY');
  });

  it('that others may use, or that are none, are refused', async () => {
    const dir = await keysDir();
    const path = keyFile(dir, 'release');
    for (const mode of [0o640, 0o604, 0o620, 0o644, 0o610]) {
      chmodSync(path, mode);
      await assert.rejects(readKeyFile(path), /others may use it: chmod 600/);
    }
    chmodSync(path, 0o400);
    await readKeyFile(path);
    const other = join(dir, 'other.pem');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    for (const text of ['', 'x', pem, readFileSync(path, 'utf8').slice(0, 60), 'x'.repeat(5000)]) {
      writeFileSync(other, text, { mode: 0o600 });
      assert.equal(await codeOfAsync(() => readKeyFile(other)), 'GW_DIST_KEY');
    }
    mkdirSync(join(dir, 'folder'), { mode: 0o700 });
    for (const name of ['folder', 'nowhere']) {
      assert.equal(await codeOfAsync(() => readKeyFile(join(dir, name))), 'GW_DIST_KEY');
    }
  });
});

describe('a rotation', () => {
  it('replaces a key by one that the old root vouches for', async () => {
    for (const role of ROLES) {
      const dir = await keysDir();
      const before = await newestRoot(dir);
      const { root, pendingPath } = await rotateKey(dir, { role, oldKeyId: null, expiresAtMs });
      assert.equal(pendingPath, null);
      assert.deepEqual(await newestRoot(dir), root);
      assert.equal(root.version, 2);
      for (const one of ROLES) {
        const isSame = root.roles[one].keyIds[0] === before.roles[one].keyIds[0];
        assert.equal(isSame, one !== role);
      }
      assert.equal(Object.keys(root.keys).length, 3, 'the old key is not named any more');
      assert.equal((await readRootChain(dir)).length, 2);
      const again = await rotateKey(dir, { role, oldKeyId: null, expiresAtMs });
      assert.equal(again.root.version, 3);
      assert.equal((await signersIn(dir, role, again.root)).length, 1);
    }
  });

  it('without the root key waits for its signature', async () => {
    const dir = await keysDir();
    const elsewhere = join(scene.root, `safe-${count}`);
    mkdirSync(elsewhere);
    const name = keyFile(dir, 'root');
    const away = join(elsewhere, 'root.pem');
    writeFileSync(away, readFileSync(name), { mode: 0o600 });
    rmSync(name);
    const rotate = () => rotateKey(dir, { role: 'head', oldKeyId: null, expiresAtMs });
    assert.equal(await codeOfAsync(rotate), 'GW_DIST_KEY');
    const signer = await readKeyFile(away);
    writeFileSync(name, readFileSync(away), { mode: 0o600 });
    const two = await addKey(dir, { role: 'root', threshold: 2, expiresAtMs });
    assert.equal(two.pendingPath, null);
    rmSync(name);
    const pending = await rotateKey(dir, { role: 'head', oldKeyId: null, expiresAtMs });
    assert.notEqual(pending.pendingPath, null);
    assert.equal((await newestRoot(dir)).version, 2);
    assert.equal(await signFile(pending.pendingPath!, [signer], dir), true);
    assert.deepEqual(await newestRoot(dir), pending.root);
    assert.deepEqual(readdirSync(join(dir, 'pending')), []);
  });

  it('of one of several keys is told which', async () => {
    const dir = await keysDir();
    const { root } = await addKey(dir, { role: 'release', threshold: 2, expiresAtMs });
    const [old, kept] = root.roles.release.keyIds;
    const unnamed = () => rotateKey(dir, { role: 'release', oldKeyId: null, expiresAtMs });
    assert.equal(await codeOfAsync(unnamed), 'GW_DIST_KEY');
    const change = { role: 'release', oldKeyId: old!, expiresAtMs } as const;
    const { keyIds, threshold } = (await rotateKey(dir, change)).root.roles.release;
    assert.ok(keyIds.includes(kept!) && !keyIds.includes(old!) && threshold === 2);
    const far = () => addKey(dir, { role: 'head', threshold: 3, expiresAtMs });
    assert.equal(await codeOfAsync(far), 'GW_DIST_DOCUMENT');
  });
});

describe('trust roots in a store', () => {
  it('are taken over from beside the keys, each checked', async () => {
    const dir = await keysDir();
    const store = join(scene.root, `store-${count}`);
    assert.equal(await codeOfAsync(() => newestRoot(store)), 'GW_DIST_KEY');
    assert.equal((await installRoots(dir, store)).version, 1);
    await renewRoot(dir, expiresAtMs + 1);
    await rotateKey(dir, { role: 'release', oldKeyId: null, expiresAtMs });
    assert.equal((await installRoots(dir, store)).version, 3);
    assert.equal((await readRootChain(store)).length, 3);
    // A folder without newer ones changes nothing.
    const empty = join(scene.root, 'no-keys');
    assert.equal((await installRoots(empty, store)).version, 3);
  });

  it('of somebody else are refused', async () => {
    const [one, other] = [await keysDir(), await keysDir()];
    const store = join(scene.root, `store-${count}`);
    await installRoots(one, store);
    assert.equal(await codeOfAsync(() => installRoots(other, store)), 'GW_DIST_KEY');
    const second = await rotateKey(other, { role: 'head', oldKeyId: null, expiresAtMs });
    assert.equal(second.root.version, 2);
    writeFileSync(join(store, 'roots', '2.json'), readFileSync(join(other, 'roots', '2.json')));
    assert.equal(await codeOfAsync(() => readRootChain(store)), 'GW_DIST_SIGNATURE');
    writeFileSync(join(store, 'roots', '2.json'), readFileSync(join(one, 'roots', '1.json')));
    assert.equal(await codeOfAsync(() => readRootChain(store)), 'GW_DIST_OLDER');
  });
});
