// Counters of the shared memory: a writer for each worker, which makes one Wasm call per request,
// and a reader for the main thread. A reader costs the workers nothing: it takes no lock and sends
// no message, so two counters it reads one after the other may be a request apart.

import {
  HEADER_HEARTBEATS_OFFSET,
  STATS_OFFSET,
  WORKERS_MAX,
} from '../../assembly/shared/memory-map.ts';
import * as layout from '../../assembly/shared/stats-layout.ts';
import type { EdgeInstance } from './edge-module.ts';
import { histogramBuckets, type LatencyBucket } from './latency-buckets.ts';

interface StatsExports {
  statsRecord(
    worker: number,
    routeSlot: number,
    endpointSlot: number,
    serviceSlot: number,
    status: number,
    reason: number,
    durationUs: number,
    bytesIn: number,
    bytesOut: number,
  ): number;
  statsActive(
    worker: number,
    routeSlot: number,
    endpointSlot: number,
    serviceSlot: number,
    delta: number,
  ): number;
  statsRefuse(worker: number, reason: number): number;
}

/** A value that a worker says about itself: gauges are set, counters are added to. */
export type WorkerCell = keyof typeof WORKER_CELLS;

const WORKER_CELLS = {
  connectionsOpen: layout.WORKER_CELL_CONNECTIONS_OPEN,
  connectionsTotal: layout.WORKER_CELL_CONNECTIONS_TOTAL,
  uncaughtErrors: layout.WORKER_CELL_UNCAUGHT_ERRORS,
  loopDelayMeanMs: layout.WORKER_CELL_LOOP_DELAY_MEAN_MS,
  loopDelayP99Ms: layout.WORKER_CELL_LOOP_DELAY_P99_MS,
  loopDelayMaxMs: layout.WORKER_CELL_LOOP_DELAY_MAX_MS,
  limiterOverflows: layout.WORKER_CELL_LIMITER_OVERFLOWS,
  logLinesWritten: layout.WORKER_CELL_LOG_LINES_WRITTEN,
  logLinesDropped: layout.WORKER_CELL_LOG_LINES_DROPPED,
} as const;

/** Cells that mean nothing once their worker has ended. */
const WORKER_GAUGES: readonly WorkerCell[] = [
  'connectionsOpen',
  'loopDelayMeanMs',
  'loopDelayP99Ms',
  'loopDelayMaxMs',
];

/** Counts what one worker does. No other thread may hold the same worker index. */
export class StatsWriter {
  readonly #exports: StatsExports;
  readonly #worker: number;
  readonly #cells: Float64Array;
  readonly #heartbeats: Int32Array;

  constructor(instance: EdgeInstance) {
    this.#exports = instance.exports as unknown as StatsExports;
    this.#worker = instance.workerIndex;
    this.#cells = workerCells(instance.memory, instance.workerIndex);
    this.#heartbeats = new Int32Array(
      instance.memory.buffer,
      HEADER_HEARTBEATS_OFFSET,
      WORKERS_MAX,
    );
    this.#cells[layout.WORKER_CELL_USED] = 1;
  }

  /** Counts a finished request. STATS_SLOT_ABSENT where there is no series of a kind; reason 0
   *  where nothing was refused. Cost: about 25 ns, no allocation. */
  record(
    routeSlot: number,
    endpointSlot: number,
    serviceSlot: number,
    status: number,
    reason: number,
    durationUs: number,
    bytesIn: number,
    bytesOut: number,
  ): void {
    this.#exports.statsRecord(
      this.#worker,
      routeSlot,
      endpointSlot,
      serviceSlot,
      status,
      reason,
      durationUs,
      bytesIn,
      bytesOut,
    );
  }

  /** A request is in flight on these series until finish() is called with the same. */
  begin(routeSlot: number, endpointSlot: number, serviceSlot: number): void {
    this.#exports.statsActive(this.#worker, routeSlot, endpointSlot, serviceSlot, 1);
  }

  finish(routeSlot: number, endpointSlot: number, serviceSlot: number): void {
    this.#exports.statsActive(this.#worker, routeSlot, endpointSlot, serviceSlot, -1);
  }

  /** Counts a refusal that never became a request: a listener's own. */
  refuse(reason: number): void {
    this.#exports.statsRefuse(this.#worker, reason);
  }

  setCell(cell: WorkerCell, value: number): void {
    this.#cells[WORKER_CELLS[cell]] = value;
  }

  addCell(cell: WorkerCell, delta: number): void {
    this.#cells[WORKER_CELLS[cell]]! += delta;
  }

  /** Says that this worker gets on with its work; call it once a second, or more often. */
  heartbeat(): void {
    Atomics.add(this.#heartbeats, this.#worker, 1);
  }
}

export interface RouteStats {
  /** Requests by status class: [1xx, 2xx, 3xx, 4xx, 5xx]. */
  readonly requestsByClass: readonly number[];
  /** Refusals by family of reason: index 0 is 1xx, index 6 is 7xx. */
  readonly refusedByFamily: readonly number[];
  readonly durationSumUs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly active: number;
}

export interface PeerStats {
  readonly requests: number;
  readonly errors: number;
  readonly active: number;
  readonly connectFailures: number;
  readonly durationSumUs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly refused: number;
}

export type WorkerStats = Readonly<Record<WorkerCell, number>> & {
  readonly workerIndex: number;
  /** Rises at least about once a second while the worker lives. */
  readonly heartbeat: number;
};

/** Reads all shards together. */
export class StatsReader {
  readonly #memory: WebAssembly.Memory;
  readonly #words: Uint32Array;
  readonly #heartbeats: Int32Array;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    this.#words = new Uint32Array(memory.buffer);
    this.#heartbeats = new Int32Array(memory.buffer, HEADER_HEARTBEATS_OFFSET, WORKERS_MAX);
  }

  /** The workers that have ever joined. */
  usedWorkers(): number[] {
    const used: number[] = [];
    for (let worker = 0; worker < layout.STATS_SHARDS_COUNT; worker++) {
      if (workerCells(this.#memory, worker)[layout.WORKER_CELL_USED] !== 0) used.push(worker);
    }
    return used;
  }

  /** `workers` saves finding them again in a loop over many slots. */
  route(slot: number, workers: readonly number[] = this.usedWorkers()): RouteStats {
    checkSlot(slot, layout.STATS_ROUTES_COUNT_MAX);
    const base = layout.STATS_ROUTES_OFFSET + slot * layout.STATS_ROUTE_SIZE_BYTES;
    const sum = (offset: number) => this.#sum(base + offset, workers);
    const first = layout.ROUTE_STATUS_2XX_OFFSET;
    const refusedByFamily: number[] = [];
    for (let family = 0; family < layout.ROUTE_REFUSED_FAMILIES_COUNT; family++) {
      refusedByFamily.push(sum(layout.ROUTE_REFUSED_OFFSET + family * 8));
    }
    return {
      requestsByClass: [
        sum(layout.ROUTE_STATUS_1XX_OFFSET),
        sum(first),
        sum(first + 8),
        sum(first + 16),
        sum(first + 24),
      ],
      refusedByFamily,
      durationSumUs: sum(layout.ROUTE_DURATION_SUM_OFFSET),
      bytesIn: sum(layout.ROUTE_BYTES_IN_OFFSET),
      bytesOut: sum(layout.ROUTE_BYTES_OUT_OFFSET),
      active: sum(layout.ROUTE_ACTIVE_OFFSET),
    };
  }

  endpoint(slot: number, workers: readonly number[] = this.usedWorkers()): PeerStats {
    checkSlot(slot, layout.STATS_ENDPOINTS_COUNT_MAX);
    const offset = layout.STATS_ENDPOINTS_OFFSET + slot * layout.STATS_ENDPOINT_SIZE_BYTES;
    return this.#peer(offset, workers);
  }

  service(slot: number, workers: readonly number[] = this.usedWorkers()): PeerStats {
    checkSlot(slot, layout.STATS_SERVICES_COUNT_MAX);
    const offset = layout.STATS_SERVICES_OFFSET + slot * layout.STATS_SERVICE_SIZE_BYTES;
    return this.#peer(offset, workers);
  }

  /** How often a reason was given; index 0 for numbers above the table. */
  refusals(reason: number, workers: readonly number[] = this.usedWorkers()): number {
    checkSlot(reason, layout.STATS_REASONS_COUNT);
    return this.#sum(layout.STATS_REASONS_OFFSET + reason * 8, workers);
  }

  /** A route's latencies, only the buckets that hold any, in rising order. */
  histogram(slot: number): Iterable<LatencyBucket> {
    checkSlot(slot, layout.STATS_ROUTES_COUNT_MAX);
    const offset =
      STATS_OFFSET + layout.STATS_HISTOGRAMS_OFFSET + slot * layout.STATS_HISTOGRAM_SIZE_BYTES;
    return histogramBuckets((index) => readI64(this.#words, offset + index * 8));
  }

  worker(workerIndex: number): WorkerStats {
    checkSlot(workerIndex, layout.STATS_SHARDS_COUNT);
    const cells = workerCells(this.#memory, workerIndex);
    const values = Object.entries(WORKER_CELLS).map(([name, index]) => [name, cells[index]!]);
    return {
      ...(Object.fromEntries(values) as Record<WorkerCell, number>),
      workerIndex,
      heartbeat: Atomics.load(this.#heartbeats, workerIndex),
    };
  }

  /** Takes back what a dead worker had in flight. Call it after it has ended and before another
   *  takes its index; its counters stay. */
  clearGauges(workerIndex: number): void {
    checkSlot(workerIndex, layout.STATS_SHARDS_COUNT);
    const cells = workerCells(this.#memory, workerIndex);
    if (cells[layout.WORKER_CELL_USED] === 0) return;
    for (const gauge of WORKER_GAUGES) cells[WORKER_CELLS[gauge]] = 0;
    const shard = STATS_OFFSET + workerIndex * layout.STATS_SHARD_SIZE_BYTES;
    const clear = (start: number, count: number, sizeBytes: number, gaugeOffset: number) => {
      for (let slot = 0; slot < count; slot++) {
        const word = (shard + start + slot * sizeBytes + gaugeOffset) >>> 2;
        // A page that was never touched reads as zero and stays free.
        if (this.#words[word] === 0 && this.#words[word + 1] === 0) continue;
        this.#words[word] = 0;
        this.#words[word + 1] = 0;
      }
    };
    clear(
      layout.STATS_ROUTES_OFFSET,
      layout.STATS_ROUTES_COUNT_MAX,
      layout.STATS_ROUTE_SIZE_BYTES,
      layout.ROUTE_ACTIVE_OFFSET,
    );
    clear(
      layout.STATS_ENDPOINTS_OFFSET,
      layout.STATS_ENDPOINTS_COUNT_MAX,
      layout.STATS_ENDPOINT_SIZE_BYTES,
      layout.PEER_ACTIVE_OFFSET,
    );
    clear(
      layout.STATS_SERVICES_OFFSET,
      layout.STATS_SERVICES_COUNT_MAX,
      layout.STATS_SERVICE_SIZE_BYTES,
      layout.PEER_ACTIVE_OFFSET,
    );
  }

  #peer(offset: number, workers: readonly number[]): PeerStats {
    const sum = (inner: number) => this.#sum(offset + inner, workers);
    return {
      requests: sum(layout.PEER_REQUESTS_OFFSET),
      errors: sum(layout.PEER_ERRORS_OFFSET),
      active: sum(layout.PEER_ACTIVE_OFFSET),
      connectFailures: sum(layout.PEER_CONNECT_FAILURES_OFFSET),
      durationSumUs: sum(layout.PEER_DURATION_SUM_OFFSET),
      bytesIn: sum(layout.PEER_BYTES_IN_OFFSET),
      bytesOut: sum(layout.PEER_BYTES_OUT_OFFSET),
      refused: sum(layout.PEER_REFUSED_OFFSET),
    };
  }

  #sum(offset: number, workers: readonly number[]): number {
    let total = 0;
    for (const worker of workers) {
      const shard = STATS_OFFSET + worker * layout.STATS_SHARD_SIZE_BYTES;
      total += readI64(this.#words, shard + offset);
    }
    return total;
  }
}

function workerCells(memory: WebAssembly.Memory, worker: number): Float64Array {
  const offset = STATS_OFFSET + worker * layout.STATS_SHARD_SIZE_BYTES + layout.STATS_WORKER_OFFSET;
  return new Float64Array(memory.buffer, offset, layout.WORKER_CELLS_COUNT);
}

/** Reads a 64-bit word in two halves, again if a carry passed between them: as a BigInt it would
 *  cost an allocation. */
function readI64(words: Uint32Array, offset: number): number {
  const index = offset >>> 2;
  let high = Atomics.load(words, index + 1);
  for (;;) {
    const low = Atomics.load(words, index);
    const again = Atomics.load(words, index + 1);
    if (again === high) return (high | 0) * 0x1_0000_0000 + low;
    high = again;
  }
}

function checkSlot(slot: number, count: number): void {
  if (!(Number.isInteger(slot) && slot >= 0 && slot < count)) {
    throw new RangeError(`stats slot ${slot} is outside 0..${count - 1}`);
  }
}
