// What a follower and its primary say to each other over HTTP, beside the feed of the log itself.
// A question is a POST with the token of both; it and its answer are sealed, so that neither a cut
// nor a flipped bit on the way is taken for what was said.
//
//   POST {route}/.replication/state             which databases there are; terms are compared
//   POST {route}/.replication/feed/{name}       the log from a position on: feed.ts, not sealed
//   POST {route}/.replication/snapshot/{name}   begins a snapshot of the pages
//   POST {route}/.replication/pages/{name}      a piece of it
//
//   sealed   0            8          pages    8             16           20            24
//            +------------+- - - -+           +-------------+------------+-------------+- - - -+
//            | XXH64 of   | JSON  |           | snapshot's  | first page | pages count | pages |
//            | the rest   |       |           | lsn, u64    | u32        | u32         |       |
//            +------------+- - - -+           +-------------+------------+-------------+- - - -+
//   Integers are little-endian.

import { isDatabaseName } from '../catalog/names.ts';
import { DB_PAGE_SIZE_BYTES, type Lsn } from '../contract.ts';
import { type FeedPosition, logError, type Xxh64 } from '../log/index.ts';
import { NAMES_COUNT_MAX } from './limits.ts';
import type { Role } from './standing.ts';

/** The segment where a name of a database would stand; none has a dot. */
export const REPLICATION_SEGMENT = '.replication';
export const REPLICATION_VERSION = 1;
const SEAL_SIZE_BYTES = 8;
const PIECE_HEAD_SIZE_BYTES = 24;

export const REPLICATION_ACTIONS = ['state', 'feed', 'snapshot', 'pages'] as const;
export type ReplicationAction = (typeof REPLICATION_ACTIONS)[number];

/** What every question says of who asks. */
export interface Asker {
  readonly version: number;
  readonly node: string;
  /** Null before the first contact. */
  readonly cluster: string | null;
  readonly term: number;
}

export interface FeedQuestion extends Asker {
  /** The database's own id. */
  readonly database: string;
  readonly nextLsn: Lsn;
  /** Sixteen hexadecimal digits. */
  readonly chain: string;
}

export interface PagesQuestion extends Asker {
  readonly snapshot: number;
  readonly firstPage: number;
}

export interface StateAnswer {
  readonly version: number;
  readonly cluster: string;
  readonly role: Role;
  readonly term: number;
  readonly databases: readonly string[];
}

export interface SnapshotAnswer {
  readonly snapshot: number;
  readonly database: string;
  readonly term: number;
  readonly lsn: Lsn;
  readonly chain: string;
  readonly pageCount: number;
}

export function chainText(chain: bigint): string {
  return chain.toString(16).padStart(16, '0');
}

export function positionOf({ nextLsn, chain }: FeedQuestion): FeedPosition {
  return { nextLsn, chain: BigInt(`0x${chain}`) };
}

export function sealJson(value: unknown, xxh64: Xxh64): Uint8Array {
  return seal(Buffer.from(JSON.stringify(value)), xxh64);
}

function seal(rest: Uint8Array, xxh64: Xxh64): Uint8Array {
  const bytes = Buffer.allocUnsafe(SEAL_SIZE_BYTES + rest.length);
  bytes.writeBigUInt64LE(xxh64(rest, 0n), 0);
  bytes.set(rest, SEAL_SIZE_BYTES);
  return bytes;
}

/** Errors: DB_FEED_CORRUPT. */
function unseal(bytes: Uint8Array, xxh64: Xxh64): Buffer {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const rest = whole.subarray(SEAL_SIZE_BYTES);
  if (whole.length < SEAL_SIZE_BYTES || whole.readBigUInt64LE(0) !== xxh64(rest, 0n)) {
    throw logError('DB_FEED_CORRUPT', `${whole.length} bytes fail their checksum`);
  }
  return rest;
}

/** Opens a question or an answer. Errors: DB_FEED_CORRUPT for anything that is not of this
 *  shape. */
export function openJson<T>(
  bytes: Uint8Array,
  xxh64: Xxh64,
  isOfShape: (value: Partial<Record<keyof T, unknown>>) => boolean,
): T {
  const text = unseal(bytes, xxh64).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw logError('DB_FEED_CORRUPT', 'a message is no JSON', error);
  }
  if (typeof value === 'object' && value !== null && isOfShape(value)) return value as T;
  throw logError('DB_FEED_CORRUPT', `a message of another shape: ${text.slice(0, 200)}`);
}

export function isAsker(value: Partial<Record<keyof Asker, unknown>>): boolean {
  const { version, node, cluster, term } = value;
  return (
    version === REPLICATION_VERSION &&
    isId(node) &&
    isTerm(term) &&
    (cluster === null || isId(cluster))
  );
}

export function isFeedQuestion(value: Partial<Record<keyof FeedQuestion, unknown>>): boolean {
  const { database, nextLsn, chain } = value;
  return isAsker(value) && isId(database) && isCount(nextLsn) && nextLsn !== 0 && isChain(chain);
}

export function isPagesQuestion(value: Partial<Record<keyof PagesQuestion, unknown>>): boolean {
  const { snapshot, firstPage } = value;
  return isAsker(value) && isCount(snapshot) && isCount(firstPage) && firstPage !== 0;
}

export function isStateAnswer(value: Partial<Record<keyof StateAnswer, unknown>>): boolean {
  const { version, cluster, role, term, databases } = value;
  // They become names of folders.
  const isList =
    Array.isArray(databases) &&
    databases.length <= NAMES_COUNT_MAX &&
    databases.every((name) => typeof name === 'string' && isDatabaseName(name));
  return (
    version === REPLICATION_VERSION &&
    isId(cluster) &&
    typeof role === 'string' &&
    isTerm(term) &&
    isList
  );
}

export function isSnapshotAnswer(value: Partial<Record<keyof SnapshotAnswer, unknown>>): boolean {
  const { snapshot, database, term, lsn, chain, pageCount } = value;
  const areCounts = isCount(snapshot) && isCount(lsn) && isCount(pageCount);
  return areCounts && isId(database) && isTerm(term) && isChain(chain);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTerm(value: unknown): boolean {
  return isCount(value) && (value as number) >= 1 && (value as number) <= 0xffff_ffff;
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

function isChain(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
}

export interface Piece {
  readonly lsn: Lsn;
  readonly firstPage: number;
  /** Whole pages, one behind the other. */
  readonly pages: Uint8Array;
}

export function encodePiece({ lsn, firstPage, pages }: Piece, xxh64: Xxh64): Uint8Array {
  const bytes = Buffer.allocUnsafe(PIECE_HEAD_SIZE_BYTES - SEAL_SIZE_BYTES + pages.length);
  bytes.writeBigUInt64LE(BigInt(lsn), 0);
  bytes.writeUInt32LE(firstPage, 8);
  bytes.writeUInt32LE(pages.length / DB_PAGE_SIZE_BYTES, 12);
  bytes.set(pages, PIECE_HEAD_SIZE_BYTES - SEAL_SIZE_BYTES);
  return seal(bytes, xxh64);
}

/** Errors: DB_FEED_CORRUPT for bytes that are no piece, or another one than was asked for. */
export function decodePiece(
  bytes: Uint8Array,
  asked: { readonly lsn: Lsn; readonly firstPage: number },
  xxh64: Xxh64,
): Piece {
  const rest = unseal(bytes, xxh64);
  const headSizeBytes = PIECE_HEAD_SIZE_BYTES - SEAL_SIZE_BYTES;
  const pages = rest.subarray(headSizeBytes);
  if (rest.length < headSizeBytes) throw logError('DB_FEED_CORRUPT', 'a piece is cut short');
  const [lsn, firstPage] = [Number(rest.readBigUInt64LE(0)), rest.readUInt32LE(8)];
  if (lsn !== asked.lsn || firstPage !== asked.firstPage) {
    const found = `page ${firstPage} at lsn ${lsn}`;
    const expected = `page ${asked.firstPage} at lsn ${asked.lsn}`;
    throw logError('DB_FEED_CORRUPT', `a piece from ${found}, expected from ${expected}`);
  }
  if (pages.length === 0 || pages.length !== rest.readUInt32LE(12) * DB_PAGE_SIZE_BYTES) {
    throw logError('DB_FEED_CORRUPT', `a piece of ${pages.length} bytes`);
  }
  return { lsn, firstPage, pages };
}
