import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BenchFlags, parseBenchOptions } from '../../host/cli/bench/options.ts';
import { isGatewayError } from '../../host/core/index.ts';

const URL_HERE = 'http://127.0.0.1:8080/a?b=c';

function refusal(url: unknown, flags: BenchFlags): string {
  try {
    parseBenchOptions(url, flags);
  } catch (error) {
    assert.ok(isGatewayError(error));
    assert.equal(error.code, 'GW_FLAG_BAD_VALUE');
    return (error as Error).message;
  }
  assert.fail(`accepted ${String(url)} ${JSON.stringify(flags)}`);
}

describe('the flags of bench', () => {
  it('are read with their defaults', () => {
    const options = parseBenchOptions(URL_HERE, { rate: 100 });
    assert.equal(options.rate, 100);
    assert.equal(options.durationMs, 10_000);
    assert.equal(options.warmupMs, 0);
    assert.equal(options.connections, 32);
    assert.equal(options.method, 'GET');
    assert.equal(options.rounds, 1);
    assert.deepEqual(options.target, {
      url: URL_HERE,
      hostname: '127.0.0.1',
      port: 8080,
      authority: '127.0.0.1:8080',
      path: '/a?b=c',
    });
  });

  it('are read as the command line gives them', () => {
    const options = parseBenchOptions('http://[::1]:81', {
      rate: 'max',
      duration: '1.5s',
      connections: '7',
      warmup: true,
      header: ['X-One: 1', 'x-two:2'],
      body: 'pay=1',
      compare: 'http://localhost/',
      rounds: 9,
    });
    assert.equal(options.rate, 'max');
    assert.equal(options.durationMs, 1500);
    assert.equal(options.warmupMs, 2000);
    assert.equal(options.connections, 7);
    assert.equal(options.method, 'POST');
    assert.deepEqual(options.headers, ['x-one', '1', 'x-two', '2']);
    assert.equal(options.target.hostname, '::1');
    assert.equal(options.compare?.port, 80);
    assert.equal(options.rounds, 9);
  });

  it('are refused with the value and the limit', () => {
    const cases: [BenchFlags, RegExp][] = [
      [{}, /--rate is missing, .*at most 1000000 per second, or max/],
      [{ rate: 0 }, /--rate "0"/],
      [{ rate: '-5' }, /--rate "-5"/],
      [{ rate: '1e3' }, /--rate "1e3"/],
      [{ rate: 1_000_001 }, /--rate "1000001".*1000000/],
      [{ rate: 1, duration: '10' }, /--duration "10".*such as 30s.*24h/],
      [{ rate: 1, duration: 10 }, /--duration "10"/],
      [{ rate: 1, duration: '25h' }, /--duration "25h"/],
      [{ rate: 1, connections: 0 }, /--connections "0".*1 to 16384/],
      [{ rate: 1, connections: 16_385 }, /--connections "16385"/],
      [{ rate: 1, connections: 1.5 }, /--connections "1.5"/],
      [{ rate: 1, method: 'get' }, /--method "get"/],
      [{ rate: 1, method: 'CONNECT' }, /--method "CONNECT"/],
      [{ rate: 1, header: 'no colon' }, /--header "no colon"/],
      [{ rate: 1, header: 'a: b\r\nc: d' }, /--header/],
      [{ rate: 1, header: 'bad name: x' }, /--header/],
      [{ rate: 1, header: 'Host: x' }, /--header.*writes host/],
      [{ rate: 1, header: 'Content-Length: 1' }, /writes content-length/],
      [{ rate: 1, header: Array.from({ length: 65 }, () => 'a: b') }, /65 headers.*64/],
      [{ rate: 1, body: 'x'.repeat(1_048_577) }, /1048577 bytes, at most 1048576/],
      [{ rate: 1, out: '' }, /--out/],
      [{ rate: 1, out: true }, /--out/],
      [{ rate: 1, rounds: 3 }, /--rounds "3".*--compare/],
      [{ rate: 1, compare: URL_HERE, rounds: 0 }, /--rounds "0".*1000/],
      [{ rate: 1, warmup: 'x' }, /--warmup "x"/],
    ];
    for (const [flags, pattern] of cases) assert.match(refusal(URL_HERE, flags), pattern);
  });

  it('keep the load on this machine unless told otherwise', () => {
    for (const url of [
      'http://10.0.0.1/',
      'http://example.com/',
      'http://127.0.0.1.example.com/',
    ]) {
      assert.match(refusal(url, { rate: 1 }), /--allow-remote/);
      assert.match(refusal(URL_HERE, { rate: 1, compare: url }), /--compare.*--allow-remote/);
      assert.equal(parseBenchOptions(url, { rate: 1, allowRemote: true }).target.port, 80);
    }
    for (const url of ['http://localhost:1/', 'http://127.9.9.9/', 'http://[::1]/']) {
      assert.doesNotThrow(() => parseBenchOptions(url, { rate: 1 }));
    }
    for (const url of ['https://127.0.0.1/', 'ftp://127.0.0.1/', '127.0.0.1:80', undefined, '']) {
      assert.match(refusal(url, { rate: 1 }), /URL/);
    }
    assert.match(refusal('http://a:b@127.0.0.1/', { rate: 1 }), /credentials/);
  });
});
