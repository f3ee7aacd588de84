// The system benchmarks: an upstream, the contenders side by side on one core, the load on another.
// Rounds alternate the contenders (ABCABC...), because the machine drifts; what counts is the
// median of the ratios within a round. Every child is stopped by its id, whatever happens.

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ContenderName,
  type ContenderPlace,
  canTakePart,
  prepareContender,
  prepareUpstream,
} from './contenders.ts';
import { checkDelivery, publishDelivery } from './delivery.ts';
import { type LoadOrder, type LoadOutcome, type LoadTool, loadAtRate, saturate } from './load.ts';
import {
  freePort,
  type StartedProcess,
  startPinned,
  stopProcess,
  treeCpuSeconds,
  waitForPort,
} from './process-tree.ts';
import { requirePrograms } from './programs.ts';
import { isDelivery, type Scenario } from './scenarios.ts';
import { ratioOfPairs, type Spread, spreadOf } from './statistics.ts';

export interface SystemPlan {
  readonly scenario: Scenario;
  readonly contenders: readonly ContenderName[];
  readonly rounds: number;
  readonly roundMs: number;
  readonly connections: number;
  readonly sluiceCommand: readonly string[];
  /** What makes the load in saturation. */
  readonly tool: LoadTool;
  readonly log: (line: string) => void;
}

/** One contender over all rounds. */
export interface ContenderResult {
  readonly name: ContenderName;
  /** Processor time of the whole process tree for each request. Units: us. */
  readonly cpuUs: Spread;
  readonly ratePerSecond: Spread;
  /** Only from a fixed rate, else null. Units: us. */
  readonly p50Us: Spread | null;
  readonly p99Us: Spread | null;
  readonly p999Us: Spread | null;
  /** Processor time over nginx's in the same round; null where nginx took no part. */
  readonly cpuOverNginx: Spread | null;
  readonly answeredCount: number;
}

export interface SystemResult {
  readonly scenario: string;
  readonly title: string;
  readonly tool: string;
  readonly rounds: number;
  readonly roundMs: number;
  readonly connections: number;
  /** Fixed rate of the load; null in saturation. */
  readonly ratePerSecond: number | null;
  readonly barOverNginx: number | null;
  readonly contenders: readonly ContenderResult[];
  readonly leftOut: readonly string[];
}

interface Running {
  readonly name: ContenderName;
  readonly port: number;
  readonly process: StartedProcess;
  readonly cpuUs: number[];
  readonly outcomes: LoadOutcome[];
}

/** Our generator shares its core with the upstream; above this rate it would be the bottleneck. */
const FIXED_RATE_MAX = 10_000;
const CONTENDER_CORE = 0;
const WARMUP_MS = 1_000;

/** Runs one scenario to its end. Errors: a missing program, a contender that does not start, an
 *  answer that is not what the scenario expects. */
export async function runSystem(plan: SystemPlan): Promise<SystemResult> {
  requirePrograms(['taskset', 'nginx']);
  if (plan.contenders.includes('haproxy')) requirePrograms(['haproxy']);
  if (availableParallelism() < 2) throw new Error('two cores are needed, this machine has 1');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const started: StartedProcess[] = [];
  try {
    const running = await startAll(plan, folder, started);
    const ratePerSecond = await warmUp(plan, running);
    for (let round = 1; round <= plan.rounds; round++) {
      for (const one of running) await measure(plan, one, ratePerSecond);
      plan.log(`  ${plan.scenario.name}: round ${round} of ${plan.rounds}`);
    }
    return summarise(plan, running, ratePerSecond);
  } finally {
    for (const process of started.reverse()) await stopProcess(process);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startAll(
  plan: SystemPlan,
  folder: string,
  started: StartedProcess[],
): Promise<Running[]> {
  const upstreamPort = await freePort();
  const upstream = prepareUpstream(join(folder, 'upstream'), upstreamPort);
  const upstreamProcess = startPinned('upstream', loadCore(), upstream);
  started.push(upstreamProcess);
  await waitForPort(upstreamProcess, upstreamPort);
  const { scenario, sluiceCommand } = plan;
  const delivery = isDelivery(scenario.name)
    ? await publishDelivery(scenario, join(folder, 'release'), sluiceCommand)
    : null;
  const running: Running[] = [];
  for (const name of plan.contenders) {
    if (!canTakePart(name, plan.scenario.name)) continue;
    const place: ContenderPlace = {
      scenario: scenario.name,
      folder: join(folder, name),
      listenPort: await freePort(),
      adminPort: await freePort(),
      upstreamPort,
      delivery,
      sluiceCommand,
    };
    const process = startPinned(name, CONTENDER_CORE, prepareContender(name, place));
    started.push(process);
    await waitForPort(process, place.listenPort);
    if (delivery !== null) {
      await checkDelivery(scenario, delivery, { name, port: place.listenPort });
    }
    running.push({ name, port: place.listenPort, process, cpuUs: [], outcomes: [] });
  }
  return running;
}

/** The load and the upstream share the last core: both are cheap, and equal for all. */
function loadCore(): number {
  return availableParallelism() - 1;
}

function orderFor(plan: SystemPlan, port: number): LoadOrder {
  const { scenario, tool, connections, roundMs } = plan;
  return { scenario, tool, port, core: loadCore(), connections, durationMs: roundMs };
}

/** Warms every contender; for the latency scenario returns the rate all of them are loaded with,
 *  from a second turn: a program that has not run yet shows a fraction of what it can do. */
async function warmUp(plan: SystemPlan, running: readonly Running[]): Promise<number | null> {
  const rates: number[] = [];
  for (const { port } of running) {
    const order = { ...orderFor(plan, port), durationMs: Math.min(WARMUP_MS, plan.roundMs) };
    await saturate(order);
    if (plan.scenario.name === 'latency') rates.push((await saturate(order)).ratePerSecond);
  }
  if (rates.length === 0) return null;
  return Math.min(FIXED_RATE_MAX, Math.round(Math.min(...rates) / 2));
}

async function measure(plan: SystemPlan, one: Running, rate: number | null): Promise<void> {
  const order = orderFor(plan, one.port);
  const beforeSeconds = treeCpuSeconds(one.process.pid);
  const outcome = rate === null ? await saturate(order) : await loadAtRate(order, rate);
  const spentSeconds = treeCpuSeconds(one.process.pid) - beforeSeconds;
  checkOutcome(plan.scenario, one, outcome);
  one.cpuUs.push((spentSeconds * 1e6) / outcome.answeredCount);
  one.outcomes.push(outcome);
}

/** A fast wrong answer must not win. */
function checkOutcome(scenario: Scenario, one: Running, outcome: LoadOutcome): void {
  const { answeredCount, refusedCount, errorCount } = outcome;
  const wrong =
    scenario.expects === 'success' ? refusedCount : Math.max(0, answeredCount - refusedCount);
  // A rate limit lets a few through each second; an error now and then is the end of a round.
  const allowed = scenario.expects === 'success' ? 0 : answeredCount / 50 + 10;
  if (answeredCount === 0 || wrong > allowed || errorCount > answeredCount / 1000) {
    const said = one.process.output().trim().slice(-400);
    throw new Error(
      `${one.name} in ${scenario.name}: ${answeredCount} answers, ${wrong} of the wrong kind, ` +
        `${errorCount} errors${said === '' ? '' : `; it said: ${said}`}`,
    );
  }
}

function summarise(
  plan: SystemPlan,
  running: readonly Running[],
  ratePerSecond: number | null,
): SystemResult {
  const nginx = running.find(({ name }) => name === 'nginx');
  const latency = (one: Running, read: (outcome: LoadOutcome) => number) =>
    ratePerSecond === null ? null : spreadOf(one.outcomes.map(read));
  return {
    scenario: plan.scenario.name,
    title: plan.scenario.title,
    tool: ratePerSecond === null ? plan.tool : 'sluice bench',
    rounds: plan.rounds,
    roundMs: plan.roundMs,
    connections: plan.connections,
    ratePerSecond,
    barOverNginx: plan.scenario.barOverNginx,
    contenders: running.map((one) => ({
      name: one.name,
      cpuUs: spreadOf(one.cpuUs),
      ratePerSecond: spreadOf(one.outcomes.map((outcome) => outcome.ratePerSecond)),
      p50Us: latency(one, (outcome) => outcome.p50Us),
      p99Us: latency(one, (outcome) => outcome.p99Us),
      p999Us: latency(one, (outcome) => outcome.p999Us),
      cpuOverNginx: nginx === undefined ? null : ratioOfPairs(one.cpuUs, nginx.cpuUs),
      answeredCount: one.outcomes.reduce((total, outcome) => total + outcome.answeredCount, 0),
    })),
    leftOut: plan.contenders.filter((name) => !canTakePart(name, plan.scenario.name)),
  };
}
