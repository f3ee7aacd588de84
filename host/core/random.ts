// Randomness, the only source of it in `host`, so that tests can seed it.

import { randomFillSync } from 'node:crypto';

export interface Random {
  /** A float in [0, 1). */
  unit(): number;
  /** An integer in [0, 2^32). */
  uint32(): number;
}

/** A seeded generator (mulberry32): fast, good enough to spread load, never for secrets. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  unit(): number {
    return this.uint32() / 0x1_0000_0000;
  }
}

/** A generator seeded from the system's entropy. */
export function systemRandom(): Random {
  return new SeededRandom(secretSeed());
}

/** 32 bits of the system's entropy, for hash seeds that clients must not guess. */
export function secretSeed(): number {
  return randomFillSync(new Uint32Array(1))[0]!;
}

/** Bytes of the system's entropy, for identifiers that must not repeat. */
export function secretBytes(sizeBytes: number): Uint8Array {
  return randomFillSync(new Uint8Array(sizeBytes));
}

/** A system call for each few bytes would cost more than what they are for. */
const POOL_SIZE_BYTES = 4_096;
const POOLED_SIZE_BYTES_MAX = 256;

/** What fills arrays with bytes that cannot be guessed, a few at a time out of a pool. No byte is
 *  given twice, and none that was given stays in the pool. Cost: about 100 ns, against some us of a
 *  system call. */
export function secretFiller(): (target: Uint8Array) => void {
  const pool = new Uint8Array(POOL_SIZE_BYTES);
  let used = POOL_SIZE_BYTES;
  return (target) => {
    const sizeBytes = target.length;
    if (sizeBytes > POOLED_SIZE_BYTES_MAX) {
      randomFillSync(target);
      return;
    }
    if (used + sizeBytes > POOL_SIZE_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    target.set(pool.subarray(used, used + sizeBytes));
    pool.fill(0, used, used + sizeBytes);
    used += sizeBytes;
  };
}
