// The keys of the distribution plane: its store and limits, and what a route to it takes.

import { CHANNELS_COUNT_MAX } from '../core/index.ts';
import * as defaults from './defaults.ts';
import { DURATION, integer, parsed, SIZE } from './leaves.ts';
import * as limits from './limits.ts';
import { FOLDER, PEM_FILE, withDefault } from './schema-common.ts';
import { Complaint, list, mapped, object, optional, required } from './schema-kit.ts';

const CHANNEL = parsed(
  'a channel: a-z, 0-9, dot, underscore and dash, a letter or digit at both ends',
  { maxLength: limits.NAME_SIZE_CHARS_MAX },
  (value) => (/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/.test(value) ? value : undefined),
);

export const DISTRIBUTION_ROUTE = object('a map with channels, or {}', {
  channels: withDefault(
    list(CHANNEL, { of: 'channels', countMin: 0, countMax: CHANNELS_COUNT_MAX }),
    [],
    'channels that the route serves; all without this key',
  ),
});

const DISTRIBUTION_LIMITS = object('a map with disk, memory, deltaSize, jobs and cpu', {
  disk: withDefault(
    SIZE,
    defaults.DISTRIBUTION_DISK,
    'what artefacts may take on disk; a quarter of it is kept from those made on demand',
  ),
  memory: withDefault(
    SIZE,
    defaults.DISTRIBUTION_MEMORY,
    'files that each io worker keeps in memory',
  ),
  deltaSize: withDefault(
    SIZE,
    defaults.DISTRIBUTION_DELTA_SIZE,
    'largest file of which a delta or variant is made on demand',
  ),
  jobs: withDefault(
    integer({ min: 1, max: limits.COMPUTE_WORKERS_MAX }),
    defaults.DISTRIBUTION_JOBS,
    'deltas and variants made at once',
  ),
  cpu: withDefault(DURATION, defaults.DISTRIBUTION_CPU, 'CPU time for making them, in each minute'),
});

/** A shorter one would be over before a slow client has read it. */
const HEAD_EXPIRY = mapped(DURATION, (durationMs) =>
  durationMs < limits.HEAD_EXPIRY_MS_MIN
    ? new Complaint(`expected at least 10s, found ${durationMs}ms`)
    : durationMs,
);

export const DISTRIBUTION = object('a map with dir and headKey', {
  dir: required(FOLDER, 'folder of the store, where `sluice publish` puts releases'),
  headKey: required(PEM_FILE, 'private key of the head role, which the gateway signs heads with'),
  signingKey: optional(PEM_FILE, 'private key of the release role, for rollbacks by the admin API'),
  headExpiry: withDefault(
    HEAD_EXPIRY,
    defaults.DISTRIBUTION_HEAD_EXPIRY,
    'how long a signed head is good; it is signed again at half of it',
  ),
  limits: withDefault(DISTRIBUTION_LIMITS, {}, 'what the plane may take'),
});
