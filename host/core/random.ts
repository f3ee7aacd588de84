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
