// What `sluice db list` and `stats` say of a database.

import type { DatabaseOverview } from '../../db/index.ts';
import { grouped } from '../release/table.ts';

const STATES_SHOWN_COUNT_MAX = 20;

/** A row for each. */
export function overviewText(rows: readonly DatabaseOverview[]): string {
  const cells = rows.map(({ name, logLsn, pageCount, fileSizeBytes, base }) => [
    name,
    `lsn ${grouped(logLsn)}`,
    `${grouped(pageCount)} pages`,
    `${grouped(fileSizeBytes)} B`,
    base === null ? '' : `branch of ${base.parent} at lsn ${grouped(base.lsn)}`,
  ]);
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(0, ...cells.map((row) => row[column]!.length)),
  );
  return cells
    .map((row) => {
      const [name, ...rest] = row.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column] ?? 0),
      );
      return `${[name, ...rest].join('  ').trimEnd()}\n`;
    })
    .join('');
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
