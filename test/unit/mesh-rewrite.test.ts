import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { headerValue, SeededRandom, toByteString } from '../../host/core/index.ts';
import { compileRedirectResponse, compileRespond } from '../../host/mesh/direct-response.ts';
import { compileHeaderOperations } from '../../host/mesh/header-operations.ts';
import { isPrefixPath, NO_CAPTURE, parameterNames } from '../../host/mesh/path-parameters.ts';
import { RateHeaders } from '../../host/mesh/rate-headers.ts';
import { RateRefusals } from '../../host/mesh/rate-refusals.ts';
import { RegexChecks } from '../../host/mesh/regex-check.ts';
import { compilePathRewrite, compileRedirect, upstreamHost } from '../../host/mesh/rewrite.ts';
import { ServiceSplit } from '../../host/mesh/split.ts';
import { exchangeOf } from '../support/exchange.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('mesh-rewrite');
/** What clients may try to put into a captured segment: a byte string, of UTF-8 or not. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }).map(toByteString),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);

describe('path parameters', () => {
  it('are named in order', () => {
    assert.deepEqual(parameterNames('/a/{id}/{x}/*'), ['id', 'x']);
    assert.deepEqual(parameterNames('/a'), []);
    assert.deepEqual(parameterNames('~ ^/{3}/{x}$'), []);
    assert.ok(isPrefixPath('/a/*') && isPrefixPath('/*'));
    assert.ok(!isPrefixPath('/a') && !isPrefixPath('~ /*'));
  });
});

describe('path rewrites', () => {
  const cases: readonly (readonly [string, string, string[], string, string | null])[] = [
    ['/v2/{id}', '/api/{id}', ['7'], '', '/v2/7'],
    ['/v2/{b}/{a}', '/{a}/{b}', ['1', '2'], '', '/v2/2/1'],
    ['/v2/x-{id}.json', '/api/{id}', ['a%2Fb'], '', '/v2/x-a%2Fb.json'],
    ['/new/*', '/old/*', [], '/a/b', '/new/a/b'],
    ['/new/*', '/old/*', [], '', '/new'],
    ['/new/*', '/old/*', [], '/', '/new/'],
    ['/*', '/old/*', [], '/a', '/a'],
    ['/*', '/old/*', [], '', '/'],
    ['/fixed', '/old/*', [], '/a', '/fixed'],
    ['/literal/*', '/no-prefix', [], '', '/literal/*'],
    ['/{unknown}', '/a', [], '', '/{unknown}'],
    ['/{id}/ü/*', '/api/{id}/*', ['\xc4\x8d'], '/\xff', '/\xc4\x8d/\xc3\xbc/\xff'],
    ['/{id}', '/api/{id}', ['a b'], '', null],
    ['/{id}', '/api/{id}', ['a\r\nx: y'], '', null],
    ['/{id}', '/api/{id}', ['a?b'], '', null],
    ['/{id}', '/api/{id}', ['a#b'], '', null],
    ['/{id}', '/api/{id}', ['..'], '', null],
    ['/a/*', '/*', [], '/../b', null],
  ];
  for (const [template, route, values, rest, expected] of cases) {
    it(`${route} to ${template} with ${JSON.stringify([...values, rest])} is ${expected}`, () => {
      assert.equal(compilePathRewrite(template, route)!({ values, rest }, 'q=1'), expected);
    });
  }

  it('are none for the empty template', () => {
    assert.equal(compilePathRewrite('', '/a'), null);
  });

  it('never yield what cannot stand in a request line', () => {
    const render = compilePathRewrite('/v/{id}/*', '/a/{id}/*')!;
    fc.assert(
      fc.property(hostile, hostile, (value, rest) => {
        const path = render({ values: [value], rest: `/${rest}` }, '');
        if (path === null) return;
        assert.ok(path.startsWith('/'));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
        assert.doesNotMatch(path, /[\x00-\x20\x7f?#]|\/\.\.?(\/|$)/);
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe('host rewrites', () => {
  it('are the client’s host, a fixed one or the upstream’s', () => {
    const endpoint = { authority: '127.0.0.1:9001' };
    assert.equal(upstreamHost('', exchangeOf(), endpoint), 'example.com');
    assert.equal(upstreamHost('fixed.test', exchangeOf(), endpoint), 'fixed.test');
    assert.equal(upstreamHost('{upstream}', exchangeOf(), endpoint), '127.0.0.1:9001');
  });
});

describe('redirects', () => {
  interface Case {
    readonly to: string;
    readonly route: string;
    readonly values?: string[];
    readonly rest?: string;
    readonly query?: string;
    readonly location: string | null;
  }
  const cases: readonly Case[] = [
    { to: '/new/{id}', route: '/{id}', values: ['7'], location: '/new/7' },
    { to: '/new', route: '/a', query: 'a=1', location: '/new?a=1' },
    { to: '/new?b=2', route: '/a', query: 'a=1', location: '/new?b=2' },
    { to: '/new#top', route: '/a', query: 'a=1', location: '/new?a=1#top' },
    { to: 'https://e.com/*', route: '/old/*', rest: '/x/y', location: 'https://e.com/x/y' },
    { to: 'https://e.com/*', route: '/old/*', location: 'https://e.com' },
    { to: '/*', route: '/old/*', location: '/' },
    { to: 'https://{t}.e.com/', route: '/{t}', values: ['shop'], location: 'https://shop.e.com/' },
    // A parameter never leaves its place.
    { to: 'https://{t}.e.com/', route: '/{t}', values: ['evil.com%2F'], location: null },
    { to: 'https://{t}.e.com/', route: '/{t}', values: ['u@evil.com:80'], location: null },
    { to: 'https://{t}.e.com/', route: '/{t}', values: ['a.b'], location: null },
    { to: '/*', route: '/a/*', rest: '//evil.com/x', location: '/evil.com/x' },
    { to: '/*', route: '/a/*', rest: '/\\evil.com', location: '/%5Cevil.com' },
    { to: '{x}', route: '/{x}', values: ['javascript:alert(1)'], location: '/javascript:alert(1)' },
    { to: '/n?id={id}', route: '/{id}', values: ['a&b=c+d'], location: '/n?id=a%26b%3Dc%2Bd' },
    {
      to: '/n/{id}',
      route: '/{id}',
      values: [toByteString('a"<č>')],
      location: '/n/a%22%3C%C4%8D%3E',
    },
    { to: '/n', route: '/a', query: toByteString('a=č"'), location: '/n?a=%C4%8D%22' },
    // Bytes that are no UTF-8 are encoded as they came; what is no byte is refused.
    { to: '/n/{id}', route: '/{id}', values: ['\xff\xc4'], location: '/n/%FF%C4' },
    { to: '/n?x={id}', route: '/{id}', values: ['\x80&'], location: '/n?x=%80%26' },
    { to: '/n/{id}', route: '/{id}', values: ['\u010d'], location: null },
    { to: '/n', route: '/a', query: '\ud800', location: null },
    // The template's own text is encoded too.
    { to: '/grün/{id}', route: '/{id}', values: ['7'], location: '/gr%C3%BCn/7' },
    { to: 'https://e.com/č?q=ř#š', route: '/a', location: 'https://e.com/%C4%8D?q=%C5%99#%C5%A1' },
  ];
  for (const { to, route, values = [], rest = '', query = '', location } of cases) {
    it(`${route} to ${to} with ${JSON.stringify([...values, rest, query])} is ${location}`, () => {
      assert.equal(compileRedirect(to, route)({ values, rest }, query), location);
    });
  }

  it('never leave the host of the template, whatever a client sends', () => {
    const relative = compileRedirect('/{id}/*', '/a/{id}/*');
    const absolute = compileRedirect('https://{id}.e.com/*', '/a/{id}/*');
    fc.assert(
      fc.property(hostile, hostile, hostile, (value, rest, query) => {
        const capture = { values: [value], rest: `/${rest}` };
        const near = relative(capture, query);
        assert.ok(near !== null);
        assert.match(near, /^[\x21-\x7e]+$/);
        assert.equal(new URL(near, 'http://self.test').host, 'self.test');
        const far = absolute(capture, query);
        if (far !== null) assert.match(new URL(far).host, /^[a-z0-9-]+\.e\.com$/);
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe('direct answers', () => {
  it('are the configured status, headers and body, with the route’s operations', () => {
    const operations = compileHeaderOperations({ remove: [], set: ['x-a', '1'], add: [] });
    const action = { kind: 'respond' as const, status: 200, headers: ['x-b', 'č'], body: 'héy' };
    const respond = compileRespond(action, operations);
    const exchange = exchangeOf();
    assert.ok(respond(exchange, NO_CAPTURE, ['ratelimit', 'x']));
    assert.deepEqual(exchange.sent, {
      status: 200,
      headers: ['x-b', '\xc4\x8d', 'content-type', 'text/plain; charset=utf-8', 'x-a', '1'].concat([
        'ratelimit',
        'x',
      ]),
      body: 'héy',
    });
    const again = exchangeOf();
    respond(again, NO_CAPTURE, []);
    assert.equal(again.sent!.headers.length, 6);
    const json = compileRespond({ ...action, headers: ['content-type', 'application/json'] }, null);
    json(again, NO_CAPTURE, []);
    assert.deepEqual(again.sent!.headers, ['content-type', 'application/json']);
  });

  it('redirect, or say that a parameter does not fit', () => {
    const action = { kind: 'redirect' as const, status: 308, to: 'https://{t}.e.com/' };
    const redirect = compileRedirectResponse(action, '/{t}', null);
    const exchange = exchangeOf({ query: 'a=1' });
    assert.ok(redirect(exchange, { values: ['shop'], rest: '' }, []));
    assert.deepEqual(exchange.sent, {
      status: 308,
      headers: ['location', 'https://shop.e.com/?a=1'],
      body: '',
    });
    const refused = exchangeOf();
    assert.equal(redirect(refused, { values: ['evil.com/'], rest: '' }, []), false);
    assert.equal(refused.sent, null);
  });
});

describe('the split over services', () => {
  it('divides by weight', () => {
    const targets = [
      { service: 4, weight: 90 },
      { service: 2, weight: 0 },
      { service: 9, weight: 10 },
    ];
    const split = new ServiceSplit(targets, new SeededRandom(seed));
    const counts = new Map<number, number>();
    for (let pick = 0; pick < 50_000; pick++) {
      const service = split.pick();
      counts.set(service, (counts.get(service) ?? 0) + 1);
    }
    assert.equal(counts.get(2), undefined);
    assert.ok(Math.abs(counts.get(9)! - 5000) < 5 * Math.sqrt(4500), `${counts.get(9)}`);
    assert.equal(counts.get(4)! + counts.get(9)!, 50_000);
  });

  it('is the one there is, and even where all weights are 0', () => {
    const random = new SeededRandom(seed);
    assert.equal(new ServiceSplit([{ service: 3, weight: 0 }], random).pick(), 3);
    const even = new ServiceSplit(
      [
        { service: 0, weight: 0 },
        { service: 1, weight: 0 },
      ],
      random,
    );
    const picks = new Set(Array.from({ length: 100 }, () => even.pick()));
    assert.deepEqual([...picks].sort(), [0, 1]);
  });
});

describe('rate limit fields', () => {
  it('are written as the draft writes them', () => {
    const headers = new RateHeaders([
      { name: 'burst', limit: 100, perMs: 60_000 },
      { name: 'daily', limit: 1000, perMs: 86_400_000 },
      { name: 'fine', limit: 5, perMs: 500 },
    ]);
    assert.equal(headers.policy, '"burst";q=100;w=60, "daily";q=1000;w=86400, "fine";q=5');
    assert.equal(headers.item(0, 50.9, 29_001), '"burst";r=50;t=30');
    assert.equal(headers.item(1, -1, -5), '"daily";r=0;t=0');
    const list: string[] = [];
    headers.pushRefusal(list, headers.item(2, 0, 200), 200);
    assert.deepEqual(list, [
      'ratelimit-policy',
      headers.policy,
      'ratelimit',
      '"fine";r=0;t=1',
      'retry-after',
      '1',
    ]);
  });

  it('are those of the numbers asked for, whatever answers are kept', () => {
    const policy = { name: 'all', limit: 100, perMs: 3_600_000 };
    const headers = new RateHeaders([policy]);
    const refusals = new RateRefusals(policy, headers, 0);
    const seconds = fc.integer({ min: 0, max: 200 });
    fc.assert(
      fc.property(seconds, seconds, (reset, retry) => {
        const { headers: told } = refusals.answer(reset * 1000, retry * 1000);
        assert.equal(headerValue(told, 'ratelimit'), `"all";r=0;t=${reset}`);
        assert.equal(headerValue(told, 'retry-after'), String(Math.max(1, retry)));
      }),
      { seed, numRuns: 2000 },
    );
    assert.equal(refusals.answer(59_001, 1), refusals.answer(60_000, 999), 'one of a kind is kept');
  });

  it('hold any name and any number in a structured field', () => {
    const number = fc.oneof(fc.double({ noNaN: false }), fc.integer());
    fc.assert(
      fc.property(hostile, number, number, number, (name, limit, remaining, resetMs) => {
        const headers = new RateHeaders([{ name, limit, perMs: 1000 }]);
        const item = headers.item(0, remaining, resetMs);
        const string = '"(?:[ !#-\\[\\]-~]|\\\\["\\\\])*"';
        assert.match(headers.policy, new RegExp(`^${string};q=\\d{1,15};w=1$`));
        assert.match(item, new RegExp(`^${string};r=\\d{1,15};t=\\d{1,15}$`));
      }),
      { seed, numRuns: 1000 },
    );
  });
});

describe('regular expressions in paths', () => {
  it('are found anywhere unless anchored, and true for routes without one', () => {
    const checks = new RegexChecks([
      { path: '~ ^/v[0-9]+/x$' },
      { path: '/plain' },
      { path: '~/x' },
      { path: '~ ^/v[0-9]+/x$' },
    ]);
    assert.ok(checks.matches(0, '/v12/x') && checks.matches(3, '/v1/x'));
    assert.ok(!checks.matches(0, '/v12/xy') && !checks.matches(0, '/a/v1/x'));
    assert.ok(checks.matches(1, '/anything'));
    assert.ok(checks.matches(2, '/a/xyz') && !checks.matches(2, '/a'));
  });

  it('see the text that a byte string holds, and U+FFFD for a byte that is none', () => {
    const checks = new RegexChecks([{ path: '~ ^/gr.n$' }, { path: '~ ^/grün' }, { path: '~ ü' }]);
    const green = '/gr\xc3\xbcn';
    assert.ok(checks.matches(0, green) && checks.matches(1, green) && checks.matches(2, green));
    assert.ok(checks.matches(0, '/gr\xfcn'));
    assert.ok(!checks.matches(1, '/gr\xfcn') && !checks.matches(2, '/gr\xfcn'));
    // A byte elsewhere that is no UTF-8 hides nothing from a pattern.
    assert.ok(checks.matches(1, `${green}/\xff`));
  });

  it('stay linear where JavaScript’s engine would not end', () => {
    const checks = new RegexChecks([{ path: '~ ^/(a+)+$' }, { path: '~ (.*)*x(.*)*y$' }]);
    const path = `/${'a'.repeat(8000)}!`;
    assert.ok(!checks.matches(0, path));
    assert.ok(!checks.matches(1, path));
  });

  it('refuse what is no pattern, or too large a one', () => {
    assert.throws(() => new RegexChecks([{ path: '~ (' }]), { code: 'GW_CONFIG_BAD_VALUE' });
    assert.throws(() => new RegexChecks([{ path: '~ (?=a)' }]), { code: 'GW_CONFIG_BAD_VALUE' });
    assert.throws(
      () => new RegexChecks([{ path: '~ (a{1,100}){1,10}(b{1,100}){1,10}' }]),
      (error) => {
        assert.match(String(error), /GatewayError: .*limit/);
        return true;
      },
    );
  });
});
