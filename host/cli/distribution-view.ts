// The distribution plane as the admin API and the metrics show it, and the changes that the API
// takes.

import type { DistributionChange } from '../admin/index.ts';
import { type ErrorCode, GatewayError, isGatewayError } from '../core/index.ts';
import type { ChannelReport, DistributionDesk, ReleaseReport } from '../distribution/index.ts';
import type { DistributionMetrics, ReleaseMetrics } from '../telemetry/index.ts';
import type { Gateway } from '../workers/index.ts';

/** Releases of a channel, and of all channels, that metrics tell of, each in 14 series: more would
 *  be series without end. */
const CHANNEL_RELEASES_COUNT_MAX = 16;
const RELEASES_COUNT_MAX = 1_024;

/** Plain data for JSON; null without the plane. */
export function distributionView(desk: DistributionDesk | null): unknown {
  if (desk === null) return null;
  const { channels, making, ...counts } = desk.report();
  return {
    ...counts,
    artefacts: making,
    channels: channels.map(({ bases, ...channel }) => ({
      ...channel,
      bases: Object.fromEntries(bases),
    })),
  };
}

/** The newest releases: each channel's newest, then each channel's second, and so on. */
export function distributionMetrics(desk: DistributionDesk | null): DistributionMetrics | null {
  if (desk === null) return null;
  const { channels, making, repeatedOutcomesCount, droppedOutcomesCount, responses } =
    desk.report();
  const { waiting, ...artefacts } = making;
  return {
    releases: newestOf(channels),
    reportsRepeated: repeatedOutcomesCount,
    reportsDropped: droppedOutcomesCount,
    responses,
    artefacts,
    artefactsWaiting: waiting,
  };
}

function newestOf(channels: readonly ChannelReport[]): ReleaseMetrics[] {
  const found: ReleaseMetrics[] = [];
  for (let rank = 0; rank < CHANNEL_RELEASES_COUNT_MAX; ++rank) {
    for (const { channel, releases } of channels) {
      const release = releases[rank];
      if (release === undefined) continue;
      if (found.length === RELEASES_COUNT_MAX) return found;
      found.push(metricsOf(channel, release));
    }
  }
  return found;
}

function metricsOf(channel: string, { version, state, counts }: ReleaseReport) {
  const { failed, ...outcomes } = counts;
  const failedCount = Object.values(failed).reduce((sum, count) => sum + count, 0);
  return {
    channel,
    version,
    state,
    outcomes: { ...outcomes, failed: failedCount },
    failures: failed,
  };
}

/** What a client of the API did wrong, and what it may try again. */
const ASKED_WRONG: readonly ErrorCode[] = ['GW_DIST_RULE', 'GW_DIST_EXISTS', 'GW_DIST_KEY'];
const ASK_AGAIN: readonly ErrorCode[] = ['GW_DIST_LOCKED', 'GW_DIST_DISK'];

/** Changes who gets a release. Errors: GW_DIST_NOT_FOUND, GW_ADMIN_BAD_REQUEST, GW_ADMIN_BUSY. */
export async function changeDistribution(
  gateway: Gateway,
  change: DistributionChange,
): Promise<void> {
  try {
    await gateway.changeRelease(change);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    if (ASKED_WRONG.includes(error.code)) {
      throw new GatewayError('GW_ADMIN_BAD_REQUEST', error.message);
    }
    if (ASK_AGAIN.includes(error.code)) throw new GatewayError('GW_ADMIN_BUSY', error.message);
    throw error;
  }
}
