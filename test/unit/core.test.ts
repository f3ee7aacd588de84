import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ERRORS,
  fromByteString,
  GatewayError,
  headerValue,
  isByteString,
  isGatewayError,
  isHeaderValue,
  isToken,
  joinedHeaderValue,
  ManualClock,
  parseDurationMs,
  parsePercentage,
  parseSizeBytes,
  removeHeader,
  SeededRandom,
  setHeader,
  shownByteString,
  systemClock,
  toByteString,
} from '../../host/core/index.ts';

describe('byte strings', () => {
  const EVERY_BYTE = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));

  it('are the UTF-8 bytes of a text, and back', () => {
    for (const text of ['', 'plain', 'grün', '\u010d\u010a', '𝄞', EVERY_BYTE]) {
      const bytes = toByteString(text);
      assert.ok(isByteString(bytes));
      assert.deepEqual(Buffer.from(bytes, 'latin1'), Buffer.from(text, 'utf8'));
      assert.equal(fromByteString(bytes), text);
      assert.equal(shownByteString(bytes), text);
    }
    assert.equal(toByteString('a\ud800'), 'a\xef\xbf\xbd');
  });

  it('that are no UTF-8 are U+FFFD in text, and stay as they are for people', () => {
    assert.equal(fromByteString('a\xff\xc3\xbc'), 'a\ufffdü');
    assert.equal(shownByteString('a\xff\xc3\xbc'), 'a\xff\xc3\xbc');
  });

  it('end at 0xff', () => {
    assert.ok(isByteString(EVERY_BYTE));
    for (const text of ['\u0100', `${EVERY_BYTE}\u010d`, '\ud800', '\uffff', '𝄞']) {
      assert.ok(!isByteString(text));
      assert.equal(shownByteString(text), text);
    }
  });
});

describe('units', () => {
  it('reads durations, sizes and percentages, and nothing else', () => {
    assert.equal(parseDurationMs('50ms'), 50);
    assert.equal(parseDurationMs('1.5s'), 1500);
    assert.equal(parseDurationMs('5m'), 300_000);
    for (const bad of ['', '5', '5 s', '-1s', '1e3s', '5S', '1d']) {
      assert.equal(parseDurationMs(bad), null, bad);
    }
    assert.equal(parseSizeBytes('16KiB'), 16_384);
    assert.equal(parseSizeBytes('0B'), 0);
    for (const bad of ['16KB', '16', 'KiB', '-1B']) assert.equal(parseSizeBytes(bad), null, bad);
    assert.equal(parsePercentage('20%'), 0.2);
    for (const bad of ['101%', '20', '%']) assert.equal(parsePercentage(bad), null, bad);
  });
});

describe('errors', () => {
  it('have reasons that are unique and families that agree with the status', () => {
    const reasons = Object.values(ERRORS).map((entry) => entry.reason);
    assert.equal(new Set(reasons).size, reasons.length);
  });

  it('are known by their code after a clone', () => {
    const error = new GatewayError('GW_RATE_LIMITED', 'limit 5 per 1s');
    const cloned = structuredClone({ code: error.code, detail: error.detail });
    assert.ok(isGatewayError(cloned));
    assert.equal(error.reason, 604);
    assert.match(error.message, /limit 5 per 1s/);
    assert.ok(!isGatewayError({ code: 'ECONNRESET' }));
    assert.ok(!isGatewayError({ code: 'toString' }));
  });
});

describe('header lists', () => {
  it('find, join, set and remove', () => {
    const list = ['a', '1', 'b', '2', 'a', '3'];
    assert.equal(headerValue(list, 'a'), '1');
    assert.equal(joinedHeaderValue(list, 'a'), '1, 3');
    setHeader(list, 'a', '9');
    assert.deepEqual(list, ['b', '2', 'a', '9']);
    removeHeader(list, 'b');
    assert.deepEqual(list, ['a', '9']);
    assert.equal(headerValue(list, 'b'), undefined);
  });

  it('refuse what would split a message', () => {
    assert.ok(isHeaderValue('text/plain; q=1\tx'));
    for (const bad of ['a\r\nb: c', 'a\nb', 'a\rb', 'a\0b', 'a\x7f'])
      assert.ok(!isHeaderValue(bad));
    assert.ok(isToken('x-Name_1'));
    for (const bad of ['', 'a b', 'a:', 'é']) assert.ok(!isToken(bad));
  });
});

describe('clock and randomness', () => {
  it('a manual clock moves when told; the real one never goes back', () => {
    const clock = new ManualClock(10);
    clock.advance(5);
    assert.equal(clock.nowMs(), 15);
    const first = systemClock.nowMs();
    assert.ok(systemClock.nowMs() >= first);
  });

  it('a seed repeats its sequence', () => {
    const left = new SeededRandom(7);
    const right = new SeededRandom(7);
    for (let round = 0; round < 100; round++) assert.equal(left.uint32(), right.uint32());
    const unit = left.unit();
    assert.ok(unit >= 0 && unit < 1);
  });
});
