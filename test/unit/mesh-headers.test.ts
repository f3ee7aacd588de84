import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type HeaderList, headerValue, secretBytes } from '../../host/core/index.ts';
import { ClientAddress } from '../../host/mesh/client-address.ts';
import { ForwardHeaders } from '../../host/mesh/forward-headers.ts';
import { headerKind } from '../../host/mesh/header-kinds.ts';
import {
  applyHeaderOperations,
  cleanResponseHeaders,
  compileHeaderOperations,
} from '../../host/mesh/header-operations.ts';
import { isTraceparent, TraceparentSource } from '../../host/mesh/trace-context.ts';
import { exchangeOf } from '../support/exchange.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('mesh-headers');
const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

function forward(
  headers: HeaderList,
  fields: { trusted?: string[]; peer?: string; host?: string; authority?: string } = {},
): HeaderList {
  // The same ids for both forms.
  const builderOf = () =>
    new ForwardHeaders(
      new ClientAddress(fields.trusted ?? []),
      new TraceparentSource((sizeBytes) => Buffer.alloc(sizeBytes, 0x5a)),
    );
  const exchange = exchangeOf({
    headers,
    remoteAddress: fields.peer ?? '192.0.2.1',
    authority: fields.authority ?? 'example.com',
  });
  const host = fields.host ?? 'up.internal';
  const list = builderOf().build(exchange, host);
  assert.ok(list !== null, 'taken for a loop');
  const lines = builderOf().buildLines(exchange, host);
  if (lines !== '') assert.equal(lines, linesOf(list));
  return list;
}

function linesOf(list: HeaderList | null): string {
  let lines = '';
  for (let index = 0; index < (list ?? []).length; index += 2) {
    lines += `${list![index]}: ${list![index + 1]}\r\n`;
  }
  return lines;
}

/** The list without what the gateway adds. */
function passed(headers: HeaderList, fields = {}): HeaderList {
  const own = ['host', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'traceparent'];
  own.push('cdn-loop');
  const list: HeaderList = [];
  const built = forward(headers, fields);
  for (let index = 0; index < built.length; index += 2) {
    if (!own.includes(built[index]!)) list.push(built[index]!, built[index + 1]!);
  }
  return list;
}

describe('forwarded headers', () => {
  it('pass end-to-end headers in order, repetition kept, and put the gateway’s own behind', () => {
    const built = forward(['accept', '*/*', 'x-a', '1', 'cookie', 'a=1', 'x-a', '2']);
    assert.deepEqual(built.slice(0, 10), [
      'host',
      'up.internal',
      'accept',
      '*/*',
      'x-a',
      '1',
      'x-a',
      '2',
      'cookie',
      'a=1',
    ]);
    assert.deepEqual(built.slice(10, 16), [
      'x-forwarded-for',
      '192.0.2.1',
      'x-forwarded-host',
      'example.com',
      'x-forwarded-proto',
      'http',
    ]);
    assert.deepEqual(built.slice(16, 18), ['cdn-loop', 'sluice']);
    assert.equal(built[18], 'traceparent');
    assert.ok(isTraceparent(built[19]!));
    assert.equal(built.length, 20);
  });

  it('are written as lines where nothing is to be looked at, one client’s not for another', () => {
    const bytes = (sizeBytes: number) => Buffer.alloc(sizeBytes, 0x5a);
    const builderOf = () => new ForwardHeaders(new ClientAddress([]), new TraceparentSource(bytes));
    const kept = builderOf();
    const name = fc.constantFrom('accept', 'x-a', 'cookie', 'x-real-ip', 'forwarded', 'te', 'host');
    const connection = fc.constantFrom('close', 'keep-alive', 'Keep-Alive');
    const header = fc.oneof(
      fc.tuple(name, fc.constantFrom('1', 'a=2')),
      fc.tuple(fc.constant('connection'), connection),
    );
    const few = (...texts: string[]) => fc.constantFrom(...texts);
    fc.assert(
      fc.property(
        fc.array(header, { maxLength: 6 }),
        few('192.0.2.1', '192.0.2.2'),
        few('a.test', 'b.test'),
        fc.constantFrom('http' as const, 'https' as const),
        (pairs, remoteAddress, authority, scheme) => {
          const exchange = exchangeOf({ headers: pairs.flat(), remoteAddress, authority, scheme });
          const lines = kept.buildLines(exchange, authority);
          assert.equal(lines, linesOf(builderOf().build(exchange, authority)));
          assert.ok(lines.includes(`traceparent: ${kept.traceparent}\r\n`));
        },
      ),
      { seed, numRuns: 2000 },
    );
    for (const taken of ['traceparent', 'tracestate', 'connection', 'cdn-loop']) {
      const exchange = exchangeOf({ headers: [taken, 'x-a'] });
      assert.equal(kept.buildLines(exchange, 'h'), '', taken);
    }
  });

  const dropped = [
    'host',
    'connection',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'expect',
    'http2-settings',
    'content-length',
  ];
  for (const name of dropped) {
    it(`drop ${name}, which concerns one hop or is written anew`, () => {
      assert.deepEqual(passed([name, 'close', 'x-keep', '1']), ['x-keep', '1']);
    });
  }

  it('drop what Connection lists, wherever it stands and however it is written', () => {
    assert.deepEqual(
      passed(['x-a', '1', 'connection', 'X-A , close,x-b', 'x-b', '2', 'x-c', '3']),
      ['x-c', '3'],
    );
    assert.deepEqual(
      passed(['connection', 'x-a', 'x-a', '1', 'x-b', '2', 'connection', 'x-b', 'x-c', '3']),
      ['x-c', '3'],
    );
    assert.deepEqual(passed(['connection', 'Keep-Alive', 'keep-alive', '5', 'x-c', '3']), [
      'x-c',
      '3',
    ]);
    assert.deepEqual(passed(['connection', ',, ,;=', 'x-c', '3']), ['x-c', '3']);
  });

  it('never drop end-to-end headers that Connection lists', () => {
    const headers = ['authorization', 'Basic eA==', 'content-type', 'a/b', 'cookie', 'a=1'];
    const names = 'host, authorization, cookie, content-type, x-forwarded-for, traceparent';
    assert.deepEqual(passed([...headers, 'connection', names]), headers);
    const built = forward([...headers, 'traceparent', TRACEPARENT, 'connection', names]);
    assert.equal(headerValue(built, 'host'), 'up.internal');
    assert.equal(headerValue(built, 'x-forwarded-for'), '192.0.2.1');
    assert.equal(headerValue(built, 'traceparent'), TRACEPARENT);
  });

  it('join cookies that came in pieces, as HTTP/2 sends them', () => {
    assert.deepEqual(passed(['cookie', 'a=1', 'x-a', '1', 'cookie', 'b=2', 'cookie', 'c=3']), [
      'x-a',
      '1',
      'cookie',
      'a=1; b=2; c=3',
    ]);
  });

  it('join no cookie line that is empty', () => {
    assert.deepEqual(passed(['cookie', '', 'cookie', 'a=1', 'cookie', '']), ['cookie', 'a=1']);
    assert.deepEqual(passed(['cookie', 'a=1', 'cookie', '', 'cookie', 'b=2']).at(-1), 'a=1; b=2');
    assert.deepEqual(passed(['cookie', '']), []);
  });

  it('believe no claims about the client from an untrusted peer', () => {
    const claims = [
      'x-forwarded-for',
      '1.1.1.1',
      'x-forwarded-host',
      'evil',
      'x-forwarded-proto',
      'https',
      'x-forwarded-port',
      '443',
      'x-forwarded-prefix',
      '/evil',
      'x_forwarded_for',
      '1.1.1.1',
      'x-forwarded_host',
      'evil',
      'x-real-ip',
      '1.1.1.1',
      'forwarded',
      'for=1.1.1.1',
    ];
    assert.deepEqual(passed(claims), []);
    // A CGI-like upstream reads one variable for all of these; two of them passed.
    for (const name of ['x-real-ip', 'x_real_ip', 'x-real_ip', 'x_real-ip']) {
      assert.deepEqual(passed([name, '1.1.1.1']), [], name);
      const trusted = { trusted: ['192.0.2.0/24'] };
      assert.deepEqual(passed([name, '1.1.1.1'], trusted), [name, '1.1.1.1']);
    }
    for (const name of ['x_forwarded-for', 'x-forwarded_proto', 'x_forwarded', 'x_forwarded_by']) {
      assert.deepEqual(passed([name, '1.1.1.1']), [], name);
    }
    assert.deepEqual(passed(['x.real.ip', '1', 'x-realm-ip', '1', 'y-real-ip', '1']).length, 6);
    const built = forward(claims);
    assert.equal(headerValue(built, 'x-forwarded-for'), '192.0.2.1');
    assert.equal(headerValue(built, 'x-forwarded-host'), 'example.com');
    assert.equal(headerValue(built, 'x-forwarded-proto'), 'http');
  });

  it('continue the claims of a trusted proxy', () => {
    const built = forward(
      [
        'x-forwarded-for',
        '1.1.1.1',
        'x-forwarded-proto',
        'https',
        'x-forwarded-for',
        '2.2.2.2',
        'x-forwarded-host',
        'public.example',
        'x-forwarded-port',
        '443',
        'x-real-ip',
        '1.1.1.1',
        'forwarded',
        'for=1.1.1.1;proto=https',
      ],
      { trusted: ['2001:db8::/32'], peer: '2001:db8::5', authority: 'a.example:8080' },
    );
    assert.equal(headerValue(built, 'x-forwarded-for'), '1.1.1.1, 2.2.2.2, 2001:db8::5');
    assert.equal(headerValue(built, 'x-forwarded-host'), 'public.example');
    assert.equal(headerValue(built, 'x-forwarded-proto'), 'https');
    assert.equal(headerValue(built, 'x-forwarded-port'), '443');
    assert.equal(headerValue(built, 'x-real-ip'), '1.1.1.1');
    assert.equal(
      headerValue(built, 'forwarded'),
      'for=1.1.1.1;proto=https, for="[2001:db8::5]";host="a.example:8080";proto=http',
    );
  });

  it('take no scheme but http and https from a trusted proxy', () => {
    const fields = { trusted: ['192.0.2.0/24'] };
    const built = forward(['x-forwarded-proto', 'javascript'], fields);
    assert.equal(headerValue(built, 'x-forwarded-proto'), 'http');
    assert.equal(headerValue(built, 'forwarded'), undefined);
  });

  it('carry nothing over from one request to the next', () => {
    const builder = new ForwardHeaders(
      new ClientAddress(['192.0.2.1']),
      new TraceparentSource(secretBytes),
    );
    const rich = exchangeOf({
      headers: ['connection', 'x-a', 'traceparent', TRACEPARENT, 'tracestate', 'a=1'].concat([
        'x-forwarded-for',
        '1.1.1.1',
        'forwarded',
        'for=1.1.1.1',
        'cdn-loop',
        'sluice',
      ]),
    });
    builder.build(rich, 'h');
    for (const headers of [
      ['x-a', '1'],
      ['x-a', '1', 'connection', 'close'],
    ]) {
      const built = builder.build(exchangeOf({ headers }), 'h')!;
      assert.equal(headerValue(built, 'x-a'), '1');
      assert.equal(headerValue(built, 'x-forwarded-for'), '192.0.2.1');
      assert.notEqual(headerValue(built, 'traceparent'), TRACEPARENT);
      assert.equal(headerValue(built, 'tracestate'), undefined);
      assert.equal(headerValue(built, 'forwarded'), undefined);
      assert.equal(headerValue(built, 'cdn-loop'), 'sluice');
    }
  });

  it('count the gateways passed behind the names of others, and stop at the limit', () => {
    const hops = (count: number) => Array.from({ length: count }, () => 'sluice').join(', ');
    const loopOf = (...values: string[]) =>
      headerValue(forward(values.flatMap((value) => ['cdn-loop', value])), 'cdn-loop');
    assert.equal(loopOf('foo123.example; x="1"'), 'foo123.example; x="1", sluice');
    assert.equal(loopOf('a', 'sluice;x', 'sluiced'), 'a, sluice;x, sluiced, sluice');
    assert.equal(loopOf(hops(7)), hops(8));
    assert.throws(() => loopOf(hops(8)), /taken for a loop/);
    assert.throws(() => loopOf(hops(3), 'a', hops(5)), /taken for a loop/);
    // A client cannot make the gateway forget where a request has been.
    assert.throws(() => forward(['connection', 'cdn-loop', 'cdn-loop', hops(8)]), /for a loop/);
  });

  it('agree with a slow and obvious builder on random lists', () => {
    const names = [...dropped, 'x-a', 'x-bb', 'cookie', 'x-forwarded-for', 'x-forwarded-port'];
    const pair = fc.tuple(
      fc.constantFrom(...names),
      fc.constantFrom('close', 'x-a', 'X-BB, host', '1', 'a, b'),
    );
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 12 }), (pairs) => {
        const listed = new Set(
          pairs
            .filter(([name]) => name === 'connection')
            .flatMap(([, value]) =>
              value
                .toLowerCase()
                .split(',')
                .map((one) => one.trim()),
            ),
        );
        const expected = pairs.filter(([name]) => {
          if (dropped.includes(name) || name.startsWith('x-forwarded')) return false;
          return name !== 'cookie' && !listed.has(name);
        });
        const cookies = pairs.filter(([name]) => name === 'cookie').map(([, value]) => value);
        const cookie = cookies.length === 0 ? [] : ['cookie', cookies.join('; ')];
        assert.deepEqual(passed(pairs.flat()), [...expected.flat(), ...cookie]);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('know each name by its length: the table and the names agree', () => {
    for (const name of [...dropped, 'forwarded', 'tracestate', 'traceparent', 'x-real-ip']) {
      assert.notEqual(headerKind(name), 0, name);
      assert.equal(headerKind(`${name}x`), 0, `${name}x`);
      assert.equal(headerKind(name.slice(0, -1)), 0, name.slice(0, -1));
    }
  });
});

describe('trace context', () => {
  it('passes a valid traceparent and its tracestate', () => {
    const built = forward(['tracestate', 'a=1', 'traceparent', TRACEPARENT, 'tracestate', 'b=2']);
    assert.equal(headerValue(built, 'traceparent'), TRACEPARENT);
    assert.equal(headerValue(built, 'tracestate'), 'a=1, b=2');
  });

  it('replaces an invalid or a repeated one, and drops its tracestate', () => {
    const bad = [
      ['traceparent', 'x'],
      ['traceparent', TRACEPARENT, 'traceparent', TRACEPARENT],
    ];
    for (const headers of bad) {
      const built = forward([...headers, 'tracestate', 'a=1']);
      assert.ok(isTraceparent(headerValue(built, 'traceparent')!));
      assert.notEqual(headerValue(built, 'traceparent'), TRACEPARENT);
      assert.equal(headerValue(built, 'tracestate'), undefined);
      assert.equal(built.filter((name) => name === 'traceparent').length, 1);
    }
  });

  /** The specification's grammar as one expression. */
  function oracle(value: string): boolean {
    const found = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s.exec(value);
    if (found === null) return false;
    const [, version, traceId, parentId, , rest] = found;
    if (version === 'ff' || /^0+$/.test(traceId!) || /^0+$/.test(parentId!)) return false;
    return version !== '00' || rest === undefined;
  }

  it('reads traceparent as the grammar does', () => {
    const cases = [
      TRACEPARENT,
      TRACEPARENT.toUpperCase(),
      `${TRACEPARENT}-x`,
      `01${TRACEPARENT.slice(2)}-x`,
      `01${TRACEPARENT.slice(2)}x`,
      `ff${TRACEPARENT.slice(2)}`,
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`,
      '',
    ];
    for (const value of cases) assert.equal(isTraceparent(value), oracle(value), value);
    fc.assert(
      fc.property(
        fc.nat({ max: 60 }),
        fc.constantFrom('0', '-', 'f', 'F', 'g', ' ', '', 'ff', '-a'),
        fc.nat({ max: 2 }),
        (at, text, cut) => {
          const value = TRACEPARENT.slice(0, at) + text + TRACEPARENT.slice(at + cut);
          assert.equal(isTraceparent(value), oracle(value), value);
        },
      ),
      { seed, numRuns: 3000 },
    );
  });

  it('makes valid ids that do not repeat', () => {
    const source = new TraceparentSource(secretBytes);
    const seen = new Set<string>();
    for (let round = 0; round < 20_000; round++) {
      const value = source.next();
      assert.ok(isTraceparent(value) && value.endsWith('-01'), value);
      seen.add(value.slice(3, 35)).add(value.slice(36, 52));
    }
    assert.equal(seen.size, 40_000);
  });

  it('makes each id of bytes that no other has', () => {
    let byte = 0;
    const source = new TraceparentSource((size) => Uint8Array.from({ length: size }, () => byte++));
    assert.equal(source.next(), '00-000102030405060708090a0b0c0d0e0f-1011121314151617-01');
    assert.equal(source.next(), '00-18191a1b1c1d1e1f2021222324252627-28292a2b2c2d2e2f-01');
    const unsampled = new TraceparentSource(secretBytes, '00');
    assert.ok(unsampled.next().endsWith('-00'));
  });
});

describe('header operations', () => {
  it('remove, then set, then add', () => {
    const operations = compileHeaderOperations({
      remove: ['x-gone'],
      set: ['x-set', '1', 'x-both', 's'],
      add: ['x-add', 'new', 'x-both', 'a'],
    });
    const headers = ['x-set', 'old', 'x-gone', '1', 'x-add', 'old', 'x-set', 'old2', 'x-stay', '1'];
    applyHeaderOperations(headers, operations);
    assert.deepEqual(headers, [
      'x-add',
      'old',
      'x-stay',
      '1',
      'x-set',
      '1',
      'x-both',
      's',
      'x-add',
      'new',
      'x-both',
      'a',
    ]);
  });

  it('are nothing where there are none', () => {
    assert.equal(compileHeaderOperations({ remove: [], set: [], add: [] }), null);
    const headers = ['a', '1'];
    applyHeaderOperations(headers, null);
    assert.deepEqual(headers, ['a', '1']);
  });

  it('send configured text as the bytes of its UTF-8 form', () => {
    const operations = compileHeaderOperations({ remove: [], set: ['a', 'ü'], add: ['b', 'č1'] });
    const headers = ['c', '\xfc'];
    applyHeaderOperations(headers, operations);
    assert.deepEqual(headers, ['c', '\xfc', 'a', '\xc3\xbc', 'b', '\xc4\x8d1']);
  });

  it('refuse framing headers and values that would split a message', () => {
    const none = { remove: [], set: [], add: [] };
    for (const bad of [
      { ...none, remove: ['content-length'] },
      { ...none, set: ['transfer-encoding', 'chunked'] },
      { ...none, add: ['connection', 'x'] },
      { ...none, add: ['x-a', 'a\r\nb: c'] },
    ]) {
      assert.throws(() => compileHeaderOperations(bad), { code: 'GW_CONFIG_BAD_VALUE' });
    }
  });

  it('clean a response: date and reason are the gateway’s, server is the upstream’s', () => {
    const headers = [
      'server',
      'up',
      'date',
      'x',
      'x-sluice-reason',
      '1',
      'set-cookie',
      'a=1',
      'set-cookie',
      'b=2',
    ];
    cleanResponseHeaders(
      headers,
      compileHeaderOperations({ remove: [], set: ['x-frame-options', 'DENY'], add: [] }),
    );
    assert.deepEqual(headers, [
      'server',
      'up',
      'set-cookie',
      'a=1',
      'set-cookie',
      'b=2',
      'x-frame-options',
      'DENY',
    ]);
  });
});
