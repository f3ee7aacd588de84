// Databases through a whole gateway, by the clients that people use, unchanged: @libsql/client over
// HTTP and WebSocket, @libsql/hrana-client in each version and encoding, and Drizzle; on both
// listener engines.

import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Client, createClient } from '@libsql/client';
import * as hrana from '@libsql/hrana-client';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/libsql';
import { blob, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';

const keys = generateKeyPairSync('ed25519');

function token(claims: Record<string, unknown>, key: KeyObject = keys.privateKey): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA' }).sign(key);
}

interface Scene {
  readonly gateway: GatewayProcess;
  readonly folder: string;
}

async function open(engine: 'uws' | 'node', db: object = {}): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-databases-'));
  const gateway = await startGateway({
    listener: { engine },
    config: {
      workers: { io: 2, db: 2 },
      db: { dir: folder, create: 'on-first-use', ...db },
      routes: [
        { match: { path: '/db/{database}/*' }, db: {} },
        { match: { host: '*.db.test' }, db: {} },
      ],
    },
  });
  return { gateway, folder };
}

async function close({ gateway, folder }: Scene): Promise<void> {
  assert.equal(await gateway.stop(), 0, gateway.log());
  rmSync(folder, { recursive: true });
}

const codeOf = (code: string) => (error: { code?: string }) => error.code === code;

for (const engine of ['uws', 'node'] as const) {
  describe(`databases on a ${engine} listener`, () => {
    let scene: Scene;
    before(async () => {
      scene = await open(engine);
    });
    after(() => close(scene));

    const url = (scheme: string, name: string) =>
      `${scheme}://127.0.0.1:${scene.gateway.port}/db/${name}/`;

    for (const scheme of ['http', 'ws'] as const) {
      it(`serves @libsql/client over ${scheme}`, async () => {
        const client = createClient({ url: url(scheme, `client-${scheme}`), intMode: 'bigint' });
        await useClient(client);
        client.close();
      });

      it(`serves Drizzle over ${scheme}`, async () => {
        const client = createClient({ url: url(scheme, `drizzle-${scheme}`) });
        await useDrizzle(client);
        client.close();
      });
    }

    for (const version of [2, 3] as const) {
      it(`serves @libsql/hrana-client of version ${version} over WebSocket`, async () => {
        const client = hrana.openWs(url('ws', `hrana-ws-${version}`), undefined, version);
        assert.equal(await client.getVersion(), version);
        await useHrana(client, version);
        client.close();
      });
    }

    for (const version of [2, 3] as const) {
      it(`serves @libsql/hrana-client of version ${version} over HTTP`, async () => {
        const client = hrana.openHttp(
          url('http', `hrana-${version}`),
          undefined,
          undefined,
          undefined,
          version,
        );
        await useHrana(client, version);
        client.close();
      });
    }

    it('speaks JSON of version 3, and version 1 where nothing else is asked for', async () => {
      const answer = await fetch(`${url('http', 'json')}v3/pipeline`, {
        method: 'POST',
        body: JSON.stringify({
          baton: null,
          requests: [
            { type: 'execute', stmt: { sql: 'SELECT 1' } },
            { type: 'get_autocommit' },
            { type: 'close' },
          ],
        }),
      });
      const { results } = (await answer.json()) as {
        results: { response: Record<string, unknown> }[];
      };
      assert.equal(results[1]!.response.is_autocommit, true);
      for (const protocols of [['hrana1'], ['hrana3'], []]) {
        const socket = new WebSocket(url('ws', 'json'), protocols);
        const reply = new Promise<string>((resolve, reject) => {
          socket.on('open', () => socket.send('{"type":"hello","jwt":null}'));
          socket.on('message', (data) => resolve(String(data)));
          socket.on('error', reject);
        });
        assert.deepEqual(JSON.parse(await reply), { type: 'hello_ok' });
        assert.equal(socket.protocol, protocols[0] ?? '');
        socket.close();
      }
    });

    it('says so when a URL lacks its last slash, and names what it does not know', async () => {
      const lacking = createClient({ url: url('http', 'shop').slice(0, -1) });
      await assert.rejects(lacking.execute('SELECT 1'), /ends with a slash/);
      const bad = await fetch(`${url('http', 'Bad!')}v2/pipeline`, { method: 'POST', body: '{}' });
      assert.equal(bad.status, 400);
      assert.equal(bad.headers.get('x-sluice-reason'), '1141');
      const unknown = await fetch(`${url('http', 'shop')}v9/pipeline`, { method: 'POST' });
      assert.equal(unknown.headers.get('x-sluice-reason'), '1151');
      for (const path of ['v2', 'v3', 'v3-protobuf', 'health', 'version']) {
        assert.equal((await fetch(`${url('http', 'shop')}${path}`)).status, 200);
      }
    });

    it('finds the database by x-namespace where the path has none', async () => {
      const answer = await post(scene.gateway.port, '/v2/pipeline', 'any.db.test', {
        'x-namespace': 'spaced',
      });
      assert.equal(answer.status, 200);
      const label = await post(scene.gateway.port, '/v2/pipeline', 'labelled.db.test', {});
      assert.equal(label.status, 200);
    });

    it('refuses an unknown baton and a body that is too large, each by itself', async () => {
      const address = `${url('http', 'shop')}v2/pipeline`;
      const stale = await fetch(address, { method: 'POST', body: '{"baton":"abc","requests":[]}' });
      assert.equal(stale.status, 400);
      assert.equal(((await stale.json()) as { code: string }).code, 'BATON_INVALID');
      const large = await post(scene.gateway.port, '/db/shop/v2/pipeline', 'localhost', {
        'content-length': String(33 * 2 ** 20),
      });
      assert.equal(large.status, 413);
    });

    it('counts what it does', async () => {
      const count = async () =>
        sampleValue(parseExposition(await scene.gateway.metrics()), 'sluice_db_requests_total', {
          worker: '0',
        }) ?? 0;
      for (const beganMs = Date.now(); (await count()) === 0; ) {
        assert.ok(Date.now() - beganMs < 30_000);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    });
  });
}

/** What @libsql/client can do. */
async function useClient(client: Client): Promise<void> {
  await client.migrate(['CREATE TABLE t(id INTEGER PRIMARY KEY, n INT UNIQUE, b BLOB, s TEXT)']);
  const big = 2n ** 62n;
  const bytes = new Uint8Array([0, 1, 254, 255]);
  const inserted = await client.execute({
    sql: 'INSERT INTO t(n, b, s) VALUES (:n, :b, :s) RETURNING id',
    args: { n: big, b: bytes, s: 'häß\u0000"\\' },
  });
  assert.equal(inserted.rowsAffected, 1);
  assert.equal(inserted.lastInsertRowid, 1n);
  const { rows, columns } = await client.execute('SELECT n, b, s, 0.25 AS f, NULL AS z FROM t');
  assert.deepEqual(columns, ['n', 'b', 's', 'f', 'z']);
  assert.equal(rows[0]!.n, big);
  assert.deepEqual(new Uint8Array(rows[0]!.b as ArrayBuffer), bytes);
  assert.deepEqual([rows[0]!.s, rows[0]!.f, rows[0]!.z], ['häß\u0000"\\', 0.25, null]);
  await assert.rejects(
    client.execute({ sql: 'INSERT INTO t(n) VALUES (?)', args: [big] }),
    (error) => {
      const { code, message } = error as { code: string; message: string };
      return code.startsWith('SQLITE_CONSTRAINT') && message.includes('UNIQUE');
    },
  );
  await assert.rejects(client.execute('SELEC'), codeOf('SQLITE_ERROR'));
  // A batch is one transaction: its failure leaves nothing.
  const failing = client.batch(
    ['INSERT INTO t(n) VALUES (7)', 'INSERT INTO nothing VALUES (1)'],
    'write',
  );
  await assert.rejects(failing);
  const counted = await client.batch(['SELECT count(*) AS c FROM t', 'SELECT 2 AS c'], 'read');
  assert.deepEqual(
    counted.map((result) => result.rows[0]!.c),
    [1n, 2n],
  );
  const transaction = await client.transaction('write');
  await transaction.execute('INSERT INTO t(n) VALUES (8)');
  assert.equal((await client.execute('SELECT count(*) AS c FROM t')).rows[0]!.c, 1n);
  await transaction.commit();
  const given = await client.transaction('write');
  await given.execute('DELETE FROM t');
  await given.rollback();
  assert.equal((await client.execute('SELECT count(*) AS c FROM t')).rows[0]!.c, 2n);
  const reading = await client.transaction('read');
  await assert.rejects(reading.execute('DELETE FROM t'), codeOf('SQLITE_READONLY'));
  reading.close();
  await client.executeMultiple(
    'CREATE TABLE u(x); INSERT INTO u VALUES (1); INSERT INTO u VALUES (2)',
  );
  // Nobody's change to the hot row is lost.
  await client.execute('CREATE TABLE stock(n INT); ');
  await client.execute('INSERT INTO stock VALUES (30)');
  const buy = 'UPDATE stock SET n = n - 1 WHERE n > 0 RETURNING n';
  const bought = await Promise.all(Array.from({ length: 40 }, () => client.execute(buy)));
  assert.equal(bought.filter((result) => result.rows.length === 1).length, 30);
  assert.equal((await client.execute('SELECT n FROM stock')).rows[0]!.n, 0n);
}

async function useDrizzle(client: Client): Promise<void> {
  const users = sqliteTable('users', {
    id: integer('id').primaryKey({ autoIncrement: true }),
    name: text('name').notNull(),
    picture: blob('picture', { mode: 'buffer' }),
  });
  const db = drizzle(client);
  await db.run(
    sql`CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, picture BLOB)`,
  );
  const [made] = await db
    .insert(users)
    .values({ name: 'Ada', picture: Buffer.from([1, 2]) })
    .returning();
  assert.deepEqual([made!.id, made!.name, [...made!.picture!]], [1, 'Ada', [1, 2]]);
  await db.transaction(async (inside) => {
    await inside.insert(users).values([{ name: 'Grace' }, { name: 'Edsger' }]);
    await inside.update(users).set({ name: 'Ada L.' }).where(eq(users.id, 1));
  });
  await assert.rejects(
    db.transaction(async (inside) => {
      await inside.delete(users);
      throw new Error('thought better of it');
    }),
    /thought better/,
  );
  const names = await db.select({ name: users.name }).from(users).orderBy(users.id);
  assert.deepEqual(
    names.map(({ name }) => name),
    ['Ada L.', 'Grace', 'Edsger'],
  );
}

async function useHrana(client: hrana.Client, version: number): Promise<void> {
  const stream = client.openStream();
  await stream.run('CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)');
  const added = await stream.run(['INSERT INTO t(v) VALUES (?), (?)', ['a', 'b']]);
  assert.equal(added.affectedRowCount, 2);
  assert.equal(added.lastInsertRowid, 2n);
  assert.deepEqual((await stream.queryValue('SELECT count(*) FROM t')).value, 2);
  await assert.rejects(stream.query('SELECT * FROM nothing'), codeOf('SQLITE_ERROR'));
  const batch = stream.batch(false);
  const first = batch.step();
  const wrong = first
    .run('INSERT INTO t(id) VALUES (1)')
    .catch((error: { code: string }) => error.code);
  const second = batch.step().condition(hrana.BatchCond.error(first));
  const counted = second.queryValue('SELECT count(*) FROM t');
  await batch.execute();
  assert.equal(await wrong, 'SQLITE_CONSTRAINT');
  assert.equal((await counted)!.value, 2);
  if (version >= 2) {
    const stored = (client as hrana.WsClient).storeSql?.('SELECT v FROM t WHERE id = ?');
    if (stored !== undefined) {
      assert.equal((await stream.queryValue([stored, [2]])).value, 'b');
      stored.close();
    }
    await stream.sequence("INSERT INTO t(v) VALUES ('c'); DELETE FROM t WHERE v = 'a'");
    const described = await stream.describe('SELECT v FROM t WHERE id = :id');
    assert.deepEqual(described.paramNames, [':id']);
    assert.equal(described.isReadonly, true);
  }
  if (version >= 3) {
    assert.equal(await stream.getAutocommit(), true);
    const rows: unknown[] = [];
    const cursor = stream.batch(true);
    const all = cursor.step().query('SELECT v FROM t ORDER BY id');
    await cursor.execute();
    for (const row of (await all)!.rows) rows.push(row[0]);
    assert.deepEqual(rows, ['b', 'c']);
  }
  stream.close();
}

const BODY = JSON.stringify({
  baton: null,
  requests: [{ type: 'execute', stmt: { sql: 'SELECT 1' } }, { type: 'close' }],
});

/** Node's fetch does not let the host be chosen. */
async function post(
  port: number,
  path: string,
  host: string,
  headers: Record<string, string>,
): Promise<{ status: number }> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const options = { port, path, method: 'POST', agent: false, headers: { ...headers, host } };
    const sent = request(options, (answer) => {
      answer.resume();
      answer.on('end', () => resolve({ status: answer.statusCode! }));
    });
    sent.on('error', reject);
    // Of a body that is announced as too large, nothing is sent: the answer does not wait for it.
    if (headers['content-length'] !== undefined) sent.flushHeaders();
    else sent.end(BODY);
  });
}

describe('databases with tokens', () => {
  let scene: Scene;
  before(async () => {
    const publicKey = (keys.publicKey.export({ format: 'jwk' }) as { x: string }).x;
    scene = await open('uws', { auth: { publicKey }, limits: { queue: 1, transaction: '30s' } });
  });
  after(() => close(scene));

  const connect = (scheme: string, authToken?: string, name = 'shop') => {
    const url = `${scheme}://127.0.0.1:${scene.gateway.port}/db/${name}/`;
    return createClient(authToken === undefined ? { url } : { url, authToken });
  };

  it('are made by who may write, and read by who may read', async () => {
    const writer = connect('http', await token({ a: 'rw' }));
    const readToken = await token({ a: 'ro' });
    for (const scheme of ['http', 'ws']) {
      const early = connect(scheme, readToken, `none-${scheme}`);
      await assert.rejects(early.execute('SELECT 1'));
      early.close();
    }
    await writer.execute('CREATE TABLE t(v)');
    for (const scheme of ['http', 'ws']) {
      const reader = connect(scheme, readToken);
      assert.deepEqual((await reader.execute('SELECT * FROM t')).rows.length, 0);
      await assert.rejects(reader.execute('INSERT INTO t VALUES (1)'), codeOf('SQLITE_READONLY'));
      reader.close();
    }
    writer.close();
  });

  it('are not for others', async () => {
    const other = generateKeyPairSync('ed25519').privateKey;
    const now = Math.floor(Date.now() / 1000);
    const bad: readonly (readonly [string | undefined, string])[] = [
      [undefined, 'AUTH_REQUIRED'],
      ['a.b.c', 'AUTH_JWT_INVALID'],
      [await token({}, other), 'AUTH_JWT_INVALID'],
      [await token({ exp: now - 60 }), 'AUTH_JWT_EXPIRED'],
      [await token({ nbf: now + 600 }), 'AUTH_JWT_INVALID'],
      [await token({ id: 'else' }), 'AUTH_FORBIDDEN'],
      [await token({ p: { rw: { ns: ['else'] } } }), 'AUTH_FORBIDDEN'],
      [await token({ p: { ddl: { ns: ['shop'] } } }), 'AUTH_FORBIDDEN'],
      [await token({ p: { ddl: 'shop' } }), 'AUTH_JWT_INVALID'],
    ];
    for (const scheme of ['http', 'ws']) {
      for (const [authToken, code] of bad) {
        const client = connect(scheme, authToken);
        await assert.rejects(client.execute('SELECT 1'), codeOf(code), `${scheme} ${code}`);
        client.close();
      }
    }
    const listed = connect('http', await token({ p: { ro: { ns: ['shop'] } }, exp: now + 600 }));
    await assert.rejects(listed.execute('DELETE FROM t'), codeOf('SQLITE_READONLY'));
    listed.close();
  });

  it('answer at once when too many wait for the writer, and go on', async () => {
    const client = connect('http', await token({ a: 'rw' }), 'queue');
    await client.execute('CREATE TABLE q(v)');
    const holder = await client.transaction('write');
    // The client sends BEGIN with the first statement.
    await holder.execute('SELECT 1');
    // Requests on several connections come in any order: the writer is held until all but the one
    // that has the place in the queue are answered.
    const busy: string[] = [];
    let onAllBusy = () => {};
    const allBusy = new Promise<void>((resolve) => {
      onAllBusy = resolve;
    });
    const tries = Array.from({ length: 6 }, () =>
      client.execute('INSERT INTO q VALUES (1)').then(
        () => 'written',
        (error: { code: string }) => {
          if (busy.push(error.code) === 5) onAllBusy();
          return error.code;
        },
      ),
    );
    await allBusy;
    assert.deepEqual(busy, Array(5).fill('TRANSACTION_BUSY'));
    await holder.commit();
    const outcomes = await Promise.all(tries);
    assert.equal(outcomes.filter((outcome) => outcome === 'written').length, 1, outcomes.join());
    client.close();
  });

  it('are there again after a restart', async () => {
    const client = connect('http', await token({ a: 'rw' }), 'kept');
    await client.execute('CREATE TABLE k(v)');
    await client.execute('INSERT INTO k VALUES (42)');
    client.close();
    const { folder } = scene;
    assert.equal(await scene.gateway.stop(), 0);
    const gateway = await startGateway({
      config: { db: { dir: folder }, routes: [{ match: { path: '/db/{database}/*' }, db: {} }] },
    });
    scene = { gateway, folder };
    const again = createClient({ url: `http://127.0.0.1:${gateway.port}/db/kept/` });
    assert.equal((await again.execute('SELECT v FROM k')).rows[0]!.v, 42);
    const missing = createClient({ url: `http://127.0.0.1:${gateway.port}/db/missing/` });
    await assert.rejects(missing.execute('SELECT 1'), codeOf('DATABASE_NOT_FOUND'));
    again.close();
    missing.close();
  });
});
