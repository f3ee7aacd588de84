import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { addressText, formatAddress } from '../../host/edge/peer-address.ts';
import { isLowerToken, isPlainTarget, isPlainValue } from '../../host/edge/text-checks.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('edge-text');

describe('what headers and targets may hold', () => {
  it('is the same for short texts and long ones', () => {
    for (let code = 0; code < 0x120; code++) {
      const character = String.fromCharCode(code);
      const isToken = /^[!#$%&'*+.^_`|~0-9a-z-]$/.test(character);
      const isPlain = code === 9 || (code >= 0x20 && code <= 0x7e);
      const isTarget = code >= 0x21 && code <= 0x7e;
      for (const padding of ['', 'a', 'a'.repeat(31), 'a'.repeat(32), 'a'.repeat(200)]) {
        for (const text of [padding + character, character + padding]) {
          const told = `0x${code.toString(16)} in ${text.length}`;
          assert.equal(isLowerToken(text), isToken, told);
          assert.equal(isPlainValue(text), isPlain, told);
          assert.equal(isPlainTarget(text), isTarget, told);
        }
      }
    }
    assert.ok(!isLowerToken('') && isPlainValue('') && isPlainTarget(''));
  });
});

describe('texts of peer addresses', () => {
  it('are those of the bytes, however many are kept', () => {
    const some = fc.integer({ min: 0, max: 3 });
    const v4 = fc.tuple(some, some, some, fc.nat(255));
    const mapped = v4.map((bytes) => [...new Array(10).fill(0), 0xff, 0xff, ...bytes]);
    const v6 = fc.array(some, { minLength: 16, maxLength: 16 });
    const other = fc.uint8Array({ maxLength: 20 }).map((bytes) => [...bytes]);
    fc.assert(
      fc.property(fc.oneof(v4, mapped, v6, other), (bytes) => {
        const array = Uint8Array.from(bytes);
        assert.equal(addressText(array.buffer), formatAddress(array));
      }),
      { seed, numRuns: 20_000 },
    );
  });

  it('tell ::1 from 0.0.0.1', () => {
    const loopback = new Uint8Array(16);
    loopback[15] = 1;
    for (let round = 0; round < 2; round++) {
      assert.equal(addressText(loopback.buffer), '::1');
      assert.equal(addressText(Uint8Array.of(0, 0, 0, 1).buffer), '0.0.0.1');
    }
  });
});
