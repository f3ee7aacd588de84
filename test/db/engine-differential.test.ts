// The same random SQL through the engine and through Debian's sqlite3: the same rows, the same
// statements that fail, and a file made of the commits' pages that sqlite3 finds intact.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import type { SqlConnection, SqlValue } from '../../host/db/contract.ts';
import { isSqlError } from '../../host/db/sql-error.ts';
import { needDebian } from '../support/debian.ts';
import { testSeed } from '../support/seed.ts';
import { assertIntact, FileImage, makeEngine, rows } from '../support/sql.ts';

const ROUNDS = 12;
const STATEMENTS_COUNT = 250;
const SCHEMA = [
  'CREATE TABLE a(id INTEGER PRIMARY KEY, x INT, y TEXT UNIQUE, z BLOB)',
  'CREATE TABLE b(id INTEGER PRIMARY KEY, a INT REFERENCES a(id) ON DELETE CASCADE, ' +
    'k INT CHECK (k >= 0), t TEXT)',
  'CREATE TABLE w(p TEXT, q INT, v, PRIMARY KEY (p, q)) WITHOUT ROWID',
  'CREATE INDEX a_x ON a(x)',
  'CREATE INDEX b_k ON b(k, t) WHERE k > 3',
  'CREATE TRIGGER a_upd AFTER UPDATE OF x ON a WHEN new.x % 7 = 0 BEGIN ' +
    "INSERT OR REPLACE INTO w VALUES ('trigger', new.id, new.x); END",
  "CREATE TABLE g(id INTEGER PRIMARY KEY, j TEXT, n INT AS (json_extract(j, '$.n')) STORED, " +
    "u TEXT AS (upper(j ->> '$.s')) VIRTUAL, CHECK (n IS NULL OR n < 90))",
  'CREATE INDEX g_n ON g(n, u)',
  'CREATE TABLE s(k INT PRIMARY KEY, v ANY, r REAL) STRICT',
  'CREATE TABLE h(id INTEGER PRIMARY KEY, hidden)',
  'CREATE TABLE c(id INTEGER PRIMARY KEY, v)',
  'CREATE TABLE d(id INTEGER PRIMARY KEY, parent INT REFERENCES d DEFERRABLE INITIALLY DEFERRED)',
  'CREATE TRIGGER d_ins BEFORE INSERT ON d WHEN new.id % 13 = 0 BEGIN ' +
    "SELECT RAISE(ABORT, 'thirteen'); END",
  'CREATE VIRTUAL TABLE f USING fts5(title, body)',
  'CREATE VIEW o AS SELECT a.id AS id, x, k FROM a JOIN b ON b.a = a.id',
  'CREATE TRIGGER o_del INSTEAD OF DELETE ON o BEGIN UPDATE a SET x = -1 WHERE id = old.id; END',
];
const TABLES = ['a', 'b', 'w', 'g', 's', 'd'];
/** Of these, sqlite3 cannot print the values, or the order is not theirs. */
const PRINTED = [
  'SELECT id, hex(hidden), length(hidden) FROM h ORDER BY id',
  'SELECT rowid, * FROM f',
];
const LAST = [...TABLES.map((table) => `SELECT * FROM ${table} ORDER BY 1, 2`), ...PRINTED];
const WORDS = ['flood', 'gate', 'log', 'page', 'sluice', 'water'];

let folder: string;

before(() => {
  needDebian('sqlite3', 'sqlite3');
  folder = mkdtempSync(join(tmpdir(), 'sluice-engine-'));
});

after(() => rmSync(folder, { recursive: true, force: true }));

class SqlWriter {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  statement(): string {
    const make = this.#pick([
      () => this.#insert(),
      () => this.#insert(),
      () => this.#insert(),
      () => this.#update(),
      () => this.#update(),
      () => this.#delete(),
      () => this.#select(),
      () => this.#select(),
      () => this.#many(),
      () => this.#transaction(),
      () => this.#transaction(),
      () => this.#schema(),
      () => this.#json(),
      () => this.#strict(),
      () => this.#hidden(),
      () => this.#text(),
      () => this.#joined(),
      () => this.#windowed(),
      () => this.#shaped(),
      () => this.#deferred(),
      () => this.#altered(),
    ]);
    return make();
  }

  #below(count: number): number {
    return this.#random.uint32() % count;
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }

  #id(): number {
    return this.#below(60);
  }

  #value(): string {
    return this.#pick([
      () => 'NULL',
      () => String(this.#below(100)),
      () => String(this.#below(2 ** 31) * 4_000_000),
      () => `${this.#below(50)}.5`,
      () => `'text ${this.#below(30)}'`,
      () => `'${'ü☃'.repeat(this.#below(40))}'`,
      () => `x'${this.#below(65_536).toString(16).padStart(4, '0')}'`,
      () => `zeroblob(${this.#below(9_000)})`,
    ])();
  }

  #conflict(): string {
    return this.#pick(['', '', 'OR IGNORE', 'OR REPLACE', 'OR ABORT', 'OR FAIL', 'OR ROLLBACK']);
  }

  #insert(): string {
    const conflict = this.#conflict();
    return this.#pick([
      () =>
        `INSERT ${conflict} INTO a VALUES (${this.#id()}, ${this.#below(50)}, ` +
        `'name ${this.#below(80)}', ${this.#value()})`,
      () =>
        `INSERT ${conflict} INTO b VALUES (${this.#id()}, ${this.#id()}, ` +
        `${this.#below(12) - 1}, ${this.#value()}), (NULL, ${this.#id()}, 1, 'second')`,
      () =>
        `INSERT ${conflict} INTO w VALUES ('${this.#below(5)}', ${this.#id()}, ${this.#value()})`,
      () =>
        `INSERT INTO w VALUES ('${this.#below(5)}', ${this.#id()}, 1) ` +
        'ON CONFLICT DO UPDATE SET v = w.q + 1 RETURNING p, q, v',
    ])();
  }

  #update(): string {
    const conflict = this.#conflict();
    return this.#pick([
      () => `UPDATE ${conflict} a SET x = x + ${this.#below(9)} WHERE id < ${this.#id()}`,
      () => `UPDATE ${conflict} a SET id = id + 1 WHERE x = ${this.#below(50)}`,
      () => `UPDATE ${conflict} b SET k = k - 1 WHERE id > ${this.#id()}`,
      () => `UPDATE b SET t = ${this.#value()} WHERE k = ${this.#below(9)} RETURNING id, t`,
      () => `UPDATE w SET v = ${this.#value()} WHERE q < ${this.#id()}`,
    ])();
  }

  #delete(): string {
    const table = this.#pick(TABLES);
    const column = { w: 'q', s: 'k' }[table] ?? 'id';
    return `DELETE FROM ${table} WHERE ${column} = ${this.#id()}`;
  }

  #select(): string {
    return this.#pick([
      () => `SELECT * FROM ${this.#pick(TABLES)} ORDER BY 1, 2`,
      () => 'SELECT count(*), sum(x), min(y), max(y) FROM a',
      () => 'SELECT a.y, count(b.id) FROM a LEFT JOIN b ON b.a = a.id GROUP BY a.id ORDER BY 1, 2',
      () => `SELECT id FROM b WHERE k > 3 AND t > 'text' ORDER BY k, t, id LIMIT 9`,
      () => 'SELECT p, sum(q) OVER (PARTITION BY p ORDER BY q) FROM w ORDER BY 1, 2',
      () => `SELECT id, x FROM a WHERE x IN (SELECT k FROM b) ORDER BY id`,
      // Not total_changes(): what FTS5 writes for itself counts, and differs between versions.
      () => 'SELECT changes(), last_insert_rowid()',
    ])();
  }

  /** Generated columns over JSON, some of it malformed, so that statements fail in the middle. */
  #json(): string {
    const [id, n] = [this.#id(), this.#below(100)];
    const good = `'{"n": ${n}, "s": "${'é'.repeat(this.#below(5))}", "l": [1, ${n}, null]}'`;
    const text = this.#below(8) === 0 ? "'{bad'" : good;
    return this.#pick([
      () => `INSERT ${this.#conflict()} INTO g(id, j) VALUES (${id}, ${good}), (NULL, ${text})`,
      () => `UPDATE g SET j = json_set(j, '$.n', n + ${this.#below(9)}) WHERE id > ${id}`,
      () => `SELECT id, n, u, j -> '$.l', json_array_length(j, '$.l') FROM g ORDER BY id`,
      () => "SELECT g.id, e.key, e.value FROM g, json_each(g.j, '$.l') AS e ORDER BY 1, 2",
      () => `DELETE FROM g WHERE n = ${n} RETURNING id, u`,
    ])();
  }

  #strict(): string {
    const insert = `INSERT ${this.#conflict()} INTO s VALUES (${this.#id()}, ${this.#value()}, `;
    return this.#pick([
      () => `${insert}${this.#below(9)})`,
      () => `${insert}'not real')`,
      () => `${insert}0.25), (${this.#id()}, 1, 1) ON CONFLICT (k) DO UPDATE SET r = r + 1`,
      () => 'SELECT typeof(v), count(*), CAST(total(r) * 4 AS INT) FROM s GROUP BY 1 ORDER BY 1',
    ])();
  }

  /** NULs within texts, and values of many pages. */
  #hidden(): string {
    const id = this.#id();
    return this.#pick([
      () => `INSERT OR REPLACE INTO h VALUES (${id}, char(65, 0, ${this.#below(999)}) || 'b')`,
      () => `INSERT OR REPLACE INTO h VALUES (${id}, zeroblob(${this.#below(120_000)}) || x'01')`,
      () => `UPDATE h SET hidden = hidden || char(0) || 'tail' WHERE id < ${id}`,
      () => `SELECT hex(substr(hidden, -5)), length(hidden), typeof(hidden) FROM h ORDER BY id`,
      () => `DELETE FROM h WHERE instr(hidden, char(0)) > 0 AND id > ${id}`,
    ])();
  }

  #text(): string {
    const word = () => this.#pick(WORDS);
    return this.#pick([
      () => `INSERT INTO f VALUES ('${word()}', '${word()} ${word()} ${word()}')`,
      () => `SELECT rowid, title FROM f WHERE f MATCH '${word()} AND ${word()}' ORDER BY rowid`,
      () => `SELECT rowid, highlight(f, 1, '<', '>') FROM f('"${word()} ${word()}"') ORDER BY 1`,
      () => `UPDATE f SET body = body || ' ${word()}' WHERE rowid = ${this.#below(9)}`,
      () => `DELETE FROM f WHERE title = '${word()}' AND rowid % 3 = 0`,
    ])();
  }

  #joined(): string {
    return this.#pick([
      () => 'SELECT * FROM o ORDER BY 1, 2, 3',
      () => `DELETE FROM o WHERE k = ${this.#below(9)}`,
      () => `UPDATE a SET x = b.k FROM b WHERE b.a = a.id AND b.id < ${this.#id()}`,
      () => 'SELECT a.id, b.id FROM a FULL JOIN b ON b.a = a.id AND b.k = a.x ORDER BY 1, 2',
      () => 'SELECT x, count(*) FROM a NATURAL JOIN s GROUP BY x HAVING count(*) > 1 ORDER BY 1',
      () => `SELECT id FROM a EXCEPT SELECT a FROM b ORDER BY 1`,
      () => `SELECT 1 + (SELECT max(x) FROM a WHERE id < ${this.#id()}), abs(-9223372036854775808)`,
    ])();
  }

  /** Window functions: each with an order that is whole, so that no answer is left to chance. Not
   *  min and total with a FILTER over a moving frame, which SQLite 3.40 gets wrong. */
  #windowed(): string {
    const frame = this.#pick([
      'ROWS BETWEEN 2 PRECEDING AND CURRENT ROW',
      'ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW',
      `GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES`,
      `RANGE BETWEEN ${this.#below(9)} PRECEDING AND ${this.#below(9)} FOLLOWING`,
    ]);
    return this.#pick([
      () =>
        `SELECT id, sum(x) OVER (ORDER BY id ${frame}), count(*) OVER f FROM a WINDOW f AS ` +
        '(PARTITION BY x % 3 ORDER BY id) ORDER BY id',
      () =>
        'SELECT id, rank() OVER o, dense_rank() OVER o, ntile(4) OVER (ORDER BY k, id) FROM b ' +
        'WINDOW o AS (ORDER BY k) ORDER BY k, id',
      () =>
        'SELECT id, lag(x, 1, -1) OVER o, lead(y) OVER o, first_value(x) OVER o, ' +
        'nth_value(x, 2) OVER o FROM a WINDOW o AS (PARTITION BY x % 2 ORDER BY id) ORDER BY id',
      () =>
        'SELECT p, q, count(q) FILTER (WHERE q % 2 = 0) OVER ' +
        `(PARTITION BY p ORDER BY q ${frame}) FROM w ORDER BY p, q`,
      () =>
        'SELECT p, group_concat(q) FROM (SELECT p, q FROM w ORDER BY p, q) GROUP BY p ORDER BY p',
    ])();
  }

  /** Types, collations, patterns, common table expressions, and upserts of each kind. */
  #shaped(): string {
    const [id, n] = [this.#id(), this.#below(50)];
    return this.#pick([
      () => 'SELECT id, typeof(z), CAST(z AS INT), z IS NULL, z = x, z < x FROM a ORDER BY id',
      () => `SELECT y FROM a WHERE y LIKE '%AME ${n}%' OR y GLOB 'name [0-${n % 9}]*' ORDER BY y`,
      () => `SELECT max(y COLLATE NOCASE), y = upper(y) COLLATE NOCASE FROM a WHERE id < ${id}`,
      () => `SELECT printf('%05d|%-4s|%x', x, k, id) FROM o ORDER BY 1`,
      () =>
        `SELECT date('2024-02-28', '+' || x || ' days'), ${n} << 3, ~x, x & 5 FROM a ORDER BY id`,
      () =>
        `WITH RECURSIVE t(n, s) AS (VALUES (1, '') UNION ALL SELECT n + 1, s || n FROM t ` +
        `WHERE n < ${n}) SELECT * FROM t ORDER BY n DESC LIMIT 3`,
      () =>
        `WITH big AS MATERIALIZED (SELECT * FROM a WHERE x > ${n}) SELECT b.id, big.y FROM b ` +
        'JOIN big ON big.id = b.a WHERE EXISTS (SELECT 1 FROM w WHERE q = b.id) ORDER BY 1, 2',
      () => `SELECT x FROM a UNION SELECT k FROM b INTERSECT SELECT q FROM w ORDER BY 1 LIMIT ${n}`,
      () =>
        `INSERT INTO a VALUES (${id}, ${n}, 'name ${n}', NULL) ON CONFLICT (y) DO UPDATE ` +
        `SET x = excluded.x + a.x WHERE a.x < ${n} RETURNING *`,
      () => `INSERT INTO a VALUES (${id}, ${n}, 'name ${n}', NULL) ON CONFLICT DO NOTHING`,
      () =>
        `INSERT INTO s VALUES (${id}, ${this.#value()}, 1) ON CONFLICT (k) DO UPDATE SET ` +
        'v = excluded.v, r = r * 2 RETURNING k, typeof(v)',
      () =>
        `DELETE FROM w WHERE (p, q) IN (VALUES ('${n % 5}', ${id}), ('many', ${n})) RETURNING *`,
      () =>
        `SELECT CASE WHEN x > ${n} THEN 'more' WHEN x IS NULL THEN NULL ELSE -x END FROM a ` +
        'ORDER BY id LIMIT 9',
      () =>
        "SELECT json_group_array(x), json_object('n', count(*)) FROM (SELECT x FROM a ORDER BY id)",
      () =>
        `SELECT typeof(9223372036854775807 + ${n % 2}), ${n} / 0, ${n} % 7, -${n} / 7, 1e3 = 1000`,
    ])();
  }

  /** Constraints that hold at the commit only, triggers that refuse, and nested savepoints. */
  #deferred(): string {
    const id = this.#id();
    return this.#pick([
      () => `INSERT OR REPLACE INTO d VALUES (${id}, ${this.#id()})`,
      () => `DELETE FROM d WHERE id = ${id}`,
      () => `UPDATE d SET parent = NULL WHERE id > ${id}`,
      () => `INSERT INTO d VALUES (${id + 100}, NULL), (${id + 200}, ${id + 100})`,
      () => 'SAVEPOINT inner',
      () => 'ROLLBACK TO inner',
      () => 'RELEASE inner',
      () => 'PRAGMA foreign_key_check',
      () => 'SELECT d.id, e.id FROM d LEFT JOIN d AS e ON e.parent = d.id ORDER BY 1, 2',
    ])();
  }

  /** A table whose columns come, go and change their names. */
  #altered(): string {
    const n = this.#below(3);
    return this.#pick([
      `ALTER TABLE c ADD COLUMN c${n} TEXT DEFAULT 'd${n}'`,
      `ALTER TABLE c DROP COLUMN c${n}`,
      `ALTER TABLE c RENAME COLUMN c${n} TO c${(n + 1) % 3}`,
      'ALTER TABLE c RENAME TO c_moved',
      'ALTER TABLE c_moved RENAME TO c',
      `INSERT INTO c(id, v) VALUES (${this.#id()}, ${this.#value()})`,
      `UPDATE c SET c${n} = v || '!' WHERE id > ${this.#id()}`,
      'SELECT * FROM c ORDER BY id',
      'CREATE UNIQUE INDEX c_v ON c(lower(v), id % 5)',
      'DROP INDEX c_v',
      "SELECT name, sql FROM sqlite_schema WHERE tbl_name LIKE 'c%' ORDER BY name",
    ]);
  }

  #many(): string {
    return (
      'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 120) ' +
      `INSERT OR REPLACE INTO w SELECT 'many', i, zeroblob(${this.#below(400)}) FROM c`
    );
  }

  #transaction(): string {
    const begin = ['BEGIN', 'BEGIN IMMEDIATE', 'SAVEPOINT s'];
    const end = ['COMMIT', 'COMMIT', 'ROLLBACK', 'RELEASE s', 'ROLLBACK TO s'];
    return this.#pick(this.#below(2) === 0 ? begin : end);
  }

  #schema(): string {
    const number = this.#below(4);
    return this.#pick([
      `CREATE TABLE extra${number}(n, m)`,
      `DROP TABLE extra${number}`,
      `INSERT INTO extra${number} SELECT id, x FROM a`,
      `ALTER TABLE extra${number} ADD COLUMN more DEFAULT ${number}`,
      `CREATE INDEX extra_n${number} ON extra${number}(n)`,
      'VACUUM',
      'PRAGMA incremental_vacuum(3)',
      'DELETE FROM w',
      'ANALYZE',
      'REINDEX',
    ]);
  }
}

/** A value as sqlite3 prints it in its mode `quote`. */
function quoted(value: SqlValue): string {
  if (value === null) return 'NULL';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return Number.isInteger(value) ? `${value}.0` : String(value);
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`;
  return `X'${Buffer.from(value).toString('hex')}'`;
}

/** What a statement answers, as lines; `error` where it fails. */
function answer(connection: SqlConnection, sql: string): string {
  try {
    return rows(connection, sql)
      .map((row) => `${row.map(quoted).join(',')}\n`)
      .join('');
  } catch (error) {
    if (!isSqlError(error)) throw error;
    return 'error\n';
  }
}

function sqlite3(file: string, input: string): string {
  const { stdout, status } = spawnSync('sqlite3', ['-batch', file], {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  assert.ok(status === 0 || status === 1, `sqlite3 ended with ${status}`);
  return stdout;
}

/** The answers of Debian's sqlite3. A statement that fails prints to stderr only; the marks show
 *  which one. */
function oracleAnswers(statements: readonly string[]): string[] {
  const script = statements.map((sql, index) => `.print "#${index}"\n${sql};\n`).join('');
  const output = sqlite3(
    ':memory:',
    `.bail off\n.mode quote\nPRAGMA foreign_keys = on;\n${script}`,
  );
  return output.split(/^#\d+\n/m).slice(1);
}

describe('random SQL', () => {
  const seed = testSeed('engine-differential');

  for (let round = 0; round < ROUNDS; round++) {
    it(`answers as sqlite3 does, round ${round}`, () => {
      const sqlWriter = new SqlWriter(new SeededRandom(seed + round));
      const statements = [
        `PRAGMA auto_vacuum = ${['NONE', 'FULL', 'INCREMENTAL'][round % 3]}`,
        ...SCHEMA,
        ...Array.from({ length: STATEMENTS_COUNT }, () => sqlWriter.statement()),
        'COMMIT',
        // Where a deferred constraint does not let it end.
        'ROLLBACK',
        ...LAST,
      ];
      const image = new FileImage();
      const engine = makeEngine({ sink: image });
      const connection = engine.connect('read-write');
      const answers = statements.map((sql) => answer(connection, sql));
      const expected = oracleAnswers(statements);
      assert.equal(expected.length, statements.length);
      for (const [index, sql] of statements.entries()) {
        const own = answers[index]!;
        // Rows that RETURNING gave before a statement failed are printed by sqlite3.
        if (own === 'error\n') continue;
        assertSame(own, expected[index]!, `seed ${seed}, round ${round}, #${index}: ${sql}`);
      }
      const failedCount = answers.filter((own) => own === 'error\n').length;
      assert.ok(failedCount < answers.length / 2, `${failedCount} of ${answers.length} failed`);
      connection.release();
      assertIntact(engine);
      checkFile(image, LAST, answers.slice(-LAST.length));
      assert.deepEqual(
        image.lsns,
        image.lsns.map((_, index) => index + 1),
      );
      engine.close();
    });
  }
});

/** Compares without printing thousands of zeros; Debian's sqlite3 prints 38.499999999999999999
 *  for 38.5. */
function assertSame(actual: string, expected: string, message: string): void {
  const [shown, wanted] = [actual, expected].map((text) =>
    text
      .replace(/(?:00){16,}/g, ({ length }) => `<${length / 2} zeros>`)
      .replace(/\d+\.\d{12,}/g, (float) => String(Number(float))),
  );
  assert.equal(shown, wanted, message);
}

/** The pages of the commits are a database file, with the rows that the engine has shown. */
function checkFile(image: FileImage, selects: readonly string[], answers: readonly string[]): void {
  const file = join(folder, 'image.db');
  writeFileSync(file, image.bytes());
  assert.equal(sqlite3(file, 'PRAGMA integrity_check;\nPRAGMA foreign_key_check;\n'), 'ok\n');
  for (const [index, sql] of selects.entries()) {
    assertSame(sqlite3(file, `.mode quote\n${sql};\n`), answers[index]!, sql);
  }
}
