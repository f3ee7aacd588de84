// Random mutations of valid requests on raw sockets. Whatever arrives, the process lives, no more
// requests are dispatched than the bytes hold by node's own parser, and the next client is served.

import assert from 'node:assert/strict';
import { createServer, METHODS } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { bodyOf, Driver, request, statuses } from './listener-driver.ts';

const SEEDS: readonly string[] = [
  request('GET', '/now?status=200', ['Accept: */*', 'X-A: 1']),
  request('POST', '/late', ['Content-Length: 5'], 'hello'),
  request('POST', '/sum', ['Transfer-Encoding: chunked'], '5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n'),
  request('POST', '/now?status=413', ['Transfer-Encoding: chunked'], '1\r\nx\r\n0\r\n\r\n'),
  request('HEAD', '/now') + request('GET', '/known-now'),
];

/** How long a side may take to say no more, at first and when the machine seems busy. */
const SETTLE_MS = 40;
const SETTLE_MS_BUSY = 1_500;
const INSERTS = ['\r\n', '\n', '\r', '\0', ' ', ':', ';', '0', 'f', '\xff', 'GET / HTTP/1.1\r\n'];

function mutate(random: SeededRandom, text: string): string {
  let mutated = text;
  for (let count = 1 + (random.uint32() % 3); count > 0; count--) {
    const at = random.uint32() % (mutated.length + 1);
    const span = random.uint32() % 6;
    const [head, tail] = [mutated.slice(0, at), mutated.slice(at)];
    switch (random.uint32() % 4) {
      case 0:
        mutated = head + tail.slice(span);
        break;
      case 1:
        mutated = head + INSERTS[random.uint32() % INSERTS.length] + tail;
        break;
      case 2:
        mutated = head + String.fromCharCode(random.uint32() % 256) + tail.slice(1);
        break;
      default:
        mutated = head + tail.slice(0, span * 4) + tail;
    }
  }
  return mutated;
}

/** How many requests node's own server would run, with nothing of ours around it. */
async function withOracle(
  run: (count: (bytes: string, settleMs: number) => Promise<number>) => Promise<void>,
): Promise<void> {
  let dispatched = 0;
  const server = createServer({ requireHostHeader: false }, (req, res) => {
    dispatched++;
    req.resume();
    res.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const oracle = new Driver('node');
  oracle.port = (server.address() as AddressInfo).port;
  await run(async (bytes, settleMs) => {
    dispatched = 0;
    await oracle.raw([bytes], settleMs);
    return dispatched;
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

export function fuzzCases(driver: () => Driver): void {
  it('ends no process, runs no invented request, and serves the next client', async () => {
    const seed = testSeed(`listener fuzz, ${driver().engine}`);
    const random = new SeededRandom(seed);
    const deadlineMs = performance.now() + FUZZ_TIME_MS;
    await driver().events();
    await withOracle(async (count) => {
      const both = async (bytes: string, settleMs: number) => {
        const [expected] = await Promise.all([
          count(bytes, settleMs),
          driver().raw([bytes], settleMs),
        ]);
        const events = await driver().events();
        const dispatched = events.filter(({ kind }) => kind === 'dispatch').length;
        const isMore = dispatched > expected + lenience(driver(), bytes);
        return { events, dispatched, expected, isMore };
      };
      let rounds = 0;
      for (; performance.now() < deadlineMs; rounds++) {
        const bytes = mutate(random, SEEDS[random.uint32() % SEEDS.length]!);
        const told = `SEED=${seed} round ${rounds}: ${JSON.stringify(bytes)}`;
        let seen = await both(bytes, SETTLE_MS);
        // On a busy machine either side may answer after its time: only a repeat counts.
        if (seen.isMore) seen = await both(bytes, SETTLE_MS_BUSY);
        assert.ok(!seen.isMore, `${seen.dispatched} runs, node ${seen.expected}; ${told}`);
        const { events } = seen;
        // A mutated query may ask the fixture for a status that is none.
        const errors = events.filter(
          ({ kind, text }) => kind === 'error' && !/: (status|response header)/.test(text),
        );
        assert.deepEqual(errors, [], told);
      }
      assert.ok(rounds > 5, `only ${rounds} rounds`);
    });
    const { text } = await driver().raw([request('GET', '/now')]);
    assert.deepEqual(statuses(text), [200]);
    assert.equal(bodyOf(text), 'now 200');
  });
}

/** uWS hands a request over when its head is complete and finds faults of the framing later; node
 *  refuses some heads that uWS reads otherwise. One request may so run that node would not. Any
 *  token is a method to uWS, where node stops at one it does not know: then each may run. */
function lenience(driver: Driver, bytes: string): number {
  if (driver.engine !== 'uws') return 0;
  const lines = [...bytes.matchAll(/(?:^|\n)([!#$%&'*+.^_`|~0-9A-Za-z-]+) \//g)];
  return 1 + (lines.some(([, method]) => !METHODS.includes(method!)) ? lines.length : 0);
}
