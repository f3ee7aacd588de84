// A gateway whose databases cannot write their logs, under clients: whoever is not answered is told
// so by name, nothing that was acknowledged is lost, what is durable is read meanwhile, and it goes
// on by itself when the disk does, or after a restart.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { createClient } from '@libsql/client';
import { SeededRandom } from '../../host/core/index.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { LivingCrowd } from '../support/living-crowd.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('failing logs');
const folder = mkdtempSync(join(tmpdir(), 'sluice-failing-log-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const order = join(folder, 'order');
const CLIENTS_COUNT = 4;

function start(): Promise<GatewayProcess> {
  return startGateway({
    config: {
      workers: { io: 1, db: 1 },
      db: { dir: join(folder, 'db'), create: 'on-first-use' },
      routes: [{ match: { path: '/db/{database}/*' }, db: {} }],
    },
    nodeFlags: ['--require', resolve('test/faults/log-saboteur.cjs')],
    env: { ...process.env, SABOTAGE: order },
  });
}

interface Failure {
  readonly name: string;
  readonly code: string;
  begin(pid: number): void;
  end(pid: number): void;
}

function limitFiles(pid: number, sizeBytes: string): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${sizeBytes}:`]);
}

const FAILURES: readonly Failure[] = [
  {
    name: 'a sync fails',
    code: 'DB_LOG_FAILED',
    begin: () => writeFileSync(order, 'sync'),
    end: () => rmSync(order),
  },
  {
    name: 'the disk is full',
    code: 'DB_LOG_FULL',
    begin: () => writeFileSync(order, 'full'),
    end: () => rmSync(order),
  },
  {
    // The kernel itself refuses (EFBIG), in the page store too.
    name: 'files may not grow',
    code: 'DB_LOG_FULL',
    begin: (pid) => limitFiles(pid, '1'),
    end: (pid) => limitFiles(pid, 'unlimited'),
  },
];

describe('a log that fails under clients', { timeout: 100_000 }, () => {
  it('loses nothing, says so, and goes on', async (test) => {
    let gateway = await start();
    const urlOf = (scheme: string) => `${scheme}://127.0.0.1:${gateway.port}/db/crowd/`;
    const living = new LivingCrowd(urlOf, new SeededRandom(seed));
    await living.begin(CLIENTS_COUNT);
    test.after(() => living.stop());
    const reader = createClient({ url: urlOf('http') });
    for (const { name, code, begin, end } of FAILURES) {
      const pid = gateway.child.pid!;
      await living.more(10);
      begin(pid);
      await living.told(`the log has failed (${code})`);
      assert.equal((await reader.execute('SELECT 1 FROM stock')).rows.length, 1, name);
      await assert.rejects(reader.execute('UPDATE stock SET n = n'), (error) => {
        const { code: told, message } = error as { code: string; message: string };
        assert.equal(told, 'SQLITE_IOERR');
        return message.includes('takes no writes now, for its log') && message.includes(code);
      });
      end(pid);
      await living.more(10);
      assert.equal((await reader.execute('SELECT 1 FROM stock')).rows.length, 1, name);
    }
    reader.close();
    // The disk is as full as before when the gateway is killed; not so when it starts again.
    FAILURES[1]!.begin(0);
    await living.told('DB_LOG_FULL');
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGKILL');
    await exited;
    await living.stop();
    await gateway.stop();
    FAILURES[1]!.end(0);
    gateway = await start();
    await living.end();
    console.log(`# ${JSON.stringify(living.crowd.counts())}`);
    for (const error of living.crowd.errors.keys()) assert.match(error, EXPECTED);
    assert.equal(await gateway.stop(), 0, gateway.log());
  });
});

/** Of the failing log; of a transaction that it has ended; of the kill at the end. */
const EXPECTED = new RegExp(
  'DB_LOG_|SQLITE_BUSY|TRANSACTION_|the log has failed|connection to the database was lost' +
    '|ECONN|socket|WebSocket|HRANA|fetch failed',
);
