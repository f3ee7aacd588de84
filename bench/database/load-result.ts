/** What a closed loop of clients saw. Latencies in us, from sending to the answer. */
export interface LoadResult {
  readonly answeredCount: number;
  readonly errorCount: number;
  readonly ratePerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}
