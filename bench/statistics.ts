// The arithmetic of the tables: medians with their span, and ratios taken round by round.

import { median } from '../host/cli/bench/compare.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Errors: an Error when there is no value to take the middle of. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('no round was measured');
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Median of the ratios of pairs, one pair for each round. */
export function ratioOfPairs(values: readonly number[], bases: readonly number[]): Spread {
  const count = Math.min(values.length, bases.length);
  const ratios: number[] = [];
  for (let index = 0; index < count; index++) ratios.push(values[index]! / bases[index]!);
  return spreadOf(ratios);
}
