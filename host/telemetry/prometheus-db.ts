// The metrics of the database plane, by db worker.

import type { MetricName } from './metric-names.ts';
import { head } from './prometheus-text.ts';

/** One db worker. */
export interface DbMetrics {
  readonly requestsCount: number;
  readonly commitsCount: number;
  readonly groupsCount: number;
  readonly refusalsCount: number;
  readonly databasesCount: number;
  readonly streamsCount: number;
  readonly socketsCount: number;
  readonly writersWaitingCount: number;
  readonly repliesWaitingCount: number;
  readonly lagCount: number;
  readonly followerLagCount: number;
  readonly followerLagMs: number;
}

const SAMPLES: readonly (readonly [MetricName, keyof DbMetrics])[] = [
  ['sluice_db_requests_total', 'requestsCount'],
  ['sluice_db_commits_total', 'commitsCount'],
  ['sluice_db_groups_total', 'groupsCount'],
  ['sluice_db_refusals_total', 'refusalsCount'],
  ['sluice_db_open', 'databasesCount'],
  ['sluice_db_streams', 'streamsCount'],
  ['sluice_db_sockets', 'socketsCount'],
  ['sluice_db_writers_waiting', 'writersWaitingCount'],
  ['sluice_db_replies_waiting', 'repliesWaitingCount'],
  ['sluice_db_lag_commits', 'lagCount'],
  ['sluice_db_follower_lag_commits', 'followerLagCount'],
];

/** The samples of those workers that have said something; the heads in any case. */
export function* dbLines(workers: readonly (DbMetrics | null)[]): Generator<string> {
  for (const [name, key] of SAMPLES) {
    yield head(name);
    for (const [index, metrics] of workers.entries()) {
      if (metrics !== null) yield `${name}{worker="${index}"} ${metrics[key]}\n`;
    }
  }
  const age = 'sluice_db_follower_lag_seconds';
  yield head(age);
  for (const [index, metrics] of workers.entries()) {
    if (metrics === null) continue;
    const { followerLagMs: ms } = metrics;
    yield `${age}{worker="${index}"} ${Number.isFinite(ms) ? ms / 1000 : '+Inf'}\n`;
  }
}
