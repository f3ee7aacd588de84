// Histories of many clients of a real gateway, over HTTP and WebSocket, are strictly serializable:
// while it runs, and across kills at seeded moments. What has no answer may have happened or not.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { Crowd } from '../support/crowd.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('database histories');
const CLIENTS_COUNT = 12;
/** Transactions over lists that a crowd has before it is stopped, or its gateway killed. */
const STEPS_COUNT = Number(process.env.STEPS ?? 500);
const KILLS_COUNT = Number(process.env.KILLS ?? 3);

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function start(dir: string): Promise<GatewayProcess> {
  return startGateway({
    config: {
      workers: { io: 2, db: 1 },
      db: { dir, create: 'on-first-use' },
      routes: [{ match: { path: '/db/{database}/*' }, db: {} }],
    },
  });
}

/** Half of the clients over HTTP, half over WebSocket. When there are so many transactions more,
 *  `end` is awaited, and then no client begins another. */
async function live(
  crowd: Crowd,
  port: number,
  { stepsCount, end }: { stepsCount: number; end: () => Promise<void> },
): Promise<void> {
  const last = crowd.history.length + stepsCount;
  let isOver = false;
  let isEnding = false;
  let ending: Promise<void> = Promise.resolve();
  const goesOn = (): boolean => {
    if (crowd.history.length >= last && !isEnding) {
      isEnding = true;
      ending = end().finally(() => {
        isOver = true;
      });
    }
    return !isOver;
  };
  const clients = Array.from({ length: CLIENTS_COUNT }, (_, number) => {
    const scheme = number % 2 === 0 ? 'http' : 'ws';
    return crowd.live(`${scheme}://127.0.0.1:${port}/db/crowd/`, goesOn);
  });
  await Promise.all(clients);
  await ending;
}

const urlOf = ({ port }: GatewayProcess) => `http://127.0.0.1:${port}/db/crowd/`;

describe('histories of a gateway', { timeout: 280_000 }, () => {
  it('are strictly serializable while it runs', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-histories-'));
    folders.push(dir);
    const gateway = await start(dir);
    const crowd = new Crowd(new SeededRandom(seed));
    await crowd.found(urlOf(gateway));
    await live(crowd, gateway.port, { stepsCount: STEPS_COUNT, end: async () => {} });
    await crowd.conclude(urlOf(gateway));
    const counts = crowd.counts();
    console.log(`# ${JSON.stringify(counts)}`);
    assert.equal(counts.unknown, 0);
    assert.ok(counts.committed > STEPS_COUNT / 2 && counts.aborted > 0);
    assert.equal(await gateway.stop(), 0, gateway.log());
  });

  it(`are so across ${KILLS_COUNT} kills`, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-histories-'));
    folders.push(dir);
    const random = new SeededRandom(seed ^ 0x4b11);
    const crowd = new Crowd(random);
    let gateway = await start(dir);
    await crowd.found(urlOf(gateway));
    for (let round = 0; round < KILLS_COUNT; round++) {
      const stepsCount = 20 + (random.uint32() % (STEPS_COUNT / 2));
      const { child } = gateway;
      const end = async (): Promise<void> => {
        await new Promise((resolve) => setTimeout(resolve, random.unit() * 4));
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      };
      await live(crowd, gateway.port, { stepsCount, end });
      await gateway.stop();
      gateway = await start(dir);
    }
    await live(crowd, gateway.port, { stepsCount: STEPS_COUNT / 4, end: async () => {} });
    await crowd.conclude(urlOf(gateway));
    console.log(`# ${JSON.stringify(crowd.counts())}`);
    assert.equal(await gateway.stop(), 0, gateway.log());
  });
});
