// The files of a release in shared memory: built once from a manifest, read in place by every
// worker and freed when the last lets go. A manifest of 16,384 files would cost each worker 100 ms
// to parse.
//
//   0        4        8                        8 + 44n                      8 + 44n + names
//   +--------+--------+------------------------+----------------------------+
//   | u32 n  | u32    | n records, sorted by   | paths in UTF-8, one behind |
//   |        | names  | path as bytes          | the other                  |
//   +--------+--------+------------------------+----------------------------+
//   record: 0               4                8                 12
//           +---------------+----------------+-----------------+--------------+
//           | u32 path's    | u32 path's     | u32 content's   | SHA-256,     |
//           | offset        | size, bit 31   | size            | 32 bytes     |
//           +---------------+----------------+-----------------+--------------+
// Bit 31 of the path's size is set when no other file of the release has the path's form
// (path-form.ts), so that it can be told from all others by that.
// The pack, where there is one, is a record with an empty path, and so the first.

import { Buffer } from 'node:buffer';
import type { ContentRef, ReleaseManifest } from './model.ts';
import { formOf } from './path-form.ts';

const HEADER_SIZE_BYTES = 8;
const RECORD_SIZE_BYTES = 44;
const HASH_OFFSET = 12;
const HASH_SIZE_BYTES = 32;
const PACK_PATH = '';
const ALONE_BIT = 0x8000_0000;

/** A content that a release names, and whether its path's form is nobody else's. */
export interface IndexedContent extends ContentRef {
  readonly isAlone: boolean;
}

/** Builds the index of a manifest. Cost: O(files). */
export function encodeReleaseIndex(manifest: ReleaseManifest): SharedArrayBuffer {
  const { files, pack } = manifest;
  const counts = new Map<string, number>();
  const forms = files.map(({ path }) => formOf(path));
  for (const form of forms) counts.set(form, (counts.get(form) ?? 0) + 1);
  const all = files.map(({ path, sha256, sizeBytes }, index) => ({
    name: Buffer.from(path, 'utf8'),
    sha256,
    sizeBytes,
    isAlone: counts.get(forms[index]!) === 1,
  }));
  if (pack !== null) all.push({ name: Buffer.from(PACK_PATH), ...pack, isAlone: false });
  all.sort((left, right) => Buffer.compare(left.name, right.name));
  const namesSizeBytes = all.reduce((sum, { name }) => sum + name.length, 0);
  const namesOffset = HEADER_SIZE_BYTES + all.length * RECORD_SIZE_BYTES;
  const shared = new SharedArrayBuffer(namesOffset + namesSizeBytes);
  const bytes = Buffer.from(shared);
  bytes.writeUInt32LE(all.length, 0);
  bytes.writeUInt32LE(namesSizeBytes, 4);
  let nameAt = namesOffset;
  for (const [index, { name, sha256, sizeBytes, isAlone }] of all.entries()) {
    const at = HEADER_SIZE_BYTES + index * RECORD_SIZE_BYTES;
    bytes.writeUInt32LE(nameAt, at);
    bytes.writeUInt32LE(name.length + (isAlone ? ALONE_BIT : 0), at + 4);
    // A pack of 2 GiB and its headers still fits.
    bytes.writeUInt32LE(sizeBytes, at + 8);
    bytes.write(sha256, at + HASH_OFFSET, 'hex');
    name.copy(bytes, nameAt);
    nameAt += name.length;
  }
  return shared;
}

/** Reads an index in place. */
export class ReleaseIndex {
  readonly #bytes: Buffer;
  readonly #count: number;

  constructor(shared: SharedArrayBuffer) {
    this.#bytes = Buffer.from(shared);
    this.#count = this.#bytes.readUInt32LE(0);
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  /** The content at a path, or null. Cost: O(log files). */
  find(path: string): IndexedContent | null {
    return path === PACK_PATH ? null : this.#find(Buffer.from(path, 'utf8'));
  }

  /** The pack of a packed release, or null. */
  pack(): IndexedContent | null {
    return this.#find(Buffer.alloc(0));
  }

  #find(name: Buffer): IndexedContent | null {
    let low = 0;
    let high = this.#count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const at = HEADER_SIZE_BYTES + middle * RECORD_SIZE_BYTES;
      const start = this.#bytes.readUInt32LE(at);
      const end = start + (this.#bytes.readUInt32LE(at + 4) & ~ALONE_BIT);
      const order = this.#bytes.compare(name, 0, name.length, start, end);
      if (order === 0) return this.#refAt(at);
      // Buffer.compare says how this stands to the target, the other way round.
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return null;
  }

  #refAt(at: number): IndexedContent {
    const hash = at + HASH_OFFSET;
    return {
      sha256: this.#bytes.toString('hex', hash, hash + HASH_SIZE_BYTES),
      sizeBytes: this.#bytes.readUInt32LE(at + 8),
      isAlone: this.#bytes.readUInt32LE(at + 4) >= ALONE_BIT,
    };
  }
}
