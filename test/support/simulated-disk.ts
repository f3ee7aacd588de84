// A disk in memory, as bad as disks are allowed to be. What was written and not synced is kept
// apart: a power cut keeps a random part of it, sector by sector, and a random part of the names
// that were changed and not synced. A failed sync calls everything clean, as Linux does: reads go
// on showing what the disk never got. Everything follows a seed, and nothing waits.

import type { SeededRandom } from '../../host/core/index.ts';

export const SECTOR_SIZE_BYTES = 512;
const BLOCK_SECTORS = 8;

/** A file: what programs see, and what is on the disk. */
interface Inode {
  cached: Uint8Array;
  stored: Uint8Array;
  /** Sectors written since the last sync. */
  readonly dirty: Set<number>;
}

interface NameChange {
  readonly path: string;
  /** What the name then stands for; null where it is gone. */
  readonly inode: Inode | null;
}

export class SimulatedDisk {
  readonly #random: SeededRandom;
  readonly #names = new Map<string, Inode>();
  readonly #storedNames = new Map<string, Inode>();
  /** Each entry is one call: a rename changes two names at once. */
  #changes: NameChange[][] = [];
  /** Bytes that files may have together. */
  capacityBytes = Number.POSITIVE_INFINITY;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  list(folder: string): string[] {
    const paths = [...this.#names.keys()].filter((path) => path.startsWith(`${folder}/`));
    return paths.map((path) => path.slice(folder.length + 1));
  }

  has(path: string): boolean {
    return this.#names.has(path);
  }

  inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw systemError('ENOENT', path);
    return inode;
  }

  create(path: string): Inode {
    if (this.#names.has(path)) throw systemError('EEXIST', path);
    const inode = {
      cached: new Uint8Array(0),
      stored: new Uint8Array(0),
      dirty: new Set<number>(),
    };
    this.#change([{ path, inode }]);
    return inode;
  }

  rename(from: string, to: string): void {
    const inode = this.inode(from);
    this.#change([
      { path: from, inode: null },
      { path: to, inode },
    ]);
  }

  unlink(path: string): void {
    this.inode(path);
    this.#change([{ path, inode: null }]);
  }

  syncFolder(): void {
    for (const change of this.#changes) apply(this.#storedNames, change);
    this.#changes = [];
  }

  /** Writes what there is room for; throws where that is nothing. Returns how many bytes. */
  write(inode: Inode, bytes: Uint8Array, at: number): number {
    const room = Math.max(0, this.capacityBytes - this.#usedBytes());
    const count = Math.min(bytes.length, inode.cached.length + room - at);
    if (count <= 0) throw systemError('ENOSPC', 'write');
    if (at + count > inode.cached.length) inode.cached = grown(inode.cached, at + count);
    inode.cached.set(bytes.subarray(0, count), at);
    const last = Math.floor((at + count - 1) / SECTOR_SIZE_BYTES);
    for (let sector = Math.floor(at / SECTOR_SIZE_BYTES); sector <= last; ++sector) {
      inode.dirty.add(sector);
    }
    return count;
  }

  sync(inode: Inode): void {
    for (const sector of inode.dirty) store(inode, sector);
    inode.dirty.clear();
  }

  /** Some of what is dirty reaches the disk. */
  syncSome(inode: Inode): void {
    const random = this.#random;
    const style = random.uint32() % 4;
    const likelihood = random.unit();
    const isKept = (unit: number): boolean => hash(unit, likelihood) < likelihood;
    for (const sector of [...inode.dirty].sort((one, other) => one - other)) {
      if (style === 0) break;
      if (style === 1 || isKept(style === 2 ? sector : Math.floor(sector / BLOCK_SECTORS))) {
        store(inode, sector);
        inode.dirty.delete(sector);
      }
    }
  }

  /** A sync that fails: some is stored, and all is called clean. */
  failSync(inode: Inode): void {
    this.syncSome(inode);
    inode.dirty.clear();
  }

  /** The power goes and comes back. */
  cutPower(): void {
    const isInOrder = this.#random.unit() < 0.5;
    for (const change of this.#changes) {
      if (this.#random.unit() < 0.5) apply(this.#storedNames, change);
      else if (isInOrder) break;
    }
    this.#changes = [];
    for (const inode of new Set([...this.#names.values(), ...this.#storedNames.values()])) {
      this.syncSome(inode);
      inode.dirty.clear();
      inode.cached = grown(new Uint8Array(0), inode.stored.length);
      inode.cached.set(inode.stored);
    }
    this.#names.clear();
    for (const [path, inode] of this.#storedNames) this.#names.set(path, inode);
  }

  /** A bit of a file changes on the disk, with nobody writing it. */
  flipBit(path: string, at: number): void {
    const inode = this.inode(path);
    const bit = 1 << (this.#random.uint32() % 8);
    inode.cached[at]! ^= bit;
    inode.stored[at]! ^= bit;
  }

  #change(change: NameChange[]): void {
    apply(this.#names, change);
    this.#changes.push(change);
  }

  #usedBytes(): number {
    let sum = 0;
    for (const inode of this.#names.values()) sum += inode.cached.length;
    return sum;
  }
}

export function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

function apply(names: Map<string, Inode>, change: readonly NameChange[]): void {
  for (const { path, inode } of change) {
    if (inode === null) names.delete(path);
    else names.set(path, inode);
  }
}

function store(inode: Inode, sector: number): void {
  const start = sector * SECTOR_SIZE_BYTES;
  const end = Math.min(start + SECTOR_SIZE_BYTES, inode.cached.length);
  if (end > inode.stored.length) inode.stored = grown(inode.stored, end);
  inode.stored.set(inode.cached.subarray(start, end), start);
}

/** The same bytes and zeros, with room to grow in place. */
function grown(bytes: Uint8Array, size: number): Uint8Array {
  const { buffer, length } = bytes;
  if (size <= buffer.byteLength) return new Uint8Array(buffer, 0, size);
  const more = new Uint8Array(new ArrayBuffer(Math.max(2 * length, size, 32_768)), 0, size);
  more.set(bytes);
  return more;
}

/** A number from 0 to 1 for each unit, other ones for each salt. */
function hash(unit: number, salt: number): number {
  let mixed = Math.imul(unit + 1, 0x9e3779b1) ^ Math.floor(salt * 0x1_0000_0000);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca77);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae3d);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 0x1_0000_0000;
}
