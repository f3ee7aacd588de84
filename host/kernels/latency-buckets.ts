// The arithmetic of the latency histogram in TypeScript: which bucket holds a value, and which
// values a bucket holds. The kernel has its own copy; the kernel tests hold the two together.

import {
  HISTOGRAM_BUCKETS_COUNT,
  HISTOGRAM_SUB_BUCKETS_COUNT,
  HISTOGRAM_SUB_BUCKETS_SHIFT,
  HISTOGRAM_VALUE_MAX_US,
} from '../../assembly/shared/stats-layout.ts';

export interface LatencyBucket {
  readonly lowestUs: number;
  /** Inclusive. */
  readonly highestUs: number;
  /** At most 1/64 from any value of the bucket. */
  readonly middleUs: number;
  readonly count: number;
}

/** The bucket of a duration in whole microseconds. */
export function bucketIndexOf(durationUs: number): number {
  const value = Math.min(Math.max(Math.trunc(durationUs) || 0, 0), HISTOGRAM_VALUE_MAX_US);
  if (value < 2 * HISTOGRAM_SUB_BUCKETS_COUNT) return value;
  const shift = 31 - Math.clz32(value) - HISTOGRAM_SUB_BUCKETS_SHIFT;
  return shift * HISTOGRAM_SUB_BUCKETS_COUNT + (value >>> shift);
}

/** The values of a bucket. Units: us. */
export function bucketRange(index: number): { lowestUs: number; highestUs: number } {
  if (index < 2 * HISTOGRAM_SUB_BUCKETS_COUNT) return { lowestUs: index, highestUs: index };
  const shift = (index >>> HISTOGRAM_SUB_BUCKETS_SHIFT) - 1;
  const width = 2 ** shift;
  const lowestUs = (index - shift * HISTOGRAM_SUB_BUCKETS_COUNT) * width;
  return { lowestUs, highestUs: lowestUs + width - 1 };
}

/** The buckets that hold any value, in rising order. */
export function* histogramBuckets(countAt: (index: number) => number): Generator<LatencyBucket> {
  for (let index = 0; index < HISTOGRAM_BUCKETS_COUNT; index++) {
    const count = countAt(index);
    if (count === 0) continue;
    const { lowestUs, highestUs } = bucketRange(index);
    yield { lowestUs, highestUs, middleUs: (lowestUs + highestUs) / 2, count };
  }
}
