// The flags of `sluice bench`, checked before a single byte is sent. What is not understood is
// refused with the value and the limit; nothing is rounded or guessed. A load generator aimed at
// the wrong machine is an attack, so any address but loopback needs `--allow-remote`.

import { isIP } from 'node:net';
import {
  GatewayError,
  type HeaderList,
  isHeaderValue,
  isToken,
  parseDurationMs,
} from '../../core/index.ts';
import {
  BODY_SIZE_BYTES_MAX,
  CONNECTIONS_COUNT_MAX,
  DURATION_MS_MAX,
  HEADERS_COUNT_MAX,
  RATE_PER_SECOND_MAX,
  ROUNDS_COUNT_MAX,
} from './limits.ts';

/** The flags as the command line gives them: text, a number, `true` for a bare flag, or a list. */
export interface BenchFlags {
  readonly rate?: unknown;
  readonly duration?: unknown;
  readonly connections?: unknown;
  readonly warmup?: unknown;
  readonly method?: unknown;
  readonly header?: unknown;
  readonly body?: unknown;
  readonly out?: unknown;
  readonly hgrm?: unknown;
  readonly json?: unknown;
  readonly compare?: unknown;
  readonly rounds?: unknown;
  readonly allowRemote?: unknown;
}

/** One address under load, taken apart once. */
export interface BenchTarget {
  readonly url: string;
  readonly hostname: string;
  readonly port: number;
  /** What the `host` header says. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
}

export interface BenchOptions {
  readonly target: BenchTarget;
  readonly compare: BenchTarget | null;
  /** Requests per second of the open loop; `max` is a closed loop over the connections. */
  readonly rate: number | 'max';
  /** Measured time for each address, over all rounds. */
  readonly durationMs: number;
  /** Time under load before measuring starts; 0 for none. */
  readonly warmupMs: number;
  readonly connections: number;
  readonly method: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  readonly out: string | null;
  readonly hgrm: string | null;
  readonly json: string | null;
  readonly rounds: number;
}

const WARMUP_DEFAULT = '2s';
export const DURATION_DEFAULT = '10s';
export const CONNECTIONS_DEFAULT = 32;
export const ROUNDS_DEFAULT = 5;

/** Checks the flags. Errors: GW_FLAG_BAD_VALUE, naming the flag, the value and the limit. */
export function parseBenchOptions(url: unknown, flags: BenchFlags): BenchOptions {
  const allowRemote = flags.allowRemote === true;
  const compare =
    flags.compare === undefined ? null : parseTarget('--compare', flags.compare, { allowRemote });
  const rounds = parseCount('--rounds', flags.rounds ?? ROUNDS_DEFAULT, ROUNDS_COUNT_MAX);
  if (compare === null && flags.rounds !== undefined) {
    throw refused('--rounds', flags.rounds, 'rounds need a second address, --compare URL');
  }
  const { method, body } = parseMethodAndBody(flags);
  return {
    target: parseTarget('URL', url, { allowRemote }),
    compare,
    rate: parseRate(flags.rate),
    durationMs: parseDuration('--duration', flags.duration ?? DURATION_DEFAULT),
    warmupMs: parseWarmup(flags.warmup),
    connections: parseCount(
      '--connections',
      flags.connections ?? CONNECTIONS_DEFAULT,
      CONNECTIONS_COUNT_MAX,
    ),
    method,
    headers: parseHeaders(flags.header),
    body,
    out: parsePath('--out', flags.out),
    hgrm: parsePath('--hgrm', flags.hgrm),
    json: parsePath('--json', flags.json),
    rounds: compare === null ? 1 : rounds,
  };
}

function refused(flag: string, value: unknown, limit: string): GatewayError {
  return new GatewayError('GW_FLAG_BAD_VALUE', `${flag} ${shown(value)}: ${limit}`);
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : String(JSON.stringify(value));
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

function parseTarget(flag: string, value: unknown, options: { allowRemote: boolean }): BenchTarget {
  const parsed = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null;
  if (parsed === null) throw refused(flag, value, 'not an address such as http://127.0.0.1:8080/');
  if (parsed.protocol !== 'http:') throw refused(flag, value, 'only http: is spoken here');
  if (parsed.username !== '' || parsed.password !== '') {
    throw refused(flag, value, 'credentials belong in --header authorization');
  }
  const hostname = parsed.hostname.replace(/^\[|\]$/g, '');
  if (!options.allowRemote && !isLoopback(hostname)) {
    throw refused(
      flag,
      value,
      'not a loopback address; --allow-remote lets load leave the machine',
    );
  }
  return {
    url: parsed.href,
    hostname,
    port: parsed.port === '' ? 80 : Number(parsed.port),
    authority: parsed.host,
    path: `${parsed.pathname}${parsed.search}`,
  };
}

function isLoopback(hostname: string): boolean {
  if (hostname === 'localhost' || hostname === '::1') return true;
  return isIP(hostname) === 4 && hostname.startsWith('127.');
}

function parseRate(value: unknown): number | 'max' {
  if (value === 'max') return 'max';
  const limit = `a number above 0 and at most ${RATE_PER_SECOND_MAX} per second, or max`;
  if (value === undefined) {
    throw new GatewayError('GW_FLAG_BAD_VALUE', `--rate is missing, expected ${limit}`);
  }
  const rate = toNumber(value);
  if (rate === null || rate <= 0 || rate > RATE_PER_SECOND_MAX) {
    throw refused('--rate', value, limit);
  }
  return rate;
}

function toNumber(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'string' || !/^\d{1,12}(\.\d{1,6})?$/.test(value)) return null;
  return Number(value);
}

function parseCount(flag: string, value: unknown, countMax: number): number {
  const count = toNumber(value);
  if (count === null || !Number.isInteger(count) || count < 1 || count > countMax) {
    throw refused(flag, value, `a whole number from 1 to ${countMax}`);
  }
  return count;
}

function parseDuration(flag: string, value: unknown): number {
  const durationMs = typeof value === 'string' ? parseDurationMs(value) : null;
  if (durationMs === null || durationMs < 1 || durationMs > DURATION_MS_MAX) {
    throw refused(
      flag,
      value,
      `a duration such as 30s, from 1ms to ${DURATION_MS_MAX / 3_600_000}h`,
    );
  }
  return durationMs;
}

function parseWarmup(value: unknown): number {
  if (value === undefined || value === false) return 0;
  return parseDuration('--warmup', value === true ? WARMUP_DEFAULT : value);
}

function parseMethodAndBody(flags: BenchFlags): { method: string; body: Uint8Array } {
  const text = flags.body === undefined ? '' : String(flags.body);
  const body = new TextEncoder().encode(text);
  if (body.length > BODY_SIZE_BYTES_MAX) {
    throw refused('--body', text, `${body.length} bytes, at most ${BODY_SIZE_BYTES_MAX}`);
  }
  const method = flags.method ?? (body.length > 0 ? 'POST' : 'GET');
  if (typeof method !== 'string' || !/^[A-Z]{1,20}$/.test(method) || method === 'CONNECT') {
    throw refused('--method', method, 'upper-case letters, at most 20, and not CONNECT');
  }
  return { method, body };
}

/** Headers the generator writes itself; a second one would make the request malformed. */
const OWN_HEADERS = new Set(['connection', 'content-length', 'transfer-encoding', 'host']);

function parseHeaders(value: unknown): HeaderList {
  const lines = value === undefined ? [] : Array.isArray(value) ? value : [value];
  if (lines.length > HEADERS_COUNT_MAX) {
    throw refused('--header', `${lines.length} headers`, `at most ${HEADERS_COUNT_MAX}`);
  }
  const headers: string[] = [];
  for (const line of lines) {
    const found = typeof line === 'string' ? /^([^:]+):[ \t]*(.*)$/.exec(line) : null;
    if (found === null || !isToken(found[1]!) || !isHeaderValue(found[2]!)) {
      throw refused('--header', line, 'not of the form "name: value"');
    }
    const name = found[1]!.toLowerCase();
    if (OWN_HEADERS.has(name)) throw refused('--header', line, `the generator writes ${name}`);
    headers.push(name, found[2]!);
  }
  return headers;
}

function parsePath(flag: string, value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value !== 'string' || value === '')
    throw refused(flag, value, 'a file name is missing');
  return value;
}
