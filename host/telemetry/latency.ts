// A route's latency as HdrHistogram tools know it: percentiles as JSON, and the `.hgrm` text that
// its plotters read. Values come from the kernel's histogram, so they are exact to 1.6 %.

import { build, type Histogram } from 'hdr-histogram-js';
import type { LatencyBucket } from '../kernels/index.ts';

export interface LatencySummary {
  readonly unit: 'ms';
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** By percentile: '50', '75', '90', '95', '99', '99.9', '99.99'. */
  readonly percentiles: Readonly<Record<string, number>>;
}

const PERCENTILES = [50, 75, 90, 95, 99, 99.9, 99.99];
const VALUE_MAX_US = 2 ** 32;
const TICKS_PER_HALF = 5;

/** Builds the histogram of a route's buckets. Units: us. */
export function latencyHistogram(buckets: Iterable<LatencyBucket>): Histogram {
  const histogram = build({
    bitBucketSize: 64,
    autoResize: false,
    lowestDiscernibleValue: 1,
    highestTrackableValue: VALUE_MAX_US,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
  for (const { middleUs, count } of buckets) {
    histogram.recordValueWithCount(Math.floor(middleUs), count);
  }
  return histogram;
}

export function latencySummary(histogram: Histogram): LatencySummary {
  const isEmpty = histogram.totalCount === 0;
  const valueMs = (percentile: number) =>
    isEmpty ? 0 : histogram.getValueAtPercentile(percentile) / 1e3;
  return {
    unit: 'ms',
    count: histogram.totalCount,
    mean: isEmpty ? 0 : histogram.mean / 1e3,
    min: valueMs(0),
    max: isEmpty ? 0 : histogram.maxValue / 1e3,
    percentiles: Object.fromEntries(PERCENTILES.map((each) => [String(each), valueMs(each)])),
  };
}

/** The percentile distribution in HdrHistogram's text format. Units: ms. */
export function latencyHgrm(histogram: Histogram): string {
  return histogram.outputPercentileDistribution(TICKS_PER_HALF, 1e3);
}
