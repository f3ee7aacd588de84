// The flags of `sluice db`, and the moments that they name.

import { GatewayError } from '../../core/index.ts';
import type { Moment } from '../../db/index.ts';
import { type FlagSpec, type Flags, readFlagFile, refused } from '../release/flags.ts';

const DIR_DEFAULT = 'data/db';

const TOKEN_VARIABLE = 'SLUICE_ADMIN_TOKEN';

export const DB_FLAGS: Readonly<Record<string, FlagSpec>> = {
  dir: { kind: 'value', what: `<folder> the databases (default: ${DIR_DEFAULT})` },
  admin: {
    kind: 'value',
    what: '<url> the admin API of a gateway that runs, in place of a folder',
  },
  'token-file': {
    kind: 'value',
    what: `<file> the admin token, or a shell's (default: ${TOKEN_VARIABLE}, SLUICE_DB_TOKEN)`,
  },
  from: { kind: 'value', what: '<file> a database file of SQLite to begin with' },
  at: {
    kind: 'value',
    what: '<moment> a commit by its number (LSN), or a time such as 2026-01-31T12:00Z',
  },
  as: { kind: 'value', what: '<name> what a restored database is called' },
  url: { kind: 'value', what: '<url> of the database that a shell works with: http or ws' },
  mode: { kind: 'value', what: '<name> how a shell shows rows: table, list, csv, json, line' },
  json: { kind: 'switch', what: 'print JSON' },
};

export function dirOf(flags: Flags): string {
  return flags.text('dir') ?? DIR_DEFAULT;
}

/** `''` for none. It is no flag itself: others see what a process was started with. */
export function adminTokenOf(flags: Flags): string {
  const path = flags.text('token-file');
  if (path === null) return process.env[TOKEN_VARIABLE] ?? '';
  return Buffer.from(readFlagFile('token-file', path)).toString().trim();
}

/** Null where `--at` is not given. Errors: GW_FLAG_BAD_VALUE. */
export function momentOf(flags: Flags): Moment | null {
  const text = flags.text('at');
  if (text === null) return null;
  if (/^\d{1,15}$/.test(text)) return { lsn: Number(text) };
  const timeMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(timeMs)) return { timeMs };
  throw refused('at', text, 'a number of a commit, or a date such as 2026-01-31T12:00Z');
}

/** The word after the action and those before it. Errors: GW_FLAG_BAD_VALUE. */
export function word(flags: Flags, index: number, what: string): string {
  const found = flags.positionals[index];
  if (found !== undefined) return found;
  throw new GatewayError('GW_FLAG_BAD_VALUE', `${what} is missing`);
}
