// Two gateways with the same databases: one takes writes, the other follows it over HTTP. Both are
// real processes, which are killed and started again; what they have is compared row by row.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type Client, createClient } from '@libsql/client';
import { SeededRandom } from '../../host/core/index.ts';
import { freePort, type GatewayProcess, startGateway } from '../support/gateway.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';
import { testSeed } from '../support/seed.ts';

const TOKEN = 'what-both-gateways-know';
const WAIT_MS_MAX = 30_000;
const random = new SeededRandom(testSeed('followers'));
const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-followers-'));
  folders.push(folder);
  return folder;
}

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly engine: 'uws' | 'node';
}

async function newPlace(engine: 'uws' | 'node' = 'uws'): Promise<Place> {
  return { folder: newFolder(), port: await freePort(), engine };
}

function start({ folder, port, engine }: Place, db: object = {}): Promise<GatewayProcess> {
  return startGateway({
    config: {
      listen: [{ port, address: '127.0.0.1', engine }],
      workers: { io: 2, db: 2 },
      db: { dir: folder, create: 'on-first-use', replication: { token: TOKEN }, ...db },
      routes: [{ match: { path: '/db/{database}/*' }, db: {} }],
    },
  });
}

const follow = (port: number) => ({ follow: `http://127.0.0.1:${port}/db` });

function clientOf({ port }: { readonly port: number }, name: string): Client {
  return createClient({ url: `http://127.0.0.1:${port}/db/${name}/` });
}

async function rowsOf(place: { readonly port: number }, name: string, sql: string) {
  const { rows } = await clientOf(place, name).execute(sql);
  return rows.map((row) => Object.values(row));
}

const ALL = 'SELECT id, length(body), total(amount) FROM item GROUP BY id ORDER BY id';

async function makeItems(place: Place, name: string, count: number, sizeBytes = 10) {
  const client = clientOf(place, name);
  await client.execute(
    'CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, amount INTEGER, body BLOB)',
  );
  for (let done = 0; done < count; ++done) {
    const sql = 'INSERT INTO item (amount, body) VALUES (?, randomblob(?))';
    await client.execute({ sql, args: [random.uint32() % 1000, sizeBytes] });
  }
}

/** Asks until the answer is there; the error of the last time says why it never was. */
async function until(what: string, ask: () => Promise<void>): Promise<void> {
  const endMs = Date.now() + WAIT_MS_MAX;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (Date.now() > endMs) throw new Error(`never: ${what}`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function assertSame(primary: Place, follower: Place, name: string): Promise<void> {
  const sums = `${ALL}`;
  const expected = await rowsOf(primary, name, sums);
  await until(`${name} is the same`, async () => {
    assert.deepEqual(await rowsOf(follower, name, sums), expected);
  });
  for (const place of [primary, follower]) {
    assert.deepEqual(await rowsOf(place, name, 'PRAGMA integrity_check'), [['ok']]);
  }
  const content = 'SELECT id, amount, hex(body) FROM item ORDER BY id DESC LIMIT 200';
  assert.deepEqual(await rowsOf(follower, name, content), await rowsOf(primary, name, content));
}

async function replication(gateway: GatewayProcess) {
  const answer = await fetch(`${gateway.adminUrl}/replication`);
  return (await answer.json()) as { role: string; term: number; follows: string | null };
}

for (const engine of ['uws', 'node'] as const) {
  describe(`a follower over HTTP, both on ${engine} listeners`, { timeout: 180_000 }, () => {
    it('has the rows of the primary, says how late, and refuses writes by its name', async () => {
      const [first, second] = [await newPlace(engine), await newPlace(engine)];
      const primary = await start(first);
      const follower = await start(second, follow(first.port));
      try {
        await makeItems(first, 'shop', 20);
        await makeItems(first, 'other', 3);
        await assertSame(first, second, 'shop');
        await assertSame(first, second, 'other');
        const writing = clientOf(second, 'shop').execute('DELETE FROM item');
        await assert.rejects(writing, new RegExp(`follows http://127.0.0.1:${first.port}/db`));
        await assert.rejects(
          clientOf(second, 'nowhere').execute('SELECT 1'),
          /there is no database nowhere here: this gateway follows/,
        );
        await until('the lag is told', async () => {
          const metrics = parseExposition(await follower.metrics());
          for (const worker of ['0', '1']) {
            assert.equal(sampleValue(metrics, 'sluice_db_follower_lag_commits', { worker }), 0);
            const seconds = sampleValue(metrics, 'sluice_db_follower_lag_seconds', { worker });
            assert.ok(seconds! < 30, String(seconds));
          }
        });
        const { role, follows } = await replication(follower);
        assert.deepEqual([role, follows], ['follower', `http://127.0.0.1:${first.port}/db`]);
      } finally {
        assert.equal(await follower.stop(), 0, follower.log());
        assert.equal(await primary.stop(), 0, primary.log());
      }
    });
  });
}
