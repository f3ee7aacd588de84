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
import {
  CHANNELS_COUNT_MAX,
  DEFAULT_LIMITS,
  DEVICE_ATTRIBUTES_COUNT_MAX,
  DEVICE_TEXT_LENGTH_MAX,
  ORIGINS_COUNT_MAX,
  TIMER_MS_MAX,
} from './limits.ts';
import type { Bytes } from './model.ts';
import { envelopeBytes } from './trust.ts';

/** What differs between browsers and Node. */
export interface Platform {
  readonly storage: () => LoaderStorage;
  readonly decoder: () => Promise<Decoder>;
  readonly fetch: typeof globalThis.fetch;
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

const STORAGE_CALLS: readonly (keyof LoaderStorage)[] = [
  'readState',
  'writeState',
  'read',
  'write',
  'missing',
  'remove',
  'list',
  'exclusive',
];
const CLOCK_CALLS: readonly (keyof LoaderClock)[] = ['nowMs', 'after', 'random'];
const DEVICE_KEYS: readonly (keyof LoaderDevice)[] = [
  'id',
  'appVersion',
  'platform',
  'region',
  'attributes',
];

/** Errors: LOADER_OPTIONS, which names the option. */
export function readOptions(options: LoaderOptions, platform: Platform): LoaderSettings {
  checkObject('options', options, KEYS);
  const levels = { ...ALL_LEVELS, ...readLevels(options.levels) };
  const origins = readOrigins(options.origins);
  const channels = readChannels(options.channels);
  return {
    channels,
    origins: levels.origins ? origins : origins.slice(0, 1),
    trustRoot: envelopeBytes(options.trustRoot, 'trustRoot'),
    builtIn: readBuiltIn(options.builtIn, channels),
    storage: readStorage(options.storage) ?? platform.storage(),
    decoder: platform.decoder,
    device: readDevice(options.device),
    levels,
    limits: { ...DEFAULT_LIMITS, ...readLimits(options.limits) },
    fetch: readFetch(options.fetch) ?? platform.fetch,
    clock: readClock(options.clock) ?? PLATFORM_CLOCK,
  };
}

function readChannels(channels: readonly string[]): readonly string[] {
  const isList = Array.isArray(channels) && channels.length > 0;
  if (!isList || channels.length > CHANNELS_COUNT_MAX) {
    throw bad('channels', channels, `a list of 1 to ${CHANNELS_COUNT_MAX} names`);
  }
  const wrong = channels.find((one) => typeof one !== 'string' || !CHANNEL_PATTERN.test(one));
  if (wrong !== undefined) throw bad('channels', wrong, 'names of a-z 0-9 . _ -');
  if (new Set(channels).size !== channels.length) throw bad('channels', channels, 'each once');
  return [...channels];
}

function readOrigins(origins: readonly string[]): string[] {
  if (!Array.isArray(origins) || origins.length > ORIGINS_COUNT_MAX) {
    throw bad('origins', origins, `a list of at most ${ORIGINS_COUNT_MAX} URLs`);
  }
  return origins.map((origin) => {
    if (typeof origin === 'string' && /^https?:\/\/[^?#\s]+$/.test(origin) && isUrl(origin)) {
      return origin.replace(/\/+$/, '');
    }
    throw bad('origins', origin, 'a URL with http or https and without a query');
  });
}

function isUrl(text: string): boolean {
  try {
    return new URL(text).username === '';
  } catch {
    return false;
  }
}

function readBuiltIn(
  given: LoaderOptions['builtIn'],
  channels: readonly string[],
): Readonly<Record<string, BuiltIn>> {
  if (given === undefined) return {};
  checkObject('builtIn', given, channels);
  for (const [channel, one] of present(given)) {
    const name = `builtIn.${channel}`;
    checkFunctions(name, one, ['read']);
    const { manifest } = one as BuiltIn;
    const isGiven = typeof manifest === 'object' && manifest !== null;
    if (isGiven || ['string', 'function'].includes(typeof manifest)) continue;
    throw bad(`${name}.manifest`, manifest, 'an envelope, or a function that brings it');
  }
  return given;
}

function readStorage(given: LoaderStorage | undefined): LoaderStorage | undefined {
  if (given !== undefined) checkFunctions('storage', given, STORAGE_CALLS);
  return given;
}

function readFetch(given: LoaderOptions['fetch']): LoaderOptions['fetch'] {
  if (given === undefined || typeof given === 'function') return given;
  throw bad('fetch', given, 'a function');
}

/** What a clock gives back is checked too: time that is no number is always too early. */
function readClock(given: LoaderClock | undefined): LoaderClock | undefined {
  if (given === undefined) return undefined;
  checkFunctions('clock', given, CLOCK_CALLS);
  const nowMs = given.nowMs();
  if (!Number.isFinite(nowMs)) throw bad('clock.nowMs()', nowMs, 'milliseconds since 1970');
  return {
    nowMs: () => given.nowMs(),
    after: (ms, then) => {
      const cancel: unknown = given.after(ms, then);
      if (typeof cancel === 'function') return cancel as () => void;
      throw bad('clock.after()', cancel, 'a function that calls it off');
    },
    random: () => given.random(),
  };
}

/** Within what the gateway takes: a check that it refuses would be refused for ever. */
function readDevice(given: LoaderDevice | undefined): LoaderDevice {
  if (given === undefined) return {};
  checkObject('device', given, DEVICE_KEYS);
  for (const [key, value] of present(given)) {
    if (key !== 'attributes') checkText(`device.${key}`, value, key === 'id' ? 1 : 0);
  }
  const { attributes } = given;
  if (attributes === undefined) return given;
  checkObject('device.attributes', attributes, null);
  const count = Object.keys(attributes).length;
  if (count > DEVICE_ATTRIBUTES_COUNT_MAX) {
    throw bad('device.attributes', count, `at most ${DEVICE_ATTRIBUTES_COUNT_MAX} of them`);
  }
  for (const [key, value] of Object.entries(attributes)) {
    checkText(`device.attributes.${key}`, value, 0);
  }
  return given;
}

function readLevels(given: LoaderOptions['levels']): Partial<LevelSwitches> {
  if (given === undefined) return {};
  checkObject('levels', given, Object.keys(ALL_LEVELS));
  for (const [key, value] of present(given)) {
    if (typeof value !== 'boolean') throw bad(`levels.${key}`, value, 'true or false');
  }
  return Object.fromEntries(present(given));
}

function readLimits(given: LoaderOptions['limits']): Partial<LoaderLimits> {
  if (given === undefined) return {};
  checkObject('limits', given, Object.keys(DEFAULT_LIMITS));
  for (const [key, value] of present(given)) {
    // Timers of platforms take a longer wait for none.
    const most = /Ms(?:Max)?$/.test(key) ? TIMER_MS_MAX : Number.MAX_SAFE_INTEGER;
    if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most) {
      continue;
    }
    throw bad(`limits.${key}`, value, `an integer from 1 to ${most}`);
  }
  return Object.fromEntries(present(given));
}

/** What is given as `undefined` is not given. */
function present(given: object): (readonly [string, unknown])[] {
  return Object.entries(given).filter(([, value]) => value !== undefined);
}

function checkObject(name: string, value: unknown, keys: readonly string[] | null): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(name, value, 'an object');
  }
  const unknown = keys === null ? undefined : Object.keys(value).find((key) => !keys.includes(key));
  if (unknown === undefined) return;
  const place = name === 'options' ? unknown : `${name}.${unknown}`;
  throw new LoaderError(
    'LOADER_OPTIONS',
    `${place}: no such option; there are ${keys!.join(', ')}`,
  );
}

function checkFunctions(name: string, value: unknown, calls: readonly string[]): void {
  if (typeof value !== 'object' || value === null) {
    throw bad(name, value, `an object with ${calls.join(', ')}`);
  }
  for (const call of calls) {
    const found = (value as Record<string, unknown>)[call];
    if (typeof found !== 'function') throw bad(`${name}.${call}`, found, 'a function');
  }
}

function checkText(name: string, value: unknown, lengthMin: number): void {
  const isText = typeof value === 'string' && value.length >= lengthMin;
  if (isText && value.length <= DEVICE_TEXT_LENGTH_MAX) return;
  throw bad(name, value, `text of ${lengthMin} to ${DEVICE_TEXT_LENGTH_MAX} characters`);
}

function bad(name: string, value: unknown, expected: string): LoaderError {
  return new LoaderError('LOADER_OPTIONS', `${name} is ${shown(value)}; expected ${expected}`);
}
