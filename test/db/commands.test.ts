// Commands of an operator on databases that are in use: what they make and read is whole, and the
// writers beside them lose nothing.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ManualClock } from '../../host/core/index.ts';
import type { DatabaseCommand, DatabaseOutcomes } from '../../host/db/index.ts';
import { SESSION_LIMITS } from '../../host/db/index.ts';
import { DatabaseCommands, DatabaseShelf } from '../../host/db/service/index.ts';
import { needDebian } from '../support/debian.ts';
import { sqliteModule } from '../support/sql.ts';
import { codecModule } from './store-scene.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-commands-'));
let shelf: DatabaseShelf;
let commands: DatabaseCommands;

before(async () => {
  needDebian('sqlite3', 'sqlite3');
  shelf = await DatabaseShelf.open({
    folder: join(root, 'databases'),
    sqlite: sqliteModule,
    codec: codecModule,
    clock: new ManualClock(),
    creates: 'on-first-use',
    sessionLimits: SESSION_LIMITS,
    databaseLimits: {},
    engineLimits: {},
    openCountMax: 64,
    storeSizeBytesMax: 2 ** 30,
    retentionMs: 0,
    report: () => {},
  });
  commands = new DatabaseCommands(shelf);
});

after(async () => {
  await commands.close();
  await shelf.close();
  rmSync(root, { recursive: true, force: true });
});

async function run<K extends DatabaseCommand['kind']>(
  command: Extract<DatabaseCommand, { readonly kind: K }>,
): Promise<DatabaseOutcomes[K]> {
  return (await commands.run(command)) as DatabaseOutcomes[K];
}

/** A statement, durable when it is done. Returns its LSN. */
async function write(name: string, sql: string): Promise<number> {
  const { database } = await shelf.take(name, 'read-write');
  const connection = database.connect('read-write');
  try {
    connection.runSequence(sql);
    const lsn = connection.seenLsn;
    await new Promise<void>((resolve, reject) => {
      database.whenDurable(lsn, (error) => (error ? reject(error) : resolve()));
    });
    return lsn;
  } finally {
    connection.release();
  }
}

async function count(name: string): Promise<number> {
  const { database } = await shelf.take(name, 'read-only');
  const connection = database.connect('read-only');
  let found = -1;
  const ignore = () => {};
  const sink = { columns: ignore, beginRow: ignore, nullValue: ignore, float: ignore };
  connection.run(
    { sql: 'SELECT count(*) FROM t', args: [], namedArgs: [], wantRows: true },
    {
      ...sink,
      size: 0,
      text: ignore,
      blob: ignore,
      endRow: ignore,
      integer: (value) => {
        found = Number(value);
      },
    },
  );
  connection.release();
  return found;
}

async function backUp(name: string, path: string, between = async () => {}): Promise<number> {
  const { backup, lsn, sizeBytes } = await run({ kind: 'backup-begin', name });
  const pieces: Uint8Array[] = [];
  for (;;) {
    const piece = await run({ kind: 'backup-read', name, backup });
    if (piece === null) break;
    pieces.push(piece);
    await between();
  }
  await run({ kind: 'backup-end', name, backup });
  const bytes = Buffer.concat(pieces);
  assert.equal(bytes.length, sizeBytes);
  writeFileSync(path, bytes);
  return lsn;
}

const refusedWith = (code: string) => (error: { code?: string }) => error.code === code;
const FILL = `INSERT INTO t (text) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
  WHERE i < 4000) SELECT hex(randomblob(200)) FROM n;`;

describe('commands of a db worker', () => {
  it('backs up while a writer goes on, and what Debian opens is one state', async () => {
    await write('busy', 'CREATE TABLE t (id INTEGER PRIMARY KEY, text);');
    await write('busy', FILL);
    let last = await count('busy');
    const path = join(root, 'busy.db');
    await backUp('busy', path, async () => {
      // Two rows a commit: a file with an odd count would be half of one.
      await write(
        'busy',
        `INSERT INTO t (text) VALUES ('a'), ('b'); UPDATE t SET text = 'new'
        WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 500);`,
      );
      last += 2;
    });
    const sql = 'PRAGMA integrity_check; SELECT count(*) FROM t; SELECT count(*) FROM t;';
    const [verdict, rows] = execFileSync('sqlite3', [path, sql], { encoding: 'utf8' }).split('\n');
    assert.equal(verdict, 'ok');
    assert.equal(rows, '4000');
    assert.equal(await count('busy'), last);
    assert.ok(last > 4000);
  });

  it('branches at once; the two are independent, and are removed in order', async () => {
    await write('parent', 'CREATE TABLE t (id INTEGER PRIMARY KEY, text);');
    await write('parent', "INSERT INTO t (text) VALUES ('one');");
    const now = { lsn: Number.POSITIVE_INFINITY };
    const at = await run({ kind: 'branch', name: 'parent', as: 'child', moment: now });
    assert.equal(at, 2);
    await write('parent', "INSERT INTO t (text) VALUES ('two');");
    await write('child', "INSERT INTO t (text) VALUES ('x'), ('y'), ('z');");
    await write('parent', "UPDATE t SET text = 'changed';");
    assert.equal(await count('parent'), 2);
    assert.equal(await count('child'), 4);
    const overview = await run({ kind: 'overview', name: 'parent' });
    assert.deepEqual(overview.branches, ['child']);
    assert.equal(overview.logLsn, 4);
    await assert.rejects(run({ kind: 'remove', name: 'parent' }), refusedWith('DB_HAS_BRANCHES'));
    const base = await run({ kind: 'remove', name: 'child' });
    assert.equal(base?.parent, 'parent');
    await run({ kind: 'release', name: 'parent', pin: base!.pin });
    assert.equal(await count('parent'), 2);
    await run({ kind: 'remove', name: 'parent' });
    await assert.rejects(run({ kind: 'overview', name: 'parent' }), refusedWith('DB_NOT_FOUND'));
  });

  it('makes, imports and checks', async () => {
    await run({ kind: 'create', name: 'made' });
    await assert.rejects(run({ kind: 'create', name: 'made' }), refusedWith('DB_EXISTS'));
    const path = join(root, 'given.db');
    execFileSync('sqlite3', [path, "CREATE TABLE t (text); INSERT INTO t VALUES ('a'), ('b');"]);
    await run({ kind: 'import', name: 'given', path });
    assert.equal(await count('given'), 2);
    await write('given', "INSERT INTO t VALUES ('c');");
    const report = await run({ kind: 'check', name: 'given' });
    assert.equal(report.findingsCount, 0);
    assert.ok(report.recordsCount > 0);
    await assert.rejects(run({ kind: 'check', name: 'none' }), refusedWith('DB_NOT_FOUND'));
  });

  it('neither removes nor closes what a backup reads', async () => {
    await write('held', 'CREATE TABLE t (id INTEGER PRIMARY KEY, text);');
    const { backup } = await run({ kind: 'backup-begin', name: 'held' });
    await assert.rejects(run({ kind: 'remove', name: 'held' }), refusedWith('DB_STORE_LOCKED'));
    await run({ kind: 'backup-end', name: 'held', backup });
    await assert.rejects(
      run({ kind: 'backup-read', name: 'held', backup }),
      refusedWith('DB_UNAVAILABLE'),
    );
    await run({ kind: 'remove', name: 'held' });
  });
});
