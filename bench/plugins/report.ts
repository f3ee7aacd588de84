// What a run of the filters says, as tables and as verdicts on the bars of DESIGN section 6.

import type { Spread } from '../statistics.ts';
import { type FilterResult, type FilterRow, VARIANTS } from './suite.ts';
import type { SwapResult } from './swap.ts';
import type { Percentiles } from './tenants.ts';

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface FilterVerdict {
  readonly what: string;
  readonly bar: string;
  readonly measured: string;
  readonly isMet: boolean;
}

const HEADER_US_MAX = 10;
const METERING_MAX = 1.1;
const TENANTS_RSS_BYTES_MAX = 1_073_741_824;
const COLD_MS_MAX = 2;
const MEBIBYTE = 1_048_576;

export function filterVerdicts({ rows, tenants, swaps }: FilterResult): FilterVerdict[] {
  const header = rows.find(({ filter }) => filter === 'header')!;
  const us = header.us.metered.median;
  const metering = header.metering.median;
  const { count, rssBytes, coldMs } = tenants;
  return [
    {
      what: 'CPU that a header filter adds to a request',
      bar: `<= ${HEADER_US_MAX} us`,
      measured: `${us.toFixed(1)} us`,
      isMet: us <= HEADER_US_MAX,
    },
    {
      what: 'header filter: metered over unmetered',
      bar: `<= ${METERING_MAX}`,
      measured: metering.toFixed(3),
      isMet: metering <= METERING_MAX,
    },
    {
      what: `resident memory with ${count} idle tenants`,
      bar: '<= 1024 MiB',
      measured: `${Math.round(rssBytes / MEBIBYTE)} MiB`,
      isMet: rssBytes <= TENANTS_RSS_BYTES_MAX,
    },
    {
      what: 'first request of a tenant, 99 in 100 (median)',
      bar: `<= ${COLD_MS_MAX} ms`,
      measured: `${coldMs.p99.toFixed(2)} (${coldMs.p50.toFixed(2)}) ms`,
      isMet: coldMs.p99 <= COLD_MS_MAX,
    },
    ...swaps.map(swapVerdict),
  ];
}

function swapVerdict(swap: SwapResult): FilterVerdict {
  const { answerer, swapsCount, ratePerSecond, failedCount, answeredCount, switchMs } = swap;
  const rate = `${Math.round(ratePerSecond)}/s of the ${answerer}`;
  return {
    what: `failed requests, ${swapsCount} switches under ${rate}`,
    bar: '0',
    measured: `${failedCount} of ${answeredCount}; ${switchText(switchMs)}`,
    isMet: failedCount === 0,
  };
}

export function filterCostTable({ rows }: FilterResult): Table {
  return {
    head: ['filter', ...VARIANTS.map((name) => `${name}, us`), 'metering', 'sandbox', 'steps'],
    rows: rows.map((row: FilterRow) => [
      row.filter,
      ...VARIANTS.map((variant) => text(row.us[variant], 1)),
      text(row.metering, 3),
      text(row.sandbox, 1),
      String(row.steps),
    ]),
  };
}

export function filterTimesTable({ loadMs, instantiateMs, swapMs }: FilterResult): Table {
  return {
    head: ['what', 'ms'],
    rows: [
      ['load: hash, check, rewrite, compile', text(loadMs, 2)],
      ['instantiate, start, configure, and switch', text(instantiateMs, 2)],
      ['the same, to the first answer of the new image', text(swapMs, 2)],
    ],
  };
}

export function tenantTable({ tenants }: FilterResult): Table {
  const { count, rssBytes, addedBytes, coldMs, evictingMs, warmMs } = tenants;
  const added = Math.round(addedBytes / count / 1_024);
  const row = (what: string, { p50, p99, max }: Percentiles) => [
    what,
    ...[p50, p99, max].map((ms) => ms.toFixed(3)),
  ];
  const memory = `${Math.round(rssBytes / MEBIBYTE)} MiB, ${added} KiB for each`;
  return {
    head: [`${count} tenants: ${memory}`, 'p50 ms', 'p99 ms', 'max ms'],
    rows: [
      row('first request, with room', coldMs),
      row('first request, another has to go', evictingMs),
      row('further requests', warmMs),
    ],
  };
}

export function swapTable({ swaps }: FilterResult): Table {
  const counts = ['requests/s', 'answered', 'failed', 'switches'];
  return {
    head: ['answers come from', ...counts, 'switch of all workers, ms', 'push, ms'],
    rows: swaps.map((swap) => [
      `the ${swap.answerer}`,
      ...[swap.ratePerSecond, swap.answeredCount, swap.failedCount].map((each) => each.toFixed(0)),
      ...[String(swap.swapsCount), text(swap.switchMs, 1), text(swap.pushMs, 0)],
    ]),
  };
}

function switchText({ median, max }: Spread): string {
  return `a switch takes ${median.toFixed(0)} ms, at most ${max.toFixed(0)}`;
}

function text({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}..${max.toFixed(digits)})`;
}
