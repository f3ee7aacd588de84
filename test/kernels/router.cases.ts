// What routes mean, as a table of cases. Each runs on the oracle and on the kernel. A candidate is
// written `route`, `route(param,param)`, `route+suffix` or `route?` where the host has to check.
// Cases are Unicode text; the suite sends the bytes of its UTF-8 form.

import type { FieldCondition, RouteSpec } from '../../host/core/index.ts';
import type { RouterRequest } from './router-oracle.ts';

export interface RouterCase {
  readonly title: string;
  readonly routes: readonly RouteSpec[];
  /** Request and its candidates, or `400` for a bad path and `too-long`. */
  readonly finds: readonly (readonly [RouterRequest, string])[];
}

type Conditions = Partial<Omit<RouteSpec, 'path'>>;

function route(path: string, conditions: Conditions = {}): RouteSpec {
  return { host: '', path, methods: [], headers: [], query: [], ...conditions };
}

function get(path: string, more: Partial<RouterRequest> = {}): RouterRequest {
  const [bare, query = ''] = path.split('?');
  return { method: 'GET', authority: 'x.org', path: bare!, query, headers: [], ...more };
}

function equals(name: string, value: string): FieldCondition {
  return { name, op: 'equals', value };
}

function prefix(name: string, value: string): FieldCondition {
  return { name, op: 'prefix', value };
}

function present(name: string): FieldCondition {
  return { name, op: 'present', value: '' };
}

const deepPath = (count: number): string => '/a'.repeat(count);

export const ROUTER_CASES: readonly RouterCase[] = [
  {
    title: 'an empty table finds nothing',
    routes: [],
    finds: [
      [get('/'), ''],
      [get('/a?b', { headers: ['h', 'v'] }), ''],
    ],
  },
  {
    title: 'literal paths are equal or different, with or without a slash at the end',
    routes: [route('/'), route('/a'), route('/a/'), route('/a//b'), route('/A')],
    finds: [
      [get('/'), '0'],
      [get('/a'), '1'],
      [get('/a/'), '2'],
      [get('/a//b'), '3'],
      [get('/a/b'), ''],
      [get('/A'), '4'],
      [get('//'), ''],
      [get('/ab'), ''],
    ],
  },
  {
    title: 'a parameter is one segment that is not empty',
    routes: [route('/u/{id}'), route('/u/{id}/o/{order}'), route('/{a}/{b}/{c}/{d}')],
    finds: [
      [get('/u/7'), '0(7)'],
      [get('/u/'), ''],
      [get('/u/7/'), ''],
      [get('/u/7/o/8'), '1(7,8) 2(u,7,o,8)'],
      [get('/u/a%2Fb'), '0(a%2Fb)'],
      [get('/u/Grüße'), '0(Grüße)'],
      [get('/u/%7euser/o/%41'), '1(~user,A) 2(u,~user,o,A)'],
    ],
  },
  {
    title: 'a literal beyond ASCII matches its UTF-8 bytes and not its escapes',
    routes: [route('/grün'), route('/č/{x}/*'), route('/a', { headers: [equals('x', 'grün')] })],
    finds: [
      [get('/grün'), '0'],
      [get('/./grün'), '0'],
      [get('/gr%C3%BCn'), ''],
      [get('/grÃ¼n'), ''],
      [get('/č/ü/ř'), '1(ü)+/ř'],
      [get('/%63/../č/%C4%8D'), '1(%C4%8D)'],
      [get('/a', { headers: ['x', 'grün'] }), '2'],
      [get('/a', { headers: ['x', 'gr\u0308un'] }), ''],
    ],
  },
  {
    title: 'a prefix matches itself and what is below, not its neighbours',
    routes: [route('/a/*'), route('/*'), route('/a/{x}/*')],
    finds: [
      [get('/a'), '0 1+/a'],
      [get('/a/'), '0+/ 1+/a/'],
      [get('/a/b'), '2(b) 0+/b 1+/a/b'],
      [get('/a/b/c'), '2(b)+/c 0+/b/c 1+/a/b/c'],
      [get('/ab'), '1+/ab'],
      [get('/'), '1+/'],
      [get('/a/ü/c'), '2(ü)+/c 0+/ü/c 1+/a/ü/c'],
      [get('/a/./%62/x/../c'), '2(b)+/c 0+/b/c 1+/a/b/c'],
    ],
  },
  {
    title: 'literal before parameter before prefix, segment by segment, with the way back',
    routes: [
      route('/*'),
      route('/{x}/b/c'),
      route('/a/{x}/d'),
      route('/a/b/*'),
      route('/a/b/c'),
      route('/{x}/{y}/{z}'),
      route('/a/{x}/{y}'),
    ],
    finds: [
      [get('/a/b/c'), '4 3+/c 6(b,c) 1(a) 5(a,b,c) 0+/a/b/c'],
      [get('/a/b/d'), '3+/d 2(b) 6(b,d) 5(a,b,d) 0+/a/b/d'],
      [get('/q/b/c'), '1(q) 5(q,b,c) 0+/q/b/c'],
      [get('/a/b'), '3 0+/a/b'],
      [get('/a/z/z/z'), '0+/a/z/z/z'],
    ],
  },
  {
    title: 'a host is exact, then the longest suffix, then any; the port does not count',
    routes: [
      route('/*'),
      route('/{x}', { host: '*.example.com' }),
      route('/*', { host: '*.eu.example.com' }),
      route('/a', { host: 'shop.eu.example.com' }),
      route('/a', { host: '[::1]' }),
      route('/a', { host: '*.com' }),
    ],
    finds: [
      [get('/a', { authority: 'shop.eu.example.com:8080' }), '3 2+/a 1(a) 5 0+/a'],
      [get('/b', { authority: 'shop.eu.example.com' }), '2+/b 1(b) 0+/b'],
      [get('/a', { authority: 'example.com' }), '5 0+/a'],
      [get('/a', { authority: 'x.y.example.com' }), '1(a) 5 0+/a'],
      [get('/a', { authority: '[::1]:80' }), '4 0+/a'],
      [get('/a', { authority: '[::1]' }), '4 0+/a'],
      [get('/a', { authority: '[::2]:80' }), '0+/a'],
      [get('/a', { authority: '.com' }), '0+/a'],
      [get('/a', { authority: '.eu.example.com' }), '1(a) 5 0+/a'],
      [get('/a', { authority: 'notexample.com' }), '5 0+/a'],
      [get('/a', { authority: '' }), '0+/a'],
    ],
  },
  {
    title: 'a host comes before any path',
    routes: [route('/a/b', { host: '*.x.org' }), route('/*', { host: 'a.x.org' })],
    finds: [[get('/a/b', { authority: 'a.x.org' }), '1+/a/b 0']],
  },
  {
    title: 'a named method before any method; an unknown one matches any; case counts',
    routes: [
      route('/a'),
      route('/a', { methods: ['GET', 'PURGE'] }),
      route('/a', { methods: ['POST'] }),
      route('/a', { methods: ['MKCALENDAR'] }),
    ],
    finds: [
      [get('/a'), '1 0'],
      [get('/a', { method: 'POST' }), '2 0'],
      [get('/a', { method: 'PURGE' }), '1 0'],
      [get('/a', { method: 'MKCALENDAR' }), '3 0'],
      [get('/a', { method: 'BREW' }), '0'],
      [get('/a', { method: 'get' }), '0'],
      [get('/a', { method: '' }), '0'],
    ],
  },
  {
    title: 'a path whose methods all fail falls back to a wider path',
    routes: [route('/a/b', { methods: ['PUT'] }), route('/a/{x}', { methods: ['GET'] })],
    finds: [
      [get('/a/b'), '1(b)'],
      [get('/a/b', { method: 'DELETE' }), ''],
    ],
  },
  {
    title: 'header conditions: equal, present, prefix; any occurrence will do',
    routes: [
      route('/a'),
      route('/a', { headers: [equals('x-tier', 'gold')] }),
      route('/a', { headers: [present('x-any')] }),
      route('/a', { headers: [prefix('x-tier', 'go'), present('x-any')] }),
      route('/a', { headers: [equals('x-empty', '')] }),
    ],
    finds: [
      [get('/a', { headers: ['x-tier', 'gold'] }), '1 0'],
      [get('/a', { headers: ['x-tier', 'tin', 'x-tier', 'gold'] }), '1 0'],
      [get('/a', { headers: ['x-tier', 'Gold'] }), '0'],
      [get('/a', { headers: ['x-any', '', 'x-tier', 'goat'] }), '3 2 0'],
      [get('/a', { headers: ['x-tier', 'gold', 'x-any', 'yes'] }), '3 1 2 0'],
      [get('/a', { headers: ['x-empty', ''] }), '4 0'],
      [get('/a', { headers: ['x-tier', 'go'] }), '0'],
    ],
  },
  {
    title: 'query conditions: names and values are decoded, any occurrence will do',
    routes: [
      route('/a', { query: [equals('v', '2')] }),
      route('/a', { query: [equals('q', 'a b')] }),
      route('/a', { query: [prefix('ключ', 'зн')] }),
      route('/a', { query: [present('flag')] }),
      route('/a', { query: [equals('flag', '')] }),
    ],
    finds: [
      [get('/a?v=2'), '0'],
      [get('/a?v=1&v=2'), '0'],
      [get('/a?v=1&v=22'), ''],
      [get('/a?%76=%32'), '0'],
      [get('/a?q=a+b'), '1'],
      [get('/a?q=a%20b'), '1'],
      [get('/a?q=a%2Bb'), ''],
      [get(`/a?${encodeURIComponent('ключ')}=${encodeURIComponent('значение')}`), '2'],
      [get('/a?ключ=знак'), '2'],
      [get('/a?flag'), '3 4'],
      [get('/a?flag='), '3 4'],
      [get('/a?flag=%zz&&&='), '3'],
      [get('/a?flag=1&v=2&q=a+b'), '0 1 3'],
      [get('/a'), ''],
    ],
  },
  {
    title: 'more conditions come first, then the order of the file',
    routes: [
      route('/a', { headers: [present('a')] }),
      route('/a', { query: [present('b')] }),
      route('/a', { headers: [present('a')], query: [present('b')] }),
      route('/a', { methods: ['GET'] }),
    ],
    finds: [[get('/a?b', { headers: ['a', '1'] }), '3 2 0 1']],
  },
  {
    title: 'a header and a query parameter of one name are different things',
    routes: [route('/a', { headers: [present('n')] }), route('/a', { query: [present('n')] })],
    finds: [
      [get('/a?n'), '1'],
      [get('/a', { headers: ['n', ''] }), '0'],
    ],
  },
  {
    title: 'regular expressions come last within their host, narrowed by method and conditions',
    routes: [
      route('~ ^/a'),
      route('/*'),
      route('~ .*', { methods: ['GET'] }),
      route('~ b', { host: 'h.org' }),
      route('~ c', { headers: [present('c')] }),
    ],
    finds: [
      [get('/a'), '1+/a 2? 0?'],
      [get('/a', { method: 'PUT', authority: 'h.org' }), '3? 1+/a 0?'],
      [get('/a', { headers: ['c', ''] }), '1+/a 2? 4? 0?'],
    ],
  },
  {
    title: 'unreserved triplets are decoded and dot segments removed before matching',
    routes: [route('/a/b'), route('/'), route('/a%2Fb'), route('/a/'), route('/~x')],
    finds: [
      [get('/%61/b'), '0'],
      [get('/x/../a/./b'), '0'],
      [get('/x/%2e%2e/a/%2E/b'), '0'],
      [get('/../../a/b'), '0'],
      [get('/..'), '1'],
      [get('/.'), '1'],
      [get('/a/x/..'), '3'],
      [get('/a/.'), '3'],
      [get('/a%2Fb'), '2'],
      [get('/a%2fb'), ''],
      [get('/%7Ex'), '4'],
      [get('/%252e%252e/a/b'), ''],
      [get('/a//../b'), '0'],
      [get('/.a/..b/...'), ''],
    ],
  },
  {
    title: 'what no path may hold is refused, wherever it stands',
    routes: [route('/*')],
    finds: [
      ...[
        '/%00',
        '/a\u0000',
        '/a\tb',
        '/a\u007f',
        '/a\\b',
        '/a#b',
        '/%',
        '/%a',
        '/%zz',
        '/a%4',
      ].map((path) => [get(path), '400'] as const),
      [get(`/${'a'.repeat(40)}\\`), '400'],
      [get(`/${'a'.repeat(40)}%00/..`), '400'],
      [get('a'), '400'],
      [get(''), '400'],
      [get('**'), '400'],
      [get('*', { method: 'OPTIONS' }), ''],
      [get('/%0a'), '0+/%0a'],
      [get('/%5C%23'), '0+/%5C%23'],
      [get('/a b'), '0+/a b'],
    ],
  },
  {
    title: 'sizes: path and query, authority, segments of the normalised path',
    routes: [route('/*'), route(deepPath(128)), route('/a', { host: `${'h'.repeat(253)}.org` })],
    finds: [
      [get(deepPath(127)), `0+${deepPath(127)}`],
      [get(deepPath(128)), `1 0+${deepPath(128)}`],
      [get(deepPath(129)), 'too-long'],
      [get(`${'/a/..'.repeat(129)}/a`), '0+/a'],
      [get(`/${'a'.repeat(8191)}`), `0+/${'a'.repeat(8191)}`],
      [get(`/${'a'.repeat(8192)}`), 'too-long'],
      [get(`/${'ü'.repeat(4095)}`), `0+/${'ü'.repeat(4095)}`],
      [get(`/${'ü'.repeat(4096)}`), 'too-long'],
      [get(`/a?${'q'.repeat(8191)}`), 'too-long'],
      [get(`/a?${'q'.repeat(8190)}`), '0+/a'],
      [get('/a', { authority: `${'h'.repeat(253)}.org` }), '2 0+/a'],
      [get('/a', { authority: `${'h.'.repeat(130)}x` }), '0+/a'],
      [get('/a', { authority: 'h'.repeat(262) }), 'too-long'],
    ],
  },
  {
    title: 'sixteen parameters are captured, in their order',
    routes: [route('/{p}'.repeat(16)), route(`${'/{p}'.repeat(15)}/x`)],
    finds: [
      [get('/0/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f'), '0(0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f)'],
      [
        get('/0/1/2/3/4/5/6/7/8/9/a/b/c/d/e/x'),
        '1(0,1,2,3,4,5,6,7,8,9,a,b,c,d,e) 0(0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,x)',
      ],
    ],
  },
];
