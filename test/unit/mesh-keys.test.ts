import assert from 'node:assert/strict';
import { BlockList, isIP, isIPv4 } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { KeySource } from '../../host/config/index.ts';
import { ClientAddress } from '../../host/mesh/client-address.ts';
import { formatIp, IpRanges, parseIp } from '../../host/mesh/ip-address.ts';
import { compileKeySource, cookieValue } from '../../host/mesh/key-source.ts';
import { exchangeOf } from '../support/exchange.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('mesh-keys');
const words = new Uint32Array(4);

describe('addresses', () => {
  const texts = [
    ['1.2.3.4', '1.2.3.4'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::ffff:102:304', '1.2.3.4'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ] as const;
  for (const [text, canonical] of texts) {
    it(`${text} is ${canonical}`, () => {
      assert.ok(parseIp(text, words));
      assert.equal(formatIp(words), canonical);
    });
  }

  it('refuses what is not one', () => {
    const bad = ['', '1', '1.2.3', '1.2.3.4.5', '01.2.3.4', '256.1.1.1', '1.2.3.', ' 1.2.3.4'];
    bad.push('0x1.2.3.4', '1..2.3', ':', ':::', '1:', ':1', '1::2::3', '12345::', 'g::', '1:2');
    bad.push('fe80::1%eth0', '[::1]', '::1.2.3', '1.2.3.4::', '1:2:3:4:5:6:7:8:9', '::1 ');
    bad.push('1:2:3:4:5:6:7::8', '1:2:3:4:5:6:7:1.2.3.4', '-1.2.3.4', '1.2.3.4\0', '::\u0661');
    for (const text of bad) assert.ok(!parseIp(text, words), text);
  });

  it('reads text as node:net does, and writes what node:net reads alike', () => {
    const piece = fc.constantFrom(
      '1',
      'ff',
      '0',
      ':',
      '::',
      '.',
      '255',
      'abcd',
      '256',
      '%',
      '1.2.3.4',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        // `1:2:3:4:5:6:7::` stands for one group of zeros: both readers take it.
        const isAddress = !text.includes('%') && isIP(text) !== 0;
        assert.equal(parseIp(text, words), isAddress, text);
        if (!isAddress) return;
        const block = new BlockList();
        block.addAddress(formatIp(words), isIPv4(formatIp(words)) ? 'ipv4' : 'ipv6');
        assert.ok(block.check(text, isIPv4(text) ? 'ipv4' : 'ipv6'), text);
      }),
      { seed, numRuns: 5000 },
    );
  });

  it('finds addresses in ranges as node:net does', () => {
    const v4 = fc.ipV4();
    fc.assert(
      fc.property(v4, fc.integer({ min: 0, max: 32 }), v4, fc.nat(), (net, prefix, other, low) => {
        parseIp(net, words);
        words[3] = words[3]! ^ (low & 0xffff);
        const near = formatIp(words);
        const block = new BlockList();
        block.addSubnet(net, prefix, 'ipv4');
        const ranges = new IpRanges([`${net}/${prefix}`]);
        for (const address of [net, near, other]) {
          parseIp(address, words);
          assert.equal(
            ranges.includes(words),
            block.check(address),
            `${address} in ${net}/${prefix}`,
          );
        }
      }),
      { seed, numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.nat(127), (net, prefix, bit) => {
        parseIp(net, words);
        words[bit >> 5] = words[bit >> 5]! ^ (0x80000000 >>> (bit & 31));
        assert.equal(new IpRanges([`${net}/${prefix}`]).includes(words), bit >= prefix);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('refuses bad ranges by name', () => {
    for (const bad of [
      '',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      '10/8',
      '1.2.3.4/08',
      'x',
      '::/-1',
    ]) {
      assert.throws(() => new IpRanges([bad]), { code: 'GW_CONFIG_BAD_VALUE' }, bad);
    }
  });
});

describe('client.ip', () => {
  const trusted = new ClientAddress(['10.0.0.0/8', 'fd00::/8']);

  function clientOf(peer: string, ...lists: string[]): string {
    const headers = lists.flatMap((list) => ['x-forwarded-for', list]);
    return trusted.of(exchangeOf({ remoteAddress: peer, headers }));
  }

  it('is the peer where no proxy is trusted', () => {
    const headers = ['x-forwarded-for', '1.1.1.1'];
    assert.equal(new ClientAddress([]).of(exchangeOf({ headers })), '192.0.2.1');
    assert.equal(clientOf('192.0.2.1', '1.1.1.1'), '192.0.2.1');
    assert.equal(clientOf('10.0.0.1'), '10.0.0.1');
  });

  const cases: readonly (readonly [expected: string, ...lists: string[]])[] = [
    ['1.1.1.1', '1.1.1.1'],
    ['1.1.1.1', '9.9.9.9, 1.1.1.1'],
    ['1.1.1.1', '9.9.9.9, 1.1.1.1, 10.0.0.2, 10.0.0.3'],
    ['1.1.1.1', '9.9.9.9', '1.1.1.1', '10.0.0.2'],
    ['10.0.0.4', '10.0.0.4, 10.0.0.3'],
    ['1.1.1.1', ' \t1.1.1.1\t , \t10.0.0.2 '],
    ['1.1.1.1', '1.1.1.1:4711, 10.0.0.2:80'],
    ['2001:db8::1', '[2001:DB8::1]:4711'],
    ['2001:db8::1', '[2001:db8:0::1]'],
    ['2001:db8::1', '2001:db8:0:0::1'],
    ['1.1.1.1', '::ffff:1.1.1.1'],
    ['1.1.1.1', '1.1.1.1, fd00::1'],
    // Malformed: the walk stops at the last proxy that is known.
    ['10.0.0.2', '1.1.1.1, unknown, 10.0.0.2'],
    ['10.0.0.1', '1.1.1.1,'],
    ['10.0.0.1', ''],
    ['10.0.0.1', 'fe80::1%eth0'],
    ['10.0.0.1', '1.1.1.1:99999'],
    ['10.0.0.1', '[1.1.1.1]'],
    ['10.0.0.1', '[::1'],
    ['10.0.0.1', '[::1]x'],
    ['10.0.0.1', '"1.1.1.1"'],
    ['10.0.0.1', 'x'.repeat(8000)],
  ];
  for (const [expected, ...lists] of cases) {
    it(`behind 10.0.0.1, ${JSON.stringify(lists.join(' | ').slice(0, 60))} is ${expected}`, () => {
      assert.equal(clientOf('10.0.0.1', ...lists), expected);
    });
  }

  it('walks a bounded number of trusted hops', () => {
    const endless = new Array(10_000).fill('10.0.0.9').join(',');
    assert.equal(clientOf('10.0.0.1', `1.1.1.1,${endless}`), '10.0.0.9');
  });

  it('agrees with a slow walk on random lists', () => {
    const entry = fc.constantFrom(
      '1.1.1.1',
      '10.0.0.2',
      '10.9.9.9',
      'x',
      '',
      '[::1]',
      '2.2.2.2:80',
    );
    fc.assert(
      fc.property(fc.array(fc.array(entry, { minLength: 1, maxLength: 5 })), (lists) => {
        const entries = lists.flatMap((list) => list.join(', ').split(', '));
        let expected = '10.0.0.1';
        for (const one of entries.reverse()) {
          const address = one === '[::1]' ? '::1' : one.replace(/:80$/, '');
          if (isIP(address) === 0) break;
          expected = address;
          if (!address.startsWith('10.')) break;
        }
        assert.equal(clientOf('10.0.0.1', ...lists.map((list) => list.join(', '))), expected);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('remembers a bounded number of peers and stays right', () => {
    for (let peer = 0; peer < 5000; peer++) {
      assert.equal(trusted.isTrusted(`10.1.${peer >> 8}.${peer & 255}`), true);
      assert.equal(trusted.isTrusted(`11.1.${peer >> 8}.${peer & 255}`), false);
    }
    assert.equal(trusted.isTrusted('not an address'), false);
  });
});

describe('keys', () => {
  const context = {
    routeName: 'pay',
    parameterNames: ['id', 'x'],
    clientAddress: new ClientAddress([]),
  };

  function keyOf(kind: KeySource['kind'], name: string, headers: string[] = []): string | null {
    const read = compileKeySource({ kind, name }, context);
    return read(exchangeOf({ headers }), ['7', 'a%2fb']);
  }

  it('come from address, header, cookie, path and route', () => {
    assert.equal(keyOf('client.ip', ''), '192.0.2.1');
    assert.equal(keyOf('header', 'x-user', ['x-user', 'ann', 'x-user', 'bob']), 'ann');
    assert.equal(keyOf('cookie', 'sid', ['cookie', 'a=1; sid=s3; b=2']), 's3');
    assert.equal(keyOf('path', 'id'), '7');
    assert.equal(keyOf('path', 'x'), 'a%2Fb');
    assert.equal(keyOf('route', ''), 'pay');
  });

  it('are null where the request has none', () => {
    assert.equal(keyOf('header', 'x-user'), null);
    assert.equal(keyOf('header', 'x-user', ['x-user', '']), null);
    assert.equal(keyOf('cookie', 'sid'), null);
    assert.equal(keyOf('path', 'unknown'), null);
    const read = compileKeySource({ kind: 'path', name: 'id' }, context);
    assert.equal(read(exchangeOf(), []), null);
  });
});

describe('cookies', () => {
  const cases: readonly (readonly [list: string, value: string | null])[] = [
    ['sid=1', '1'],
    ['a=b;sid=1', '1'],
    ['a=b;  \tsid=1 ', '1'],
    ['sid=1; sid=2', '1'],
    ['sid="quoted"', 'quoted'],
    ['sid=a=b==', 'a=b=='],
    ['xsid=1', null],
    ['xsid=1; sid=2', '2'],
    ['sidx=1; sid=2', '2'],
    ['a=sid=1', null],
    ['a=sid=1; sid=2', '2'],
    ['sid', null],
    ['sid=', null],
    ['sid=""', null],
    ['sid="', null],
    ['sid="a', null],
    ['sid=a"b', null],
    ['sid=a b', null],
    ['sid=a,b', null],
    ['sid=a\\b', null],
    ['sid=é', null],
    ['SID=1', null],
    ['a="x; sid=evil"', null],
    ['', null],
    [`sid=${'x'.repeat(4096)}`, 'x'.repeat(4096)],
    [`sid=${'x'.repeat(4097)}`, null],
  ];
  for (const [list, value] of cases) {
    const shown = JSON.stringify(value?.slice(0, 10) ?? null);
    it(`${JSON.stringify(list.slice(0, 40))} gives ${shown}`, () => {
      assert.equal(cookieValue(['cookie', list], 'sid'), value);
    });
  }

  it('may stand in several headers, as HTTP/2 splits them', () => {
    assert.equal(cookieValue(['cookie', 'a=1', 'x', 'sid=9', 'cookie', 'sid=2'], 'sid'), '2');
  });

  it('agree with a slow reader on random lists', () => {
    const piece = fc.constantFrom('s', 'sid', '=', ';', ' ', '"', 'a', ',', '; ', 'sid=');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 16 }), (pieces) => {
        const list = pieces.join('');
        assert.equal(cookieValue(['cookie', list], 'sid'), slowCookie(list), JSON.stringify(list));
      }),
      { seed, numRuns: 5000 },
    );
  });
});

function slowCookie(list: string): string | null {
  for (const pair of list.split(';')) {
    const trimmed = pair.replace(/^[ \t]+|[ \t]+$/g, '');
    if (!trimmed.startsWith('sid=')) continue;
    const found = /^(?:"([!#-+\--:<-[\]-~]+)"|([!#-+\--:<-[\]-~]+))$/.exec(trimmed.slice(4));
    return found === null ? null : (found[1] ?? found[2]!);
  }
  return null;
}
