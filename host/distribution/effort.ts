// How hard the zstd encoder tries, by what it is given: trying harder costs processor time for
// every byte of base and content, and most where the two have little in common.

/** 1 while a client waits and for what is very large, 3 for what is small. */
export type Effort = 1 | 2 | 3;

/** Base and content together, up to which the hardest effort is made: below a second, also where
 *  they have nothing in common. Beyond, effort 3 saves 10 % for five times the time. */
export const EFFORT_3_SIZE_BYTES_MAX = 1_048_576;
/** The same for effort 2: some ten seconds. Beyond, half a minute for 5 % is not worth it. */
export const EFFORT_2_SIZE_BYTES_MAX = 33_554_432;

/** The effort for base and content of a size together, at most what is wished. */
export function effortFor(sizeBytes: number, wished: Effort): Effort {
  if (sizeBytes > EFFORT_2_SIZE_BYTES_MAX) return 1;
  return sizeBytes > EFFORT_3_SIZE_BYTES_MAX && wished === 3 ? 2 : wished;
}
