// Routes as a user meets them: a real gateway between a client and two services. The listeners of
// both engines answer the same.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { ask, askEcho, assertProblem } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';

for (const engine of ['uws', 'node'] as const) {
  describe(`routing on ${engine}`, { timeout: 60_000 }, () => {
    let gateway: GatewayProcess;
    let blue: Origin;
    let green: Origin;

    before(async () => {
      blue = await startOrigin('blue');
      green = await startOrigin('green');
      const config = { services: servicesOf(blue, green), routes: ROUTES };
      gateway = await startGateway({ config, listener: { engine } });
    });
    after(async () => {
      assert.equal(await gateway.stop(), 0);
      await blue.stop();
      await green.stop();
    });

    const echoOf = (path: string, options: Parameters<typeof askEcho>[1] = {}) =>
      askEcho(gateway.url, { path, ...options });
    const routeOf = async (path: string, options: Parameters<typeof ask>[1] = {}) =>
      (await ask(gateway.url, { path, ...options })).headers['x-route'];

    it('prefers literals to templates to prefixes, and longer prefixes to shorter', async () => {
      assert.equal(await routeOf('/api/users/me'), 'me');
      assert.equal(await routeOf('/api/users/42'), 'user');
      assert.equal(await routeOf('/api/users/42/orders'), 'api');
      assert.equal(await routeOf('/api'), 'api');
      assert.equal(await routeOf('/api/'), 'api');
      assert.equal(await routeOf('/apis'), undefined);
    });

    it('prefers an exact host, then the longest suffix, then none', async () => {
      const at = (host: string) => routeOf('/host', { headers: { host } });
      assert.equal(await at('shop.example.com'), 'host-exact');
      assert.equal(await at('SHOP.example.com:8080'), 'host-exact');
      assert.equal(await at('a.b.example.com'), 'host-suffix');
      assert.equal(await at('a.deep.example.com'), 'host-deep');
      assert.equal(await at('example.com'), 'host-none');
      assert.equal(await at('example.org'), 'host-none');
    });

    it('chooses by method, header and query, and passes over what fails', async () => {
      assert.equal(await routeOf('/chosen', { method: 'DELETE' }), 'by-method');
      assert.equal(await routeOf('/chosen', { headers: { 'x-tier': 'gold' } }), 'by-header');
      assert.equal(await routeOf('/chosen', { headers: { 'x-tier': 'golden' } }), 'by-nothing');
      assert.equal(await routeOf('/chosen?v=2.1'), 'by-query');
      assert.equal(await routeOf('/chosen?w=2.1'), 'by-nothing');
      assert.equal(await routeOf('/chosen?debug'), 'by-presence');
    });

    it('asks regular expressions last and passes over those that do not match', async () => {
      assert.equal(await routeOf('/x-1234'), 'four-digits');
      assert.equal(await routeOf('/x-12345'), 'digits');
      assert.equal(await routeOf('/x-a'), undefined);
      assertProblem(await ask(gateway.url, { path: '/x-a' }), 404, 501);
    });

    it('normalises the path before it matches and sends the normal form', async () => {
      assert.equal((await echoOf('/api/./users/%7Ebob/../me')).url, '/api/users/me');
      assert.equal((await echoOf('/api/a%2Fb//c?q=%41')).url, '/api/a%2Fb//c?q=%41');
      assertProblem(await ask(gateway.url, { path: '/api/%00' }), 400, 301);
      assertProblem(await ask(gateway.url, { path: '/api/a\\b' }), 400, 301);
    });

    it('splits by weight', async () => {
      const counts = { blue: 0, green: 0 };
      const total = 3_000;
      let left = total;
      const sender = async () => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        while (left-- > 0) {
          const { origin } = await askEcho(`${gateway.url}/split`, { agent });
          counts[origin as 'blue' | 'green'] += 1;
        }
        agent.destroy();
      };
      await Promise.all(Array.from({ length: 8 }, sender));
      // Binomial with p = 0.2: six standard deviations are 0.044.
      const share = counts.green / total;
      assert.ok(Math.abs(share - 0.2) < 0.044, `green has ${counts.green} of ${total}`);
    });

    it('rewrites the path from parameters and the rest, and the host', async () => {
      assert.equal((await echoOf('/shop/7/a/b?q=1')).url, '/internal/7/a/b?q=1');
      assert.equal((await echoOf('/item/9')).url, '/v2/get-9.json');
      assert.equal((await echoOf('/prefix/a/b')).url, '/a/b');
      assert.equal((await echoOf('/prefix')).url, '/');
      const { headers } = await echoOf('/item/9', { headers: { host: 'public.test' } });
      assert.equal(headers.host, `127.0.0.1:${blue.port}`);
      assert.equal(headers['x-forwarded-host'], 'public.test');
      const fixed = await echoOf('/shop/7/a', { headers: { host: 'public.test' } });
      assert.equal(fixed.headers.host, 'internal.test');
    });

    it('redirects with parameters, the rest and the query', async () => {
      const to = await ask(gateway.url, { path: '/old/5/x?q=1' });
      assert.equal(to.status, 308);
      assert.equal(to.headers.location, 'https://new.test/5?q=1');
      assert.equal(to.body, '');
    });

    it('answers by itself', async () => {
      const answer = await ask(gateway.url, { path: '/teapot' });
      assert.equal(answer.status, 418);
      assert.equal(answer.body, 'short and stout');
      assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
      assert.equal(answer.headers['x-pot'], 'yes');
      const head = await ask(gateway.url, { path: '/teapot', method: 'HEAD' });
      assert.equal(head.headers['content-length'], '15');
      assert.equal(head.body, '');
    });

    it('changes request and response headers, remove before set before add', async () => {
      const options = { headers: { cookie: 'a=b', 'x-old': '1', 'x-both': 'client' } };
      const answer = await ask(gateway.url, { path: '/headers', ...options });
      const seen = JSON.parse(answer.body) as { headers: Record<string, string> };
      assert.equal(seen.headers.cookie, undefined);
      assert.equal(seen.headers['x-new'], 'set');
      assert.equal(seen.headers['x-old'], undefined);
      assert.equal(seen.headers['x-both'], 'client, added');
      assert.equal(answer.headers['x-origin'], undefined);
      assert.equal(answer.headers['cache-control'], 'no-store');
      assert.equal(answer.headers.vary, 'origin, accept');
    });

    it('removes hop-by-hop headers both ways and says who asked', async () => {
      const { headers } = await echoOf('/api/users/1', {
        headers: {
          connection: 'keep-alive, x-hop',
          'x-hop': '1',
          te: 'trailers',
          'x-forwarded-for': '6.6.6.6',
        },
      });
      assert.equal(headers['x-hop'], undefined);
      assert.equal(headers.te, undefined);
      assert.equal(headers['x-forwarded-for'], '127.0.0.1');
      assert.equal(headers['x-forwarded-proto'], 'http');
      assert.match(headers.traceparent!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    });

    it('refuses a body above the limit of the route, announced or not', async () => {
      const body = 'x'.repeat(2_000);
      const path = '/small';
      assertProblem(await ask(gateway.url, { path, method: 'POST', body }), 413, 303);
      const chunked = { 'transfer-encoding': 'chunked' };
      assertProblem(
        await ask(gateway.url, { path, method: 'POST', headers: chunked, body }),
        413,
        303,
      );
      const good = await echoOf(path, { method: 'POST', body: 'x'.repeat(1_000) });
      assert.equal(good.body.length, 1_000);
    });

    it('refuses above a rate limit, with what the standard headers say', async () => {
      const limited = { path: '/limited', headers: { 'x-user': `u-${engine}` } };
      const first = await ask(gateway.url, limited);
      assert.equal(first.status, 200);
      assert.equal(first.headers['ratelimit-policy'], '"per-user";q=2;w=3600');
      assert.match(first.headers.ratelimit as string, /^"per-user";r=1;t=\d+$/);
      assert.equal((await ask(gateway.url, limited)).status, 200);
      const refused = await ask(gateway.url, limited);
      assertProblem(refused, 429, 604);
      assert.ok(Number(refused.headers['retry-after']) > 0);
      const other = { path: '/limited', headers: { 'x-user': 'someone else' } };
      assert.equal((await ask(gateway.url, other)).status, 200);
    });
  });
}

function servicesOf(blue: Origin, green: Origin) {
  return {
    blue: { endpoints: [blue.url] },
    green: { endpoints: [green.url] },
  };
}

/** A route that names itself in its answers. */
function named(name: string, match: object, more: object = {}) {
  const response = { set: { 'x-route': name } };
  return { name, match, to: 'blue', headers: { response }, ...more };
}

const ROUTES = [
  named('api', { path: '/api/*' }),
  named('user', { path: '/api/users/{id}' }),
  named('me', { path: '/api/users/me' }),
  named('host-none', { path: '/host' }),
  named('host-suffix', { host: '*.example.com', path: '/host' }),
  named('host-deep', { host: '*.deep.example.com', path: '/host' }),
  named('host-exact', { host: 'shop.example.com', path: '/host' }),
  named('by-nothing', { path: '/chosen' }),
  named('by-method', { path: '/chosen', methods: ['DELETE'] }),
  named('by-header', { path: '/chosen', headers: { 'x-tier': 'gold' } }),
  named('by-query', { path: '/chosen', query: { v: { prefix: '2.' } } }),
  named('by-presence', { path: '/chosen', query: { debug: { present: true } } }),
  named('four-digits', { path: '~ ^/x-\\d{4}$' }),
  named('digits', { path: '~ ^/x-\\d+$' }),
  {
    name: 'split',
    match: { path: '/split' },
    to: [
      { service: 'blue', weight: 80 },
      { service: 'green', weight: 20 },
    ],
  },
  named(
    'shop',
    { path: '/shop/{id}/*' },
    { rewrite: { path: '/internal/{id}/*', host: 'internal.test' } },
  ),
  named(
    'item',
    { path: '/item/{id}' },
    { rewrite: { path: '/v2/get-{id}.json', host: '{upstream}' } },
  ),
  named('prefix', { path: '/prefix/*' }, { rewrite: { path: '/*' } }),
  {
    name: 'old',
    match: { path: '/old/{id}/*' },
    redirect: { status: 308, to: 'https://new.test/{id}' },
  },
  {
    name: 'teapot',
    match: { path: '/teapot' },
    respond: { status: 418, headers: { 'x-pot': 'yes' }, body: 'short and stout' },
  },
  {
    name: 'headers',
    match: { path: '/headers' },
    to: 'blue',
    headers: {
      request: { remove: ['cookie', 'x-old'], set: { 'x-new': 'set' }, add: { 'x-both': 'added' } },
      response: {
        remove: ['x-origin'],
        set: { 'cache-control': 'no-store' },
        add: { vary: ['origin', 'accept'] },
      },
    },
  },
  { name: 'small', match: { path: '/small' }, to: 'blue', maxBody: '1000B' },
  {
    name: 'limited',
    match: { path: '/limited' },
    to: 'blue',
    rate: [{ name: 'per-user', limit: 2, per: '1h', key: 'header:x-user' }],
  },
];

describe('the explanation of a match', { timeout: 60_000 }, () => {
  // An empty list of candidates left a person guessing.
  it('says why there is no candidate', async () => {
    const gateway = await startGateway({
      config: {
        routes: [
          { name: 'shop', match: { host: 'shop.test', path: '/buy' }, respond: { body: 'sold' } },
        ],
      },
    });
    const whyNone = async (question: string) => {
      const url = `${gateway.adminUrl}/routes?match=${encodeURIComponent(question)}`;
      const answer = (await (await fetch(url)).json()) as { candidates: unknown[]; why: string };
      assert.equal(answer.candidates.length === 0, answer.why !== '');
      return answer.why;
    };
    const forHost = 'route shop has this path for host shop.test';
    assert.equal(await whyNone('GET /buy'), `${forHost}, and no host is given`);
    assert.equal(await whyNone('GET http://b.test/buy'), `${forHost}, and the host is b.test`);
    assert.equal(await whyNone('GET /sell'), 'none of 1 routes has the path /sell');
    assert.equal(await whyNone('GET http://shop.test/buy'), '');
    assert.equal(await gateway.stop(), 0);
  });
});
