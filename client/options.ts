// What the app gave, checked once, with every default filled in.

import type {
  BuiltIn,
  LevelSwitches,
  LoaderClock,
  LoaderDevice,
  LoaderLimits,
  LoaderOptions,
  LoaderStorage,
} from './api.ts';
import { PLATFORM_CLOCK } from './clock.ts';
import type { Decoder } from './dcz.ts';
import { LoaderError } from './errors.ts';
import { CHANNEL_PATTERN, shown } from './fields.ts';
import { CHANNELS_COUNT_MAX, DEFAULT_LIMITS, ORIGINS_COUNT_MAX } from './limits.ts';
import type { Bytes } from './model.ts';
import { envelopeBytes } from './trust.ts';

/** What differs between browsers and Node. */
export interface Platform {
  readonly storage: () => LoaderStorage;
  readonly decoder: () => Promise<Decoder>;
}

export interface LoaderSettings {
  readonly channels: readonly string[];
  /** Without a slash at the end. */
  readonly origins: readonly string[];
  readonly trustRoot: Bytes;
  readonly builtIn: Readonly<Record<string, BuiltIn>>;
  readonly storage: LoaderStorage;
  readonly decoder: () => Promise<Decoder>;
  readonly device: LoaderDevice;
  readonly levels: LevelSwitches;
  readonly limits: LoaderLimits;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: LoaderClock;
}

const ALL_LEVELS: LevelSwitches = {
  memory: true,
  disk: true,
  delta: true,
  full: true,
  origins: true,
  lastGood: true,
};

const KEYS: readonly (keyof LoaderOptions)[] = [
  'channels',
  'origins',
  'trustRoot',
  'builtIn',
  'storage',
  'device',
  'levels',
  'limits',
  'fetch',
  'clock',
];

/** Errors: LOADER_OPTIONS, which names the option. */
export function readOptions(options: LoaderOptions, platform: Platform): LoaderSettings {
  const unknown = Object.keys(options).find((key) => !(KEYS as readonly string[]).includes(key));
  if (unknown !== undefined) throw bad(unknown, undefined, 'no such option');
  const levels = { ...ALL_LEVELS, ...readKnown('levels', options.levels, ALL_LEVELS, 'boolean') };
  const limits = {
    ...DEFAULT_LIMITS,
    ...readKnown('limits', options.limits, DEFAULT_LIMITS, 'number'),
  };
  const origins = readOrigins(options.origins);
  return {
    channels: readChannels(options.channels),
    origins: levels.origins ? origins : origins.slice(0, 1),
    trustRoot: envelopeBytes(options.trustRoot),
    builtIn: options.builtIn ?? {},
    storage: options.storage ?? platform.storage(),
    decoder: platform.decoder,
    device: options.device ?? {},
    levels,
    limits,
    // Browsers want fetch called on the window.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    clock: options.clock ?? PLATFORM_CLOCK,
  };
}

function readChannels(channels: readonly string[]): readonly string[] {
  const isList = Array.isArray(channels) && channels.length > 0;
  if (!isList || channels.length > CHANNELS_COUNT_MAX) {
    throw bad('channels', channels, `1 to ${CHANNELS_COUNT_MAX} names`);
  }
  const wrong = channels.find((channel) => !CHANNEL_PATTERN.test(channel));
  if (wrong !== undefined) throw bad('channels', wrong, 'names of a-z 0-9 . _ -');
  if (new Set(channels).size !== channels.length) throw bad('channels', channels, 'each once');
  return [...channels];
}

function readOrigins(origins: readonly string[]): string[] {
  if (!Array.isArray(origins) || origins.length > ORIGINS_COUNT_MAX) {
    throw bad('origins', origins, `at most ${ORIGINS_COUNT_MAX} URLs`);
  }
  return origins.map((origin) => {
    if (typeof origin === 'string' && /^https?:\/\/[^?#]+$/.test(origin)) {
      return origin.replace(/\/+$/, '');
    }
    throw bad('origins', origin, 'a URL with http or https and without a query');
  });
}

function readKnown<T extends object>(
  name: string,
  given: Partial<T> | undefined,
  known: T,
  type: 'boolean' | 'number',
): Partial<T> {
  for (const [key, value] of Object.entries(given ?? {})) {
    if (!Object.hasOwn(known, key)) throw bad(`${name}.${key}`, value, 'no such option');
    const isGood = type === 'boolean' ? typeof value === 'boolean' : isCount(value);
    if (!isGood)
      throw bad(`${name}.${key}`, value, type === 'boolean' ? 'true or false' : 'above 0');
  }
  return given ?? {};
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

function bad(name: string, value: unknown, expected: string): LoaderError {
  return new LoaderError('LOADER_OPTIONS', `${name} is ${shown(value)}; expected ${expected}`);
}
