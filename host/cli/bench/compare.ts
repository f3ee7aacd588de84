// Runs one address, or two in turn (ABAB...), and says how they relate. The ratio is taken inside
// each round and the median of the rounds is what counts: the machine's mood changes between rounds
// and hits both alike, so comparing two whole runs would measure the mood.

import { type Clock, systemClock } from '../../core/index.ts';
import { type LoadPlan, runLoad } from './load-run.ts';
import type { BenchOptions, BenchTarget } from './options.ts';
import { type LatencyFigures, latencyFigures, Recorder } from './recorder.ts';

/** All rounds of one address. */
export interface Series {
  readonly target: BenchTarget;
  readonly total: Recorder;
  readonly rounds: readonly RoundFigures[];
}

export interface RoundFigures {
  readonly ratePerSecond: number;
  readonly latency: LatencyFigures;
}

/** Second address over first, medians of the rounds with their span. */
export interface Ratio {
  readonly name: 'p50' | 'p90' | 'p99' | 'mean' | 'rate';
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface BenchResult {
  readonly options: BenchOptions;
  readonly startedWallMs: number;
  readonly series: readonly Series[];
  /** Empty with one address. */
  readonly ratios: readonly Ratio[];
}

/** What runs now, for the progress line. */
export interface Progress {
  readonly target: BenchTarget;
  readonly phase: 'warm-up' | 'measuring';
  readonly round: number;
  readonly recorder: Recorder;
}

/** Runs every round. Errors: GW_UPSTREAM_CONNECT when an address does not answer at all. */
export async function runBench(
  options: BenchOptions,
  onProgress: (progress: Progress) => void,
  clock: Clock = systemClock,
): Promise<BenchResult> {
  const targets = options.compare === null ? [options.target] : [options.target, options.compare];
  const startedWallMs = clock.wallMs();
  const running = targets.map((target) => ({
    target,
    total: new Recorder(),
    rounds: [] as RoundFigures[],
  }));
  if (options.warmupMs > 0) {
    for (const target of targets) {
      const plan = planOf(options, { target, clock, durationMs: options.warmupMs });
      await runLoad(plan, (recorder) =>
        onProgress({ target, phase: 'warm-up', round: 0, recorder }),
      );
    }
  }
  for (let round = 1; round <= options.rounds; round++) {
    for (const { target, total, rounds } of running) {
      const durationMs = options.durationMs / options.rounds;
      const plan = planOf(options, { target, clock, durationMs });
      const recorder = await runLoad(plan, (current) =>
        onProgress({ target, phase: 'measuring', round, recorder: current }),
      );
      rounds.push({
        ratePerSecond: recorder.ratePerSecond,
        latency: latencyFigures(recorder.latency),
      });
      total.add(recorder);
    }
  }
  const [first, second] = running;
  const ratios = second === undefined ? [] : ratiosOf(first!.rounds, second.rounds);
  return { options, startedWallMs, series: running, ratios };
}

function planOf(
  options: BenchOptions,
  part: { target: BenchTarget; clock: Clock; durationMs: number },
): LoadPlan {
  const { rate, connections, method, headers, body } = options;
  return { ...part, rate, connections, method, headers, body };
}

const READERS: readonly (readonly [Ratio['name'], (round: RoundFigures) => number])[] = [
  ['p50', (round) => round.latency.p50],
  ['p90', (round) => round.latency.p90],
  ['p99', (round) => round.latency.p99],
  ['mean', (round) => round.latency.mean],
  ['rate', (round) => round.ratePerSecond],
];

/** Pairs the rounds and takes the median of their ratios; rounds without a value are left out. */
export function ratiosOf(
  first: readonly RoundFigures[],
  second: readonly RoundFigures[],
): readonly Ratio[] {
  const ratios: Ratio[] = [];
  for (const [name, read] of READERS) {
    const values: number[] = [];
    for (let index = 0; index < Math.min(first.length, second.length); index++) {
      const base = read(first[index]!);
      if (base > 0) values.push(read(second[index]!) / base);
    }
    if (values.length === 0) continue;
    ratios.push({
      name,
      median: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
    });
  }
  return ratios;
}

/** The middle value; the mean of the two middle ones when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return (sorted[middle - 1]! + sorted[middle]!) / 2;
}
