// What `sluice db list` and `stats` say of a database.

import type { DatabaseOverview } from '../../db/index.ts';
import { grouped } from '../release/table.ts';
import type { ListedDatabase } from './databases.ts';

const STATES_SHOWN_COUNT_MAX = 20;

/** A row for each; one that cannot be opened says why, in place of its sizes. */
export function overviewText(rows: readonly ListedDatabase[]): string {
  const cells = rows.map(cellsOf);
  const widthOf = (column: number, of: readonly (readonly string[])[]): number =>
    Math.max(0, ...of.map((row) => row[column]!.length));
  const whole = cells.filter(({ length }) => length > 2);
  const widths = [widthOf(0, cells), ...[1, 2, 3].map((column) => widthOf(column, whole))];
  return cells
    .map(([name = '', ...rest]) => {
      const numbers = rest.map((cell, index) => cell.padStart(widths[index + 1] ?? 0));
      const shown = rest.length === 1 ? rest : numbers;
      return `${[name.padEnd(widths[0]!), ...shown].join('  ').trimEnd()}\n`;
    })
    .join('');
}

function cellsOf(row: ListedDatabase): readonly string[] {
  if (row.error !== undefined) return [row.name, `cannot be opened: ${row.error}`];
  const { name, logLsn, pageCount, fileSizeBytes, base } = row;
  return [
    name,
    `lsn ${grouped(logLsn)}`,
    `${grouped(pageCount)} pages folded`,
    `${grouped(fileSizeBytes)} B`,
    base === null ? '' : `branch of ${base.parent} at lsn ${grouped(base.lsn)}`,
  ];
}

export function statsText(overview: DatabaseOverview): string {
  const { base, states, branches } = overview;
  const shown = states.slice(-STATES_SHOWN_COUNT_MAX);
  const lines: (readonly [string, string])[] = [
    ['last commit', `lsn ${grouped(overview.logLsn)}, epoch ${overview.epoch}`],
    ['log from', `lsn ${grouped(overview.logFirstLsn)}`],
    ['folded to', `lsn ${grouped(overview.lsn)}, ${grouped(overview.pageCount)} pages`],
    [
      'records',
      `${grouped(overview.currentCount)} newest, ${grouped(overview.historyCount)} older`,
    ],
    ['records take', `${grouped(overview.recordsSizeBytes)} B`],
    ['file takes', `${grouped(overview.fileSizeBytes)} B`],
    [
      'restores to',
      `lsn ${grouped(overview.reach.firstLsn)} and later, from ${timeOf(overview.reach.firstMs)}`,
    ],
    ['branch of', base === null ? '–' : `${base.parent} at lsn ${grouped(base.lsn)}`],
    ['branches', branches.length === 0 ? '–' : branches.join(', ')],
    ...shown.map(({ lsn, foldedAtMs }) => {
      return ['state kept', `lsn ${grouped(lsn)}, folded ${timeOf(foldedAtMs)}`] as const;
    }),
  ];
  return lines.map(([label, value]) => `${label.padEnd(13)}${value}\n`).join('');
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
