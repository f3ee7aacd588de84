// The flags of `publish`, `release` and `keys`. Read with node's own parser: versions are text, and
// cac would make `1.10` the number 1.1.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { DISTRIBUTION_DISK } from '../../config/index.ts';
import {
  GatewayError,
  parseDurationMs,
  parsePercentage,
  parseSizeBytes,
} from '../../core/index.ts';
import {
  CHANNEL_PATTERN,
  type HaltRule,
  ROLLOUT_WHOLE,
  type RolloutStep,
  readSchedule,
  readTargeting,
  type Targeting,
  VERSION_PATTERN,
} from '../../distribution/index.ts';

/** A flag: `--name`, with a value unless it is a switch. */
export interface FlagSpec {
  readonly kind: 'value' | 'values' | 'switch';
  /** For the help: `<file> what it is`. */
  readonly what: string;
}

const ENDS_RULE = 'first and last a letter or a digit';
const STORE_DIR_DEFAULT = 'data/resources';
/** As the gateway's own limit, so that a publisher leaves what the gateway would not. */
const DISK_DEFAULT = DISTRIBUTION_DISK;

export const STORE_FLAGS: Readonly<Record<string, FlagSpec>> = {
  dir: { kind: 'value', what: `<folder> the store (default: ${STORE_DIR_DEFAULT})` },
  disk: { kind: 'value', what: `<size> what the store may take (default: ${DISK_DEFAULT})` },
};

export const RULE_FLAGS: Readonly<Record<string, FlagSpec>> = {
  rollout: { kind: 'value', what: '<share> devices that get it, such as 10% (default: 100%)' },
  schedule: { kind: 'values', what: '<time=share> a later and larger share: +6h=50%, or a date' },
  'app-version': { kind: 'value', what: '<range> only apps such as ">=1.2.0 <2.0.0"' },
  platform: { kind: 'values', what: '<name> only this platform; may be repeated' },
  region: { kind: 'values', what: '<name> only this region; may be repeated' },
  device: { kind: 'values', what: '<id> this device, whatever the share; may be repeated' },
  attribute: { kind: 'values', what: '<name=value> only devices with it; may be repeated' },
  'halt-share': { kind: 'value', what: '<share> failures at which it stops by itself' },
  'halt-after': { kind: 'value', what: '<n> devices that must have reported first (default: 100)' },
};

/** Flags that were read. Getters refuse what they cannot take and name the flag. */
export class Flags {
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;

  /** Errors: GW_FLAG_BAD_VALUE for an unknown flag, or too many words. */
  constructor(
    argv: readonly string[],
    specs: Readonly<Record<string, FlagSpec>>,
    { positionalsMax }: { readonly positionalsMax: number },
  ) {
    const options = Object.fromEntries(
      Object.entries(specs).map(([name, { kind }]) => {
        const type = kind === 'switch' ? ('boolean' as const) : ('string' as const);
        return [name, { type, multiple: kind === 'values' }];
      }),
    );
    try {
      const parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
      this.#values = parsed.values;
      this.positionals = parsed.positionals;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new GatewayError('GW_FLAG_BAD_VALUE', why.split('. To specify')[0]!);
    }
    // Checked before anything is done, whatever the command does with it.
    this.store();
    const extra = this.positionals[positionalsMax];
    if (extra !== undefined) throw new GatewayError('GW_FLAG_BAD_VALUE', `"${extra}" is too much`);
  }

  text(name: string): string | null {
    const value = this.#values[name];
    if (value === '') throw refused(name, '', 'a value');
    return typeof value === 'string' ? value : null;
  }

  texts(name: string): readonly string[] {
    return (this.#values[name] as readonly string[] | undefined) ?? [];
  }

  isSet(name: string): boolean {
    return this.#values[name] === true;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === null) throw new GatewayError('GW_FLAG_BAD_VALUE', `--${name} is missing`);
    return value;
  }

  channel(): string {
    const channel = this.required('channel');
    if (CHANNEL_PATTERN.test(channel)) return channel;
    throw refused('channel', channel, `1 to 64 of a-z 0-9 . _ -, ${ENDS_RULE}`);
  }

  count(name: string, fallback: number, max: number): number {
    const text = this.text(name);
    if (text === null) return fallback;
    const count = /^\d{1,9}$/.test(text) ? Number(text) : -1;
    if (count < 0 || count > max) throw refused(name, text, `a number from 0 to ${max}`);
    return count;
  }

  store(): { readonly dir: string; readonly diskBytesMax: number } {
    const text = this.text('disk') ?? DISK_DEFAULT;
    const diskBytesMax = parseSizeBytes(text);
    if (diskBytesMax === null) throw refused('disk', text, 'a size such as 10GiB');
    return { dir: this.text('dir') ?? STORE_DIR_DEFAULT, diskBytesMax };
  }
}

export function refused(flag: string, value: string, expected: string): GatewayError {
  const detail = `--${flag}: found ${JSON.stringify(value)}, expected ${expected}`;
  return new GatewayError('GW_FLAG_BAD_VALUE', detail);
}

export function checkVersion(flag: string, version: string): string {
  if (VERSION_PATTERN.test(version)) return version;
  throw refused(flag, version, `1 to 64 of A-Z a-z 0-9 . _ + -, ${ENDS_RULE}`);
}

/** `10%` in devices of 10,000. */
export function parseShare(flag: string, text: string): number {
  const ratio = parsePercentage(text);
  const share = ratio === null ? -1 : Math.round(ratio * ROLLOUT_WHOLE);
  const isExact = ratio !== null && Math.abs(ratio * ROLLOUT_WHOLE - share) < 1e-6;
  if (!isExact) throw refused(flag, text, 'a share from 0% to 100% in steps of 0.01%');
  return share;
}

/** `+6h=50%` from now on, or `2026-01-31T12:00Z=50%`: later and larger one by one. Whether the
 *  first is in time and large enough is checked by who knows the share in force. */
export function parseSchedule(flags: Flags, wallMs: number): RolloutStep[] {
  const steps = flags.texts('schedule').map((text) => {
    const at = text.lastIndexOf('=');
    const when = text.slice(0, Math.max(0, at));
    const delayMs = when.startsWith('+') ? parseDurationMs(when.slice(1)) : null;
    const atMs = delayMs === null ? Date.parse(when) : wallMs + delayMs;
    if (!/^(?:\+|\d{4}-\d{2}-\d{2})/.test(when) || !Number.isSafeInteger(atMs) || atMs < 0) {
      throw refused('schedule', text, 'TIME=SHARE such as +6h=50% or 2026-01-31T12:00Z=50%');
    }
    return { atMs, rollout: parseShare('schedule', text.slice(at + 1)) };
  });
  return readSchedule(steps, 'schedule', 'GW_DIST_RULE');
}

/** Null when no flag names a target. */
export function parseTargeting(flags: Flags): Targeting | null {
  const attributes: Record<string, string[]> = Object.create(null);
  for (const text of flags.texts('attribute')) {
    const at = text.indexOf('=');
    if (at < 1) throw refused('attribute', text, 'NAME=VALUE');
    const name = text.slice(0, at);
    attributes[name] = [...(attributes[name] ?? []), text.slice(at + 1)];
  }
  const listOf = (name: string) => (flags.has(name) ? flags.texts(name) : null);
  const names = ['app-version', 'platform', 'region', 'device', 'attribute'];
  if (!names.some((name) => flags.has(name))) return null;
  const targeting = {
    appVersion: flags.text('app-version'),
    platforms: listOf('platform'),
    regions: listOf('region'),
    devices: listOf('device'),
    attributes,
  };
  return readTargeting(targeting, 'targeting', 'GW_DIST_RULE');
}

/** Null when `--halt-share` is not given. */
export function parseHalt(flags: Flags): HaltRule | null {
  const text = flags.text('halt-share');
  if (text === null) {
    if (!flags.has('halt-after')) return null;
    throw refused('halt-after', flags.required('halt-after'), '--halt-share beside it');
  }
  const failureShare = parseShare('halt-share', text) / ROLLOUT_WHOLE;
  const minimumCount = flags.count('halt-after', 100, 1_000_000_000);
  if (minimumCount === 0) throw refused('halt-after', '0', 'at least 1');
  return { failureShare, minimumCount };
}

/** A file that a flag names. */
export function readFlagFile(flag: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw refused(flag, path, `a file that can be read (${(error as Error).message})`);
  }
}
