// What docs/BENCHMARKS.md says of recovery and memory.

import type { Spread } from '../statistics.ts';
import type { Memory, RecoveryResult } from './recovery.ts';
import type { Verdict } from './report.ts';

/** Of facts/database.md: a large database is there again within this. */
const RECOVERY_MS_MAX = 5_000;
const MIB = 1_048_576;

/** What the bars say of a result. */
export function recoveryVerdicts(result: RecoveryResult): Verdict[] {
  const { sizeBytes, killedRowsMs, killedHotMs, coldMs } = result;
  const size = mebibytes(sizeBytes);
  return [
    { what: 'rows are changed', spread: killedRowsMs },
    { what: 'one row is changed', spread: killedHotMs },
    { what: 'ended before, cold files', spread: coldMs },
  ].map(({ what, spread }) => ({
    what: `ms to the first answer of a database of ${size}: ${what}`,
    bar: `<= ${RECOVERY_MS_MAX}`,
    measured: spread.median.toFixed(0),
    isMet: spread.median <= RECOVERY_MS_MAX,
  }));
}

/** Head and rows of both tables. */
export function recoveryTables(result: RecoveryResult): {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}[] {
  const times: [string, Spread][] = [
    ['the gateway listens', result.listeningMs],
    ['then answers: a new database', result.emptyMs],
    ['the large one, ended before, its files not in the page cache', result.coldMs],
    ['the large one, killed while random rows were changed', result.killedRowsMs],
    ['the large one, killed while one row was changed', result.killedHotMs],
    [`making one of ${result.smallCount} small ones, with a table`, result.smallMs],
  ];
  const memory: [string, Memory][] = [
    ['a new database', result.empty],
    [`after filling ${mebibytes(result.sizeBytes)}`, result.filled],
    ['after reading all of it', result.scanned],
    [`after making ${result.smallCount} small ones`, result.small],
  ];
  return [
    {
      head: ['what', 'ms'],
      rows: times.map(([what, { median, min, max }]) => [
        what,
        `${median.toFixed(0)} (${min.toFixed(0)}..${max.toFixed(0)})`,
      ]),
    },
    {
      head: ['gateway with', 'resident', 'of it its own'],
      rows: memory.map(([what, { rss, own }]) => [what, mebibytes(rss), mebibytes(own)]),
    },
  ];
}

/** What was measured, in sentences. */
export function recoveryText(result: RecoveryResult): string {
  const { sizeBytes, diskSizeBytes, fillSeconds, killedLogBytes, rounds } = result;
  return (
    `A database of ${mebibytes(sizeBytes)} (pages of random text that LZ4 halves), filled over ` +
    `HTTP in ${fillSeconds} s; ${mebibytes(diskSizeBytes)} on disk at the end, logs and spare ` +
    `segments included. ${rounds} rounds; one core; medians, span in brackets. Killed with ` +
    `SIGKILL, with ${mebibytes(killedLogBytes.median)} of log, spare segments included; every ` +
    'acknowledged commit of 200 rows was looked for.'
  );
}

function mebibytes(sizeBytes: number): string {
  return `${Math.round(sizeBytes / MIB)} MiB`;
}
