// The files of a database, read as docs/databases.md draws them and with nothing of the host: every
// hash is right, and the pages that come out are those of a backup.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { open } from 'lmdb';
import { dbCommand } from '../../host/cli/db/command.ts';
import { xxh64Oracle } from '../kernels/checksum-oracle.ts';
import { lz4DecodeOracle } from '../kernels/lz4-oracle.ts';
import { pageOfDeltaOracle } from '../kernels/page-delta-oracle.ts';
import { moduleBytes } from '../support/sql.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-format-'));
const dir = join(root, 'db');
after(() => rmSync(root, { recursive: true }));

const SCRIPT = `CREATE TABLE t (id INTEGER PRIMARY KEY, text); INSERT INTO t VALUES (1, 'a');
  UPDATE t SET text = 'b'; INSERT INTO t SELECT value, hex(zeroblob(value)) FROM
  (WITH RECURSIVE n(value) AS (SELECT 2 UNION ALL SELECT value + 1 FROM n WHERE value < 300)
   SELECT value FROM n);
  INSERT INTO t VALUES (1000, randomblob(9000)); DELETE FROM t WHERE id % 3 = 0; DROP TABLE t;
  CREATE TABLE s (n); INSERT INTO s VALUES (7); UPDATE s SET n = 8;`;
const PAGE_SIZE_BYTES = 4_096;

async function db(argv: readonly string[], script = ''): Promise<void> {
  let said = '';
  const stream = { write: (text: string) => (said += text) };
  const output = { stdout: stream, stderr: stream };
  const code = await dbCommand(
    [...argv, '--dir', dir],
    output,
    moduleBytes,
    Readable.from([script]),
  );
  assert.equal(code, 0, said);
}

interface Group {
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly chain: bigint;
  readonly payload: Buffer;
}

/** The groups of a segment, up to the first block that has none of this life. */
function* groupsOf(file: Buffer): Generator<Group> {
  assert.equal(file.toString('latin1', 0, 4), 'SLSG');
  assert.deepEqual([file.readUInt16LE(4), file.readUInt16LE(6)], [1, 0]);
  assert.equal(file.readBigUInt64LE(24), BigInt(file.length));
  assert.equal(file.readBigUInt64LE(32), xxh64Oracle(file.subarray(0, 32), 0n));
  const secret = file.readBigUInt64LE(16);
  for (let at = 4_096; at < file.length; ) {
    const head = file.subarray(at + 8, at + 72);
    if (head.toString('latin1', 0, 4) !== 'SLGR') return;
    const chain = head.readBigUInt64LE(56);
    assert.equal(file.readBigUInt64LE(at), xxh64Oracle(head.subarray(56, 64), secret), 'the mark');
    assert.equal(chain, xxh64Oracle(head.subarray(0, 56), 0n), 'the chain');
    const size = head.readUInt32LE(8);
    const payload = file.subarray(at + 72, at + 72 + size);
    assert.equal(head.readBigUInt64LE(40), xxh64Oracle(payload, 0n), 'the payload');
    const [firstLsn, lastLsn] = [head.readBigUInt64LE(16), head.readBigUInt64LE(24)].map(Number);
    assert.equal(previousChain, head.readBigUInt64LE(48));
    previousChain = chain;
    yield { firstLsn: firstLsn!, lastLsn: lastLsn!, chain, payload };
    at += Math.ceil((72 + size) / 4_096) * 4_096;
  }
}

let previousChain = 0n;

class Varints {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at === this.#bytes.length;
  }

  next(): number {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.at++]!;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  zigzag(): number {
    const value = this.next();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  bytes(count: number): Buffer {
    this.at += count;
    return this.#bytes.subarray(this.at - count, this.at);
  }
}

/** Applies a group's commits. Returns the pages that the database has then. */
function apply(group: Group, pages: Map<number, Uint8Array>): number {
  const varints = new Varints(group.payload);
  let pageCount = 0;
  for (let lsn = group.firstLsn; lsn <= group.lastLsn; ++lsn) {
    assert.equal(varints.next(), 1);
    pageCount += varints.zigzag();
    let pageNumber = 0;
    for (let left = varints.next(); left > 0; --left) {
      pageNumber += varints.zigzag();
      const size = varints.next();
      const before = size % 2 === 1 ? pages.get(pageNumber)! : null;
      const page = pageOfDeltaOracle(before, varints.bytes(Math.floor(size / 2)));
      assert.ok(page !== null, `page ${pageNumber} of commit ${lsn}`);
      pages.set(pageNumber, page);
    }
    for (const number of pages.keys()) if (number > pageCount) pages.delete(number);
  }
  assert.ok(varints.isAtEnd);
  return pageCount;
}

describe('the format', () => {
  let backup: Buffer;

  before(async () => {
    await db(['create', 'shop']);
    await db(['shell', 'shop'], SCRIPT);
    await db(['backup', 'shop', join(root, 'shop.db')]);
    backup = readFileSync(join(root, 'shop.db'));
  });

  it('of the log leads from nothing to the pages of the backup', () => {
    const folder = join(dir, 'shop', 'log');
    const names = readdirSync(folder).filter((name) => /^[0-9a-f]{12}\.segment$/.test(name));
    const pages = new Map<number, Uint8Array>();
    let pageCount = 0;
    let lastLsn = 0;
    for (const name of names.sort()) {
      for (const group of groupsOf(readFileSync(join(folder, name)))) {
        assert.equal(group.firstLsn, lastLsn + 1);
        lastLsn = group.lastLsn;
        pageCount = apply(group, pages);
      }
    }
    assert.ok(lastLsn >= 9);
    assert.equal(pageCount, backup.length / PAGE_SIZE_BYTES);
    for (let number = 1; number <= pageCount; ++number) {
      const at = (number - 1) * PAGE_SIZE_BYTES;
      const found = Buffer.from(pages.get(number) ?? new Uint8Array(PAGE_SIZE_BYTES));
      assert.ok(found.equals(backup.subarray(at, at + PAGE_SIZE_BYTES)), `page ${number}`);
    }
    const state = readFileSync(join(folder, 'state'));
    assert.equal(state.length, 48);
    assert.equal(state.toString('latin1', 0, 4), 'SLST');
    assert.equal(state.readBigUInt64LE(40), xxh64Oracle(state.subarray(0, 40), 0n));
    assert.ok(Number(state.readBigUInt64LE(32)) <= lastLsn, 'the durable lsn');
  });

  it('of the page store has the pages of the backup, each with its hash', async () => {
    const options = { encoding: 'binary', keyEncoding: 'binary' } as const;
    const path = join(dir, 'shop', 'pages');
    const environment = open<Buffer, Buffer>({ path, noSubdir: false, readOnly: true });
    const current = environment.openDB<Buffer, Buffer>('current', options);
    const meta = environment.openDB<Buffer, Buffer>('meta', options);
    const value = meta.get(Buffer.from('store'))!;
    assert.equal(value.readBigUInt64LE(), xxh64Oracle(value.subarray(8), 0n));
    const store = JSON.parse(value.toString('utf8', 8)) as { pageCount: number; lsn: number };
    assert.equal(store.pageCount, backup.length / PAGE_SIZE_BYTES);
    const codecs = new Set<number>();
    for (const { key, value: record } of current.getRange()) {
      const number = key.readUInt32BE();
      const lsn = record.readBigUInt64BE(1);
      const seed = BigInt.asUintN(64, (BigInt(number) << 32n) ^ lsn);
      const kind = record[0]!;
      codecs.add(kind);
      const bytes = record.subarray(17);
      const page = kind === 1 ? lz4DecodeOracle(bytes, PAGE_SIZE_BYTES)! : bytes;
      assert.equal(record.readBigUInt64LE(9), xxh64Oracle(page, seed), `page ${number}`);
      assert.equal(kind === 2, number > store.pageCount);
      const at = (number - 1) * PAGE_SIZE_BYTES;
      const there = backup.subarray(at, at + PAGE_SIZE_BYTES);
      if (kind !== 2) assert.ok(Buffer.from(page).equals(there), `page ${number}`);
    }
    assert.ok(codecs.has(1));
    await environment.close();
  });
});
