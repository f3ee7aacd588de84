// LZ4 blocks: one suite on the kernel and on the oracle, both on anything, damaged blocks with the
// oracle's verdict, and both ways with Debian's lz4.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { type Random, SeededRandom } from '../../host/core/index.ts';
import { LZ4_SIZE_BYTES_MAX, PageCodec } from '../../host/kernels/index.ts';
import { needDebian } from '../support/debian.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { codecModuleBytes } from '../support/wasm.ts';
import {
  lz4DecodeOracle,
  lz4EncodeOracle,
  lz4Frame,
  lz4FrameBlocks,
  lz4Sequences,
} from './lz4-oracle.ts';
import { CONTENT_KINDS } from './zstd-contents.ts';

interface Blocks {
  encode(plain: Uint8Array): Uint8Array;
  /** Null for what is no block of so many bytes. */
  decode(block: Uint8Array, plainSize: number): Uint8Array | null;
}

const PAGE_SIZE_BYTES = 4096;
const seed = testSeed('lz4');
const codec = new PageCodec(new WebAssembly.Module(codecModuleBytes()));
const folder = mkdtempSync(join(tmpdir(), 'sluice-lz4-'));
after(() => rmSync(folder, { recursive: true }));

const kernel: Blocks = {
  encode(plain) {
    const room = new Uint8Array(plain.length + Math.floor(plain.length / 255) + 16);
    const size = codec.compress(plain, room.length, room, 0);
    assert.ok(size > 0);
    return room.slice(0, size);
  },
  decode(block, plainSize) {
    const plain = new Uint8Array(plainSize).fill(0xee);
    try {
      codec.decompress(block, plain);
      return plain;
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'DB_BLOCK_CORRUPT');
      assert.ok(plain.every((byte) => byte === 0xee));
      return null;
    }
  },
};
const oracle: Blocks = { encode: lz4EncodeOracle, decode: lz4DecodeOracle };

/** The demands of the format on whoever makes a block. */
function assertGoodBlock(block: Uint8Array, plain: Uint8Array): void {
  const sequences = lz4Sequences(block);
  assert.ok(sequences !== null);
  let at = 0;
  for (const [index, { literals, offset, matchSize }] of sequences.entries()) {
    at += literals.length;
    if (index === sequences.length - 1) {
      assert.ok(index === 0 || literals.length >= 5, 'the last five bytes are literals');
      break;
    }
    assert.ok(offset >= 1 && offset <= at, `offset ${offset} at ${at}`);
    assert.ok(at + 12 <= plain.length, `a match begins at ${at} of ${plain.length}`);
    at += matchSize;
  }
  assert.equal(at, plain.length);
  assert.deepEqual(oracle.decode(block, plain.length), plain);
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const PLAINS: readonly (readonly [name: string, plain: Uint8Array])[] = [
  ['one byte', bytes('a')],
  ['twelve equal bytes', bytes('aaaaaaaaaaaa')],
  ['thirteen equal bytes', bytes('aaaaaaaaaaaaa')],
  ['fourteen bytes, fifteen, sixteen', bytes('abcdefghijklmnopqrstuvwxyz')],
  ['a page of zeros', new Uint8Array(PAGE_SIZE_BYTES)],
  ['64 KiB of zeros', new Uint8Array(LZ4_SIZE_BYTES_MAX)],
  ...[270, 269, 285, 4096].map(
    (size) =>
      [`${size} different bytes`, CONTENT_KINDS.random!(size, new SeededRandom(size))] as const,
  ),
  ...[2, 3, 7, 8, 15, 16, 17, 31].map(
    (period) =>
      [`a period of ${period}`, new Uint8Array(1000).map((_, at) => (at % period) * 7)] as const,
  ),
];

for (const [name, blocks] of Object.entries({ oracle, kernel })) {
  describe(`the ${name}`, () => {
    for (const [what, plain] of PLAINS) {
      it(`takes ${what} there and back`, () => {
        const block = blocks.encode(plain);
        assertGoodBlock(block, plain);
        assert.deepEqual(blocks.decode(block, plain.length), plain);
      });
    }

    it('decodes a block written by hand', () => {
      // "abcd", a match of 9 at distance 3, "vwxyz".
      const block = [0x45, ...bytes('abcd'), 3, 0, 0x50, ...bytes('vwxyz')];
      assert.deepEqual(blocks.decode(Uint8Array.from(block), 18), bytes('abcdbcdbcdbcdvwxyz'));
    });

    it('makes nothing but a token of nothing', () => {
      assert.deepEqual(blocks.decode(Uint8Array.from([0]), 0), new Uint8Array(0));
      assert.equal(blocks.decode(new Uint8Array(0), 0), null);
    });

    it('refuses what is no block', () => {
      const refused: readonly (readonly [string, number, readonly number[]])[] = [
        ['a literal too few', 4, [0x40, 1, 2, 3]],
        ['a length without its end', 300, [0xf0, 255]],
        ['more literals than the plain has', 2, [0x30, 1, 2, 3]],
        ['fewer bytes than the plain has', 4, [0x30, 1, 2, 3]],
        ['no last literals', 5, [0x10, 1, 1, 0]],
        ['half an offset', 20, [0x10, 1, 1]],
        ['an offset of nothing', 10, [0x10, 1, 0, 0, 0x50, 1, 2, 3, 4, 5]],
        ['an offset before the first byte', 10, [0x10, 1, 2, 0, 0x50, 1, 2, 3, 4, 5]],
        ['a match within the last five', 9, [0x10, 1, 1, 0, 0x40, 1, 2, 3, 4]],
        ['a match beyond the end', 10, [0x1f, 1, 1, 0, 255, 255, 9, 0x50, 1, 2, 3, 4, 5]],
        ['a match length without its end', 20, [0x1f, 1, 1, 0, 255]],
      ];
      for (const [what, plainSize, block] of refused) {
        assert.equal(blocks.decode(Uint8Array.from(block), plainSize), null, what);
      }
    });
  });
}

/** A part of a content of some kind. */
function anyPlain(random: Random, sizeMax: number): Uint8Array {
  const kinds = Object.values(CONTENT_KINDS);
  const size = 1 + (random.uint32() % sizeMax);
  return kinds[random.uint32() % kinds.length]!(size, random);
}

describe('kernel and oracle', () => {
  it('read what the other wrote', () => {
    fc.assert(
      fc.property(fc.integer(), (plainSeed) => {
        const plain = anyPlain(new SeededRandom(plainSeed), 6000);
        const block = kernel.encode(plain);
        assertGoodBlock(block, plain);
        assert.deepEqual(kernel.decode(block, plain.length), plain);
        assert.deepEqual(kernel.decode(oracle.encode(plain), plain.length), plain);
      }),
      { seed, numRuns: 200 },
    );
  });

  it('reach over the whole of 64 KiB', () => {
    const random = new SeededRandom(seed);
    for (const make of Object.values(CONTENT_KINDS)) {
      for (const size of [LZ4_SIZE_BYTES_MAX, LZ4_SIZE_BYTES_MAX - 1]) {
        const plain = make(size, random);
        plain.copyWithin(size - 40, 0, 30);
        const block = kernel.encode(plain);
        assertGoodBlock(block, plain);
        assert.deepEqual(kernel.decode(block, size), plain);
      }
    }
  });

  it('keep to a limit, or make no block', () => {
    const plain = anyPlain(new SeededRandom(7), 1).slice(0, 0);
    assert.throws(() => codec.compress(plain, 9, new Uint8Array(9), 0), RangeError);
    const page = CONTENT_KINDS.text!(PAGE_SIZE_BYTES, new SeededRandom(7));
    const whole = kernel.encode(page);
    const into = new Uint8Array(PAGE_SIZE_BYTES).fill(0xee);
    // A sequence is reckoned with up to a byte for each of its lengths that it may not need.
    for (const limit of [0, 1, 100, whole.length - 1, whole.length, whole.length + 20]) {
      const size = codec.compress(page, limit, into, 3);
      assert.ok(size === 0 || (size === whole.length && size <= limit), `${size} of ${limit}`);
      assert.ok(limit < whole.length + 20 || size > 0);
      assert.ok(into.subarray(3 + size).every((byte) => byte === 0xee));
    }
  });

  it(`agree on damaged blocks, for ${FUZZ_TIME_MS} ms`, () => {
    const random = new SeededRandom(seed);
    const below = (limit: number): number => random.uint32() % limit;
    const verdicts = { taken: 0, refused: 0 };
    const endMs = Date.now() + FUZZ_TIME_MS;
    while (Date.now() < endMs) {
      const plain = anyPlain(random, 1500);
      let block = (below(2) === 0 ? kernel : oracle).encode(plain);
      let size = plain.length;
      if (below(4) === 0) size = Math.max(0, size + below(9) - 4);
      if (below(4) === 0) block = block.slice(0, below(block.length + 1));
      for (let count = below(4); count > 0 && block.length > 0; --count) {
        block[below(block.length)] = below(3) === 0 ? below(2) * 255 : random.uint32();
      }
      const expected = oracle.decode(block, size);
      assert.deepEqual(kernel.decode(block, size), expected, `SEED=${seed}, [${block}]`);
      verdicts[expected === null ? 'refused' : 'taken'] += 1;
    }
    assert.ok(verdicts.taken > 50 && verdicts.refused > 50, JSON.stringify(verdicts));
  });
});

function lz4(args: readonly string[], input: Uint8Array): Uint8Array {
  needDebian('lz4', 'lz4');
  const path = join(folder, 'input');
  writeFileSync(path, input);
  const run = spawnSync('lz4', [...args, '-c', path], { maxBuffer: 2 ** 28 });
  assert.equal(run.status, 0, String(run.stderr));
  return run.stdout;
}

function blocksOf(plain: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(plain.length / size) }, (_, index) =>
    plain.subarray(index * size, (index + 1) * size),
  );
}

describe("with Debian's lz4", () => {
  for (const [kind, make] of Object.entries(CONTENT_KINDS)) {
    for (const size of [64, PAGE_SIZE_BYTES, LZ4_SIZE_BYTES_MAX]) {
      it(`blocks of ${size} bytes of ${kind} go both ways`, () => {
        const plain = make(5 * size + 17, new SeededRandom(seed));
        const plains = blocksOf(plain, size);
        const frame = lz4Frame(
          plains.map((part) => {
            const block = kernel.encode(part);
            return { plain: part, block: block.length < part.length ? block : null };
          }),
        );
        assert.deepEqual(new Uint8Array(lz4(['-d'], frame)), plain);

        for (const level of ['-1', '-9']) {
          const theirs = lz4FrameBlocks(
            lz4([level, `-B${size}`, '-BI', '--no-frame-crc', '--no-content-size'], plain),
          );
          assert.equal(theirs.length, plains.length);
          for (const [index, block] of theirs.entries()) {
            const expected = plains[index]!;
            if ('plain' in block) assert.deepEqual(new Uint8Array(block.plain), expected);
            else assert.deepEqual(kernel.decode(block, expected.length), expected);
          }
        }
      });
    }
  }

  it('pages shrink as much as with its fast mode', () => {
    const file = readFileSync('node_modules/@sqlite.org/sqlite-wasm/package.json');
    const contents = ['text', 'wasm', 'structured'].map((kind) =>
      CONTENT_KINDS[kind]!(60 * PAGE_SIZE_BYTES, new SeededRandom(seed)),
    );
    for (const content of [...contents, new Uint8Array(file)]) {
      const ours = blocksOf(content, PAGE_SIZE_BYTES)
        .map((part) => Math.min(part.length, kernel.encode(part).length))
        .reduce((sum, size) => sum + size, 0);
      const theirs = lz4FrameBlocks(
        lz4(['-1', `-B${PAGE_SIZE_BYTES}`, '-BI', '--no-frame-crc'], content),
      )
        .map((block) => ('plain' in block ? block.plain.length : block.length))
        .reduce((sum, size) => sum + size, 0);
      assert.ok(ours < theirs * 1.01, `${ours} bytes, lz4 -1 has ${theirs}`);
    }
  });
});
