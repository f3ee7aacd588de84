// One suite of cases on the oracle and on the kernel, then what only the kernel's face has.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  STATUS_BAD_PATH,
  STATUS_NOT_FOUND,
  STATUS_TOO_LONG,
} from '../../assembly/shared/status.ts';
import { isGatewayError, type RouteSpec } from '../../host/core/index.ts';
import { encodeRouteTable, Matcher, RouteTables } from '../../host/kernels/index.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';
import { ROUTER_CASES } from './router.cases.ts';
import {
  type Candidate,
  type Outcome,
  oracleOutcome,
  type RouterRequest,
  requestAsBytes,
  utf8Bytes,
} from './router-oracle.ts';
import { RouterSubject } from './router-subject.ts';

const ENDS = { 'not-found': '', 'bad-path': '400', 'too-long': 'too-long' } as const;

function candidateText({ route, params, suffix, needsHostCheck }: Candidate): string {
  const captured = params.length === 0 ? '' : `(${params.join(',')})`;
  const beyond = suffix === '' ? '' : `+${suffix}`;
  return `${route}${captured}${beyond}${needsHostCheck ? '?' : ''}`;
}

function outcomeText({ candidates, end }: Outcome): string {
  return [...candidates.map(candidateText), ENDS[end]].join(' ').trim();
}

function spec(path: string, more: Partial<RouteSpec> = {}): RouteSpec {
  return { host: '', path, methods: [], headers: [], query: [], ...more };
}

const subject = new RouterSubject();
const kernelOutcome = (specs: readonly RouteSpec[], request: RouterRequest): Outcome => {
  subject.load(specs);
  return subject.outcome(request);
};

for (const [name, outcome] of [
  ['oracle', oracleOutcome],
  ['kernel', kernelOutcome],
] as const) {
  describe(`router cases on the ${name}`, () => {
    for (const { title, routes, finds } of ROUTER_CASES) {
      it(title, () => {
        for (const [request, wanted] of finds) {
          const found = outcomeText(outcome(routes, requestAsBytes(request)));
          assert.equal(
            found,
            utf8Bytes(wanted),
            `${request.method} ${request.authority} ${request.path}`,
          );
        }
      });
    }
  });
}

describe('the matcher', () => {
  it('finds the same whatever request came before, and however far it was followed', () => {
    for (const { title, routes, finds } of ROUTER_CASES) {
      subject.load(routes);
      for (const [earlier] of finds) {
        for (const [request, wanted] of finds) {
          for (const stepsCount of [0, 1, 2]) {
            const before = requestAsBytes(earlier);
            const { method, authority, path, query, headers } = before;
            subject.matcher.match(method, authority, path, query, headers);
            for (let step = 0; step < stepsCount; step++) subject.matcher.next();
            const found = outcomeText(subject.outcome(requestAsBytes(request)));
            assert.equal(found, utf8Bytes(wanted), `${title}: ${earlier.path}, ${request.path}`);
          }
        }
      }
    }
  });

  it('finds what a new table says for the address of the request before', () => {
    const { matcher, tables } = loaded([spec('/a'), spec('/*')]);
    assert.equal(matcher.match('GET', 'h', '/a', '', []), 0);
    tables.publish(tables.compile([spec('/*'), spec('/b'), spec('/a')]));
    matcher.acquire();
    assert.equal(matcher.match('GET', 'h', '/a', '', []), 2);
    matcher.release();
    assert.equal(matcher.match('GET', 'h', '/a', '', []), STATUS_NOT_FOUND);
    matcher.acquire();
    assert.equal(matcher.match('GET', 'h', '/a', '', []), 2);
    assert.equal(matcher.normalisedPath, '/a');
  });

  it('gives back the very path it was given when nothing changed, and the changed one else', () => {
    const { matcher } = loaded([spec('/*')]);
    const green = utf8Bytes('/grün');
    for (const path of ['/a/b', `/${'long'.repeat(40)}`, green, '/\xff', '/a%2Fb', '/%00']) {
      matcher.match('GET', 'h', path, '', []);
      assert.equal(matcher.normalisedPath, path);
    }
    matcher.match('GET', 'h', utf8Bytes('/grün/../%41/ü'), '', []);
    assert.equal(matcher.normalisedPath, '/A/\xc3\xbc');
    const long = `/x/../${'\xff\x80'.repeat(200)}/%41`;
    matcher.match('GET', 'h', long, '', []);
    assert.equal(matcher.normalisedPath, `/${'\xff\x80'.repeat(200)}/A`);
  });

  it('matches a literal by its UTF-8 bytes, and never by a byte of the same number', () => {
    const { matcher } = loaded([spec('/ü'), spec('/\u00c3/{x}')]);
    assert.equal(matcher.match('GET', 'h', '/\xc3\xbc', '', []), 0);
    assert.equal(matcher.match('GET', 'h', '/\xfc', '', []), STATUS_NOT_FOUND);
    assert.equal(matcher.match('GET', 'h', '/\xc3\x83/\xfc', '', []), 1);
    assert.equal(matcher.param(0), '\xfc');
  });

  it('refuses a path that is no byte string, which written as bytes would be another', () => {
    const { matcher } = loaded([spec('/a/b'), spec('/*')]);
    // The low byte of U+012F is a slash.
    for (const path of ['/a\u012fb', `/${'a'.repeat(100)}\u012fb`, '/\u010d', '/\u{1f600}']) {
      assert.equal(matcher.match('GET', 'h', path, '', []), STATUS_BAD_PATH, path);
      assert.equal(matcher.normalisedPath, path);
      assert.equal(matcher.next(), STATUS_NOT_FOUND);
    }
  });

  it('finds nothing more after the last candidate, a refusal, or a release', () => {
    const { matcher } = loaded([spec('/a'), spec('/*')]);
    assert.equal(matcher.match('GET', 'h', '/a', '', []), 0);
    assert.equal(matcher.next(), 1);
    assert.equal(matcher.next(), STATUS_NOT_FOUND);
    assert.equal(matcher.next(), STATUS_NOT_FOUND);
    assert.equal(matcher.match('GET', 'h', '/a', '', []), 0);
    assert.equal(matcher.match('GET', 'h', `/${'a'.repeat(9000)}`, '', []), STATUS_TOO_LONG);
    assert.equal(matcher.next(), STATUS_NOT_FOUND);
    assert.equal(matcher.match('GET', 'h', '/a', '', []), 0);
    matcher.release();
    assert.equal(matcher.next(), STATUS_NOT_FOUND);
    assert.equal(matcher.match('GET', 'h', '/a', '', []), STATUS_NOT_FOUND);
    assert.equal(matcher.normalisedPath, '/a');
  });

  it('says not-found before any table is published', () => {
    const matcher = new Matcher(edgeInstance());
    assert.equal(matcher.acquire(), 0);
    assert.equal(matcher.match('GET', 'h', '/', '', []), STATUS_NOT_FOUND);
  });

  it('holds all values that conditions look at, and refuses what does not fit', () => {
    const { matcher } = loaded([
      spec('/a', { headers: [{ name: 'h', op: 'equals', value: 'wanted' }] }),
      spec('/b'),
    ]);
    const fill = (count: number): string[] => ['other', 'x'.repeat(60_000), 'h', 'v'.repeat(count)];
    assert.equal(matcher.match('GET', '', '/a', '', [...fill(25_000), 'h', 'wanted']), 0);
    assert.equal(matcher.match('GET', '', '/a', '', fill(25_472)), STATUS_TOO_LONG);
    assert.equal(matcher.next(), STATUS_NOT_FOUND);
    assert.equal(matcher.match('GET', '', '/a', '', fill(9_000_000)), STATUS_TOO_LONG);
    assert.equal(matcher.match('GET', '', '/b', '', fill(25_472)), 1);
  });

  it('refuses a query whose wanted values do not fit, at the exact byte', () => {
    const { matcher } = loaded([
      spec('/a', { query: [{ name: 'v', op: 'equals', value: 'x' }] }),
      spec('/*'),
    ]);
    // 25,472 bytes of values hold 3,184 empty ones of 8 bytes each.
    assert.equal(matcher.match('GET', '', '/a', 'v&'.repeat(3184), []), 1);
    assert.equal(matcher.match('GET', '', '/a', 'v&'.repeat(3185), []), STATUS_TOO_LONG);
  });

  it('keeps two workers on one memory apart', () => {
    const image = edgeImage();
    const first = new Matcher(edgeInstance(image, 0));
    const second = new Matcher(edgeInstance(image, 1));
    const tables = new RouteTables(edgeInstance(image, 63));
    tables.publish(tables.compile([spec('/a/{x}'), spec('/{y}/*'), spec('/*')]));
    first.acquire();
    second.acquire();
    assert.equal(first.match('GET', 'one', '/a/1', '', []), 0);
    assert.equal(second.match('GET', 'two', '/b/2', '', []), 1);
    assert.equal(first.param(0), '1');
    assert.equal(second.param(0), 'b');
    assert.equal(first.next(), 1);
    assert.equal(second.next(), 2);
  });

  it('reads a new table at the address of a freed one with new eyes', () => {
    const { matcher, tables } = loaded([
      spec('/a', { host: 'h', methods: ['ONE'] }),
      spec('/more/room/for/the/next/table'),
    ]);
    assert.equal(matcher.match('ONE', 'h', '/a', '', []), 0);
    const first = tables.active;
    tables.publish(tables.compile([]));
    matcher.release();
    assert.equal(tables.freeRetired(), 0);
    const second = [spec('/b'), spec('/a', { host: 'h', methods: ['TWO'] })];
    tables.publish(tables.compile(second));
    assert.equal(tables.active, first);
    matcher.acquire();
    assert.equal(matcher.match('TWO', 'h', '/a', '', []), 1);
    assert.equal(matcher.match('ONE', 'h', '/a', '', []), STATUS_NOT_FOUND);
  });
});

describe('what a table refuses', () => {
  const limits: readonly (readonly [string, readonly RouteSpec[], string])[] = [
    [
      'routes',
      Array.from({ length: 131_073 }, () => spec('/a')),
      '131073 routes, the limit is 131072',
    ],
    ['segments', [spec('/a'.repeat(129))], '129 path segments, the limit is 128'],
    ['parameters', [spec('/{x}'.repeat(17))], '17 path parameters, the limit is 16'],
    [
      'field names',
      Array.from({ length: 257 }, (_, index) =>
        spec('/a', { headers: [{ name: `h${index}`, op: 'present', value: '' }] }),
      ),
      "more than 256 headers and query parameters at 'h256'",
    ],
    [
      'methods',
      [spec('/a', { methods: Array.from({ length: 55 }, (_, index) => `M${index}`) })],
      "more than 54 uncommon methods at 'M54'",
    ],
  ];
  for (const [name, specs, message] of limits) {
    it(`more ${name} than there is room for`, () => {
      assert.throws(
        () => encodeRouteTable(specs),
        (error) =>
          isGatewayError(error) &&
          error.code === 'GW_CONFIG_LIMIT' &&
          String(error).includes(message),
      );
    });
  }

  it('a path or a host that is none', () => {
    for (const bad of [spec('a'), spec(''), spec('/', { host: '.a' }), spec('/', { host: '*.' })]) {
      assert.throws(
        () => encodeRouteTable([bad]),
        (error) => isGatewayError(error) && error.code === 'GW_CONFIG_BAD_VALUE',
      );
    }
  });

  it('takes as many methods, names and routes as it promises', () => {
    const methods = Array.from({ length: 54 }, (_, index) => `M${index}`);
    const specs = [
      spec('/a', { methods }),
      ...Array.from({ length: 256 }, (_, index) =>
        spec(`/q${index}`, { query: [{ name: `q${index}`, op: 'equals', value: `${index}` }] }),
      ),
    ];
    const { matcher } = loaded(specs);
    assert.equal(matcher.match('M53', '', '/a', '', []), 0);
    assert.equal(matcher.match('M0', '', '/a', '', []), 0);
    assert.equal(matcher.match('M54', '', '/a', '', []), STATUS_NOT_FOUND);
    for (let index = 0; index < 256; index++) {
      assert.equal(matcher.match('GET', '', `/q${index}`, `q${index}=${index}`, []), index + 1);
    }
  });
});

describe('a large table', () => {
  it('finds each of 100,000 routes, their parameters, and nothing else', () => {
    const specs = Array.from({ length: 100_000 }, (_, index) =>
      spec(index % 2 === 0 ? `/s${index >> 4}/r${index}` : `/s${index >> 4}/r${index}/{id}`, {
        host: index % 3 === 0 ? `h${index % 100}.org` : '',
      }),
    );
    const { matcher } = loaded(specs);
    specs.forEach(({ host }, index) => {
      const path = `/s${index >> 4}/r${index}`;
      const authority = host === '' ? 'other' : `${host}:80`;
      if (index % 2 === 0) {
        assert.equal(matcher.match('GET', authority, path, '', []), index);
        assert.equal(matcher.match('GET', authority, `${path}x`, '', []), STATUS_NOT_FOUND);
      } else {
        assert.equal(matcher.match('GET', authority, `${path}/p${index}`, '', []), index);
        assert.equal(matcher.param(0), `p${index}`);
        assert.equal(matcher.match('GET', authority, path, '', []), STATUS_NOT_FOUND);
      }
    });
  });
});

function loaded(specs: readonly RouteSpec[]): RouterSubject {
  const fresh = new RouterSubject();
  fresh.load(specs);
  return fresh;
}
