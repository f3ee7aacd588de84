// Commits as bytes and back: what was put in comes out, and bytes that nobody encoded are refused.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isGatewayError, SeededRandom } from '../../host/core/index.ts';
import { type CommitPage, type CommitRecord, DB_PAGE_SIZE_BYTES } from '../../host/db/contract.ts';
import { CommitEncoder, decodeCommits } from '../../host/db/log/commit-codec.ts';
import { encodeGroup, GROUP_HEAD_SIZE_BYTES, parseGroupHead } from '../../host/db/log/group.ts';
import { Replay, type ReplayedCommit } from '../../host/db/log/replay.ts';
import { unzigzag, VarintReader, writeVarint, zigzag } from '../../host/db/log/varint.ts';
import { compileCodec, PageCodec } from '../../host/kernels/index.ts';
import { groupOf, kernelXxh64, randomPayload } from '../support/log-scene.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { codecModuleBytes } from '../support/wasm.ts';

const pageDelta = new PageCodec(compileCodec(codecModuleBytes()));
const seed = testSeed('commit codec');
const random = new SeededRandom(seed);
const xxh64 = kernelXxh64();

/** A database in memory that makes random commits, and one that takes them. */
class Pages {
  readonly pages = new Map<number, Uint8Array>();
  pageCount = 0;
  lsn = 0;

  readPage(pageNumber: number, into: Uint8Array): boolean {
    const page = this.pages.get(pageNumber);
    if (page === undefined) return false;
    into.set(page);
    return true;
  }

  replay(commit: ReplayedCommit): void {
    assert.equal(commit.lsn, this.lsn + 1);
    for (const { pageNumber, after } of commit.pages) this.pages.set(pageNumber, after.slice());
    this.#settle(commit);
  }

  randomCommit(): CommitRecord {
    const grown = random.unit() < 0.3 ? random.uint32() % 20 : 0;
    const shrunk = random.unit() < 0.1 ? random.uint32() % 10 : 0;
    const pageCount = Math.max(1, this.pageCount + grown - shrunk);
    const numbers = new Set<number>();
    for (let number = this.pageCount + 1; number <= pageCount; ++number) numbers.add(number);
    for (let count = random.uint32() % 4; count > 0; --count) {
      numbers.add(1 + (random.uint32() % pageCount));
    }
    const pages = [...numbers].map((pageNumber): CommitPage => {
      const before = this.pages.get(pageNumber) ?? null;
      const after = changed(before);
      return { pageNumber, before, after };
    });
    return { lsn: this.lsn + 1, pageCount, pages };
  }

  commit(record: CommitRecord): void {
    for (const { pageNumber, after } of record.pages) this.pages.set(pageNumber, after);
    this.#settle(record);
  }

  #settle({ lsn, pageCount }: { readonly lsn: number; readonly pageCount: number }): void {
    this.lsn = lsn;
    this.pageCount = pageCount;
    for (const number of this.pages.keys()) if (number > pageCount) this.pages.delete(number);
  }
}

function changed(before: Uint8Array | null): Uint8Array {
  const after = before?.slice() ?? new Uint8Array(DB_PAGE_SIZE_BYTES);
  const style = random.uint32() % 4;
  if (style === 0) return randomPayload(random, DB_PAGE_SIZE_BYTES);
  for (let count = style === 1 ? 2 : random.uint32() % 60; count > 0; --count) {
    after[random.uint32() % after.length] = random.uint32();
  }
  return after;
}

describe('numbers', () => {
  it('come back, and take seven bits a byte', () => {
    const buffer = new Uint8Array(16);
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const end = writeVarint(value, buffer, 3);
        assert.equal(end - 3, Math.max(1, Math.ceil(value.toString(2).length / 7)));
        const reader = new VarintReader(buffer.subarray(3, end));
        assert.equal(reader.next(), value);
        assert.equal(reader.next(), -1);
        const short = new VarintReader(buffer.subarray(3, end - 1));
        assert.equal(short.next(), -1);
      }),
      { seed },
    );
    for (const difference of [0, 1, -1, 4_294_967_294, -4_294_967_294]) {
      assert.equal(unzigzag(zigzag(difference)), difference);
    }
  });

  it('that are longer than they need be, or too large, are refused', () => {
    for (const bytes of [[0x80, 0], [0x81, 0x80, 0], Array(8).fill(0xff), Array(9).fill(0x80)]) {
      assert.equal(new VarintReader(Uint8Array.from(bytes)).next(), -1, bytes.join(' '));
    }
  });
});

describe('commits', () => {
  it('come back page by page, whatever they change', () => {
    const source = new Pages();
    const target = new Pages();
    const replay = new Replay(pageDelta, target);
    const encoder = new CommitEncoder({ pageDelta });
    for (let round = 0; round < 60; ++round) {
      for (let count = 1 + (random.uint32() % 12); count > 0; --count) {
        const record = source.randomCommit();
        encoder.add(record);
        source.commit(record);
      }
      const { firstLsn, lastLsn, payload } = encoder.encoded()!;
      const group = groupOf({ firstLsn, commitsCount: lastLsn - firstLsn + 1, payload });
      assert.deepEqual(
        [...decodeCommits(group)].map(({ lsn }) => lsn),
        Array.from({ length: lastLsn - firstLsn + 1 }, (_, index) => firstLsn + index),
      );
      replay.group(group, firstLsn - 1);
      encoder.clear();
      assert.equal(encoder.encoded(), null);
      assert.equal(target.pageCount, source.pageCount);
      assert.deepEqual(target.pages, source.pages);
    }
  });

  it('that are known already are passed over', () => {
    const source = new Pages();
    const target = new Pages();
    const encoder = new CommitEncoder({ pageDelta });
    for (let count = 0; count < 6; ++count) {
      const record = source.randomCommit();
      encoder.add(record);
      source.commit(record);
    }
    const group = groupOf({ firstLsn: 1, commitsCount: 6, payload: encoder.encoded()!.payload });
    const replay = new Replay(pageDelta, target);
    replay.group(group, 0);
    replay.group(group, 6);
    assert.deepEqual(target.pages, source.pages);
  });

  it('of one row take a few bytes', () => {
    const before = randomPayload(random, DB_PAGE_SIZE_BYTES);
    const after = before.slice();
    after.set([before[2_000]! ^ 1, before[2_001]! ^ 1], 2_000);
    const encoder = new CommitEncoder({ pageDelta });
    encoder.add({ lsn: 9, pageCount: 100, pages: [{ pageNumber: 70, before, after }] });
    const first = encoder.sizeBytes;
    encoder.add({
      lsn: 10,
      pageCount: 100,
      pages: [{ pageNumber: 70, before: after, after: before }],
    });
    assert.ok(encoder.sizeBytes - first <= 18, `${encoder.sizeBytes - first} bytes`);
  });

  it('that are too large are refused, and those before stay', () => {
    const encoder = new CommitEncoder({ pageDelta, payloadSizeBytesMax: 20_000 });
    const page = (pageNumber: number): CommitPage => ({
      pageNumber,
      before: null,
      after: randomPayload(random, DB_PAGE_SIZE_BYTES),
    });
    encoder.add({ lsn: 1, pageCount: 1, pages: [page(1)] });
    const whole = encoder.encoded()!.payload.slice();
    const pages = [2, 3, 4, 5, 6, 7, 8, 9].map(page);
    for (const count of [4, 5, 8]) {
      assert.throws(
        () => encoder.add({ lsn: 2, pageCount: 9, pages: pages.slice(0, count) }),
        (error) => isGatewayError(error) && error.code === 'DB_LOG_COMMIT_SIZE',
      );
      assert.deepEqual(encoder.encoded()!.payload, whole);
    }
    encoder.add({ lsn: 2, pageCount: 9, pages: [page(2)] });
    assert.throws(() => encoder.add({ lsn: 5, pageCount: 9, pages: [] }), RangeError);
    const target = new Pages();
    const { payload } = encoder.encoded()!;
    new Replay(pageDelta, target).group(groupOf({ firstLsn: 1, commitsCount: 2, payload }), 0);
    assert.equal(target.lsn, 2);
  });
});

describe('bytes that nobody encoded', () => {
  it('are refused with a code, whatever they are', () => {
    const source = new Pages();
    const encoder = new CommitEncoder({ pageDelta });
    for (let count = 0; count < 8; ++count) {
      const record = source.randomCommit();
      encoder.add(record);
      source.commit(record);
    }
    const payload = encoder.encoded()!.payload.slice();
    const refusals = new Map<string, number>();
    const until = Date.now() + FUZZ_TIME_MS / 2;
    for (let round = 0; round < 200 || Date.now() < until; ++round) {
      const bad = round % 4 === 0 ? randomPayload(random, random.uint32() % 300) : mutated(payload);
      const commitsCount = 1 + (random.uint32() % 9);
      const target = new Pages();
      try {
        new Replay(pageDelta, target).group(
          groupOf({ firstLsn: 1, commitsCount, payload: bad }),
          0,
        );
      } catch (error) {
        assert.ok(isGatewayError(error), `round ${round}: ${error}`);
        refusals.set(error.code, 1 + (refusals.get(error.code) ?? 0));
      }
      for (const page of target.pages.values()) assert.equal(page.length, DB_PAGE_SIZE_BYTES);
    }
    assert.deepEqual([...refusals.keys()].sort(), ['DB_DELTA_CORRUPT', 'DB_LOG_CORRUPT']);
  });

  it('are no head of a group: a head is what was written, or none', () => {
    const payload = randomPayload(random, 100);
    const group = groupOf({ firstLsn: 5, commitsCount: 3, epoch: 2, payload });
    const bytes = new Uint8Array(GROUP_HEAD_SIZE_BYTES + payload.length);
    const chain = encodeGroup(group, { previousChain: 77n, xxh64 }, bytes, 0);
    const head = parseGroupHead(bytes, xxh64);
    assert.ok(typeof head !== 'string');
    assert.deepEqual([head.chain, head.previousChain, head.lastLsn], [chain, 77n, 7]);
    for (let bit = 0; bit < GROUP_HEAD_SIZE_BYTES * 8; ++bit) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(typeof parseGroupHead(flipped, xxh64), 'string', `bit ${bit}`);
    }
    for (let round = 0; round < 2_000; ++round) {
      const any = randomPayload(random, random.uint32() % 80);
      if (any.length > 4) any.set(bytes.subarray(0, 4));
      assert.equal(typeof parseGroupHead(any, xxh64), 'string');
    }
  });

  it('with a right checksum and wrong numbers are refused all the same', () => {
    const bytes = new Uint8Array(GROUP_HEAD_SIZE_BYTES);
    const view = new DataView(bytes.buffer);
    const cases: [string, () => void][] = [
      ['version', () => view.setUint16(4, 2, true)],
      ['reserved', () => view.setUint16(6, 1, true)],
      ['size', () => view.setUint32(8, 0xffff_ffff, true)],
      ['epoch 0', () => view.setUint32(12, 0, true)],
      ['lsn 0', () => view.setBigUint64(16, 0n, true)],
      ['last before first', () => view.setBigUint64(24, 4n, true)],
      ['too many', () => view.setBigUint64(24, 1_000_000n, true)],
      ['unsafe lsn', () => view.setBigUint64(24, 1n << 60n, true)],
      ['unsafe time', () => view.setBigUint64(32, 1n << 60n, true)],
    ];
    for (const [what, harm] of cases) {
      const group = groupOf({ firstLsn: 5, payload: new Uint8Array(0) });
      encodeGroup(group, { previousChain: 0n, xxh64 }, bytes, 0);
      assert.notEqual(typeof parseGroupHead(bytes, xxh64), 'string');
      harm();
      view.setBigUint64(56, xxh64(bytes.subarray(0, 56), 0n), true);
      const said = parseGroupHead(bytes, xxh64);
      assert.ok(typeof said === 'string' && !/checksum/.test(said), what);
    }
  });
});

function mutated(payload: Uint8Array): Uint8Array {
  const bytes = payload.slice(
    0,
    random.unit() < 0.3 ? random.uint32() % payload.length : undefined,
  );
  for (let count = 1 + (random.uint32() % 3); count > 0 && bytes.length > 0; --count) {
    bytes[random.uint32() % Math.min(bytes.length, 200)] = random.uint32();
  }
  return bytes;
}
