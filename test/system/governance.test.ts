// Limits and balancing over whole processes: limits exact across workers, balancing exact in each.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { describe, it } from 'node:test';
import { ask, askEcho, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { parseExposition } from '../support/prometheus-parser.ts';

const routeTo = (service: string, more: object = {}) => ({
  name: service,
  match: { path: `/${service}/*` },
  to: service,
  ...more,
});

describe('a rate limit over two io workers', { timeout: 60_000 }, () => {
  it('grants its burst and what flows in, and never one more', async () => {
    const burst = 50;
    const perSecond = 100;
    const gateway = await startGateway({
      config: {
        workers: { io: 2 },
        routes: [
          {
            name: 'limited',
            match: { path: '/' },
            respond: { body: 'granted' },
            rate: [{ limit: perSecond, per: '1s', burst, key: 'client.ip' }],
          },
        ],
      },
    });
    const startMs = performance.now();
    let granted = 0;
    let refused = 0;
    const sender = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let count = 0; count < 150; count++) {
        const { status } = await ask(gateway.url, { agent });
        if (status === 200) granted += 1;
        else if (status === 429) refused += 1;
      }
      agent.destroy();
    };
    await Promise.all(Array.from({ length: 16 }, sender));
    const elapsedMs = performance.now() - startMs;
    assert.equal(granted + refused, 16 * 150);
    const most = burst + Math.floor((elapsedMs / 1_000) * perSecond) + 1;
    assert.ok(granted <= most, `${granted} granted, at most ${most} may be`);
    assert.ok(granted >= burst, `${granted} granted of a burst of ${burst}`);
    const workers = parseExposition(await gateway.metrics());
    await untilTrue(async () => {
      const total = parseExposition(await gateway.metrics()).get('sluice_connections_total')!;
      return total.samples.reduce((sum, { value }) => sum + value, 0) >= 16;
    });
    assert.ok(workers.get('sluice_refused_total')!.samples.some(({ value }) => value === refused));
    assert.equal(await gateway.stop(), 0);
  });
});

describe('balancing', { timeout: 60_000 }, () => {
  const scene = async (
    service: (origins: readonly Origin[]) => object,
    run: (gateway: GatewayProcess, origins: readonly Origin[]) => Promise<void>,
  ) => {
    const origins = await Promise.all(['a', 'b', 'c'].map((name) => startOrigin(name)));
    const gateway = await startGateway({
      config: { workers: { io: 1 }, services: { s: service(origins) }, routes: [routeTo('s')] },
    });
    await run(gateway, origins);
    assert.equal(await gateway.stop(), 0);
    for (const origin of origins) await origin.stop();
  };
  const urls = (origins: readonly Origin[]) => origins.map(({ url }) => url);

  it('is exact by weight with round-robin', async () => {
    const weighted = ([a, b, c]: readonly Origin[]) => ({
      balance: 'round-robin',
      endpoints: [
        { url: a!.url, weight: 3 },
        { url: b!.url, weight: 2 },
        { url: c!.url, weight: 1 },
      ],
    });
    await scene(weighted, async (gateway, origins) => {
      for (let count = 0; count < 60; count++) await askEcho(`${gateway.url}/s/x`);
      assert.deepEqual(
        origins.map(({ requests }) => requests),
        [30, 20, 10],
      );
    });
  });

  it('avoids an endpoint that holds its requests with least-request', async () => {
    const slow = await startOrigin('slow', () => {});
    await scene(
      ([a]) => ({ balance: 'least-request', endpoints: [a!.url, slow.url] }),
      async (gateway, [a]) => {
        const held = [];
        // As long as both are empty either may be taken; then the one that holds one is not.
        while (slow.requests === 0) {
          const url = `${gateway.url}/s/x`;
          const answer = askEcho(url).catch(() => null);
          held.push(answer);
          await Promise.race([answer, untilTrue(() => slow.requests > 0)]);
        }
        const before = a!.requests;
        for (let count = 0; count < 40; count++) await askEcho(`${gateway.url}/s/x`);
        assert.equal(a!.requests - before, 40);
        assert.equal(slow.requests, 1);
        await slow.stop();
        await Promise.all(held);
      },
    );
  });

  for (const balance of ['ring-hash', 'maglev'] as const) {
    it(`keeps a key on one endpoint over requests, workers and reloads: ${balance}`, async () => {
      const origins = await Promise.all(['a', 'b', 'c'].map((name) => startOrigin(name)));
      const config = (body: string) => ({
        services: { s: { balance, hashOn: 'header:x-user', endpoints: urls(origins) } },
        routes: [routeTo('s'), { match: { path: '/' }, respond: { body } }],
      });
      const gateway = await startGateway({ config: config('one') });
      const homes = new Map<string, string>();
      for (const body of ['one', 'two', 'three']) {
        assert.equal((await gateway.reload(config(body))).taken, true);
        for (let user = 0; user < 40; user++) {
          const headers = { 'x-user': `user-${user}` };
          const { origin } = await askEcho(`${gateway.url}/s/x`, { headers });
          assert.equal(origin, homes.get(`${user}`) ?? origin, `user ${user} moved`);
          homes.set(`${user}`, origin);
        }
      }
      assert.deepEqual([...new Set(homes.values())].sort(), ['a', 'b', 'c']);
      assert.equal(await gateway.stop(), 0);
      for (const origin of origins) await origin.stop();
    });
  }
});
