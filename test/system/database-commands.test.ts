// `sluice db` against a gateway that runs: found by the lock of its folder, or named; with clients
// that write meanwhile and are not stopped by it.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { type Client, createClient } from '@libsql/client';
import { dbCommand } from '../../host/cli/db/command.ts';
import { needDebian } from '../support/debian.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { moduleBytes } from '../support/sql.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-db-commands-'));
const dir = join(root, 'databases');
let gateway: GatewayProcess;

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function sluice(argv: readonly string[], script = ''): Promise<Answer> {
  const texts = { stdout: '', stderr: '' };
  const into = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      texts[name] += text;
    },
  });
  const output = { stdout: into('stdout'), stderr: into('stderr') };
  const input = Readable.from([script]);
  return { code: await dbCommand(argv, output, moduleBytes, input), ...texts };
}

async function fine(...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await sluice([...argv, '--dir', dir]);
  assert.equal(code, 0, `${argv.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

async function refused(reason: string, ...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await sluice([...argv, '--dir', dir]);
  assert.equal(code, 1, `${argv.join(' ')}: ${stdout}`);
  assert.ok(stderr.includes(reason), stderr);
  return stderr;
}

function clientOf(name: string): Client {
  return createClient({ url: `http://127.0.0.1:${gateway.port}/db/${name}/` });
}

async function countOf(name: string): Promise<number> {
  const client = clientOf(name);
  const { rows } = await client.execute('SELECT count(*) AS n FROM t');
  client.close();
  return Number(rows[0]!.n);
}

function sqlite3(path: string, sql: string): string {
  return execFileSync('sqlite3', [path, sql], { encoding: 'utf8' }).trim();
}

/** Pairs of rows, one commit each, until it is stopped. */
function writePairs(client: Client): () => Promise<number> {
  let isOn = true;
  const done = (async () => {
    let pairsCount = 0;
    for (; isOn; ++pairsCount) {
      await client.execute("INSERT INTO t (text) VALUES ('left'), ('right')");
    }
    return pairsCount;
  })();
  return () => {
    isOn = false;
    return done;
  };
}

describe('sluice db on a running gateway', { timeout: 120_000 }, () => {
  before(async () => {
    needDebian('sqlite3', 'sqlite3');
    gateway = await startGateway({
      config: {
        workers: { io: 1, db: 2 },
        db: { dir, create: 'on-first-use' },
        routes: [{ match: { path: '/db/{database}/*' }, db: {} }],
      },
    });
  });

  after(async () => {
    assert.equal(await gateway.stop(), 0, gateway.log());
    assert.deepEqual(readdirSync(join(dir, '.temporary')), []);
    assert.ok(!existsSync(join(dir, '.admin')), 'a gateway that has ended is not to be asked');
    rmSync(root, { recursive: true });
  });

  it('backs up, branches, checks and lists under writers', async () => {
    assert.match(await fine('create', 'shop'), /shop is made/);
    const client = clientOf('shop');
    await client.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, text)');
    await client.execute(`INSERT INTO t (text) WITH RECURSIVE n(i) AS
      (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT hex(randomblob(50)) FROM n`);
    const stop = writePairs(client);
    const path = join(root, 'shop.db');
    assert.match(await fine('backup', 'shop', path), /is shop at lsn \d+, \d+ pages/);
    assert.match(await fine('branch', 'shop', 'fork'), /fork is shop at lsn \d+/);
    assert.match(await fine('check', 'shop'), /records at lsn \d+, good/);
    const pairsCount = await stop();
    assert.equal(await countOf('shop'), 20_000 + 2 * pairsCount);
    assert.equal(sqlite3(path, 'PRAGMA integrity_check'), 'ok');
    const counts =
      "SELECT count(*) >= 20000, count(*) % 2, sum(text = 'left') - sum(text = 'right')";
    assert.equal(sqlite3(path, `${counts} FROM t`), '1|0|0');

    const forked = await countOf('fork');
    const fork = clientOf('fork');
    await fork.execute('DELETE FROM t WHERE id > 10');
    assert.equal(await countOf('fork'), 10);
    assert.equal(await countOf('shop'), 20_000 + 2 * pairsCount);
    assert.ok(forked >= 20_000 && forked % 2 === 0);
    assert.match(await fine('list'), /fork .* branch of shop at lsn/);
    assert.deepEqual(JSON.parse(await fine('stats', 'shop', '--json')).branches, ['fork']);
    assert.match(await refused('DB_HAS_BRANCHES', 'delete', 'shop'), /shop has fork/);
    // Nobody lost a connection by that.
    await client.execute("INSERT INTO t (text) VALUES ('left'), ('right')");
    await fine('delete', 'fork');
    await assert.rejects(fork.execute('SELECT * FROM t'));
    await refused('DB_EXISTS', 'backup', 'shop', path);
    client.close();
    fork.close();
  });

  it('makes one of a file, and gives the file back', async () => {
    const path = join(root, 'given.db');
    sqlite3(path, "CREATE TABLE t (text); INSERT INTO t VALUES ('a'), ('b'), ('c')");
    await fine('create', 'given', '--from', path);
    assert.equal(await countOf('given'), 3);
    await refused('DB_EXISTS', 'restore', 'given', '--from', path);
    writeFileSync(join(root, 'none.db'), 'no database');
    await refused('DB_FORMAT', 'create', 'bad', '--from', join(root, 'none.db'));
    await fine('backup', 'given', join(root, 'back.db'));
    assert.equal(sqlite3(join(root, 'back.db'), 'SELECT count(*) FROM t'), '3');
  });

  it('makes one of a file with other pages, also of one that is sent', async () => {
    const path = join(root, 'wide.db');
    sqlite3(path, 'PRAGMA page_size=65536; CREATE TABLE t (text)');
    sqlite3(path, "INSERT INTO t VALUES ('a'), ('b')");
    await fine('create', 'wide', '--from', path);
    assert.equal(await countOf('wide'), 2);
    const put = (name: string, body: Uint8Array<ArrayBuffer>) =>
      fetch(`${gateway.adminUrl}/databases/${name}`, { method: 'PUT', body });
    assert.equal((await put('sent', readFileSync(path))).status, 201);
    assert.equal(await countOf('sent'), 2);
    const cut = await put('cut', readFileSync(path).subarray(0, 100_000));
    assert.equal(cut.status, 422);
    assert.match(await cut.text(), /"the file: 100000 bytes, which are not whole pages"/);
    assert.equal((await put('sent', readFileSync(path))).status, 409);
  });

  it('is a shell over Hrana, whose transaction goes over many statements', async () => {
    const script = `CREATE TABLE t (id INTEGER PRIMARY KEY, text); BEGIN;
      INSERT INTO t (text) VALUES ('a'), ('b');
      SELECT count(*), x'00ff', 0.5, NULL FROM t;
      ROLLBACK; SELECT count(*) FROM t;\n.dump\n`;
    for (const scheme of ['http', 'ws']) {
      const url = `${scheme}://127.0.0.1:${gateway.port}/db/shell-${scheme}/`;
      const { code, stdout, stderr } = await sluice(['shell', '--url', url], script);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^2\|x'00ff'\|0\.5\|\n0\nPRAGMA foreign_keys=OFF;\n[\s\S]*COMMIT;\n$/);
      const failed = await sluice(['shell', '--url', url], 'SELECT 1; SELECT no; SELECT 2;');
      assert.deepEqual([failed.code, failed.stdout], [1, '1\n']);
      assert.match(failed.stderr, /no such column: no \(SQLITE_ERROR\)/);
    }
    const local = await sluice(['shell', 'shop', '--dir', dir]);
    assert.match(local.stderr, /DB_STORE_LOCKED|reached by --url/);
    const nobody = await sluice(['shell', '--url', 'http://127.0.0.1:1/db/x/']);
    assert.match(nobody.stderr, /DB_UNAVAILABLE/);
  });

  it('says by name what is wrong with what was asked', async () => {
    await refused('DB_NOT_FOUND', 'stats', 'none');
    await refused('DB_NAME', 'create', 'Bad!');
    const named = await sluice(['list', '--admin', gateway.adminUrl]);
    assert.equal(named.code, 0, named.stderr);
    const nobody = await sluice(['list', '--admin', 'http://127.0.0.1:1']);
    assert.match(nobody.stderr, /GW_ADMIN_UNREACHABLE.*426|ECONNREFUSED/);
    assert.equal((await sluice(['list', '--admin', 'nowhere'])).code, 2);
    const program = ['dist/sluice.js', 'db', 'list', '--dir', dir];
    const run = spawnSync(process.execPath, program, { encoding: 'utf8' });
    assert.match(run.stdout, /shop +lsn/, run.stderr);
  });

  it('ends what a backup keeps when its reader goes away', async () => {
    for (let round = 0; round < 12; ++round) {
      const leaving = new AbortController();
      const url = `${gateway.adminUrl}/databases/shop/backup`;
      const answer = await fetch(url, { signal: leaving.signal });
      assert.equal(answer.status, 200);
      leaving.abort();
    }
    // More than run at once have been begun: a place is free again, now or in a moment.
    for (;;) {
      const path = join(root, 'last.db');
      const { code, stderr } = await sluice(['backup', 'shop', path, '--dir', dir]);
      if (code === 0) break;
      assert.match(stderr, /DB_BUSY|GW_ADMIN_BUSY/);
    }
    assert.equal(sqlite3(join(root, 'last.db'), 'PRAGMA integrity_check'), 'ok');
  });
});
