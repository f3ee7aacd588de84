// Looks at LMDB's file before LMDB does: what is none of its files ends the process in lmdb-js, and
// a page of the tree that is behind the end of the file ends it when it is read (SIGBUS, for the
// file is mapped). Only what keeps it from being opened is looked for; what stands in pages is
// checked when they are read.
//
//   page, 4,096 bytes
//   0        8         16    18      20      22      24
//   +--------+---------+-----+-------+-------+-------+- - - - - - - - - - - -+
//   | number | txn     | pad | flags | lower | upper | meta, or lower/2 places |
//   +--------+---------+-----+-------+-------+-------+- - - - - - - - - - - -+
//
//   node at 24 + place
//   0      2      4       6          8
//   +------+------+-------+----------+- - - +- - - -+     branch: low | high | flags is a page
//   | low  | high | flags | key size | key  | data  |     leaf:   low | high is the data's size
//   +------+------+-------+----------+- - - +- - - -+

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export const LMDB_PAGE_SIZE_BYTES = 4_096;
const HEAD_SIZE_BYTES = 24;
/** What LMDB of data format 2 begins its two meta pages with, after the page's own head. */
const MAGIC = Buffer.from('dec0efbe02000000', 'hex');
/** Of the two trees in a meta page: of free pages, and of tables. */
const TREES_OFFSET = 24;
const TREE_SIZE_BYTES = 48;
const ROOT_OFFSET = 40;
const LAST_PAGE_OFFSET = 120;
const TXN_OFFSET = 128;
/** Beside as many as the file has. */
const UNWRITTEN_PAGES_COUNT_MAX = 65_536;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const IS_BRANCH = 1;
const IS_LEAF = 2;
const NODE_HEAD_SIZE_BYTES = 8;
const NODE_IS_BIG = 1;
const NODE_IS_TREE = 2;

interface Meta {
  readonly txn: bigint;
  readonly lastPage: number;
  readonly roots: readonly bigint[];
}

/** Errors: TypeError with what was found, and at which byte. Cost: two reads; where the file ends
 *  before the last page that was given out, a read for each page of its trees. */
export function checkFile(path: string): void {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    if (fstatSync(file).size > 0) checkOpened(file);
  } finally {
    closeSync(file);
  }
}

function checkOpened(file: number): void {
  for (;;) {
    const meta = readMeta(file);
    const { size } = fstatSync(file);
    // A page that was given out and freed again may never have been written: a short file can be
    // whole.
    if (size >= (meta.lastPage + 1) * LMDB_PAGE_SIZE_BYTES) return;
    if (meta.lastPage > 2 * (size / LMDB_PAGE_SIZE_BYTES) + UNWRITTEN_PAGES_COUNT_MAX) {
      throw new TypeError(`its last page is ${meta.lastPage}, and it has ${size} bytes`);
    }
    try {
      for (const root of meta.roots) new TreeWalk(file, size).visit(root);
      return;
    } catch (error) {
      // Another thread has the store open, and has folded meanwhile.
      if (readMeta(file).txn === meta.txn) throw error;
    }
  }
}

/** The newer of the two. */
function readMeta(file: number): Meta {
  const head = Buffer.alloc(2 * LMDB_PAGE_SIZE_BYTES);
  readSync(file, head, 0, head.length, 0);
  const [one, other] = [0, LMDB_PAGE_SIZE_BYTES].map((page) => {
    const at = page + HEAD_SIZE_BYTES;
    const found = head.subarray(at, at + MAGIC.length);
    if (!found.equals(MAGIC)) {
      throw new TypeError(`${found.toString('hex')} at byte ${at}, expected LMDB's mark`);
    }
    const trees = [0, 1].map((tree) => at + TREES_OFFSET + tree * TREE_SIZE_BYTES);
    return {
      txn: head.readBigUInt64LE(at + TXN_OFFSET),
      lastPage: Number(head.readBigUInt64LE(at + LAST_PAGE_OFFSET)),
      roots: trees.map((tree) => head.readBigUInt64LE(tree + ROOT_OFFSET)),
    };
  });
  return one!.txn > other!.txn ? one! : other!;
}

/** Visits the pages of a tree, whose data it does not read. */
class TreeWalk {
  readonly #file: number;
  readonly #sizeBytes: number;
  #visitsLeft: number;

  constructor(file: number, sizeBytes: number) {
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#visitsLeft = Math.ceil(sizeBytes / LMDB_PAGE_SIZE_BYTES);
  }

  /** Errors: TypeError for a page that is not there, or that is none of a tree. */
  visit(number: bigint): void {
    if (number === NO_PAGE) return;
    const page = this.#read(number);
    const flags = page.readUInt16LE(18);
    if ((flags & (IS_BRANCH | IS_LEAF)) === 0) throw noTree(number, `its flags are ${flags}`);
    const placesCount = page.readUInt16LE(20) >> 1;
    for (let index = 0; index < placesCount; ++index) {
      const place = HEAD_SIZE_BYTES + page.readUInt16LE(HEAD_SIZE_BYTES + 2 * index);
      if (place + NODE_HEAD_SIZE_BYTES > LMDB_PAGE_SIZE_BYTES) {
        throw noTree(number, `a node begins at ${place}`);
      }
      if ((flags & IS_BRANCH) !== 0) this.visit(BigInt(page.readUIntLE(place, 6)));
      else this.#visitData(page, place);
    }
  }

  #visitData(page: Buffer, node: number): void {
    const flags = page.readUInt16LE(node + 4);
    if ((flags & (NODE_IS_BIG | NODE_IS_TREE)) === 0) return;
    const data = node + NODE_HEAD_SIZE_BYTES + page.readUInt16LE(node + 6);
    const isTree = (flags & NODE_IS_TREE) !== 0;
    if (data + (isTree ? TREE_SIZE_BYTES : 8) > LMDB_PAGE_SIZE_BYTES) {
      throw noTree(page.readBigUInt64LE(0), `a node's data begins at ${data}`);
    }
    if (isTree) this.visit(page.readBigUInt64LE(data + ROOT_OFFSET));
    else this.#assertThere(page.readBigUInt64LE(data), HEAD_SIZE_BYTES + page.readUInt32LE(node));
  }

  #read(number: bigint): Buffer {
    this.#visitsLeft -= 1;
    if (this.#visitsLeft < 0) throw noTree(number, 'the tree goes in circles');
    this.#assertThere(number, LMDB_PAGE_SIZE_BYTES);
    const page = Buffer.alloc(LMDB_PAGE_SIZE_BYTES);
    readSync(this.#file, page, 0, page.length, Number(number) * LMDB_PAGE_SIZE_BYTES);
    return page;
  }

  #assertThere(number: bigint, sizeBytes: number): void {
    const at = number * BigInt(LMDB_PAGE_SIZE_BYTES);
    if (at + BigInt(sizeBytes) <= BigInt(this.#sizeBytes)) return;
    throw new TypeError(`it is cut at byte ${this.#sizeBytes}: a page at byte ${at} is missing`);
  }
}

function noTree(page: bigint, why: string): TypeError {
  return new TypeError(`the page at byte ${page * BigInt(LMDB_PAGE_SIZE_BYTES)}: ${why}`);
}
