// Db workers that fail for real, in a gateway with clients: one that ends or is stuck is replaced,
// its databases come back from their logs, its clients are told, and nobody else notices.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { createClient } from '@libsql/client';
import { SeededRandom } from '../../host/core/index.ts';
import { ownerOf } from '../../host/db/front/index.ts';
import { Load, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { LivingCrowd } from '../support/living-crowd.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('db workers');
const folder = mkdtempSync(join(tmpdir(), 'sluice-db-workers-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const DB_WORKERS_COUNT = 2;
/** The one that is harmed. */
const VICTIM = 1;
const CLIENTS_COUNT = 3;
/** Harms of each kind. */
const ROUNDS = Number(process.env.ROUNDS ?? 1);

type Harm = 'exit' | 'throw' | 'stick';

function nameOwnedBy(worker: number): string {
  for (let number = 0; ; number++) {
    const name = `crowd-${number}`;
    if (ownerOf(name, DB_WORKERS_COUNT) === worker) return name;
  }
}

async function start(name: string) {
  const order = join(folder, `order-${name}`);
  const gateway = await startGateway({
    config: {
      workers: { io: 2, db: DB_WORKERS_COUNT },
      db: { dir: join(folder, name), create: 'on-first-use', limits: { statement: '1s' } },
      routes: [
        { match: { path: '/db/{database}/*' }, db: {} },
        { match: { path: '/*' }, respond: { body: 'hello' } },
      ],
    },
    nodeFlags: ['--require', resolve('test/faults/saboteur.cjs')],
    env: { ...process.env, SABOTAGE: order, SABOTAGE_OF: 'db' },
  });
  return { gateway, harm: (what: Harm) => writeFileSync(order, what) };
}

const endedCount = ({ log }: GatewayProcess) =>
  log().split(`db worker ${VICTIM} ended with code`).length - 1;

/** What the clients saw of a harm, and what nobody saw of it. */
async function survive(harms: readonly Harm[], name: string): Promise<string> {
  const { gateway, harm } = await start(name);
  const living = (worker: number) =>
    new LivingCrowd(
      (scheme) => `${scheme}://127.0.0.1:${gateway.port}/db/${nameOwnedBy(worker)}/`,
      new SeededRandom(seed + worker),
    );
  const [spared, struck] = [living(0), living(VICTIM)];
  await spared.begin(CLIENTS_COUNT);
  await struck.begin(CLIENTS_COUNT);
  const load = new Load({ url: gateway.url, connections: 1 });
  const url = `127.0.0.1:${gateway.port}/db/${nameOwnedBy(VICTIM)}/`;
  const clients = ['http', 'ws'].map((scheme) => createClient({ url: `${scheme}://${url}` }));
  for (const [round, what] of harms.entries()) {
    // Their streams are open when the worker ends.
    const streams = await Promise.all(clients.map((client) => client.transaction('deferred')));
    for (const stream of streams) await stream.execute('SELECT count(*) FROM list');
    await struck.more(10);
    harm(what);
    await untilTrue(async () => endedCount(gateway) > round);
    await struck.more(10);
    for (const stream of streams) await assert.rejects(stream.execute('SELECT 1'), isProtocolError);
    for (const stream of streams) stream.close();
  }
  for (const client of clients) client.close();
  await spared.more(5);
  await load.untilAnswered(20);
  await load.stop();
  assert.deepEqual(load.failures, []);
  await spared.end();
  await struck.end();
  const { unknown } = spared.crowd.counts();
  assert.equal(unknown, 0, 'the clients of the other worker noticed');
  console.log(`# ${name}: ${JSON.stringify(struck.crowd.counts())}`);
  const log = gateway.log();
  assert.equal(await gateway.stop(), 0, log);
  return log;
}

/** Over HTTP the new worker does not know the baton; a WebSocket has been closed. */
function isProtocolError(error: { code?: string; message?: string }): boolean {
  const { code, message } = error;
  return code === 'BATON_INVALID' || /close|1013/i.test(`${code} ${message}`);
}

describe('a db worker that fails', { timeout: 150_000, concurrency: true }, () => {
  it('is replaced when it ends or throws, again and again', async () => {
    const log = await survive(Array(ROUNDS).fill(['exit', 'throw']).flat(), 'ends');
    assert.match(log, /sabotage: thrown/);
    assert.match(log, /db worker 1 ended with code 7; a new one starts in \d+ ms/);
  });

  it('is ended and replaced when it is stuck', async () => {
    const log = await survive(['stick'], 'stuck');
    assert.match(log, /db worker 1 has been silent for \d+ s/);
  });
});
