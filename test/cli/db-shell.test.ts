// `sluice db shell`: statements cut as SQLite cuts them, scripts from a pipe with their exit codes,
// dumps that Debian's sqlite3 reads, and a terminal.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { dbCommand } from '../../host/cli/db/command.ts';
import { render } from '../../host/cli/db/shell/render.ts';
import { StatementReader } from '../../host/cli/db/shell/statements.ts';
import { needDebian } from '../support/debian.ts';
import { sqliteModuleBytes } from '../support/sql.ts';
import { codecModuleBytes } from '../support/wasm.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-shell-'));
const dir = join(root, 'databases');
before(async () => {
  needDebian('sqlite3', 'sqlite3');
  needDebian('script', 'bsdutils');
  assert.equal((await db(['create', 'shop'])).code, 0);
});
after(() => rmSync(root, { recursive: true, force: true }));

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function db(argv: readonly string[], script = ''): Promise<Answer> {
  const texts = { stdout: '', stderr: '' };
  const into = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      texts[name] += text;
    },
  });
  const output = { stdout: into('stdout'), stderr: into('stderr') };
  const input = Readable.from([script]);
  const code = await dbCommand([...argv, '--dir', dir], output, readModule, input);
  return { code, ...texts };
}

/** As they stand before the build puts them beside the program. */
function readModule(name: string): Uint8Array<ArrayBuffer> {
  return name === 'codec.wasm' ? codecModuleBytes() : sqliteModuleBytes();
}

const shell = (script: string, ...flags: string[]) => db(['shell', 'shop', ...flags], script);

const STATEMENTS = [
  "SELECT 'a;b', \"c;d\", `e;f`, [g;h], 'it''s; fine';",
  'SELECT 1 -- not; here\n+ 2;',
  'SELECT /* nor; here */ 3;',
  'CREATE TRIGGER one AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END;',
  'EXPLAIN QUERY PLAN CREATE TEMP TRIGGER two INSERT ON t BEGIN DELETE FROM t; /* x */ END ;',
  'CREATE TABLE trigger_end (end_at, "END");',
];

describe('a reader of statements', () => {
  it('cuts where SQLite does, also line by line and with lines within', () => {
    const joined = `${STATEMENTS.join('\n;;-- between; them\n')}\n`;
    const expected = STATEMENTS.length;
    const broken = joined.replace(/^(?![^\n]*--).*$/gm, (line) => line.replaceAll(' ', '\n'));
    for (const text of [joined, broken]) {
      const reader = new StatementReader();
      const lines = text.match(/.*\n/g)!.flatMap((line) => reader.add(line));
      assert.deepEqual(new StatementReader().add(text), lines);
      assert.equal(lines.length, expected, lines.join('\n---\n'));
      assert.equal(reader.isOpen, false);
    }
    const found = new StatementReader().add(joined);
    for (const [index, statement] of STATEMENTS.entries()) {
      assert.ok(found[index]!.endsWith(statement), `${found[index]} is not ${statement}`);
    }
  });

  it('says when something is open, and gives up what is left', () => {
    const reader = new StatementReader();
    assert.deepEqual(reader.add("SELECT 'open;\n"), []);
    assert.equal(reader.isOpen, true);
    assert.deepEqual(reader.add("closed';\n"), ["SELECT 'open;\nclosed';"]);
    assert.deepEqual(reader.add('SELECT 2'), []);
    assert.equal(reader.takeRest(), 'SELECT 2');
    assert.deepEqual(reader.add('-- nothing\n/* at all */;\n'), []);
    assert.equal(reader.takeRest(), '');
  });
});

describe('answers', () => {
  const answer = {
    columns: ['id', 'name'],
    rows: [
      [9_007_199_254_740_993n, '日本'],
      [2n, 'a,"b"\nc'],
      [null, Uint8Array.of(0, 255)],
      [1.5, 2],
    ],
    affectedCount: 0,
  };

  it('are aligned by what a terminal shows', () => {
    assert.equal(
      render(answer, 'table'),
      '              id  name\n' +
        '----------------  --------\n' +
        '9007199254740993  日本\n' +
        '               2  a,"b"\\nc\n' +
        "            NULL  x'00ff'\n" +
        '             1.5  2.0\n',
    );
  });

  it('are exact in every mode', () => {
    assert.equal(render(answer, 'csv').split('\n')[2], '2,"a,""b""');
    assert.equal(render(answer, 'list').split('\n')[0], '9007199254740993|日本');
    assert.match(render(answer, 'json'), /^\[\{"id":9007199254740993,"name":"日本"\},\n/);
    assert.match(render(answer, 'line'), /^ {2}id = 9007199254740993\nname = 日本\n\n/);
    assert.equal(render({ columns: [], rows: [], affectedCount: 1 }, 'table'), '');
  });
});

describe('sluice db shell', () => {
  it('runs a script from a pipe, with transactions over lines', async () => {
    const { code, stdout, stderr } = await shell(`CREATE TABLE t (id INTEGER PRIMARY KEY,
      text);
      BEGIN; INSERT INTO t (text) VALUES ('kept'); COMMIT;
      .mode csv
      SELECT * FROM t;
      BEGIN;
      DELETE FROM t`);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'id,text\n1,kept\n');
    assert.match(stderr, /the open transaction is rolled back/);
    assert.equal((await shell('SELECT count(*) FROM t;')).stdout, '1\n');
  });

  it('stops a script at its first error, which it names', async () => {
    const { code, stdout, stderr } = await shell('SELECT 1;\nSELECT * FROM nowhere;\nSELECT 2;\n');
    assert.deepEqual([code, stdout], [1, '1\n']);
    assert.match(stderr, /no such table: nowhere \(SQLITE_ERROR\)/);
    for (const command of ['.fly', '.mode pink', '.read', '.dump nowhere']) {
      const refused = await shell(`${command}\nSELECT 2;\n`);
      assert.deepEqual([refused.code, refused.stdout], [1, ''], command);
      assert.match(refused.stderr, /GW_FLAG_BAD_VALUE/);
    }
    assert.match((await shell(`.read ${join(root, 'none.sql')}\n`)).stderr, /ENOENT/);
    const ring = join(root, 'ring.sql');
    writeFileSync(ring, `.read ${ring}\n`);
    assert.match((await shell(`.read ${ring}\n`)).stderr, /8 files deep, the limit/);
    assert.equal((await shell('SELECT 1;', '--mode', 'pink')).code, 2);
    assert.equal((await db(['shell'])).code, 2);
    assert.match((await db(['shell', 'nobody'])).stderr, /DB_NOT_FOUND/);
    assert.match((await shell('SELECT 1; \n.quit\nSELECT 2;\n')).stdout, /^1\n$/);
  });

  it('dumps what sqlite3 reads back the same', async () => {
    const script = join(root, 'made.sql');
    writeFileSync(
      script,
      `CREATE TABLE kinds (id INTEGER PRIMARY KEY AUTOINCREMENT, i, r REAL, t TEXT, b BLOB);
      INSERT INTO kinds (i, r, t, b) VALUES (9223372036854775807, 0.1, 'it''s; x', x'00ff'),
        (-1, 1e300, 'two' || char(10) || 'lines', NULL), (NULL, -0.0, '', zeroblob(3));
      CREATE TABLE pairs (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
      CREATE TABLE odd ("rowid" TEXT, "a b" GENERATED ALWAYS AS ("rowid" || '!'), [select] INT);
      INSERT INTO odd ("rowid", [select]) VALUES ('x', 1), ('y', 2);
      CREATE TABLE many (n INTEGER);
      INSERT INTO many WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c
        WHERE n < 1201) SELECT n FROM c;
      INSERT INTO pairs SELECT n % 7, n FROM many LIMIT 600;
      CREATE VIEW big AS SELECT * FROM many WHERE n > 1000;
      CREATE TRIGGER twice AFTER INSERT ON many BEGIN INSERT INTO pairs VALUES ('t', new.n); END;
      CREATE INDEX pairs_b ON pairs (b);
      `,
    );
    assert.equal((await shell(`.read ${script}\n`)).stderr, '');
    const { stdout, code } = await shell('.dump\n');
    assert.equal(code, 0);
    const path = join(root, 'again.db');
    execFileSync('sqlite3', ['-bail', path], { input: stdout });
    const backup = join(root, 'backup.db');
    assert.equal((await db(['backup', 'shop', backup])).code, 0);
    const queries = ['kinds', 'pairs', 'odd', 'many', 'big', 'sqlite_sequence', 't'].map(
      (name) => `SELECT * FROM ${name};`,
    );
    const sql = `PRAGMA integrity_check; SELECT quote(b), typeof(i) FROM kinds; ${queries.join('')}
      SELECT type, name, sql FROM sqlite_schema ORDER BY type, name`;
    const of = (file: string) => execFileSync('sqlite3', [file, sql], { encoding: 'utf8' });
    assert.equal(of(path), of(backup));
    assert.match(of(path), /^ok\n/);
  });

  it('lists tables and what made them', async () => {
    assert.match((await shell('.tables\n')).stdout, /^big\nkinds\nmany\nodd\npairs\nt\n$/);
    assert.match((await shell('.schema many\n')).stdout, /^CREATE TABLE many .*;\nCREATE TRIGGER/);
  });

  it('talks on a terminal: prompts, statements over lines, errors, a history', async (test) => {
    const command = `${process.execPath} dist/sluice.js db shell shop --dir ${dir}`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...process.env, XDG_STATE_HOME: join(root, 'state'), TERM: 'xterm' },
    });
    test.after(() => child.kill());
    let shown = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    const until = async (pattern: RegExp) => {
      const deadlineMs = Date.now() + 30_000;
      while (!pattern.test(shown)) {
        assert.ok(Date.now() < deadlineMs, `${pattern}: ${JSON.stringify(shown)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      shown = '';
    };
    await until(/shop> /);
    child.stdin.write('SELECT 20 AS twenty,\r');
    await until(/\.\.\.> /);
    child.stdin.write('22 AS more;\r');
    await until(/twenty {2}more\r\n-+ {2}-+\r\n +20 +22\r\n[\s\S]*shop> /);
    child.stdin.write('SELECT nowhere;\r');
    await until(/no such column: nowhere[\s\S]*shop> /);
    child.stdin.write('BEGIN;\r');
    await until(/shop\*> /);
    child.stdin.write('SELECT half\r');
    await until(/\.\.\.> /);
    child.stdin.write('\u0003');
    await until(/shop\*> /);
    child.stdin.write('.quit\r');
    assert.equal(await ended, 0, shown);
    const history = join(root, 'state', 'sluice', 'db-history');
    assert.match(
      readFileSync(history, 'utf8'),
      /^SELECT 20 AS twenty,\n22 AS more;\nSELECT nowhere/,
    );
    assert.equal(statSync(history).mode & 0o077, 0, 'for its user alone');
  });

  it('is a command of the program', () => {
    const program = ['dist/sluice.js', 'db', 'shell', 'shop', '--dir', dir];
    const run = spawnSync(process.execPath, program, { input: 'SELECT 6 * 7;', encoding: 'utf8' });
    assert.deepEqual([run.status, run.stdout], [0, '42\n'], run.stderr);
  });
});

// A shell once wrote into the copy of a stopped follower, which then had what no primary has.
it('writes nothing in the folder of a follower or of a fenced primary', async () => {
  const made = await shell('CREATE TABLE kept (a); INSERT INTO kept VALUES (7);');
  assert.equal(made.code, 0, made.stderr);
  const file = join(dir, 'replication.json');
  const record = { version: 1, term: 1, node: 'a', cluster: 'b', unproven: [] };
  const upstream = 'http://primary.example:8080/db';
  try {
    for (const [role, why] of [
      ['follower', /this gateway follows http:\/\/primary\.example:8080\/db/],
      ['fenced', /has learned of a newer one, of term 1/],
    ] as const) {
      writeFileSync(file, JSON.stringify({ ...record, role, upstream }));
      const refused = await shell('INSERT INTO kept VALUES (8);');
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /SQLITE_READONLY/);
      assert.match(refused.stderr, why);
      const read = await shell('SELECT a FROM kept;');
      assert.deepEqual([read.code, read.stdout.trim()], [0, '7']);
      for (const words of [
        ['create', 'more'],
        ['branch', 'shop', 'more'],
      ]) {
        const answer = await db(words);
        assert.notEqual(answer.code, 0);
        assert.match(answer.stderr, why);
      }
    }
    writeFileSync(file, '{}');
    assert.match((await db(['list'])).stderr, /is no standing of version 1/);
    // Promoted, and stopped at once: what is written here is of the new term.
    writeFileSync(file, JSON.stringify({ ...record, role: 'primary', term: 3, upstream: '' }));
    assert.equal((await shell('INSERT INTO kept VALUES (9);')).code, 0);
    assert.equal((await shell('SELECT a FROM kept;')).stdout.trim(), '7\n9');
  } finally {
    rmSync(file);
  }
});
