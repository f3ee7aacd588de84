// Seeds for random tests: SEED=n repeats a run. A test prints the seed it used.

import { randomInt } from 'node:crypto';

/** The seed of this run, printed so that a failure can be repeated. */
export function testSeed(name: string): number {
  const given = process.env.SEED;
  const seed = given === undefined ? randomInt(2 ** 31) : Number(given);
  console.log(`# ${name}: SEED=${seed}`);
  return seed;
}

/** How long a fuzz test may run. Units: ms. */
export const FUZZ_TIME_MS = process.env.CI === undefined ? 3_000 : 10_000;
