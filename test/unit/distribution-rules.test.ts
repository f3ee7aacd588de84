import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileVersionRange } from '../../host/distribution/app-version.ts';
import type { Device, ReleaseRule, Targeting } from '../../host/distribution/model.ts';
import {
  mustHalt,
  ROLLOUT_WHOLE,
  rolloutAt,
  rolloutBucket,
  selectRelease,
} from '../../host/distribution/release-rules.ts';
import {
  checkResourcePath,
  encodeResourcePath,
  foldedPath,
} from '../../host/distribution/resource-path.ts';
import { testSeed } from '../support/seed.ts';
import { codeOf } from '../support/trust-scene.ts';

const seed = testSeed('distribution rules');

function rule(change: Partial<ReleaseRule> = {}): ReleaseRule {
  return {
    sequence: 1,
    version: '1.0.0',
    salt: 'salt',
    state: 'active',
    rollout: ROLLOUT_WHOLE,
    schedule: [],
    targeting: null,
    halt: null,
    ...change,
  };
}

function device(change: Partial<Device> = {}): Device {
  return { id: 'd', appVersion: null, platform: null, region: null, attributes: {}, ...change };
}

function targeting(change: Partial<Targeting>): Targeting {
  return {
    appVersion: null,
    platforms: null,
    regions: null,
    devices: null,
    attributes: {},
    ...change,
  };
}

function gets(one: ReleaseRule, who: Device): boolean {
  return selectRelease([one], who, 0, 0) !== null;
}

describe('a rollout', () => {
  it('only adds devices when it grows', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.integer({ min: 0, max: ROLLOUT_WHOLE }),
        fc.integer({ min: 0, max: ROLLOUT_WHOLE }),
        (id, salt, one, other) => {
          const [small, large] = one < other ? [one, other] : [other, one];
          const isIn = gets(rule({ salt, rollout: small }), device({ id }));
          assert.ok(!isIn || gets(rule({ salt, rollout: large }), device({ id })));
        },
      ),
      { seed },
    );
  });

  it('takes the share that it says, in an order of its own for each release', () => {
    const count = 20_000;
    const inBoth = { first: 0, second: 0, both: 0 };
    for (let index = 0; index < count; ++index) {
      const first = rolloutBucket(`device-${index}`, 'first') < 3000;
      const second = rolloutBucket(`device-${index}`, 'second') < 3000;
      inBoth.first += Number(first);
      inBoth.second += Number(second);
      inBoth.both += Number(first && second);
    }
    // Six standard deviations of a fair draw.
    assert.ok(Math.abs(inBoth.first - 6000) < 6 * Math.sqrt(count * 0.3 * 0.7), `${inBoth.first}`);
    assert.ok(Math.abs(inBoth.second - 6000) < 6 * Math.sqrt(count * 0.3 * 0.7));
    assert.ok(Math.abs(inBoth.both - 1800) < 6 * Math.sqrt(count * 0.09 * 0.91), `${inBoth.both}`);
  });

  it('fills its hundred parts evenly', () => {
    const parts = new Array<number>(100).fill(0);
    for (let index = 0; index < 50_000; ++index) {
      const part = Math.floor(rolloutBucket(`${index}`, 'x') / 100);
      parts[part] = parts[part]! + 1;
    }
    const chiSquare = parts.reduce((sum, found) => sum + (found - 500) ** 2 / 500, 0);
    // 99 degrees of freedom: mean 99, standard deviation 14.1; the ids are fixed.
    assert.ok(chiSquare < 99 + 6 * 14.1, `${chiSquare}`);
  });

  it('of nothing takes nobody, of all everybody', () => {
    for (let index = 0; index < 100; ++index) {
      assert.equal(gets(rule({ rollout: 0 }), device({ id: `${index}` })), false);
      assert.equal(gets(rule(), device({ id: `${index}` })), true);
    }
  });

  it('follows its schedule and never shrinks by it', () => {
    const stepped = {
      rollout: 1000,
      schedule: [
        { atMs: 10, rollout: 500 },
        { atMs: 20, rollout: 5000 },
      ],
    };
    assert.deepEqual(
      [0, 10, 19, 20, 1000].map((nowMs) => rolloutAt(stepped, nowMs)),
      [1000, 1000, 1000, 5000, 5000],
    );
  });
});

describe('the release of a device', () => {
  const releases = [
    rule({ sequence: 3, version: '3' }),
    rule({ sequence: 2, version: '2' }),
    rule({ sequence: 1, version: '1' }),
  ];
  const withState = (state: ReleaseRule['state']) => [
    { ...releases[0]!, state },
    ...releases.slice(1),
  ];

  it('is the newest that takes it', () => {
    assert.equal(selectRelease(releases, device(), 0, 0)?.sequence, 3);
    const closed = [{ ...releases[0]!, rollout: 0 }, ...releases.slice(1)];
    assert.equal(selectRelease(closed, device(), 0, 0)?.sequence, 2);
    assert.equal(selectRelease([], device(), 0, 0), null);
  });

  it('is never an older one than it has', () => {
    const rules = fc.array(fc.constantFrom('active', 'paused', 'halted'), { maxLength: 6 });
    fc.assert(
      fc.property(rules, fc.nat(7), fc.nat(ROLLOUT_WHOLE), (states, current, rollout) => {
        const all = states.map((state, index) =>
          rule({ sequence: states.length - index, state, rollout, version: `${index}` }),
        );
        const found = selectRelease(all, device(), current, 0);
        assert.ok(found === null || found.sequence >= current);
      }),
      { seed },
    );
  });

  it('stays when it is paused, and nobody new gets it', () => {
    for (const state of ['paused', 'halted'] as const) {
      assert.equal(selectRelease(withState(state), device(), 3, 0)?.sequence, 3);
      assert.equal(selectRelease(withState(state), device(), 2, 0)?.sequence, 2);
      assert.equal(selectRelease(withState(state), device(), 0, 0)?.sequence, 2);
    }
  });

  it('is kept by a device whose release has been retired', () => {
    assert.equal(selectRelease([releases[2]!], device(), 2, 0), null);
  });
});

describe('targeting', () => {
  it('wants all of its parts', () => {
    const both = rule({ targeting: targeting({ platforms: ['ios'], regions: ['de', 'fr'] }) });
    assert.ok(gets(both, device({ platform: 'ios', region: 'fr' })));
    assert.ok(!gets(both, device({ platform: 'ios' })));
    assert.ok(!gets(both, device({ platform: 'android', region: 'de' })));
    const tier = rule({ targeting: targeting({ attributes: { tier: ['gold'] } }) });
    assert.ok(gets(tier, device({ attributes: { tier: 'gold' } })));
    assert.ok(!gets(tier, device({ attributes: { tier: 'tin' } })));
    assert.ok(!gets(tier, device()));
  });

  it('gives named devices the release whatever the share, but not when it is paused', () => {
    const named = rule({
      rollout: 0,
      targeting: targeting({ devices: ['me'], platforms: ['ios'] }),
    });
    assert.ok(gets(named, device({ id: 'me' })));
    assert.ok(!gets(named, device({ id: 'you', platform: 'ios' })));
    assert.ok(!gets({ ...named, state: 'paused' }, device({ id: 'me' })));
    const only = rule({ targeting: targeting({ devices: ['me'] }) });
    assert.ok(!gets(only, device({ id: 'you' })));
  });
});

describe('a halt', () => {
  const halting = rule({ halt: { failureShare: 0.1, minimumCount: 20 } });

  it('comes above the share, once enough have reported', () => {
    assert.ok(!mustHalt(halting, { failedCount: 10, appliedCount: 9 }));
    assert.ok(mustHalt(halting, { failedCount: 10, appliedCount: 10 }));
    assert.ok(!mustHalt(halting, { failedCount: 2, appliedCount: 18 }));
    assert.ok(mustHalt(halting, { failedCount: 3, appliedCount: 17 }));
  });

  it('comes once, and only by a rule', () => {
    const counts = { failedCount: 100, appliedCount: 0 };
    assert.ok(!mustHalt({ ...halting, state: 'halted' }, counts));
    assert.ok(!mustHalt(rule(), counts));
  });
});

describe('a range of versions', () => {
  it('holds what lies between its bounds', () => {
    const cases: readonly [string, string, boolean][] = [
      ['>=1.2.0 <2.0.0', '1.2', true],
      ['>=1.2.0 <2.0.0', '1.10.3', true],
      ['>=1.2.0 <2.0.0', '2.0.0', false],
      ['>=1.2.0 <2.0.0', '1.1.99', false],
      ['=1.2', '1.2.0', true],
      ['1.2.3', 'v1.2.3+build.7', true],
      ['>1.2.3.4', '1.2.3.5', true],
      // `<2.0.0` took in the betas of 2.0.0, for which the release was not made.
      ['>=1.2.0 <2.0.0', '2.0.0-beta.1', false],
      ['>=1.2.0 <2.0.0', '1.9.0-beta.1', true],
      ['>=1.2.0', '1.2.0-rc.1', false],
      ['<1.0.0-rc.2', '1.0.0-rc.1', true],
      ['<=1.0.0', '1.0.0-rc.1', true],
      ['>=1.0.0-rc.2', '1.0.0-rc.10', true],
      ['>=1.0.0-rc.2', '1.0.0-rc.1', false],
      ['>1.0.0-1', '1.0.0-alpha', true],
      ['>1.0.0', 'latest', false],
      ['>1.0.0', '', false],
    ];
    for (const [range, version, expected] of cases) {
      assert.equal(compileVersionRange(range)?.(version), expected, `${version} in ${range}`);
    }
  });

  it('that is none is null', () => {
    for (const text of ['', '*', '>=', '>= 1', '~1.2', '1.2.3.4.5', '1 '.repeat(9)]) {
      assert.equal(compileVersionRange(text), null, text);
    }
  });

  it('orders versions of numbers as numbers are', () => {
    const version = fc.array(fc.nat(20), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(version, version, (left, right) => {
        const pad = (numbers: number[]) => [...numbers, 0, 0, 0].slice(0, 4);
        const [a, b] = [pad(left), pad(right)];
        const at = a.findIndex((number, index) => number !== b[index]);
        const isLess = at !== -1 && a[at]! < b[at]!;
        assert.equal(compileVersionRange(`<${right.join('.')}`)!(left.join('.')), isLess);
      }),
      { seed },
    );
  });
});

describe('a resource path', () => {
  it('is taken as it is', () => {
    for (const path of [
      'a',
      'a/b.js',
      '.well-known/x',
      'ä/日本.js',
      'a b/c',
      '..a',
      'a..b',
      'x/🙂',
    ]) {
      assert.equal(checkResourcePath(path), path);
    }
  });

  it('that escapes, hides or means two things is refused', () => {
    for (const path of [
      ...['', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/../b', 'a/.', './a'],
      ...['a\\b', 'a:b', 'c:', 'a*', 'a?b', 'a"b', 'a<b', 'a|b', 'a\0b', 'a\nb', 'a\u0085'],
      ...[
        'a.',
        'a ',
        'a./b',
        'a\u202egnp.exe',
        '\u2066a',
        'a\u200f',
        'con',
        'NUL.txt',
        'a/com1',
        'lpt9.x.y',
        'e\u0301',
        '\ud800',
      ],
      ...['x'.repeat(256), `${'x/'.repeat(512)}y`],
    ]) {
      assert.equal(
        codeOf(() => checkResourcePath(path)),
        'GW_DIST_PATH',
        JSON.stringify(path),
      );
    }
  });

  it('survives the way into a URL and back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (path) => {
        if (codeOf(() => checkResourcePath(path)) !== 'nothing was thrown') return;
        const url = new URL(`http://x/r/${encodeResourcePath(path)}`);
        const segments = url.pathname.slice('/r/'.length).split('/').map(decodeURIComponent);
        assert.equal(segments.join('/'), path);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('folds what file systems take for one name', () => {
    assert.equal(foldedPath('A/ﬁ.JS'), foldedPath('a/fi.js'));
    assert.notEqual(foldedPath('a.js'), foldedPath('b.js'));
  });
});
