// Names of databases: they stand in paths of URLs, in host labels and in the file system.

import { GatewayError } from '../../core/index.ts';

const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$/;
/** Segments that the Hrana protocol has at the same place, and the file of the folder's lock. */
const RESERVED_NAMES: readonly string[] = ['v1', 'v2', 'v3', 'v3-protobuf', 'lock'];

/** What a name is, for who gave another. */
export const DATABASE_NAME_EXPECTED =
  '1 to 64 of a-z 0-9 _ -, a letter or digit at both ends, not v1 to v3 or lock';

/** Errors: DB_NAME. */
export function checkDatabaseName(name: string): void {
  if (NAME_PATTERN.test(name) && !RESERVED_NAMES.includes(name)) return;
  const detail = `"${name.slice(0, 80)}", expected ${DATABASE_NAME_EXPECTED}`;
  throw new GatewayError('DB_NAME', detail);
}

/** Whether a folder's name is a database's. */
export function isDatabaseName(name: string): boolean {
  return NAME_PATTERN.test(name) && !RESERVED_NAMES.includes(name);
}
