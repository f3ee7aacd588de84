import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { checkDelivery } from '../../bench/delivery.ts';
import { runDeltaTable } from '../../bench/delta-table.ts';
import { DELTA_TOOLS } from '../../bench/delta-tools.ts';
import { kernelFiles, kernelText, runKernel } from '../../bench/kernel-suite.ts';
import { parseWrk, saturationTool } from '../../bench/load.ts';
import { processTree, startPinned, stopProcess, treeCpuSeconds } from '../../bench/process-tree.ts';
import { hasProgram } from '../../bench/programs.ts';
import {
  barsTable,
  benchmarksDocument,
  makeRecord,
  readRecords,
  systemTable,
  writeRecord,
} from '../../bench/record.ts';
import { parseArguments } from '../../bench/run.ts';
import { SCENARIOS, type ScenarioName } from '../../bench/scenarios.ts';
import { ratioOfPairs, spreadOf } from '../../bench/statistics.ts';
import { runSystem, type SystemPlan, type SystemResult } from '../../bench/system-suite.ts';
import { script } from '../support/distribution.ts';

function planFor(name: ScenarioName, part: Partial<SystemPlan> = {}): SystemPlan {
  return {
    scenario: SCENARIOS.find((scenario) => scenario.name === name)!,
    contenders: ['nginx', 'haproxy', 'skeleton'],
    rounds: 1,
    roundMs: 300,
    connections: 4,
    tool: 'sluice bench',
    sluiceCommand: [process.execPath, '/nonexistent/sluice.js'],
    log: () => {},
    ...part,
  };
}

/** `cpuUsMin`: what a request costs at least; 0 where so few are sent that a contender may stay
 *  below the grain of its processor time. */
function assertPlausible(
  result: SystemResult,
  names: readonly string[],
  { cpuUsMin }: { readonly cpuUsMin: number } = { cpuUsMin: 0.5 },
): void {
  assert.deepEqual(
    result.contenders.map(({ name }) => name),
    names,
  );
  for (const one of result.contenders) {
    assert.ok(one.answeredCount > 10, `${one.name}: ${one.answeredCount} answers`);
    assert.ok(
      one.cpuUs.median >= cpuUsMin && one.cpuUs.median < 20_000,
      `${one.name} ${one.cpuUs.median}`,
    );
    assert.ok(one.cpuUs.min <= one.cpuUs.median && one.cpuUs.median <= one.cpuUs.max);
    assert.ok(one.ratePerSecond.median > 10);
  }
  const nginx = result.contenders.find(({ name }) => name === 'nginx');
  if (nginx?.cpuUs.median !== 0) assert.equal(nginx?.cpuOverNginx?.median, 1);
}

describe('the system benchmarks', () => {
  for (const name of ['proxy', 'proxy-pipelined', 'refusal'] as const) {
    it(`measure ${name}`, async () => {
      const tool = name === 'proxy' ? saturationTool() : 'sluice bench';
      const result = await runSystem(planFor(name, { tool }));
      assertPlausible(result, ['nginx', 'haproxy', 'skeleton']);
      assert.equal(result.ratePerSecond, null);
      assert.ok(result.contenders.every(({ p50Us }) => p50Us === null));
    });
  }

  it('measure 10,000 routes without the skeleton, which has none', async () => {
    const result = await runSystem(planFor('routes-10k'));
    assertPlausible(result, ['nginx', 'haproxy']);
    assert.deepEqual(result.leftOut, ['skeleton']);
  });

  it('measure latency at one rate for all', async () => {
    const contenders = ['nginx', 'skeleton', 'sluice'] as const;
    const sluiceCommand = [process.execPath, 'dist/sluice.js'];
    const part = { contenders, roundMs: 500, sluiceCommand };
    const result = await runSystem(planFor('latency', part));
    assertPlausible(result, contenders, { cpuUsMin: 0 });
    assert.ok(result.ratePerSecond! > 0 && result.ratePerSecond! <= 10_000);
    for (const { p50Us, p99Us, p999Us } of result.contenders) {
      assert.ok(p50Us!.median > 0 && p99Us!.median >= p50Us!.median);
      assert.ok(p999Us!.median >= p99Us!.median);
    }
    assert.match(systemTable(result), /p99 us +\| p99\.9 us/);
    const before = result.contenders.map(({ p999Us, ...one }) => ({ ...one, p999Us: null }));
    assert.match(systemTable({ ...result, contenders: before }), / - +\|\n/);
  });

  for (const name of ['deliver-file', 'deliver-delta'] as const) {
    it(`measure ${name}, which HAProxy cannot do, from a release of their own`, async () => {
      const contenders = ['nginx', 'haproxy', 'skeleton', 'sluice'] as const;
      const sluiceCommand = [process.execPath, 'dist/sluice.js'];
      const tool = name === 'deliver-file' ? saturationTool() : 'sluice bench';
      const result = await runSystem(planFor(name, { contenders, sluiceCommand, tool }));
      assertPlausible(result, ['nginx', 'skeleton', 'sluice'], { cpuUsMin: 0 });
      assert.deepEqual(result.leftOut, ['haproxy']);
    });
  }

  it('refuse a delivery that is not what was published', async () => {
    const scenario = SCENARIOS.find(({ name }) => name === 'deliver-file')!;
    const server = createServer((_request, response) => response.end('another file'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const delivery = { storeDir: '', headKey: '', signingKey: '', body: Buffer.from('the file') };
    await assert.rejects(
      checkDelivery(scenario, delivery, { name: 'other', port }),
      /other in deliver-file: status 200 and 12 bytes, not the 8 expected/,
    );
    server.close();
  });

  it('say what is missing when sluice is not built, and leave no process behind', async () => {
    const plan = planFor('proxy', { contenders: ['nginx', 'sluice'] });
    const before = processTree(process.pid).length;
    await assert.rejects(
      runSystem(plan),
      /\/nonexistent\/sluice\.js does not exist: run npm run build/,
    );
    assert.ok(processTree(process.pid).length <= before, 'a child outlived the run');
  });
});

describe('processor time of a process tree', () => {
  it('counts the children too and nothing survives the stop', async () => {
    const spin = 'const end = Date.now() + 30_000; while (Date.now() < end);';
    const script =
      `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(spin)}]);` +
      'setTimeout(() => {}, 60_000);';
    const started = startPinned('spinner', 0, [process.execPath, '-e', script]);
    try {
      let mostSeconds = 0;
      for (let attempt = 0; attempt < 400 && mostSeconds < 0.3; attempt++) {
        mostSeconds = Math.max(mostSeconds, treeCpuSeconds(started.pid));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.ok(mostSeconds >= 0.3, `saw ${mostSeconds} s`);
    } finally {
      await stopProcess(started);
    }
    assert.equal(treeCpuSeconds(started.pid), 0, 'the tree is gone');
  });
});

describe('the kernel benchmarks', () => {
  it('are loaded, run, compared and held to their bars', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-kernels-'));
    try {
      writeFileSync(
        join(folder, 'sum.bench.ts'),
        `export const bars = [{ over: 'fast', under: 'slow', atLeast: 3 }];
         export async function run(report: (name: string, ops: number) => void, size: number) {
           report('fast', 1_000_000 * size);
           report('slow', 250_000 * size);
         }`,
      );
      writeFileSync(join(folder, 'empty.bench.ts'), 'export async function run() {}');
      assert.deepEqual(kernelFiles(folder), ['empty.bench.ts', 'sum.bench.ts']);
      const kernel = await runKernel(folder, 'sum.bench.ts', 0.5);
      assert.deepEqual(kernel.figures[0], { name: 'fast', opsPerSecond: 500_000 });
      assert.equal(kernel.bars[0]?.ratio, 4);
      assert.equal(kernel.bars[0]?.isMet, true);
      assert.match(kernelText(kernel), /fast\s+500,000\/s {2}4\.00x/);
      await assert.rejects(runKernel(folder, 'empty.bench.ts', 1), /reported nothing/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const file of kernelFiles('bench/kernels')) {
    it(`${file} runs at a small size`, async () => {
      const kernel = await runKernel(join(process.cwd(), 'bench/kernels'), file, 0.01);
      assert.ok(kernel.figures.every(({ opsPerSecond }) => opsPerSecond > 0));
    });
  }
});

describe('the table of deltas', () => {
  it('measures each tool on each pair, and finds a wrong delta', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-table-'));
    try {
      const pair = { name: 'x 1>2', older: join(folder, 'old'), newer: join(folder, 'new') };
      writeFileSync(pair.older, script(1, 200));
      writeFileSync(pair.newer, script(2, 200));
      const tools = DELTA_TOOLS.filter(({ name }) => /^(zstd|sluice)/.test(name));
      const deltas = runDeltaTable([pair], () => {}, tools);
      assert.deepEqual(
        deltas.rows[0]!.cells.map(({ tool, sizeBytes }) => [tool, sizeBytes > 0]),
        tools.map(({ name }) => [name, true]),
      );
      assert.ok(deltas.rows[0]!.cells.every(({ sizeBytes }) => sizeBytes < 500));
      assert.equal(deltas.ratios[0]!.size.median, 1);
      const record = makeRecord(
        { command: 'npm run bench', loadBefore: 0 },
        { system: null, kernel: null, deltas },
      );
      const page = benchmarksDocument([record]);
      assert.match(page, /## deltas between real releases/);
      assert.match(page, /delta size: sluice publish over zstd -19 --patch-from +\| <= 1\.1 /);
      assert.match(page, /delta decoding, in memory, .+: sluice publish +\| >= 300 +\| [1-9]\d* /);
      assert.match(page, /\| x 1>2 +\| \d+ +\| \d+; \d+\/\d+ ms/);
      const liar = { ...tools[1]!, decode: decodeToOther };
      assert.throws(
        () => runDeltaTable([pair], () => {}, [tools[0]!, liar]),
        /sluice effort 1: x 1>2 decodes to something else/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  function decodeToOther({ decoded }: { readonly decoded: string }): number {
    writeFileSync(decoded, 'other');
    return 1;
  }
});

describe('the records', () => {
  const spread = { median: 10, min: 9, max: 11 };
  const contender = (name: 'nginx' | 'skeleton' | 'sluice', ratio: number) => ({
    name,
    cpuUs: spread,
    ratePerSecond: spread,
    p50Us: null,
    p99Us: null,
    p999Us: null,
    cpuOverNginx: { median: ratio, min: ratio, max: ratio },
    answeredCount: 1,
  });
  const system: SystemResult = {
    scenario: 'proxy',
    title: 'proxied request',
    tool: 'wrk',
    rounds: 3,
    roundMs: 1000,
    connections: 32,
    ratePerSecond: null,
    barOverNginx: 1.25,
    contenders: [contender('nginx', 1), contender('skeleton', 1.1), contender('sluice', 1.3)],
    leftOut: [],
  };

  const run = { command: 'npm run bench', loadBefore: 7.25 };

  it('make the page, with each bar passed or missed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-records-'));
    try {
      const bar = { over: 'a', under: 'b', atLeast: 3, ratio: 4, isMet: true };
      const figures = [{ name: 'a', opsPerSecond: 4000 }];
      const kernel = { file: 'router.bench.ts', figures, bars: [bar] };
      writeRecord(folder, 'kernel-router', makeRecord(run, { system: null, kernel }));
      const path = writeRecord(folder, 'proxy', makeRecord(run, { system, kernel: null }));
      writeRecord(folder, 'local-proxy', makeRecord(run, { system, kernel: null }));
      assert.equal(JSON.parse(readFileSync(path, 'utf8')).system.contenders.length, 3);
      const records = readRecords(folder);
      assert.equal(records.length, 2, 'local records are not published');
      const page = benchmarksDocument(records);
      assert.match(page, /<= 1\.25\s+\| 1\.300 \(skeleton 1\.100\) \| miss/);
      assert.match(page, /a over b\s+\| >= 3\s+\| 4\.00\s+\| pass/);
      assert.match(page, /What is not measured/);
      assert.match(page, /\*\*The machine was busy\*\*: its load was 7\.3/);
      assert.match(page, /nginx \d+\.\d+/);
      const better = { ...system, contenders: [contender('nginx', 1), contender('sluice', 1.2)] };
      assert.match(
        barsTable([makeRecord(run, { system: better, kernel: null })]),
        /1\.200\s+\| pass/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  // A bar of 1 was missed with a measured 1.00, and a command named a folder of the machine's.
  it('show a near miss, and no folder of the machine', () => {
    const near = {
      ...system,
      barOverNginx: 1,
      contenders: [contender('nginx', 1), contender('sluice', 1.002)],
    };
    const command = 'npm run bench -- --sluice node /tmp/try/sluice.js --only proxy';
    const page = benchmarksDocument([
      makeRecord({ ...run, command }, { system: near, kernel: null }),
    ]);
    assert.match(page, /<= 1\s+\| 1\.002\s+\| miss/);
    assert.match(page, /--sluice node \.\.\.\/sluice\.js --only proxy/);
  });

  it('take ratios round by round', () => {
    assert.deepEqual(ratioOfPairs([2, 30, 100], [1, 10, 100]), { median: 2, min: 1, max: 3 });
    assert.throws(() => spreadOf([]), /no round/);
  });
});

describe('the arguments and the tools', () => {
  it('are refused when they are not known', () => {
    assert.equal(parseArguments(['--quick', '--only', 'proxy']).only, 'proxy');
    assert.deepEqual(parseArguments(['--sluice', './sluice']).sluiceCommand, ['./sluice']);
    assert.throws(() => parseArguments(['--fast']), /--fast: expected --quick/);
    assert.throws(() => parseArguments(['--only']), /--only: expected/);
    assert.throws(() => parseArguments(['--contenders', 'nginx,apache']), /apache: one of nginx/);
  });

  it("read wrk's summary, and refuse what is not one", () => {
    const text = `Running 2s test @ http://127.0.0.1:1/
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 7
  1234 requests in 2.00s, 1.00MB read
Requests/sec:    617.25`;
    assert.deepEqual(parseWrk(text), {
      answeredCount: 1234,
      ratePerSecond: 617.25,
      refusedCount: 7,
      errorCount: 10,
      p50Us: 0,
      p99Us: 0,
      p999Us: 0,
    });
    assert.throws(() => parseWrk('unable to connect'), /wrk said: unable to connect/);
    assert.equal(typeof hasProgram('wrk'), 'boolean');
  });
});
