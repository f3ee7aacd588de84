// A strict reader of the one kind of tar that a packed channel is: ustar headers, plain files, a
// pax path where a name is long, zeros to the end. Anything else is refused.
//
//   0     100  108   116   124   136    148    156   157   257      265   345    500  512
//   +-----+----+-----+-----+------+------+------+-----+-----+--------+-----+------+----+
//   |name |mode| uid | gid | size |mtime | sum  |type |link |ustar 00| ... |prefix|    |
//   +-----+----+-----+-----+------+------+------+-----+-----+--------+-----+------+----+
//   then the content, filled up with zeros to 512 bytes
//
// A pack is not kept: its skeleton is, the pack with the contents cut out. Put back between the
// headers, the contents of the stored files make the pack again, as the base of the next delta. The
// pack of a release that came otherwise, as single files or inside the app, is written anew.
// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".

import { concat, utf8, utf8Text } from './bytes.ts';
import { LoaderError } from './errors.ts';
import { RELEASE_FILES_COUNT_MAX } from './limits.ts';
import type { Bytes } from './model.ts';

const BLOCK_SIZE_BYTES = 512;
/** One record: `path=` with the longest path and its length in front. */
const PAX_SIZE_BYTES_MAX = 2_048;
const PRINTABLE = /^[\x20-\x7e]*$/;

export interface TarEntry {
  readonly path: string;
  /** Where the content begins, or where it was cut out. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The files of a tar. `contents`: whether they are there (`kept`) or it is a skeleton (`cut`).
 *  Errors: LOADER_PACK. */
export function readTar(bytes: Uint8Array, contents: 'kept' | 'cut'): TarEntry[] {
  const entries: TarEntry[] = [];
  let longPath: string | null = null;
  let at = 0;
  for (;;) {
    const header = blockAt(bytes, at);
    if (header.every((byte) => byte === 0)) break;
    const { type, path, sizeBytes } = readHeader(header, at);
    at += BLOCK_SIZE_BYTES;
    if (type === 'x') {
      if (longPath !== null || sizeBytes > PAX_SIZE_BYTES_MAX) throw bad(at, 'an odd pax header');
      longPath = paxPath(take(bytes, at, sizeBytes), at);
      at = padded(bytes, at + sizeBytes, sizeBytes);
      continue;
    }
    if (entries.length === RELEASE_FILES_COUNT_MAX) throw bad(at, 'too many files');
    entries.push({ path: longPath ?? path, offset: at, sizeBytes });
    longPath = null;
    if (contents === 'kept') take(bytes, at, sizeBytes);
    at = padded(bytes, contents === 'kept' ? at + sizeBytes : at, sizeBytes);
  }
  if (longPath !== null) throw bad(at, 'a pax header for nothing');
  checkEnd(bytes, at);
  return entries;
}

/** The pack without its contents. */
export function cutContents(bytes: Uint8Array, entries: readonly TarEntry[]): Bytes {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const { offset, sizeBytes } of entries) {
    parts.push(bytes.subarray(at, offset));
    at = offset + sizeBytes;
  }
  parts.push(bytes.subarray(at));
  return concat(parts);
}

/** The pack of such files, as `sluice publish` makes it; null when `read` has not every content.
 *  They must be sorted by path. Errors: LOADER_PACK for one that is not of its size. */
export async function writeTar(
  files: readonly { readonly path: string; readonly sizeBytes: number }[],
  read: (path: string) => Promise<Uint8Array | null>,
): Promise<Bytes | null> {
  const parts: Uint8Array[] = [];
  for (const { path, sizeBytes } of files) {
    const content = await read(path);
    if (content === null) return null;
    if (content.length !== sizeBytes) throw bad(0, `${path} of another size`);
    const fill = (BLOCK_SIZE_BYTES - (sizeBytes % BLOCK_SIZE_BYTES)) % BLOCK_SIZE_BYTES;
    parts.push(...headersOf(path, sizeBytes), content, new Uint8Array(fill));
  }
  parts.push(new Uint8Array(2 * BLOCK_SIZE_BYTES));
  return concat(parts);
}

/** A path that no header holds stands in a pax record before it. */
function headersOf(path: string, sizeBytes: number): Uint8Array[] {
  if (path.length <= 100 && PRINTABLE.test(path)) return [headerOf(path, '0', sizeBytes)];
  const rest = utf8(` path=${path}\n`);
  let sizeOfAll = rest.length + 1;
  // Its length counts its own digits.
  while (rest.length + String(sizeOfAll).length !== sizeOfAll) {
    sizeOfAll = rest.length + String(sizeOfAll).length;
  }
  const record = new Uint8Array(Math.ceil(sizeOfAll / BLOCK_SIZE_BYTES) * BLOCK_SIZE_BYTES);
  record.set(utf8(String(sizeOfAll)));
  record.set(rest, String(sizeOfAll).length);
  const shortName = path.replace(/[^\x20-\x7e]/gu, '_').slice(-100);
  return [headerOf('pax', 'x', sizeOfAll), record, headerOf(shortName, '0', sizeBytes)];
}

function headerOf(name: string, type: string, sizeBytes: number): Uint8Array {
  const header = new Uint8Array(BLOCK_SIZE_BYTES);
  header.set(utf8(name));
  header.set(utf8(`0000644\0${'0000000\0'.repeat(2)}`), 100);
  header.set(utf8(`${sizeBytes.toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0`), 124);
  // The sum is made with spaces in its own place.
  header.set(utf8(`        ${type}`), 148);
  header.set(utf8('ustar\x0000'), 257);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  return header;
}

/** The pack again, from its skeleton; null when `read` has not every content.
 *  Errors: LOADER_PACK. */
export async function fillContents(
  skeleton: Uint8Array,
  read: (entry: TarEntry) => Promise<Uint8Array | null>,
): Promise<Bytes | null> {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const entry of readTar(skeleton, 'cut')) {
    const content = await read(entry);
    if (content === null || content.length !== entry.sizeBytes) return null;
    parts.push(skeleton.subarray(at, entry.offset), content);
    at = entry.offset;
  }
  parts.push(skeleton.subarray(at));
  return concat(parts);
}

function readHeader(header: Uint8Array, at: number) {
  const sum = header.reduce((all, byte, index) => {
    // The sum is made with spaces in its own place.
    return all + (index >= 148 && index < 156 ? 32 : byte);
  }, 0);
  if (sum !== octal(header, 148, 8, at)) throw bad(at, 'a wrong checksum');
  if (text(header, 257, 8, at) !== 'ustar' || header[262] !== 0) throw bad(at, 'no ustar header');
  if (header[263] !== 48 || header[264] !== 48) throw bad(at, 'another ustar version');
  const type = header[156] === 0 ? '0' : String.fromCharCode(header[156]!);
  if (type !== '0' && type !== 'x') throw bad(at, `an entry of type ${type}`);
  const name = text(header, 0, 100, at);
  const prefix = text(header, 345, 155, at);
  const path = prefix === '' ? name : `${prefix}/${name}`;
  return { type, path, sizeBytes: octal(header, 124, 12, at) };
}

/** `LENGTH path=PATH\n`, once, and no other key. */
function paxPath(bytes: Uint8Array, at: number): string {
  const found = /^([1-9][0-9]*) path=([^\n\0]+)\n$/.exec(utf8Text(bytes) ?? '');
  if (found === null || Number(found[1]) !== bytes.length) throw bad(at, 'an odd pax record');
  return found[2]!;
}

function checkEnd(bytes: Uint8Array, at: number): void {
  const rest = bytes.subarray(at);
  if (rest.length < 2 * BLOCK_SIZE_BYTES || rest.length % BLOCK_SIZE_BYTES !== 0) {
    throw bad(at, 'no two blocks of zeros at the end');
  }
  if (rest.some((byte) => byte !== 0)) throw bad(at, 'bytes after the end');
}

function padded(bytes: Uint8Array, at: number, sizeBytes: number): number {
  const fill = (BLOCK_SIZE_BYTES - (sizeBytes % BLOCK_SIZE_BYTES)) % BLOCK_SIZE_BYTES;
  if (take(bytes, at, fill).some((byte) => byte !== 0)) throw bad(at, 'padding that is not zero');
  return at + fill;
}

function blockAt(bytes: Uint8Array, at: number): Uint8Array {
  return take(bytes, at, BLOCK_SIZE_BYTES);
}

function take(bytes: Uint8Array, at: number, sizeBytes: number): Uint8Array {
  if (at + sizeBytes > bytes.length) throw bad(at, 'a tar that is cut off');
  return bytes.subarray(at, at + sizeBytes);
}

function text(header: Uint8Array, from: number, length: number, at: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  const found = utf8Text(end < 0 ? field : field.subarray(0, end));
  if (found === null) throw bad(at, 'a name that is not UTF-8');
  return found;
}

function octal(header: Uint8Array, from: number, length: number, at: number): number {
  const digits = String.fromCharCode(...header.subarray(from, from + length));
  const found = /^([0-7]+)[ \0]+$|^([0-7]+)$/.exec(digits);
  if (found === null) throw bad(at, 'a number that is not octal');
  return Number.parseInt(found[1] ?? found[2]!, 8);
}

function bad(at: number, why: string): LoaderError {
  return new LoaderError('LOADER_PACK', `the pack holds ${why}, at byte ${at}`);
}
