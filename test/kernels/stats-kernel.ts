// The stats kernel behind the same face as its oracle.

import { type EdgeImage, StatsReader, StatsWriter } from '../../host/kernels/index.ts';
import { edgeInstance } from '../support/wasm.ts';
import type { StatsModel } from './stats-oracle.ts';

/** Spreads calls over some workers' shards, as threads would; the reader adds them up. */
export function kernelModel(image: EdgeImage, workers: readonly number[]): StatsModel {
  const writers = workers.map((worker) => new StatsWriter(edgeInstance(image, worker)));
  const reader = new StatsReader(image.memory);
  let turn = 0;
  const next = () => writers[turn++ % writers.length]!;
  return {
    record: (...values) => next().record(...values),
    begin: (...slots) => next().begin(...slots),
    finish: (...slots) => next().finish(...slots),
    refuse: (reason) => next().refuse(reason),
    route: (slot) => reader.route(slot),
    endpoint: (slot) => reader.endpoint(slot),
    service: (slot) => reader.service(slot),
    refusals: (reason) => reader.refusals(reason),
    histogram: (slot) =>
      [...reader.histogram(slot)].map(({ lowestUs, highestUs, count }) => [
        lowestUs,
        highestUs,
        count,
      ]),
  };
}
