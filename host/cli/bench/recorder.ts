// What one address did under load: two histograms and the counts of every outcome. The latency runs
// from the moment a request was DUE; the service time, from when it was sent, is kept beside it
// only to show what a closed-loop tool would have claimed.

import { build, type Histogram } from 'hdr-histogram-js';
import { LATENCY_US_MAX, OUTCOMES_COUNT_MAX } from './limits.ts';
import type { LoadError } from './load-client.ts';
import type { ResponseSummary } from './response-parser.ts';

/** Percentiles of every table, in percent. */
export const PERCENTILES = [50, 90, 99, 99.9, 99.99] as const;

/** Units: us. */
export interface LatencyFigures {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly p9999: number;
  readonly max: number;
  readonly mean: number;
}

/** A histogram of microseconds with three significant digits. */
export function createHistogram(): Histogram {
  return build({
    bitBucketSize: 32,
    autoResize: false,
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_US_MAX,
    numberOfSignificantValueDigits: 3,
  });
}

export function latencyFigures(histogram: Histogram): LatencyFigures {
  const at = (percent: number) => histogram.getValueAtPercentile(percent);
  return {
    count: histogram.totalCount,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    p9999: at(99.99),
    max: histogram.totalCount === 0 ? 0 : histogram.maxValue,
    mean: histogram.totalCount === 0 ? 0 : histogram.mean,
  };
}

export class Recorder {
  /** From the scheduled time (in a closed loop: from the sending). Units: us. */
  readonly latency: Histogram = createHistogram();
  /** From the sending. Units: us. */
  readonly service: Histogram = createHistogram();
  readonly statuses = new Map<string, number>();
  readonly reasons = new Map<string, number>();
  readonly errors = new Map<string, number>();
  /** The first message of each kind of error. */
  readonly errorSamples = new Map<string, string>();
  bodyBytes = 0;
  /** Requests that were due, whatever became of them. */
  dueCount = 0;
  droppedCount = 0;
  /** Sent more than a millisecond after they were due. */
  lateCount = 0;
  /** Still without an answer when the wait at the end was over. */
  unfinishedCount = 0;
  elapsedMs = 0;
  selfLagP99Ms = 0;
  selfLagMaxMs = 0;
  /** Share of the time that the generator's own loop was busy, closed loop only; else 0. */
  selfBusyRatio = 0;

  get answeredCount(): number {
    return this.latency.totalCount;
  }

  get errorCount(): number {
    return sum(this.errors);
  }

  /** Answers whose status is not 2xx. */
  get refusedCount(): number {
    let count = 0;
    for (const [status, times] of this.statuses) if (!status.startsWith('2')) count += times;
    return count;
  }

  get ratePerSecond(): number {
    return this.elapsedMs === 0 ? 0 : (this.answeredCount * 1000) / this.elapsedMs;
  }

  /** Records an answer. Units: ms of one clock. */
  answer(times: { dueMs: number; sentMs: number; nowMs: number }, summary: ResponseSummary): void {
    this.latency.recordValue(toMicroseconds(times.nowMs - times.dueMs));
    this.service.recordValue(toMicroseconds(times.nowMs - times.sentMs));
    if (times.sentMs - times.dueMs > 1) this.lateCount++;
    this.bodyBytes += summary.bodySizeBytes;
    count(this.statuses, String(summary.status));
    if (summary.reason !== '') count(this.reasons, summary.reason);
  }

  error(kind: LoadError, detail: string): void {
    count(this.errors, kind);
    if (!this.errorSamples.has(kind)) this.errorSamples.set(kind, detail);
  }

  /** Adds what another round of the same address recorded. */
  add(other: Recorder): void {
    this.latency.add(other.latency);
    this.service.add(other.service);
    for (const [key, times] of other.statuses) count(this.statuses, key, times);
    for (const [key, times] of other.reasons) count(this.reasons, key, times);
    for (const [key, times] of other.errors) count(this.errors, key, times);
    for (const [key, text] of other.errorSamples) {
      if (!this.errorSamples.has(key)) this.errorSamples.set(key, text);
    }
    this.bodyBytes += other.bodyBytes;
    this.dueCount += other.dueCount;
    this.droppedCount += other.droppedCount;
    this.lateCount += other.lateCount;
    this.unfinishedCount += other.unfinishedCount;
    this.elapsedMs += other.elapsedMs;
    this.selfLagP99Ms = Math.max(this.selfLagP99Ms, other.selfLagP99Ms);
    this.selfLagMaxMs = Math.max(this.selfLagMaxMs, other.selfLagMaxMs);
    this.selfBusyRatio = Math.max(this.selfBusyRatio, other.selfBusyRatio);
  }
}

function toMicroseconds(durationMs: number): number {
  return Math.min(LATENCY_US_MAX, Math.max(0, Math.round(durationMs * 1000)));
}

function count(counts: Map<string, number>, key: string, times = 1): void {
  const known = counts.has(key) || counts.size < OUTCOMES_COUNT_MAX ? key : 'other';
  counts.set(known, (counts.get(known) ?? 0) + times);
}

function sum(counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const times of counts.values()) total += times;
  return total;
}
