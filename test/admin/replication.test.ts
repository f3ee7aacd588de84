// /replication of the admin API over plain functions.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { GatewayError } from '../../host/core/index.ts';
import { type AdminScene, adminScene } from './admin-scene.ts';

/** An admin server in front of these functions, for one use. */
async function withScene(
  given: Parameters<typeof adminScene>[0],
  use: (scene: AdminScene) => Promise<void>,
): Promise<void> {
  const scene = await adminScene(given);
  try {
    await use(scene);
  } finally {
    await scene.server.close();
  }
}

it('tells what a gateway with databases is, and promotes it', async () => {
  let role = 'follower';
  const view = () => ({ role, term: role === 'primary' ? 2 : 1 });
  const promote = async () => {
    role = 'primary';
    return view();
  };
  await withScene({ replication: view, promote }, async ({ ask }) => {
    const before = await ask('GET', '/replication');
    assert.deepEqual(JSON.parse(before.body), { role: 'follower', term: 1 });
    assert.equal((await ask('GET', '/replication/promote')).status, 405);
    assert.equal(role, 'follower');
    const answer = await ask('POST', '/replication/promote');
    assert.deepEqual([answer.status, JSON.parse(answer.body)], [200, { role: 'primary', term: 2 }]);
    assert.equal((await ask('DELETE', '/replication')).status, 405);
  });
});

it('says why a gateway cannot be promoted, and where there is nothing to promote', async () => {
  const refuse = async () => {
    throw new GatewayError('DB_STANDING', 'it is the primary');
  };
  await withScene({ replication: () => ({}), promote: refuse }, async ({ ask }) => {
    const { status, body } = await ask('POST', '/replication/promote');
    assert.equal(status, 409);
    assert.match(body, /it is the primary/);
  });
  let promotionsCount = 0;
  const count = async () => {
    promotionsCount += 1;
  };
  await withScene({ replication: () => null, promote: count }, async ({ ask }) => {
    assert.equal((await ask('GET', '/replication')).status, 404);
    assert.equal((await ask('POST', '/replication/promote')).status, 404);
    assert.equal(promotionsCount, 0);
  });
});
