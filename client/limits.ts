// Every bound of the loader. What an app may set is in `LoaderLimits`; the rest follows the format.

import type { LoaderLimits } from './api.ts';

/** One file of a release: the window that dcz allows. */
export const RESOURCE_SIZE_BYTES_MAX = 134_217_728;
export const RESOURCE_PATH_SIZE_BYTES_MAX = 1_024;
export const PATH_SEGMENT_SIZE_BYTES_MAX = 255;
export const RELEASE_FILES_COUNT_MAX = 16_384;
export const RELEASE_SIZE_BYTES_MAX = 2_147_483_648;
/** A tar header and padding for each file, and its end. */
export const PACK_OVERHEAD_BYTES_MAX = RELEASE_FILES_COUNT_MAX * 3_072 + 10_240;
/** A signed document, as it is sent. */
export const ENVELOPE_SIZE_BYTES_MAX = 16_777_216;
export const TRUST_KEYS_COUNT_MAX = 32;
/** A root holds at most 32 keys and names them three times: 64 KiB leaves ample room. */
export const ROOT_SIZE_BYTES_MAX = 65_536;
/** Roots that one update takes one after the other; an attacker cannot make it go on for ever. */
export const ROOT_STEPS_COUNT_MAX = 32;
/** Roots that are kept to lead from the app's own to the newest. */
export const ROOTS_KEPT_COUNT_MAX = 256;
/** A check's answer: a head of about 700 bytes for each of 64 channels, with room. */
export const CHECK_SIZE_BYTES_MAX = 262_144;
export const CHANNELS_COUNT_MAX = 64;
export const ORIGINS_COUNT_MAX = 16;
/** What a gateway takes of a device. */
export const DEVICE_ATTRIBUTES_COUNT_MAX = 32;
export const DEVICE_TEXT_LENGTH_MAX = 256;
/** The longest wait of a platform's timers; a longer one ends at once. */
export const TIMER_MS_MAX = 2_147_483_647;
/** The persisted state: roots, channels and waiting reports. */
export const STATE_SIZE_BYTES_MAX = 33_554_432;
/** Releases that are remembered as having crashed. */
export const CRASHED_COUNT_MAX = 32;
/** Reports that wait for a network; older ones give way. */
export const OUTCOMES_WAITING_COUNT_MAX = 128;
/** Reports of one request. */
export const OUTCOMES_SENT_COUNT_MAX = 32;
/** Failures that `trail()` gives back. */
export const TRAIL_COUNT_MAX = 256;
/** A delta longer than its target helps nobody: its frame adds at most this to raw blocks. */
export const DELTA_OVERHEAD_BYTES = 1_024;
/** Bases that one request names: what runs, what ran before, and what is built in. */
export const DELTA_BASES_COUNT_MAX = 3;
/** As many files as this, if they are less than half, are not worth a whole pack: about one turn of
 *  the default concurrency. */
export const PACK_SINGLES_COUNT_MAX = 6;

export const DEFAULT_LIMITS: LoaderLimits = {
  /** A page's own requests share the connections; six is what HTTP/1.1 browsers open. */
  concurrency: 6,
  memorySizeBytesMax: 33_554_432,
  storageSizeBytesMax: 1_073_741_824,
  packSizeBytesMax: 268_435_456,
  /** Until the head of an answer, and between two looks at the rate: a slow mobile network needs
   *  several seconds. */
  requestTimeoutMs: 15_000,
  /** Between two pieces of a body. */
  stallTimeoutMs: 10_000,
  /** A body that comes slower than this on the whole is given up. */
  bytesPerSecondMin: 1_024,
  /** Times that all origins are tried for one thing. */
  rounds: 3,
  backoffMs: 250,
  backoffMsMax: 8_000,
  /** An origin that could not be reached stands last for this long. */
  originRestMs: 30_000,
  /** Starts of a release that nobody confirmed, before the last good one is opened. */
  startsMax: 3,
};
