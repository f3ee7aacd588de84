// Whether a gateway's keys are those that the trust root of its store names.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { checkCommand } from '../../host/cli/check.ts';
import { KeyWatch, keyFaults } from '../../host/distribution/key-watch.ts';
import { addKey, initKeys, rotateKey } from '../../host/distribution/keys.ts';
import { installRoots } from '../../host/distribution/trust-root-chain.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-keys-'));
after(() => rmSync(root, { recursive: true }));
const [keys, dir] = [join(root, 'keys'), join(root, 'store')];
const expiresAtMs = 4_000_000_000_000;

function keyFile(role: string, not = ''): string {
  const name = readdirSync(keys).find((one) => one.startsWith(role) && join(keys, one) !== not);
  return join(keys, name!);
}

async function check(headKey: string, signingKey: string) {
  const file = join(root, 'sluice.yaml');
  const given = signingKey === '' ? { dir, headKey } : { dir, headKey, signingKey };
  const distribution = JSON.stringify(given);
  const rest = 'listen: [{ port: 8080 }]\nroutes: []\nservices: {}\n';
  writeFileSync(file, `distribution: ${distribution}\n${rest}`);
  let [out, err] = ['', ''];
  const code = await checkCommand(file, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  return { code, out, err };
}

describe('the keys of a gateway', () => {
  // After a rotation the next publishing put the new trust root into the store, and a gateway with
  // the old key went on signing heads that no client took. Nobody was told but at a start.
  it('that a rotation replaced are warned of while it runs, and by check', async () => {
    await initKeys(keys, expiresAtMs);
    const [headKey, signingKey] = [keyFile('head'), keyFile('release')];
    const told: (readonly string[])[] = [];
    const watch = new KeyWatch({
      ...{ dir, headKey, signingKey },
      onFaults: (faults) => told.push(faults),
      onError: (error) => assert.fail(String(error)),
    });
    await watch.look();
    await installRoots(keys, dir);
    await watch.look();
    assert.equal(told.length, 0, 'an empty store, and a fresh root');
    assert.equal((await check(headKey, signingKey)).err, '');
    await rotateKey(keys, { role: 'head', oldKeyId: null, expiresAtMs });
    await watch.look();
    assert.equal(told.length, 0, 'beside the keys it is of no effect yet');
    await installRoots(keys, dir);
    await watch.look();
    await watch.look();
    assert.equal(told.length, 1, 'told once');
    assert.match(told[0]!.join(), /^head key [0-9a-f]{64} \(.*\) was replaced in trust root 2: no/);
    const checked = await check(headKey, signingKey);
    assert.equal(checked.code, 0);
    assert.match(checked.err, /warning: head key .* was replaced in trust root 2/);
    assert.match(checked.out, /: ok: /);
    const fresh = { dir, headKey: keyFile('head', headKey), signingKey };
    assert.deepEqual(await keyFaults(fresh), []);
  });

  it('of another role, or fewer than must sign, are faults', async () => {
    const headKey = keyFile('release');
    const [first, ...rest] = await keyFaults({ dir, headKey, signingKey: '' });
    assert.deepEqual(rest, []);
    assert.match(first!, /is not named by trust root 2: no client takes a head/);
    await addKey(keys, { role: 'release', threshold: 2, expiresAtMs });
    await installRoots(keys, dir);
    const faults = await keyFaults({ dir, headKey, signingKey: keyFile('release') });
    assert.match(faults[1]!, /is one of 2 that trust root 3 asks for: a rollback by the admin/);
  });

  it('that the gateway would refuse are refused by check', async () => {
    const headKey = keyFile('head');
    chmodSync(headKey, 0o644);
    const { code, out, err } = await check(headKey, '');
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /has mode 644; others may use it.*GW_DIST_KEY, reason 1005/);
  });
});
