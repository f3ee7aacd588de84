// /databases of the admin API over plain functions: what it asks for, and what it refuses.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AdminDatabases } from '../../host/admin/index.ts';
import { AdminClient } from '../../host/cli/admin-client.ts';
import { GatewayError } from '../../host/core/index.ts';
import { type AdminScene, adminScene } from './admin-scene.ts';

const calls: string[] = [];
let endsCount = 0;

const databases: AdminDatabases = {
  list: async () => [{ name: 'shop' }],
  overview: async (name) => ({ name }),
  create: async (name) => {
    calls.push(`create ${name}`);
  },
  importFile: async (name, pieces) => {
    let text = '';
    for await (const piece of pieces) text += Buffer.from(piece).toString();
    calls.push(`import ${name} ${text}`);
  },
  remove: async (name) => {
    calls.push(`remove ${name}`);
    if (name === 'held') throw new GatewayError('DB_HAS_BRANCHES', 'held has one');
  },
  check: async (name) => ({ checked: name }),
  branch: async (name, { as, moment }) => {
    calls.push(`branch ${name} ${as} ${JSON.stringify(moment)}`);
    return 7;
  },
  backup: async () => {
    let count = 0;
    const pieces: AsyncIterableIterator<Uint8Array> = {
      next: async () => {
        count += 1;
        if (count <= 3) return { done: false, value: Buffer.from(`piece ${count}`) };
        endsCount += 1;
        return { done: true, value: undefined };
      },
      return: async () => {
        endsCount += 1;
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
    return { lsn: 9, sizeBytes: 21, pieces };
  },
};

describe('/databases', () => {
  let scene: AdminScene;
  before(async () => {
    scene = await adminScene({ databases: () => databases });
  });
  after(() => scene.server.close());

  async function status(method: string, path: string, body = ''): Promise<number> {
    return (await scene.ask(method, path, { body })).status;
  }

  it('makes, imports, branches, checks and removes', async () => {
    assert.equal(await status('PUT', '/databases/shop'), 201);
    assert.equal(await status('PUT', '/databases/shop', 'file'), 201);
    assert.equal(await status('POST', '/databases/shop/branch', '{"as":"b"}'), 201);
    assert.equal(await status('POST', '/databases/shop/branch', '{"as":"b","lsn":3}'), 201);
    const time = '{"as":"b","time":"2026-01-31T12:00Z"}';
    assert.equal(await status('POST', '/databases/shop/branch', time), 201);
    assert.equal(await status('POST', '/databases/shop/check'), 200);
    assert.equal(await status('DELETE', '/databases/shop'), 200);
    assert.deepEqual(calls.splice(0), [
      'create shop',
      'import shop file',
      'branch shop b null',
      'branch shop b {"lsn":3}',
      `branch shop b {"timeMs":${Date.UTC(2026, 0, 31, 12)}}`,
      'remove shop',
    ]);
    assert.equal(await status('DELETE', '/databases/held'), 409);
    assert.equal(calls.pop(), 'remove held');
  });

  it('refuses what is no request, and asks for nothing then', async () => {
    for (const body of [
      '{}',
      '{"as":1}',
      '{"as":"b","lsn":-1}',
      '{"as":"b","lsn":1,"time":"2026-01-31"}',
      '{"as":"b","time":"yesterday"}',
      '{"as":"b","at":1}',
      '[',
    ]) {
      assert.equal(await status('POST', '/databases/shop/branch', body), 400, body);
    }
    assert.equal(await status('POST', '/databases/shop/check', '{"deep":true}'), 400);
    for (const [method, path] of [
      ['GET', '/databases/shop/check'],
      ['DELETE', '/databases/shop/backup'],
      ['POST', '/databases/shop'],
      ['PUT', '/databases/shop/branch'],
      ['HEAD', '/databases/shop/backup'],
      ['PATCH', '/databases/shop'],
    ] as const) {
      assert.equal(await status(method, path), 405, `${method} ${path}`);
    }
    assert.equal(await status('GET', '/databases/shop/drop'), 404);
    assert.deepEqual(calls, []);
  });

  it('streams a backup, and ends each one, also those that are too many', async () => {
    endsCount = 0;
    const answered = await scene.ask('GET', '/databases/shop/backup');
    assert.equal(answered.body, 'piece 1piece 2piece 3');
    assert.equal(answered.headers['x-sluice-lsn'], '9');
    assert.equal(answered.headers['content-length'], '21');
    const asked = Array.from({ length: 12 }, () => scene.ask('GET', '/databases/shop/backup'));
    for (const { status: code } of await Promise.all(asked)) assert.ok([200, 503].includes(code));
    assert.equal(endsCount, 13);
  });

  it('says what there is none of', async () => {
    const none = await adminScene({ databases: () => null });
    const answered = await none.ask('GET', '/databases');
    assert.equal(answered.status, 404);
    assert.match(answered.body, /no `db` in the configuration/);
    await none.server.close();
  });
});

it('takes the token of a command, and tells one without it', async () => {
  const scene = await adminScene({ token: 'secret', databases: () => databases });
  const url = `http://127.0.0.1:${scene.port}/`;
  const request = { method: 'GET', path: '/databases' } as const;
  const allowed = new AdminClient({ url, token: 'secret' });
  assert.deepEqual(await allowed.ask(request), { databases: [{ name: 'shop' }] });
  const other = new AdminClient({ url, token: 'guess' });
  await assert.rejects(other.ask(request), { code: 'GW_ADMIN_TOKEN' });
  await scene.server.close();
});
