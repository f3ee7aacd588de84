// Gateways with the same databases, as real processes: where they stand, how they are started,
// killed and asked, and how what they have is compared.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from '@libsql/client';
import { SeededRandom } from '../../host/core/index.ts';
import { freePort, type GatewayProcess, type GatewayStart, startGateway } from './gateway.ts';
import { testSeed } from './seed.ts';

export const TOKEN = 'what-both-gateways-know';
/** On a disk that others use too. */
const WAIT_MS_MAX = 90_000;
const folders: string[] = [];
const random = new SeededRandom(testSeed('items'));

export function removeFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-followers-'));
  folders.push(folder);
  return folder;
}

export interface Place {
  readonly folder: string;
  readonly port: number;
  readonly engine: 'uws' | 'node';
}

export async function newPlace(engine: 'uws' | 'node' = 'uws'): Promise<Place> {
  return { folder: newFolder(), port: await freePort(), engine };
}

export function start(
  { folder, port, engine }: Place,
  db: object = {},
  process: Pick<GatewayStart, 'nodeFlags' | 'env'> = {},
): Promise<GatewayProcess> {
  return startGateway({
    ...process,
    config: {
      listen: [{ port, address: '127.0.0.1', engine }],
      workers: { io: 2, db: 2 },
      db: { dir: folder, create: 'on-first-use', replication: { token: TOKEN }, ...db },
      routes: [{ match: { path: '/db/{database}/*' }, db: {} }],
    },
  });
}

export const follow = (port: number) => ({ follow: `http://127.0.0.1:${port}/db` });

export function clientOf({ port }: { readonly port: number }, name: string): Client {
  return createClient({ url: `http://127.0.0.1:${port}/db/${name}/` });
}

export async function rowsOf(place: { readonly port: number }, name: string, sql: string) {
  const { rows } = await clientOf(place, name).execute(sql);
  return rows.map((row) => Object.values(row));
}

const ALL = 'SELECT id, length(body), total(amount) FROM item GROUP BY id ORDER BY id';

export async function makeItems(place: Place, name: string, count: number, sizeBytes = 10) {
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
export async function until(what: string, ask: () => Promise<void>): Promise<void> {
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

export async function assertSame(primary: Place, follower: Place, name: string): Promise<void> {
  const expected = await rowsOf(primary, name, ALL);
  await until(`${name} is the same`, async () => {
    assert.deepEqual(await rowsOf(follower, name, ALL), expected);
  });
  for (const place of [primary, follower]) {
    assert.deepEqual(await rowsOf(place, name, 'PRAGMA integrity_check'), [['ok']]);
  }
  const content = 'SELECT id, amount, hex(substr(body, -500)) FROM item ORDER BY id';
  assert.deepEqual(await rowsOf(follower, name, content), await rowsOf(primary, name, content));
}

export async function kill({ child }: GatewayProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

export async function post(gateway: GatewayProcess, path: string): Promise<Response> {
  return fetch(`${gateway.adminUrl}${path}`, { method: 'POST' });
}

export async function replication(gateway: GatewayProcess) {
  const answer = await fetch(`${gateway.adminUrl}/replication`);
  return (await answer.json()) as { role: string; term: number; follows: string | null };
}
