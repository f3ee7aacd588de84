// All files of a release as one tar, for channels of many small files: one delta instead of
// thousands. The same files always make the same bytes: sorted, no times, no owners. The reader
// takes only what the writer makes, so that a pack has one meaning to every client.
//
//   for each file: [pax header + path, when 100 bytes do not hold it] header · bytes · zeros to 512
//   at the end:    1,024 zeros
//
// Source: POSIX.1-2017, pax Interchange Format and ustar Interchange Format.

import { GatewayError, RELEASE_FILES_COUNT_MAX } from '../core/index.ts';
import { checkResourcePath } from './resource-path.ts';

const CODE = 'GW_DIST_DOCUMENT';
const RECORD_SIZE_BYTES = 512;
const END_SIZE_BYTES = 1024;
const NAME_SIZE_BYTES = 100;
const CHECKSUM_OFFSET = 148;
const CHECKSUM_SIZE_BYTES = 8;
/** Every extended header has this name: who knows no pax sees it once and not the path. */
const PAX_NAME = 'pax';
const ASCII = /^[\x20-\x7e]*$/;

export interface PackFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** How long the pack of such files is. Units: bytes. */
export function packSize(files: readonly { path: string; sizeBytes: number }[]): number {
  let sumBytes = END_SIZE_BYTES;
  for (const { path, sizeBytes } of files) sumBytes += headSizeOf(path) + padded(sizeBytes);
  return sumBytes;
}

/** Packs files, which must be sorted by path. Cost: one copy of everything. */
export function writePack(files: readonly PackFile[]): Uint8Array {
  const sized = files.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length }));
  const pack = Buffer.alloc(packSize(sized));
  let offset = 0;
  for (const { path, bytes } of files) {
    const head = headOf(path, bytes.length);
    head.copy(pack, offset);
    pack.set(bytes, offset + head.length);
    offset += head.length + padded(bytes.length);
  }
  return pack;
}

/** Takes a pack apart; the bytes are views.
 *  Errors: GW_DIST_DOCUMENT, GW_DIST_PATH, GW_DIST_LIMIT. */
export function readPack(pack: Uint8Array): PackFile[] {
  const bytes = Buffer.from(pack.buffer, pack.byteOffset, pack.byteLength);
  const files: PackFile[] = [];
  let offset = 0;
  while (offset + RECORD_SIZE_BYTES <= bytes.length && bytes[offset] !== 0) {
    const { path, sizeBytes, headSizeBytes } = readHead(bytes.subarray(offset), offset);
    checkResourcePath(path);
    if (path <= (files.at(-1)?.path ?? '')) throw fault(offset, `${path} is not sorted`);
    if (files.length === RELEASE_FILES_COUNT_MAX) {
      const detail = `a pack of more than ${RELEASE_FILES_COUNT_MAX} files`;
      throw new GatewayError('GW_DIST_LIMIT', detail);
    }
    const start = offset + headSizeBytes;
    const end = start + sizeBytes;
    offset = start + padded(sizeBytes);
    if (offset > bytes.length) throw fault(start, `${path} ends beyond the pack`);
    if (!isZero(bytes.subarray(end, offset))) throw fault(end, 'the padding is not zero');
    files.push({ path, bytes: bytes.subarray(start, end) });
  }
  if (bytes.length - offset !== END_SIZE_BYTES || !isZero(bytes.subarray(offset))) {
    throw fault(offset, `the pack does not end in ${END_SIZE_BYTES} zeros`);
  }
  return files;
}

/** Reads path and size and then looks whether the writer would have made just these bytes. */
function readHead(bytes: Buffer, offset: number) {
  let path: string;
  let lastHeader = bytes.subarray(0, RECORD_SIZE_BYTES);
  if (String.fromCharCode(lastHeader[156]!) === 'x') {
    const recordSizeBytes = readOctal(lastHeader, offset);
    const record = bytes.subarray(RECORD_SIZE_BYTES, RECORD_SIZE_BYTES + recordSizeBytes);
    const found = /^\d+ path=(.*)\n$/su.exec(record.toString('utf8'));
    if (found === null) throw fault(offset, 'an extended header without a path');
    path = found[1]!;
    const headerOffset = RECORD_SIZE_BYTES + padded(recordSizeBytes);
    lastHeader = bytes.subarray(headerOffset, headerOffset + RECORD_SIZE_BYTES);
  } else {
    const name = lastHeader.subarray(0, NAME_SIZE_BYTES);
    const end = name.indexOf(0);
    path = name.toString('latin1', 0, end === -1 ? NAME_SIZE_BYTES : end);
  }
  if (lastHeader.length < RECORD_SIZE_BYTES) throw fault(offset, 'the pack ends in a header');
  const sizeBytes = readOctal(lastHeader, offset);
  const head = headOf(path, sizeBytes);
  if (!head.equals(bytes.subarray(0, head.length))) throw fault(offset, 'a header of another kind');
  return { path, sizeBytes, headSizeBytes: head.length };
}

function headSizeOf(path: string): number {
  if (fitsName(path)) return RECORD_SIZE_BYTES;
  return RECORD_SIZE_BYTES + padded(paxRecord(path).length) + RECORD_SIZE_BYTES;
}

function headOf(path: string, sizeBytes: number): Buffer {
  if (fitsName(path)) return header(path, sizeBytes, '0');
  const record = paxRecord(path);
  const paddedRecord = Buffer.alloc(padded(record.length));
  record.copy(paddedRecord);
  const shortName = path.replace(/[^\x20-\x7e]/gu, '_').slice(-NAME_SIZE_BYTES);
  return Buffer.concat([
    header(PAX_NAME, record.length, 'x'),
    paddedRecord,
    header(shortName, sizeBytes, '0'),
  ]);
}

function fitsName(path: string): boolean {
  return path.length <= NAME_SIZE_BYTES && ASCII.test(path);
}

/** `LEN path=…\n`, where LEN counts itself too. */
function paxRecord(path: string): Buffer {
  const rest = Buffer.byteLength(path) + ' path=\n'.length;
  let length = rest + 1;
  while (rest + String(length).length !== length) length = rest + String(length).length;
  return Buffer.from(`${length} path=${path}\n`, 'utf8');
}

/** A ustar header. Offsets: name 0, mode 100, uid 108, gid 116, size 124, mtime 136, checksum 148,
 *  type 156, magic 257, version 263. */
function header(name: string, sizeBytes: number, type: '0' | 'x'): Buffer {
  const record = Buffer.alloc(RECORD_SIZE_BYTES);
  record.write(name, 0, NAME_SIZE_BYTES, 'latin1');
  record.write('0000644\0', 100, 'latin1');
  record.write('0000000\0', 108, 'latin1');
  record.write('0000000\0', 116, 'latin1');
  record.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  record.write('00000000000\0', 136, 'latin1');
  record.write(type, 156, 'latin1');
  record.write('ustar\0', 257, 'latin1');
  record.write('00', 263, 'latin1');
  // The sum is taken with spaces where it will stand.
  record.fill(0x20, CHECKSUM_OFFSET, CHECKSUM_OFFSET + CHECKSUM_SIZE_BYTES);
  let sum = 0;
  for (const byte of record) sum += byte;
  record.write(`${sum.toString(8).padStart(6, '0')}\0 `, CHECKSUM_OFFSET, 'latin1');
  return record;
}

function readOctal(record: Buffer, offset: number): number {
  const text = record.toString('latin1', 124, 136);
  if (!/^[0-7]{11}\0$/.test(text)) throw fault(offset, 'a size that is none');
  return Number.parseInt(text, 8);
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / RECORD_SIZE_BYTES) * RECORD_SIZE_BYTES;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

function fault(offset: number, what: string): GatewayError {
  return new GatewayError(CODE, `pack: at byte ${offset}: ${what}`);
}
