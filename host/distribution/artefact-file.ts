// The file that every stored artefact is. Sums stand behind the payload, so that a part can be
// served without reading the rest and yet no byte leaves that has not been checked. The sums find
// what a disk does; what an attacker does is found by the hashes that manifests sign.
//
//   0                    sizeBytes              sizeBytes + 4n          + 32
//   +--------------------+----------------------+-----------------------+
//   | payload            | CRC-32C of each      | footer                |
//   |                    | 65,536 bytes, u32 LE |                       |
//   +--------------------+----------------------+-----------------------+
//
//   footer: 0       8              16           20   24                28              32
//           +-------+--------------+------------+----+-----------------+---------------+
//           | magic | u64 payload  | u32 block  | u32| u32 CRC-32C of  | u32 CRC-32C   |
//           |       |     size     |     size   |  n |     the sums    | of 0 to 28    |
//           +-------+--------------+------------+----+-----------------+---------------+

import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

export const BLOCK_SIZE_BYTES = 65_536;
const MAGIC = Buffer.from('SLUICEA1', 'latin1');
const SUM_SIZE_BYTES = 4;
const FOOTER_SIZE_BYTES = 32;
/** Bytes of the footer before its own checksum. */
const FOOTER_SUMMED_BYTES = 28;

/** CRC-32C of bytes, going on from `previous`; a Codec is one. */
export interface Checksums {
  crc32c(bytes: Uint8Array, previous?: number): number;
}

/** What a file of a payload's length takes on disk. Units: bytes. */
export function artefactFileSize(payloadSizeBytes: number): number {
  return payloadSizeBytes + blockCountOf(payloadSizeBytes) * SUM_SIZE_BYTES + FOOTER_SIZE_BYTES;
}

/** The payload's length in a file of a length, which may be damaged: never below 0. */
export function payloadSizeOf(fileSizeBytes: number): number {
  const summedBytes = Math.max(0, fileSizeBytes - FOOTER_SIZE_BYTES);
  const blockCount = Math.ceil(summedBytes / (BLOCK_SIZE_BYTES + SUM_SIZE_BYTES));
  return Math.max(0, summedBytes - blockCount * SUM_SIZE_BYTES);
}

/** What stands behind a payload: sums and footer. */
export function artefactTail(payload: Uint8Array, checksums: Checksums): Uint8Array {
  const blockCount = blockCountOf(payload.length);
  const tail = Buffer.alloc(blockCount * SUM_SIZE_BYTES + FOOTER_SIZE_BYTES);
  for (let index = 0; index < blockCount; ++index) {
    const start = index * BLOCK_SIZE_BYTES;
    const sum = checksums.crc32c(payload.subarray(start, start + BLOCK_SIZE_BYTES));
    tail.writeUInt32LE(sum, index * SUM_SIZE_BYTES);
  }
  const sums = tail.subarray(0, blockCount * SUM_SIZE_BYTES);
  const footer = tail.subarray(sums.length);
  MAGIC.copy(footer);
  footer.writeBigUInt64LE(BigInt(payload.length), 8);
  footer.writeUInt32LE(BLOCK_SIZE_BYTES, 16);
  footer.writeUInt32LE(blockCount, 20);
  footer.writeUInt32LE(checksums.crc32c(sums), 24);
  footer.writeUInt32LE(checksums.crc32c(footer.subarray(0, FOOTER_SUMMED_BYTES)), 28);
  return tail;
}

/** What is wrong with a file; the store makes GW_DIST_CORRUPT of it. */
export class ArtefactFault extends Error {
  override readonly name = 'ArtefactFault';
}

/** An artefact whose footer and sums have been checked. */
export class ArtefactFile {
  readonly sizeBytes: number;
  /** Tells this file from one that has taken its place since. */
  readonly inode: number;
  readonly #handle: FileHandle;
  readonly #checksums: Checksums;
  readonly #sums: Buffer;

  private constructor(
    handle: FileHandle,
    parts: Pick<ArtefactFile, 'sizeBytes' | 'inode'> & {
      readonly checksums: Checksums;
      readonly sums: Buffer;
    },
  ) {
    this.#handle = handle;
    this.#checksums = parts.checksums;
    this.#sums = parts.sums;
    this.sizeBytes = parts.sizeBytes;
    this.inode = parts.inode;
  }

  /** Reads footer and sums; the handle becomes the artefact's. Errors: ArtefactFault. */
  static async open(handle: FileHandle, checksums: Checksums): Promise<ArtefactFile> {
    const { size: fileSizeBytes, ino: inode } = await handle.stat();
    if (fileSizeBytes < FOOTER_SIZE_BYTES) throw new ArtefactFault(`${fileSizeBytes} bytes`);
    const footerOffset = fileSizeBytes - FOOTER_SIZE_BYTES;
    const footer = await readExactly(handle, footerOffset, FOOTER_SIZE_BYTES);
    const { sizeBytes, blockCount, sumsSum } = readFooter(footer, checksums);
    if (artefactFileSize(sizeBytes) !== fileSizeBytes || blockCount !== blockCountOf(sizeBytes)) {
      throw new ArtefactFault(`${fileSizeBytes} bytes with a footer for ${sizeBytes}`);
    }
    const sums = await readExactly(handle, sizeBytes, blockCount * SUM_SIZE_BYTES);
    if (checksums.crc32c(sums) !== sumsSum) throw new ArtefactFault('the sums are damaged');
    return new ArtefactFile(handle, { checksums, sums, sizeBytes, inode });
  }

  /** Bytes of the payload, once each block that holds some of them has been checked. The range must
   *  lie inside. Errors: ArtefactFault. Cost: reads whole blocks. */
  async read(offset: number, sizeBytes: number): Promise<Uint8Array> {
    const end = offset + sizeBytes;
    if (!Number.isSafeInteger(offset) || offset < 0 || sizeBytes < 0 || end > this.sizeBytes) {
      throw new RangeError(`${sizeBytes} bytes at ${offset} of ${this.sizeBytes}`);
    }
    if (sizeBytes === 0) return new Uint8Array(0);
    const first = Math.floor(offset / BLOCK_SIZE_BYTES);
    const start = first * BLOCK_SIZE_BYTES;
    const stop = Math.min(this.sizeBytes, blockCountOf(end) * BLOCK_SIZE_BYTES);
    const bytes = await readExactly(this.#handle, start, stop - start);
    for (let at = 0; at < bytes.length; at += BLOCK_SIZE_BYTES) {
      const index = first + at / BLOCK_SIZE_BYTES;
      const sum = this.#checksums.crc32c(bytes.subarray(at, at + BLOCK_SIZE_BYTES));
      if (sum !== this.#sums.readUInt32LE(index * SUM_SIZE_BYTES)) {
        throw new ArtefactFault(`block ${index} is damaged`);
      }
    }
    return bytes.subarray(offset - start, end - start);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function readFooter(footer: Buffer, checksums: Checksums) {
  if (!footer.subarray(0, MAGIC.length).equals(MAGIC)) throw new ArtefactFault('no footer');
  const sum = checksums.crc32c(footer.subarray(0, FOOTER_SUMMED_BYTES));
  if (sum !== footer.readUInt32LE(28)) throw new ArtefactFault('the footer is damaged');
  const blockSizeBytes = footer.readUInt32LE(16);
  if (blockSizeBytes !== BLOCK_SIZE_BYTES) throw new ArtefactFault(`blocks of ${blockSizeBytes}`);
  return {
    sizeBytes: Number(footer.readBigUInt64LE(8)),
    blockCount: footer.readUInt32LE(20),
    sumsSum: footer.readUInt32LE(24),
  };
}

function blockCountOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_SIZE_BYTES);
}

async function readExactly(handle: FileHandle, start: number, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const { bytesRead } = await handle.read(bytes, filled, sizeBytes - filled, start + filled);
    if (bytesRead === 0) throw new ArtefactFault(`ends after ${start + filled} bytes`);
    filled += bytesRead;
  }
  return bytes;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
