// A version of a page as it stands in the store, and its key. The checksum covers the plain page
// and, as the seed, its number and LSN: a record in another's place is as bad as a flipped bit.
//
//   key in `current`   | page u32 BE |
//   key in `history`   | page u32 BE | lsn u64 BE |
//
//   record             0       1            9            17
//                      +-------+------------+------------+- - - - - -+
//                      | codec | lsn u64 BE | xxh64 LE   | bytes     |
//                      +-------+------------+------------+- - - - - -+
//   codec              0: the page as it is; 1: an LZ4 block; 2: no page here, and no bytes

import { GatewayError } from '../../core/index.ts';
import type { PageCodec } from '../../kernels/index.ts';
import { DB_PAGE_SIZE_BYTES, type Lsn } from '../contract.ts';

const CODEC_PLAIN = 0;
const CODEC_LZ4 = 1;
const CODEC_ABSENT = 2;
const HEAD_SIZE_BYTES = 17;
const HASH_OFFSET = 9;
const NOTHING = new Uint8Array(0);

export const RECORD_SIZE_BYTES_MAX = HEAD_SIZE_BYTES + DB_PAGE_SIZE_BYTES;
export const PAGE_KEY_SIZE_BYTES = 4;
export const VERSION_KEY_SIZE_BYTES = 12;

/** What a record is of. */
export interface VersionPlace {
  readonly pageNumber: number;
  readonly lsn: Lsn;
}

export function writePageKey(key: Buffer, pageNumber: number): Buffer {
  key.writeUInt32BE(pageNumber);
  return key;
}

export function versionKey({ pageNumber, lsn }: VersionPlace): Buffer {
  const key = Buffer.allocUnsafe(VERSION_KEY_SIZE_BYTES);
  key.writeUInt32BE(pageNumber);
  writeLsn(key, lsn, PAGE_KEY_SIZE_BYTES);
  return key;
}

export function placeOfKey(key: Buffer): VersionPlace {
  return { pageNumber: key.readUInt32BE(), lsn: readLsn(key, PAGE_KEY_SIZE_BYTES) };
}

/** The LSN of a record, which stands there also where its page is damaged. */
export function lsnOfRecord(record: Buffer): Lsn {
  return record.length < HEAD_SIZE_BYTES ? 0 : readLsn(record, 1);
}

/** A record of a page, LZ4 where that is smaller; of no page for null. */
export function encodeRecord(
  codec: PageCodec,
  place: VersionPlace,
  page: Uint8Array | null,
): Buffer {
  const record = Buffer.allocUnsafe(RECORD_SIZE_BYTES_MAX);
  let size = 0;
  record[0] = CODEC_ABSENT;
  if (page !== null) {
    // A compressed record that would need as many pages of LMDB as a plain one is still smaller.
    size = codec.compress(page, DB_PAGE_SIZE_BYTES - 1, record, HEAD_SIZE_BYTES);
    record[0] = size > 0 ? CODEC_LZ4 : CODEC_PLAIN;
    if (size === 0) {
      record.set(page, HEAD_SIZE_BYTES);
      size = DB_PAGE_SIZE_BYTES;
    }
  }
  writeLsn(record, place.lsn, 1);
  record.writeBigUInt64LE(codec.xxh64(page ?? NOTHING, seedOf(place)), HASH_OFFSET);
  return record.subarray(0, HEAD_SIZE_BYTES + size);
}

/** Copies a record's page into `into`; false where it says that there is none.
 *  Errors: DB_PAGE_CORRUPT with the place, and then `into` is not to be read. */
export function decodeRecord(
  codec: PageCodec,
  place: VersionPlace,
  record: Buffer,
  into: Uint8Array,
): boolean {
  const { length } = record;
  if (length < HEAD_SIZE_BYTES) throw corrupt(place, `a record of ${length} bytes`);
  const kind = record[0]!;
  const bytes = record.subarray(HEAD_SIZE_BYTES);
  const isThere = kind !== CODEC_ABSENT;
  if (kind === CODEC_LZ4) decompress(codec, place, bytes, into);
  else if (kind === CODEC_PLAIN && bytes.length === DB_PAGE_SIZE_BYTES) into.set(bytes);
  else if (isThere || bytes.length > 0) throw corrupt(place, `codec ${kind}, ${length} bytes`);
  const found = codec.xxh64(isThere ? into : NOTHING, seedOf(place));
  if (found !== record.readBigUInt64LE(HASH_OFFSET)) throw corrupt(place, 'the checksum is wrong');
  return isThere;
}

function decompress(
  codec: PageCodec,
  place: VersionPlace,
  bytes: Uint8Array,
  into: Uint8Array,
): void {
  try {
    codec.decompress(bytes, into);
  } catch (cause) {
    throw corrupt(place, `an LZ4 block of ${bytes.length} bytes is none`, cause);
  }
}

function corrupt({ pageNumber, lsn }: VersionPlace, what: string, cause?: unknown): GatewayError {
  return new GatewayError('DB_PAGE_CORRUPT', `page ${pageNumber} at lsn ${lsn}: ${what}`, cause);
}

function seedOf({ pageNumber, lsn }: VersionPlace): bigint {
  return BigInt.asUintN(64, (BigInt(pageNumber) << 32n) ^ BigInt(lsn));
}

function writeLsn(bytes: Buffer, lsn: Lsn, offset: number): void {
  bytes.writeUInt32BE(Math.floor(lsn / 2 ** 32), offset);
  bytes.writeUInt32BE(lsn % 2 ** 32, offset + 4);
}

function readLsn(bytes: Buffer, offset: number): Lsn {
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4);
}
