// The command `sluice bench`: runs the load, shows how it goes, writes the reports that were asked
// for. It measures; it does not judge a target except through its exit code.

import { writeFile } from 'node:fs/promises';
import { GatewayError, isGatewayError, systemClock } from '../../core/index.ts';
import { type BenchResult, type Progress, runBench } from './compare.ts';
import type { BenchOptions } from './options.ts';
import { reportHtml } from './report-html.ts';
import { reportJson } from './report-json.ts';
import { finalText, modeText, progressText } from './report-text.ts';

/** Progress lines where no terminal rewrites them. Units: ms. */
const PLAIN_PROGRESS_EVERY_MS = 2_000;

/** Runs the benchmark. Returns the exit code: 0; 1 when not one answer came or a report could not
 *  be written. */
export async function benchCommand(options: BenchOptions): Promise<number> {
  const { stdout, stderr } = process;
  stdout.write(`${modeText({ options })}\n`);
  const progress = progressWriter();
  try {
    const result = await runBench(options, progress.show);
    progress.clear();
    stdout.write(finalText(result));
    await writeReports(result);
    return result.series.every(({ total }) => total.answeredCount > 0) ? 0 : 1;
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    progress.clear();
    stderr.write(`sluice bench: ${error.message} (${error.code})\n`);
    return 1;
  }
}

async function writeReports(result: BenchResult): Promise<void> {
  const { out, hgrm, json } = result.options;
  if (out !== null) await writeReport('--out', out, reportHtml(result));
  if (json !== null) await writeReport('--json', json, reportJson(result));
  if (hgrm === null) return;
  for (const [index, { total }] of result.series.entries()) {
    // Values in ms, five points for each halving of the rest: what HdrHistogram's plotter reads.
    const text = total.latency.outputPercentileDistribution(5, 1000);
    await writeReport('--hgrm', index === 0 ? hgrm : secondName(hgrm), text);
  }
}

/** `run.hgrm` becomes `run.2.hgrm`: the format holds one histogram. */
function secondName(path: string): string {
  return path.replace(/(\.[^./]*)?$/, (extension) => `.2${extension}`);
}

async function writeReport(flag: string, path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw new GatewayError('GW_FLAG_BAD_VALUE', `${flag} "${path}" cannot be written`, error);
  }
  process.stdout.write(`wrote ${path}\n`);
}

function progressWriter(): { show: (progress: Progress) => void; clear: () => void } {
  const { stdout } = process;
  let shownAtMs = systemClock.nowMs();
  return {
    show(progress) {
      const text = progressText(progress);
      if (stdout.isTTY) {
        stdout.write(`\r\x1b[2K${text.slice(0, Math.max(20, stdout.columns - 1))}`);
        return;
      }
      const nowMs = systemClock.nowMs();
      if (nowMs - shownAtMs < PLAIN_PROGRESS_EVERY_MS) return;
      shownAtMs = nowMs;
      stdout.write(`${text}\n`);
    },
    clear() {
      if (stdout.isTTY) stdout.write('\r\x1b[2K');
    },
  };
}
