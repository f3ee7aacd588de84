// Files of Debian's sqlite3 with pages of every size, written once more with ours: SQLite finds the
// same in both.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../host/core/index.ts';
import { repage } from '../../host/db/engine/index.ts';
import { needDebian } from '../support/debian.ts';
import { sqliteModule } from '../support/sql.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-repage-'));
before(() => needDebian('sqlite3', 'sqlite3'));
after(() => rmSync(folder, { recursive: true }));

function sqlite(path: string, sql: string): string {
  const run = spawnSync('sqlite3', [path], { input: sql, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout.trim();
}

function convert(source: string, target: string, sizeBytesMax = 2 ** 30): void {
  repage({ module: sqliteModule, clock: systemClock, source, target, sizeBytesMax });
}

/** Tables of each kind, values larger than any page, and what a file says of itself. */
const FILL = `create table t(id integer primary key, name text, noise blob);
create index t_name on t(name); create table w(a text primary key, b) without rowid;
create view v as select name from t; create trigger r after insert on w begin select 1; end;
create virtual table f using fts5(x); insert into f values('hello world');
insert into w values('a', 1), ('b', "as DDL was once");
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
insert into t select i, 'name ' || i % 97, randomblob(i % 900) from n;
insert into t values(9999, 'large', randomblob(200000));
pragma user_version=7; pragma application_id=99;`;
const LOOK = `pragma integrity_check; select * from f where f match 'hello'; pragma user_version;
pragma application_id; pragma auto_vacuum;
select type, name, sql from sqlite_schema order by name;\n.sha3sum`;

describe('a file with other pages', () => {
  for (const [index, size] of [512, 1_024, 2_048, 8_192, 16_384, 32_768, 65_536].entries()) {
    const more = ['pragma journal_mode=wal;', 'pragma auto_vacuum=full;', ''][index % 3]!;
    it(`of ${size} bytes has the same with ours ${more}`, () => {
      const source = join(folder, `${size}.db`);
      const target = join(folder, `${size}-ours.db`);
      sqlite(source, `.dbconfig dqs_dml on\npragma page_size=${size}; ${more} ${FILL}`);
      assert.ok(!existsSync(`${source}-wal`));
      convert(source, target);
      assert.equal(sqlite(target, 'pragma page_size; pragma journal_mode;'), '4096\ndelete');
      assert.equal(sqlite(target, LOOK), sqlite(source, LOOK));
    });
  }

  it('keeps what is reserved in each page, as the sqlite3 of macOS does', () => {
    const source = join(folder, 'reserved.db');
    const target = join(folder, 'reserved-ours.db');
    sqlite(source, `pragma page_size=1024;\n.filectrl reserve_bytes 12\n${FILL} vacuum;`);
    convert(source, target);
    assert.equal(readFileSync(target)[20], 12);
    assert.equal(sqlite(target, LOOK), sqlite(source, LOOK));
  });

  it('that is damaged, or finds no room, leaves nothing, and says what it is', () => {
    const source = join(folder, 'bad.db');
    const target = join(folder, 'bad-ours.db');
    sqlite(source, `pragma page_size=8192; ${FILL}`);
    const bytes = readFileSync(source);
    assert.throws(() => convert(source, target, 65_536), {
      code: 'DB_STORE_FULL',
      message: /more than 65536 bytes/,
    });
    assert.ok(!existsSync(target));
    bytes.fill(0xff, 8_192 * 3, 8_192 * 20);
    writeFileSync(source, bytes);
    assert.throws(() => convert(source, target), {
      code: 'DB_FORMAT',
      message: /bad\.db: database disk image is malformed/,
    });
    assert.ok(!existsSync(target));
    writeFileSync(target, 'somebody else');
    assert.throws(() => convert(source, target), { code: 'EEXIST' });
    assert.equal(readFileSync(target, 'utf8'), 'somebody else');
  });
});
