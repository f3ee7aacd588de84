// Reloads of 10,000 routes under load must not grow the process. The whole measure is 1,000
// reloads within 32 MiB; it takes minutes, so it runs with SLUICE_RELOADS=1000, and the normal run
// makes 100 reloads and allows them their part of the growth, plus what RSS wavers by between two
// collections.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Load } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startOrigin } from '../support/origin.ts';

const RELOADS_COUNT = Number(process.env.SLUICE_RELOADS ?? 100);
const WARM_UP_COUNT = 50;
const ROUTES_COUNT = 10_000;
const MIB = 1_048_576;
const GROWTH_MIB_MAX = 32;
/** Means over this many reloads are compared. Between two full collections they waver by up to 40
 *  MiB on a busy machine; a generation that leaked would be more than 1 MiB a reload. */
const MEAN_OF_COUNT = 25;
const WAVER_MIB_MAX = RELOADS_COUNT < 1_000 ? 80 : 0;

describe('reloads of 10,000 routes under load', { timeout: 1_800_000 }, () => {
  it(`grow by no more than 1,000 may: ${RELOADS_COUNT} reloads`, async (context) => {
    const origin = await startOrigin('origin');
    const configs = ['even', 'odd'].map((version) => manyRoutes(version, origin.url));
    const gateway = await startGateway({ config: configs[0]! });
    const loads = [1, 5_000, 9_999].map(
      (index) => new Load({ url: `${gateway.url}/r/${index}/x/items`, connections: 2 }),
    );
    const samples: number[] = [];
    const reloadAll = async (count: number) => {
      for (let round = 0; round < count; round++) {
        assert.equal((await gateway.reload(configs[(round + 1) % 2]!)).taken, true);
        for (const load of loads) await load.untilAnswered(5);
        samples.push(gateway.rssBytes() / MIB);
      }
    };
    await reloadAll(WARM_UP_COUNT + RELOADS_COUNT);
    for (const load of loads) await load.stop();
    assert.deepEqual(
      loads.flatMap(({ failures }) => failures),
      [],
    );
    // A collection may be due at any moment, so means are compared.
    const before = meanOf(samples.slice(WARM_UP_COUNT, WARM_UP_COUNT + MEAN_OF_COUNT));
    const after = meanOf(samples.slice(-MEAN_OF_COUNT));
    const grown = `RSS grew from ${before.toFixed(1)} to ${after.toFixed(1)} MiB`;
    context.diagnostic(grown);
    const allowed = GROWTH_MIB_MAX * Math.min(1, RELOADS_COUNT / 1_000) + WAVER_MIB_MAX;
    assert.ok(after - before <= allowed, grown);
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
  });
});

function manyRoutes(version: string, url: string) {
  const routes = Array.from({ length: ROUTES_COUNT }, (_, index) => ({
    name: `r-${index}`,
    match: { path: `/r/${index}/{id}/items`, methods: ['GET'] },
    to: 'origin',
    headers: { response: { set: { 'x-version': version } } },
    ...(index % 10 === 0 ? { rate: [{ limit: 1_000_000, per: '1s' }] } : {}),
  }));
  return { services: { origin: { endpoints: [url] } }, routes };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
