// What was found good before is taken without another look: it must not make anything else good.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HEADERS_COUNT_MAX, HEADERS_SIZE_BYTES_MAX } from '../../host/core/index.ts';
import { inspectRequest } from '../../host/edge/request-checks.ts';

const inspect = (...headers: string[]) => ({ ...inspectRequest('GET', '/', '', headers, 'utf8') });
const BROWSER = [
  ...['host', 'Example.test:80', 'accept', '*/*', 'user-agent', 'a browser of some length, 1.0'],
  ...['accept-encoding', 'gzip, deflate, br, zstd, dcb, dcz', 'accept-language', 'en, de;q=0.5'],
  ...['available-dictionary', `:${'A'.repeat(43)}=:`],
];

describe('headers that were found good before', () => {
  // The text that was last good began as the empty one, so that the first request of a thread
  // might come without the name of a host.
  it('are none at the first request', () => {
    assert.equal(inspect('host', '').refusal, 'GW_PROTOCOL_MALFORMED');
  });

  it('are taken again, with what they mean', () => {
    for (let turn = 0; turn < 3; turn++) {
      const { refusal, authority, isAscii } = inspect(...BROWSER);
      assert.deepEqual([refusal, authority, isAscii], [null, 'example.test:80', true]);
    }
  });

  it('are good under their own names only', () => {
    for (let index = 0; index < BROWSER.length; index += 2) {
      const [name, value] = [BROWSER[index]!, BROWSER[index + 1]!];
      inspect(...BROWSER);
      const others = [name.replace(/.$/, ' '), name.replace(/^./, '\u0080'), name.toUpperCase()];
      for (const other of others) {
        const { refusal } = inspect('host', 'example.test', other, value);
        assert.equal(refusal, 'GW_PROTOCOL_MALFORMED', other);
      }
    }
  });

  it('do not make another value good', () => {
    for (let index = 2; index < BROWSER.length; index += 2) {
      const name = BROWSER[index]!;
      for (const bad of ['\x00', '\x7f', '\n', '\ufffd']) {
        inspect(...BROWSER);
        const headers = [...BROWSER];
        headers[index + 1] = `${headers[index + 1]!.slice(1)}${bad}`;
        assert.equal(inspect(...headers).refusal, 'GW_PROTOCOL_MALFORMED', name);
        assert.equal(inspect(...headers).refusal, 'GW_PROTOCOL_MALFORMED', `${name} again`);
      }
    }
  });

  it('count like others', () => {
    inspect(...BROWSER);
    assert.match(inspect(...BROWSER, 'host', 'Example.test:80').detail, /^2 host headers/);
    const many = Array.from({ length: HEADERS_COUNT_MAX }, () => ['accept', '*/*']).flat();
    assert.match(inspect(...BROWSER, ...many).detail, /the limit is/);
    const long = 'b'.repeat(HEADERS_SIZE_BYTES_MAX / 2);
    assert.equal(inspect('host', 'h', 'accept', long).refusal, null);
    const twice = inspect('host', 'h', 'accept', long, 'accept', long);
    assert.equal(twice.refusal, 'GW_PROTOCOL_HEADERS_TOO_LARGE');
  });
});
