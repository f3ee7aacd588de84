// Backups: a store from a file of Debian's sqlite3 and back to one that it finds whole.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  exportSqliteFile,
  type LmdbPageStore,
  openSqliteFile,
} from '../../host/db/page-store/index.ts';
import { needDebian } from '../support/debian.ts';
import { readPage, StoreScene } from './store-scene.ts';

const scene = new StoreScene();
before(() => needDebian('sqlite3', 'sqlite3'));
after(() => scene.remove());

function sqlite(path: string, sql: string): string {
  const run = spawnSync('sqlite3', [path], { input: sql, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout.trim();
}

const FILL = `create table t(id integer primary key, name text, noise blob);
create index t_name on t(name);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 4000)
insert into t select i, 'name ' || i % 97, randomblob(i % 900) from n;`;

async function load(store: LmdbPageStore, path: string): Promise<void> {
  const file = await openSqliteFile(path);
  try {
    await store.load(1, file.pageCount, file.pages());
  } finally {
    await file.close();
  }
}

function at(name: string): string {
  return join(scene.folder, name);
}

describe('backups', () => {
  it('come from a file and go to one, of an old state while newer ones are folded', async () => {
    const from = at('from.db');
    sqlite(from, `pragma page_size=4096; ${FILL}`);
    const store = await scene.open();
    await load(store, from);
    const pin = store.pin(store.lsn);
    const changed = new Uint8Array(4096).fill(9);
    await store.fold(2, store.pageCount + 3, [{ pageNumber: 2, bytes: changed }]);
    const to = at('to.db');
    const seen: number[] = [];
    assert.equal(await exportSqliteFile(store, 1, to, (done) => seen.push(done)), 1);
    pin.release();
    assert.deepEqual(readFileSync(to), readFileSync(from));
    assert.equal(sqlite(to, 'pragma integrity_check; select count(*) from t;'), 'ok\n4000');
    assert.ok(seen.length > 1 && seen.at(-1) === pin.pageCount, `${seen}`);
    assert.deepEqual(readPage(store, 2, 2), changed);
    assert.equal(readPage(store, store.pageCount, 2), null);
    await assert.rejects(exportSqliteFile(store, 2, to), { code: 'DB_EXISTS' });
    assert.deepEqual(
      readdirSync(scene.folder).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });

  it('take a file that was used with a WAL, once it is in the file', async () => {
    const path = at('wal.db');
    const whole = 'pragma wal_checkpoint(truncate)';
    sqlite(path, `pragma page_size=4096; pragma journal_mode=wal; ${FILL} ${whole};`);
    const store = await scene.open({ folder: at('wal-pages') });
    await load(store, path);
    const to = at('wal-to.db');
    await exportSqliteFile(store, 1, to);
    assert.equal(sqlite(to, 'pragma integrity_check; pragma journal_mode;'), 'ok\ndelete');
    writeFileSync(`${path}-wal`, 'something');
    await assert.rejects(openSqliteFile(path), { code: 'DB_FORMAT', message: /wal\.db-wal/ });
  });

  it('take an empty file for an empty database', async () => {
    writeFileSync(at('empty.db'), '');
    const store = await scene.open({ folder: at('empty-pages') });
    await load(store, at('empty.db'));
    assert.deepEqual([store.lsn, store.pageCount], [1, 0]);
    await exportSqliteFile(store, 1, at('empty-to.db'));
    assert.equal(sqlite(at('empty-to.db'), 'pragma integrity_check'), 'ok');
  });

  it('refuse what is no database, or none that can be served, by name', async () => {
    sqlite(at('wide.db'), 'pragma page_size=8192; create table t(a);');
    sqlite(at('widest.db'), 'pragma page_size=65536; create table t(a);');
    sqlite(
      at('utf-16.db'),
      "pragma page_size=4096; pragma encoding='UTF-16be'; create table t(a);",
    );
    sqlite(at('sums.db'), '.filectrl reserve_bytes 8\ncreate table t(a); vacuum;');
    sqlite(at('odd.db'), 'create table t(a);');
    const odd = readFileSync(at('odd.db'));
    odd.writeUInt16BE(1_000, 16);
    writeFileSync(at('odd.db'), odd);
    sqlite(at('cut.db'), `pragma page_size=4096; ${FILL}`);
    writeFileSync(at('cut.db'), readFileSync(at('cut.db')).subarray(0, 10_000));
    writeFileSync(at('text.db'), 'no database'.repeat(500));
    writeFileSync(at('short.db'), 'SQLite format 3\0');
    for (const [name, message] of [
      ['wide.db', /pages of 8192 bytes, expected 4096/],
      ['widest.db', /pages of 65536 bytes/],
      ['odd.db', /pages of 1000 bytes, expected a power of two/],
      ['utf-16.db', /texts in UTF-16, .* expected UTF-8; .*\.dump/],
      ['sums.db', /8 bytes reserved in each page, as SQLite's checksum VFS does/],
      ['cut.db', /10000 bytes, which are not whole pages/],
      ['text.db', /not a database of SQLite 3/],
      ['short.db', /not a database of SQLite 3/],
    ] as const) {
      await assert.rejects(openSqliteFile(at(name)), { code: 'DB_FORMAT', message }, name);
    }
  });

  it('leave nothing behind that is not whole', async () => {
    const store = await scene.open({ folder: at('bad-pages') });
    await store.fold(1, 2, [{ pageNumber: 1, bytes: new Uint8Array(4096) }]);
    const failing = {
      pin: (lsn: number) => store.pin(lsn),
      readPage(): boolean {
        throw new Error('the disk is gone');
      },
    };
    await assert.rejects(exportSqliteFile(failing, 1, at('bad.db')), /the disk is gone/);
    assert.ok(!existsSync(at('bad.db')));
    await assert.rejects(store.load(2, 0, openNothing()), RangeError);
  });
});

async function* openNothing(): AsyncIterable<never> {}
