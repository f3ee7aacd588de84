// `sluice db` as people type it, on databases that SQLite wrote through the log; once through the
// built program.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dbCommand } from '../../host/cli/db/command.ts';
import { systemClock } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import { Database } from '../../host/db/database.ts';
import { DatabaseCatalog } from '../../host/db/index.ts';
import { codecModule } from '../db/store-scene.ts';
import { pageCodec } from '../support/database.ts';
import { needDebian } from '../support/debian.ts';
import { moduleBytes, sqliteModule } from '../support/sql.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-cli-db-'));
const dir = join(root, 'databases');
before(() => needDebian('sqlite3', 'sqlite3'));
after(() => rmSync(root, { recursive: true, force: true }));

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function answerOf(...argv: string[]): Promise<Answer> {
  const texts = { stdout: '', stderr: '' };
  const into = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      texts[name] += text;
    },
  });
  const folder = argv.includes('--dir') ? [] : ['--dir', dir];
  const output = { stdout: into('stdout'), stderr: into('stderr') };
  const code = await dbCommand([...argv, ...folder], output, moduleBytes);
  return { code, ...texts };
}

async function fine(...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await answerOf(...argv);
  assert.equal(code, 0, `${argv.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

async function refusedBy(reason: string, ...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await answerOf(...argv);
  assert.equal(code, reason === 'GW_FLAG_BAD_VALUE' ? 2 : 1, `${argv.join(' ')}: ${stdout}`);
  assert.ok(stderr.includes(reason), `${argv.join(' ')}: ${stderr}`);
  return stderr;
}

function openCatalog(): Promise<DatabaseCatalog> {
  return DatabaseCatalog.open({
    folder: dir,
    codecModule,
    clock: systemClock,
    sizeBytesMax: 2 ** 30,
    retentionMs: 60_000,
  });
}

/** What a gateway would do: each statement is a commit in the log, and nothing is folded. */
async function runAll(name: string, statements: readonly string[]): Promise<void> {
  const catalog = await openCatalog();
  const { store, close } = await catalog.openPages(name);
  const database = await Database.open({
    module: sqliteModule,
    clock: systemClock,
    codec: deltaCodec(pageCodec),
    pages: store,
    openLog: () => catalog.openLog(name, store),
  });
  const connection = database.connect('read-write');
  for (const sql of statements) {
    connection.run({ sql, args: [], namedArgs: [], wantRows: false }, null);
    await new Promise<void>((resolve, reject) => {
      database.whenDurable(connection.seenLsn, (error) => (error ? reject(error) : resolve()));
    });
  }
  connection.release();
  await database.close();
  await close();
  await catalog.close();
}

function sqlite(path: string, sql: string): string {
  const run = spawnSync('sqlite3', [path], { input: sql, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout.trim();
}

describe('sluice db', () => {
  it('makes, fills from a file, backs up with the log, branches and deletes', async () => {
    assert.equal(await fine('create', 'shop'), `shop is made, in the new folder ${dir}\n`);
    assert.equal(statSync(join(dir, 'shop')).mode & 0o777, 0o700, 'nobody else reads it');
    await runAll('shop', [
      'create table t(a)',
      ...[1, 2, 3].map((n) => `insert into t values(${n})`),
    ]);
    assert.match(await fine('list'), /^shop +lsn 4 +2 pages/);

    const file = join(root, 'shop.db');
    assert.match(await fine('backup', 'shop', file), /shop\.db is shop at lsn 4, 2 pages/);
    assert.equal(sqlite(file, 'pragma integrity_check; select sum(a) from t'), 'ok\n6');
    await refusedBy('DB_EXISTS', 'backup', 'shop', file);

    await fine('restore', 'copy', '--from', file);
    assert.match(await fine('check'), /copy: 2 records at lsn 1, good\nshop: \d+ records .*good\n/);
    const backup = join(root, 'copy.db');
    await fine('backup', 'copy', backup);
    assert.deepEqual(readFileSync(backup), readFileSync(file));

    await fine('branch', 'shop', 'shop-now');
    assert.match(await refusedBy('DB_HAS_BRANCHES', 'delete', 'shop'), /shop-now/);
    assert.match(await fine('list'), /shop-now .* branch of shop at lsn 4/);
    await fine('delete', 'shop-now');
    await fine('delete', 'shop');
    assert.ok(!existsSync(join(dir, 'shop')));
  });

  it('goes back to a commit in the middle of the log', async () => {
    await fine('create', 'bank');
    await runAll('bank', [
      'create table t(a)',
      ...[1, 2, 3, 4].map((n) => `insert into t values(${n})`),
    ]);
    assert.equal(
      await fine('restore', 'bank', '--at', '3', '--as', 'bank-3'),
      'bank-3 is bank at lsn 3\n',
    );
    await fine('branch', 'bank', 'bank-4', '--at', '4');
    const sealed = Date.now();
    while (Date.now() <= sealed + 1) await new Promise((resolve) => setImmediate(resolve));
    await fine('branch', 'bank', 'bank-now', '--at', new Date(Date.now()).toISOString());
    for (const [name, rows] of [
      ['bank-3', 2],
      ['bank-4', 3],
      ['bank-now', 4],
    ] as const) {
      const file = join(root, `${name}.db`);
      await fine('backup', name, file);
      assert.equal(sqlite(file, 'pragma integrity_check; select count(*) from t'), `ok\n${rows}`);
    }
    assert.match(
      await refusedBy('DB_NO_STATE', 'branch', 'bank', 'bank-9', '--at', '9'),
      /lsn 9; what can be reached is from 0 \(\d{4}-\d\d-.*\) to 5/,
    );
    const later = new Date(Date.now() + 60_000).toISOString();
    assert.match(
      await refusedBy('DB_NO_STATE', 'branch', 'bank', 'bank-9', '--at', later),
      /what can be reached is from .* to now/,
    );
    await refusedBy('DB_NO_STATE', 'branch', 'bank', 'bank-9', '--at', '2020-01-01T00:00Z');
    const stats = JSON.parse(await fine('stats', 'bank', '--json'));
    assert.equal(stats.logLsn, 5);
    assert.deepEqual(stats.branches, ['bank-3', 'bank-4', 'bank-now']);
    assert.match(await fine('stats', 'bank'), /last commit +lsn 5, epoch 1\n/);
  });

  it('refuses what it cannot do, by name', async () => {
    await refusedBy('GW_FLAG_BAD_VALUE', 'dance');
    await refusedBy('GW_FLAG_BAD_VALUE', 'create');
    await refusedBy('GW_FLAG_BAD_VALUE', 'create', 'shop', 'file.db');
    await refusedBy('GW_FLAG_BAD_VALUE', 'list', 'shop');
    await refusedBy('GW_FLAG_BAD_VALUE', 'restore', 'x');
    await refusedBy('GW_FLAG_BAD_VALUE', 'list', '--dir', dir, '--admin', 'http://127.0.0.1:1');
    await refusedBy('GW_FLAG_BAD_VALUE', 'restore', 'x', '--from', 'f', '--at', '3');
    await refusedBy('GW_FLAG_BAD_VALUE', 'branch', 'bank', 'x', '--at', 'yesterday');
    await refusedBy('DB_NAME', 'create', 'v3');
    await refusedBy('DB_NOT_FOUND', 'stats', 'nobody');
    await refusedBy('DB_NOT_FOUND', 'check', 'nobody');
    writeFileSync(join(root, 'text'), 'text');
    await refusedBy('DB_FORMAT', 'create', 'x', '--from', join(root, 'text'));
    const elsewhere = join(root, 'elsewhere');
    await refusedBy('DB_NOT_FOUND', 'list', '--dir', elsewhere);
    await refusedBy('DB_NOT_FOUND', 'restore', 'x', '--at', '1', '--as', 'y', '--dir', elsewhere);
    assert.ok(!existsSync(elsewhere));
  });

  it('lists a database that cannot be opened with why, and checks the others', async () => {
    const spoiled = join(dir, 'spoiled', 'pages', 'data.mdb');
    await fine('create', 'spoiled');
    writeFileSync(spoiled, 'no pages of LMDB');
    const listed = await answerOf('list');
    assert.equal(listed.code, 1);
    assert.match(
      listed.stdout,
      /^bank +lsn 5 [\s\S]*^spoiled +cannot be opened: .* is no page store/m,
    );
    const rows = JSON.parse((await answerOf('list', '--json')).stdout) as object[];
    assert.deepEqual(
      rows.filter((row) => 'error' in row).map((row) => 'name' in row && row.name),
      ['spoiled'],
    );
    const checked = await answerOf('check');
    assert.equal(checked.code, 1);
    assert.match(checked.stdout, /^bank: .*good$[\s\S]*^spoiled: cannot be read: .*DB_FORMAT/m);
    rmSync(join(dir, 'spoiled'), { recursive: true });
  });

  it('takes a file with other pages than ours, and leaves nothing else behind', async () => {
    const file = join(root, 'wide.db');
    sqlite(file, "pragma page_size=16384; create table t(a); insert into t values('wide')");
    await fine('create', 'wide', '--from', file);
    const back = join(root, 'wide-back.db');
    await fine('backup', 'wide', back);
    assert.equal(
      sqlite(back, 'pragma page_size; select a from t; pragma integrity_check'),
      '4096\nwide\nok',
    );
    assert.deepEqual(readdirSync(join(dir, '.temporary')), []);
    await refusedBy('DB_EXISTS', 'create', 'wide', '--from', file);
    await fine('delete', 'wide');
  });

  it('is a command of the program', () => {
    const args = [resolve('dist/sluice.js'), 'db', 'list', '--dir', join(root, 'elsewhere')];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.equal(status, 1);
    assert.match(stderr, /DB_NOT_FOUND, reason 1139/);
  });

  it('never touches what another process has', async () => {
    const catalog = await openCatalog();
    try {
      const said = await refusedBy('DB_STORE_LOCKED', 'list');
      assert.match(said, new RegExp(`process ${process.pid}`));
    } finally {
      await catalog.close();
    }
    await fine('list');
  });

  it('names a page that was damaged', async () => {
    await fine('create', 'bad');
    const noise = Array.from({ length: 4 }, () => 'insert into t values(randomblob(3000))');
    await runAll('bad', ['create table t(a)', ...noise]);
    await fine('check', 'bad');
    const path = join(dir, 'bad', 'pages', 'data.mdb');
    const file = readFileSync(path);
    const backup = join(root, 'bad.db');
    await fine('backup', 'bad', backup);
    // Noise stands in a record as it stands in its page.
    const page = readFileSync(backup).subarray(2 * 4096, 3 * 4096);
    const at = file.indexOf(page.subarray(2000, 2032));
    assert.ok(at > 0);
    file[at] = file[at]! ^ 1;
    writeFileSync(path, file);
    const { code, stdout } = await answerOf('check', 'bad');
    assert.equal(code, 1);
    assert.match(stdout, /bad: current: page [23] at lsn \d+: /);
    await refusedBy('DB_PAGE_CORRUPT', 'backup', 'bad', join(root, 'bad-2.db'));
    assert.ok(!existsSync(join(root, 'bad-2.db')));
  });
});
