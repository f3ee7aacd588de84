// The load generator of `sluice bench` as a child process, so that it can be pinned to a core.
// Arguments: URL RATE DURATION CONNECTIONS [HEADER...]. Prints one LoadOutcome as JSON.

import { runBench } from '../host/cli/bench/compare.ts';
import { parseBenchOptions } from '../host/cli/bench/options.ts';
import { latencyFigures } from '../host/cli/bench/recorder.ts';
import type { LoadOutcome } from './load.ts';

const [url, rate, duration, connections, ...header] = process.argv.slice(2);
const options = parseBenchOptions(url, { rate, duration, connections, header });
const { series } = await runBench(options, () => {});
const { total } = series[0]!;
const latency = latencyFigures(total.latency);
const outcome: LoadOutcome = {
  answeredCount: total.answeredCount,
  ratePerSecond: total.ratePerSecond,
  refusedCount: total.refusedCount,
  errorCount: total.errorCount + total.droppedCount + total.unfinishedCount,
  p50Us: latency.p50,
  p99Us: latency.p99,
  p999Us: latency.p999,
};
process.stdout.write(JSON.stringify(outcome));
