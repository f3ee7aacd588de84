// The metrics of a gateway without plugins.

import type { PluginsMetrics } from '../../host/telemetry/index.ts';

export const NO_PLUGINS: PluginsMetrics = {
  plugins: [],
  own: [],
  bounds: [],
  pushes: { taken: 0, refused: 0 },
  canaries: {},
  rollbacks: 0,
  switches: { count: 0, sumMs: 0 },
  shared: {
    entriesCount: 0,
    messagesCount: 0,
    usedSizeBytes: 0,
    refusedCount: 0,
    waitsCount: 0,
    timeoutsCount: 0,
    repairsCount: 0,
  },
};
