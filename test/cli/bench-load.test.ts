import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { benchCommand } from '../../host/cli/bench/command.ts';
import { median, ratiosOf, runBench } from '../../host/cli/bench/compare.ts';
import { LoadClient, type LoadFailure, requestBytes } from '../../host/cli/bench/load-client.ts';
import { type BenchFlags, parseBenchOptions } from '../../host/cli/bench/options.ts';
import { latencyFigures, Recorder } from '../../host/cli/bench/recorder.ts';
import { reportHtml } from '../../host/cli/bench/report-html.ts';
import { finalText, warningsOf } from '../../host/cli/bench/report-text.ts';
import { isGatewayError } from '../../host/core/index.ts';

const servers: Server[] = [];
const sockets = new Set<Socket>();

after(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** A server that answers after a delay, and not at all while `stalled` says so. */
function delayed(delayMs: number): Promise<string> {
  return listen(
    createHttpServer((_, response) => {
      setTimeout(() => response.end('ok'), delayMs);
    }),
  );
}

/** A server that answers every request with the same raw bytes, then maybe closes. */
function raw(answer: string, ending: 'keep' | 'close' = 'keep'): Promise<string> {
  return listen(
    createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => {
        socket.write(answer, 'latin1');
        if (ending === 'close') socket.end();
      });
    }),
  );
}

/** The beginning of a good answer. */
const ok = 'HTTP/1.1 200 OK\r\n';

function run(url: string, flags: BenchFlags) {
  return runBench(parseBenchOptions(url, { connections: 2, ...flags }), () => {});
}

describe('the load generator', () => {
  it('keeps its schedule and counts every answer', async () => {
    const url = await delayed(0);
    const { series } = await run(url, { rate: 200, duration: '500ms' });
    const { total } = series[0]!;
    assert.equal(total.dueCount, 100);
    assert.equal(total.answeredCount, 100);
    assert.equal(total.statuses.get('200'), 100);
    assert.equal(total.bodyBytes, 200);
    assert.equal(total.errorCount, 0);
    assert.equal(total.droppedCount, 0);
    assert.ok(total.elapsedMs >= 490, `${total.elapsedMs}`);
  });

  // A target that stands still for a second stops a closed-loop tool, which then reports one slow
  // request. Here each request that was due in that second must carry its share of the wait.
  it('a stall of one second is in the percentiles, not in one sample', async () => {
    let stalledUntilMs = 0;
    let answered = 0;
    const url = await listen(
      createHttpServer((_, response) => {
        answered++;
        if (answered === 50) stalledUntilMs = performance.now() + 1000;
        const waitMs = stalledUntilMs - performance.now();
        if (waitMs <= 0) response.end();
        else setTimeout(() => response.end(), waitMs);
      }),
    );
    const { series } = await run(url, { rate: 100, duration: '2s', connections: 1 });
    const { total } = series[0]!;
    const latency = latencyFigures(total.latency);
    const service = latencyFigures(total.service);
    assert.equal(total.answeredCount, 200);
    assert.ok(latency.max >= 900_000, `max ${latency.max}`);
    assert.ok(latency.p90 >= 500_000, `p90 ${latency.p90}: half of the requests waited`);
    assert.ok(service.p90 < latency.p90, 'the service time hides the stall');
    assert.ok(total.lateCount >= 80, `late ${total.lateCount}`);
    assert.ok(warningsOf(total, 100).some((warning) => warning.includes('LATE')));
  });

  it('counts statuses and reasons of refusals', async () => {
    const url = await raw(
      'HTTP/1.1 429 Too Many Requests\r\nX-Sluice-Reason: 604\r\ncontent-length: 0\r\n\r\n',
    );
    const { series } = await run(url, { rate: 100, duration: '200ms' });
    const { total } = series[0]!;
    assert.equal(total.statuses.get('429'), 20);
    assert.equal(total.reasons.get('604'), 20);
    assert.equal(total.refusedCount, 20);
    assert.ok(warningsOf(total, 100).some((warning) => warning.includes('not 2xx')));
  });

  it('reads every framing of an answer', async () => {
    const answers: [string, 'keep' | 'close', number][] = [
      ['HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc', 'keep', 3],
      [
        `${ok}transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nt: v\r\n\r\n`,
        'keep',
        3,
      ],
      ['HTTP/1.1 200 OK\r\n\r\nabc', 'close', 3],
      ['HTTP/1.0 200 OK\r\n\r\nabc', 'close', 3],
      ['HTTP/1.1 204 No Content\r\n\r\n', 'keep', 0],
      ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', 'keep', 0],
      ['HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na', 'close', 1],
    ];
    for (const [answer, ending, sizeBytes] of answers) {
      const url = await raw(answer, ending);
      const { series } = await run(url, { rate: 50, duration: '100ms' });
      const { total } = series[0]!;
      assert.equal(total.answeredCount, 5, answer);
      assert.equal(total.bodyBytes, 5 * sizeBytes, answer);
      assert.equal(total.errorCount, 0, answer);
    }
  });

  it('never counts a wrong or short answer as a good one', async () => {
    const answers: [string, 'keep' | 'close', string][] = [
      ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab', 'keep', 'bad-answer'],
      ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab', 'close', 'short-answer'],
      ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab', 'close', 'short-answer'],
      ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n', 'keep', 'bad-answer'],
      ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', 'keep', 'bad-answer'],
      ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na', 'keep', 'bad-answer'],
      [
        `${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
        'keep',
        'bad-answer',
      ],
      ['HTTP/1.1 200 OK\r\nno colon\r\n\r\n', 'keep', 'bad-answer'],
      ['HTTP/1.1 200 OK\r\ncontent-le', 'close', 'short-answer'],
      ['HTTP/2 200 OK\r\n\r\n', 'keep', 'bad-answer'],
      ['hello\r\n\r\n', 'keep', 'bad-answer'],
      ['', 'close', 'closed'],
    ];
    for (const [answer, ending, kind] of answers) {
      const url = await raw(answer, ending);
      const { series } = await run(url, { rate: 50, duration: '40ms' });
      const { total } = series[0]!;
      assert.equal(total.answeredCount, 0, answer);
      assert.equal(total.errors.get(kind), 2, `${answer} ${JSON.stringify([...total.errors])}`);
      assert.ok(warningsOf(total, 50).some((warning) => warning.includes(kind)));
    }
  });

  it('says so when nothing listens', async () => {
    const server = createServer();
    const url = await listen(server);
    server.close();
    await assert.rejects(run(url, { rate: 10, duration: '100ms' }), (error: unknown) => {
      assert.ok(isGatewayError(error));
      assert.equal(error.code, 'GW_UPSTREAM_CONNECT');
      assert.match((error as Error).message, /127\.0\.0\.1:\d+/);
      return true;
    });
  });

  it('gives up on an answer that does not come, and says how long it waited', async () => {
    const url = await listen(createServer(() => {}));
    const { target, headers, body } = parseBenchOptions(url, { rate: 1 });
    const request = { target, method: 'GET', headers, body };
    const failure = await new Promise<LoadFailure>((resolve) => {
      const client = new LoadClient(request, requestBytes(request), {
        onFree() {
          client.sentMs = 0;
          client.send();
          client.checkTimeout(9_999);
          assert.ok(client.isBusy);
          client.checkTimeout(10_000);
        },
        onAnswer: () => assert.fail('nothing answers'),
        onError(_, seen) {
          client.stop();
          resolve(seen);
        },
      });
    });
    assert.equal(failure.kind, 'timeout');
    assert.ok(failure.wasInFlight);
    assert.match(failure.detail, /10000 ms/);
  });

  it('notices that it lagged itself', async () => {
    const url = await delayed(0);
    setTimeout(() => {
      const endMs = performance.now() + 120;
      while (performance.now() < endMs);
    }, 150);
    const { series } = await run(url, { rate: 100, duration: '400ms' });
    const { total } = series[0]!;
    assert.ok(total.selfLagMaxMs >= 60, `${total.selfLagMaxMs}`);
    assert.ok(warningsOf(total, 100).some((warning) => warning.includes('LAGGED')));
    assert.equal(total.answeredCount, 40);
  });

  it('runs a closed loop for saturation and labels it', async () => {
    const url = await delayed(0);
    const result = await run(url, { rate: 'max', duration: '300ms', connections: 4 });
    const { total } = result.series[0]!;
    assert.ok(total.answeredCount > 4);
    assert.equal(total.dueCount, total.answeredCount);
    assert.match(finalText(result), /closed loop over 4 connections: saturation/);
    assert.match(reportHtml(result), /closed loop over 4 connections/);
  });

  // Seen in a browser: `20.00 ms` at every tick, `in 1 rounds`, and a long address that pushed the
  // figures off a narrow page.
  it('draws a report that reads well', async () => {
    const result = await run(await delayed(5), { rate: 50, duration: '300ms' });
    const html = reportHtml(result);
    const ticks = [...html.matchAll(/text-anchor="end">([^<]* [mu]s)</g)].map(([, text]) => text!);
    assert.ok(ticks.length >= 4, html);
    for (const tick of ticks) assert.doesNotMatch(tick, /\.\d*0 /);
    assert.match(html, /text-anchor="end">9[\d.]*<\/text>/);
    assert.doesNotMatch(html, /1 rounds/);
    assert.match(html, /th, td:first-child \{ overflow-wrap: anywhere/);
  });
});

describe('compare mode', () => {
  it('alternates two addresses and puts the slower one on its side of 1', async () => {
    const fast = await delayed(1);
    const slow = await delayed(20);
    const result = await run(fast, { rate: 50, duration: '600ms', compare: slow, rounds: 3 });
    assert.equal(result.series.length, 2);
    assert.ok(result.series.every(({ rounds }) => rounds.length === 3));
    const ratio = result.ratios.find(({ name }) => name === 'p50')!;
    assert.ok(ratio.median > 1, `${ratio.median}`);
    assert.ok(ratio.min <= ratio.median && ratio.median <= ratio.max);
    assert.match(finalText(result), /second over first, medians of 3 rounds/);
  });

  it('takes the median of ratios of rounds, not the ratio of medians', () => {
    const rounds = (values: number[]) =>
      values.map((p50) => ({
        ratePerSecond: 1,
        latency: { count: 1, p50, p90: 1, p99: 1, p999: 1, p9999: 1, max: 1, mean: 1 },
      }));
    const ratios = ratiosOf(rounds([1, 10, 100]), rounds([2, 30, 100]));
    const found = ratios.find(({ name }) => name === 'p50')!;
    assert.deepEqual(found, { name: 'p50', median: 2, min: 1, max: 3 });
    assert.equal(median([4, 1, 3, 2]), 2.5);
  });
});

describe('the reports', () => {
  it('hold the data, as HTML that is well formed, as JSON and as .hgrm', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
    try {
      const fast = `${await delayed(0)}?a=<b>&c="d"`;
      const slow = await delayed(5);
      const paths = ['html', 'hgrm', 'json'].map((name) => join(folder, `run.${name}`));
      const [out, hgrm, json] = paths;
      const flags = { rate: 100, duration: '200ms', compare: slow, rounds: 2, connections: 2 };
      const code = await benchCommand(parseBenchOptions(fast, { ...flags, out, hgrm, json }));
      assert.equal(code, 0);

      const html = readFileSync(out!, 'utf8');
      assertWellFormed(html);
      assert.equal(html.match(/<polyline /g)?.length, 2);
      assert.ok(html.includes(slow), 'names the second address');
      assert.ok(!/<script|https?:\/\/(?!127\.0\.0\.1)/.test(html), 'needs nothing from outside');
      assert.match(html, /<td>answers<\/td><td>20<\/td><td>20<\/td>/);
      assert.match(html, /prefers-color-scheme: dark/);
      assert.ok(!/NaN|Infinity|undefined/.test(html));

      const data = JSON.parse(readFileSync(json!, 'utf8'));
      assert.equal(data.mode, 'open-loop');
      assert.equal(data.series.length, 2);
      assert.equal(data.series[1].answeredCount, 20);
      assert.ok(data.series[1].latencyUs.p50 >= data.series[1].latencyUs.mean / 10);

      for (const path of [hgrm!, join(folder, 'run.2.hgrm')]) {
        const lines = readFileSync(path, 'utf8').split('\n');
        assert.match(lines[0]!, /Value\s+Percentile\s+TotalCount\s+1\/\(1-Percentile\)/);
        assert.ok(lines.some((line) => /^#\[Max\s+=.*Total count\s+=\s+20\]/.test(line)));
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('says that a report cannot be written and ends with 1', async () => {
    const url = await delayed(0);
    const out = '/nonexistent-folder/report.html';
    const flags = { rate: 50, duration: '40ms', connections: 1, out };
    assert.equal(await benchCommand(parseBenchOptions(url, flags)), 1);
  });

  it('shout about drops, a lagging generator and unanswered requests', () => {
    const recorder = new Recorder();
    assert.deepEqual(warningsOf(recorder, 10), []);
    recorder.dueCount = 500;
    recorder.droppedCount = 12;
    recorder.unfinishedCount = 3;
    recorder.selfLagP99Ms = 9;
    const text = warningsOf(recorder, 10).join('\n');
    assert.match(text, /12 of 500 requests were DROPPED/);
    assert.match(text, /3 requests were never answered/);
    assert.match(text, /generator itself LAGGED: p99 9.0 ms/);
    recorder.selfBusyRatio = 0.97;
    assert.match(warningsOf(recorder, 'max').join('\n'), /97 % busy/);
  });
});

/** Strict and small: every tag closed in order, attributes quoted, no stray angle bracket. */
function assertWellFormed(html: string): void {
  assert.match(html, /^<!DOCTYPE html>\n<html lang="en">/);
  const voids = new Set(['meta']);
  const open: string[] = [];
  const withoutStyle = html.replace(/<style>[^<]*<\/style>/, '').replace('<!DOCTYPE html>', '');
  const tag = /<(\/?)([a-z][a-z0-9]*)((?: [a-zA-Z][a-zA-Z0-9-]*(?:="[^"<>]*")?)*)>/g;
  const rest = withoutStyle.replace(tag, (_, slash: string, name: string) => {
    if (voids.has(name)) return '';
    if (slash === '') open.push(name);
    else assert.equal(open.pop(), name, `</${name}> closes another element`);
    return '';
  });
  assert.deepEqual(open, [], 'elements left open');
  assert.doesNotMatch(rest, /[<>]/);
  assert.doesNotMatch(rest, /&(?!amp;|lt;|gt;|quot;|#39;|#9632;)/);
}
