// The zstd encoder: every frame is decoded by the zstd command, and the cases look into the frame
// to see that what they are about is there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ZSTD_AREA_OFFSET } from '../../assembly/shared/codec-layout.ts';
import { STATUS_BAD_ARGUMENT, STATUS_NO_SPACE } from '../../assembly/shared/status.ts';
import { isGatewayError, SeededRandom } from '../../host/core/index.ts';
import { compileCodec, ZstdEncoder } from '../../host/kernels/index.ts';
import { type FrameBlock, type FrameShape, frameShape } from './zstd-encoder-frame.ts';
import { assertDecoded } from './zstd-encoder-verdict.ts';

const EFFORTS = [1, 2, 3] as const;
const BLOCK = 131_072;
const EMPTY = new Uint8Array(0);
const module = compileCodec(new Uint8Array(readFileSync('build/codec.wasm')));
const encoder = new ZstdEncoder(module);

function random(sizeBytes: number, seed: number, valuesCount = 256): Uint8Array {
  const source = new SeededRandom(seed);
  return new Uint8Array(sizeBytes).map(() => source.uint32() % valuesCount);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Text of words, the same for a seed. */
function text(sizeBytes: number, seed: number): Uint8Array {
  const source = new SeededRandom(seed);
  const words = Array.from({ length: 400 }, () => (source.uint32() % 46656).toString(36));
  let line = '';
  const lines: string[] = [];
  for (let size = 0; size < sizeBytes; size += line.length) {
    line = `${words[source.uint32() % 400]}${source.uint32() % 7 === 0 ? ';\n' : ' '}`;
    lines.push(line);
  }
  return new TextEncoder().encode(lines.join('')).subarray(0, sizeBytes);
}

/** Encodes at every effort, checks with zstd, and returns the shapes. */
function shapesOf(
  contents: Readonly<Record<string, Uint8Array>>,
  dictionary: Uint8Array = EMPTY,
  decoderDictionary = dictionary,
): Map<string, FrameShape> {
  const frames = Object.entries(contents).flatMap(([name, content]) =>
    EFFORTS.map((effort) => ({
      name: `${name} at ${effort}`,
      content,
      frame: encoder.encode(content, { dictionary, effort }),
    })),
  );
  assertDecoded(frames, decoderDictionary);
  const shapes = new Map(frames.map(({ name, frame }) => [name, frameShape(frame)]));
  for (const { name, content } of frames) {
    assert.equal(shapes.get(name)!.contentSize, content.length, name);
    assert.ok(shapes.get(name)!.hasChecksum, name);
  }
  return shapes;
}

function eachBlock(shapes: ReadonlyMap<string, FrameShape>): FrameBlock[] {
  return [...shapes.values()].flatMap(({ blocks }) => blocks);
}

describe('frames', () => {
  it('are legal at every size where a header or a block changes', () => {
    const sizes = [
      0, 1, 2, 3, 7, 8, 9, 31, 32, 255, 256, 257, 1023, 1024, 4095, 4096, 16383, 16384,
    ];
    sizes.push(65791, 65792, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1);
    const content = text(2 * BLOCK + 1, 1);
    const noise = random(2 * BLOCK + 1, 2);
    const contents = Object.fromEntries(
      sizes.flatMap((size) => [
        [`text ${size}`, content.slice(0, size)],
        [`noise ${size}`, noise.slice(0, size)],
        [`zeros ${size}`, new Uint8Array(size)],
      ]),
    );
    const kinds = new Set(eachBlock(shapesOf(contents)).map(({ kind }) => kind));
    assert.deepEqual([...kinds].sort(), ['compressed', 'raw', 'rle']);
    shapesOf(contents, text(50_000, 1));
  });

  it('of identical files take a dozen bytes a block', () => {
    const content = random(40 * BLOCK, 3);
    const shapes = shapesOf({ same: content }, content);
    for (const [name, { blocks }] of shapes) {
      const size = blocks.reduce((sum, { sizeBytes }) => sum + 3 + sizeBytes, 0);
      assert.ok(size < 40 * 13, `${name}: ${size} bytes`);
    }
  });

  it('reach every byte of the dictionary', () => {
    const dictionary = random(3_000_000, 4);
    const contents = {
      first: dictionary.subarray(0, 5000),
      last: dictionary.subarray(-5000),
      across: join(dictionary.subarray(-3000), dictionary.subarray(-3000)),
    };
    for (const [name, { blocks }] of shapesOf(contents, dictionary)) {
      assert.ok(blocks[0]!.sizeBytes < 40, `${name}: ${blocks[0]!.sizeBytes} bytes`);
    }
  });

  it('take a dictionary that begins like a trained one as raw', () => {
    const dictionary = join(new Uint8Array([0x37, 0xa4, 0x30, 0xec]), random(20_000, 5));
    const contents = { same: dictionary, part: dictionary.subarray(0, 9000) };
    // The command only knows one that begins otherwise; a byte in front moves no offset.
    const decoderDictionary = join(new Uint8Array(1), dictionary);
    for (const [name, { blocks }] of shapesOf(contents, dictionary, decoderDictionary)) {
      assert.ok(blocks[0]!.sizeBytes < 30, name);
    }
  });

  it('are the same bytes whatever the memory held before', () => {
    const dictionary = text(30_000, 6);
    const content = join(text(9000, 7), dictionary.subarray(5000, 20_000));
    for (const effort of EFFORTS) {
      const fresh = new ZstdEncoder(module).encode(content, { dictionary, effort });
      encoder.encode(random(300_000, 8), { dictionary: random(1000, 9), effort });
      assert.deepEqual(encoder.encode(content, { dictionary, effort }), fresh);
    }
  });
});

describe('sequences', () => {
  it('hold lengths of matches and literals above 64 KiB', () => {
    const dictionary = random(200_000, 10);
    const rare = random(70_000, 11, 5);
    const content = join(rare, dictionary.subarray(1000, 101_000), dictionary.subarray(0, 90_000));
    const blocks = eachBlock(shapesOf({ long: content }, dictionary));
    assert.ok(blocks.some(({ literalsCount = 0 }) => literalsCount > 65_536));
    const long = blocks.filter(({ sequencesCount = 0 }) => sequencesCount > 0);
    assert.ok(long.some(({ literalsCount = 0 }) => literalsCount < 2000));
  });

  it('repeat offsets without literals in between', () => {
    // The same two distances in turn: with code 1 every time nearly nothing, else two bytes each.
    const dictionary = random(60_000, 12);
    const parts = Array.from({ length: 600 }, (_, turn) => {
      const from = turn * 40 + (turn % 2) * 20_000;
      return dictionary.subarray(from, from + 40);
    });
    for (const [name, { blocks }] of shapesOf({ turns: join(...parts) }, dictionary)) {
      assert.ok(blocks[0]!.sizeBytes < 600 * 0.5, `${name}: ${blocks[0]!.sizeBytes} bytes`);
    }
  });

  it('repeat the first offset less one', () => {
    const dictionary = random(60_000, 13);
    const parts = Array.from({ length: 500 }, (_, turn) =>
      dictionary.subarray(turn * 61, turn * 61 + 60),
    );
    // Each piece is one byte nearer than the last: code 3 where no literals are in between.
    for (const [name, { blocks }] of shapesOf({ nearer: join(...parts) }, dictionary)) {
      assert.ok(blocks[0]!.sizeBytes < 500, `${name}: ${blocks[0]!.sizeBytes} bytes`);
    }
  });

  it('go on with the offsets from before a raw block', () => {
    // The block in between has a few matches, whose offsets the decoder never sees.
    const dictionary = random(4 * BLOCK, 14);
    const noise = random(BLOCK, 15);
    noise.set(dictionary.subarray(70, 78), 500);
    noise.set(dictionary.subarray(9000, 9006), 90_000);
    const changed = dictionary.slice(0, 3 * BLOCK);
    for (let at = 100; at < changed.length; at += 1000) changed[at]! ^= 1;
    changed.set(noise, BLOCK);
    for (const { blocks } of shapesOf({ between: changed }, dictionary).values()) {
      assert.deepEqual(
        blocks.map(({ kind }) => kind),
        ['compressed', 'raw', 'compressed'],
      );
    }
  });

  it('use every way to code literals and codes', () => {
    const dictionary = text(400_000, 16);
    const edited = dictionary.slice();
    for (let at = 0; at < edited.length; at += 977) edited.set(random(3, at, 26), at);
    const run = join(
      new Uint8Array(50).fill(65),
      dictionary.subarray(0, 60),
      new Uint8Array(50).fill(65),
    );
    const blocks = eachBlock(
      shapesOf({ edited, run, plain: text(300_000, 17), same: dictionary }, dictionary),
    );
    const literals = new Set(blocks.map((block) => block.literals).filter(Boolean));
    const modes = new Set(blocks.flatMap((block) => block.modes ?? []));
    const streams = new Set(blocks.map((block) => block.streamsCount).filter(Boolean));
    assert.deepEqual([...modes].sort(), ['fse', 'predefined', 'repeat', 'rle']);
    assert.deepEqual([...streams].sort(), [1, 4]);
    assert.ok(literals.has('huffman') && literals.has('treeless') && literals.has('raw'));
  });
});

describe('literals', () => {
  /** Symbols by their shares, shuffled, so that few matches are found. */
  function drawn(
    sizeBytes: number,
    shares: readonly number[],
    seed: number,
  ): Uint8Array<ArrayBuffer> {
    const source = new SeededRandom(seed);
    const sum = shares.reduce((total, share) => total + share, 0);
    return new Uint8Array(sizeBytes).map(() => {
      const point = (source.uint32() / 2 ** 32) * sum;
      let symbol = 0;
      for (let left = point - shares[0]!; left >= 0 && symbol + 1 < shares.length; ) {
        left -= shares[++symbol]!;
      }
      return symbol;
    });
  }

  const fibonacci = [1, 1];
  while (fibonacci.length < 30) fibonacci.push(fibonacci.at(-1)! + fibonacci.at(-2)!);

  it('of 2, 3, 129, 200, 255 and 256 symbols, and of shares that want more than 11 bits', () => {
    const contents: Record<string, Uint8Array<ArrayBuffer>> = {
      fibonacci: drawn(100_000, fibonacci, 20),
    };
    for (const count of [2, 3, 16, 128, 129, 200, 255, 256]) {
      const shares = Array.from({ length: count }, (_, symbol) => 1 / (symbol + 1));
      for (const size of [300, 1023, 1024, 5000, 20_000]) {
        contents[`${count} symbols in ${size}`] = drawn(size, shares, count);
      }
    }
    contents['high symbols'] = drawn(4000, fibonacci, 21).map((symbol) => 255 - symbol);
    const blocks = eachBlock(shapesOf(contents));
    assert.ok(blocks.filter(({ literals }) => literals === 'huffman').length > 60);
  });

  it('of one symbol are a run', () => {
    const dictionary = random(5000, 22);
    const part = (from: number) => dictionary.subarray(from, from + 40);
    const content = join(
      new Uint8Array([7, 7]),
      part(0),
      new Uint8Array([7]),
      part(900),
      new Uint8Array([7]),
    );
    const blocks = eachBlock(shapesOf({ content }, dictionary));
    assert.ok(blocks.some(({ literals }) => literals === 'rle'));
  });
});

describe('the encoder refuses', () => {
  it('content and dictionaries above 128 MiB', () => {
    const large = new Uint8Array(134_217_729);
    for (const run of [
      () => encoder.encode(large, { effort: 1 }),
      () => encoder.encode(EMPTY, { dictionary: large, effort: 1 }),
    ]) {
      assert.throws(run, (error) => {
        assert.ok(isGatewayError(error));
        assert.equal(error.code, 'GW_DELTA_TOO_LARGE');
        assert.match(error.message, /134217729 bytes, the limit is 134217728/);
        return true;
      });
    }
  });

  it('areas that are too small, out of order or outside the memory', () => {
    const { exports } = new WebAssembly.Instance(module, {});
    const kernels = exports as Record<string, (...numbers: number[]) => number>;
    (exports.memory as WebAssembly.Memory).grow(200);
    const end = 209 * 65_536;
    const workSize = kernels.zstdEncodeWorkSize!(1000, 5000, 2);
    const bound = kernels.zstdEncodeBound!(5000);
    const work = ZSTD_AREA_OFFSET;
    const dictionary = work + workSize;
    const frame = dictionary + 6000;
    const good = [work, workSize, dictionary, 1000, 5000, frame, bound, 2];
    assert.ok(kernels.zstdEncode!(...good) > 0);
    const changes: readonly (readonly [place: number, value: number, status: number])[] = [
      [0, work - 16, STATUS_BAD_ARGUMENT],
      [0, work + 8, STATUS_BAD_ARGUMENT],
      [0, -16, STATUS_BAD_ARGUMENT],
      [1, workSize - 1, STATUS_BAD_ARGUMENT],
      [1, workSize + 1, STATUS_BAD_ARGUMENT],
      [1, -1, STATUS_BAD_ARGUMENT],
      [2, dictionary - 1, STATUS_BAD_ARGUMENT],
      [2, dictionary + 1, STATUS_BAD_ARGUMENT],
      [2, -1, STATUS_BAD_ARGUMENT],
      [3, 1001, STATUS_BAD_ARGUMENT],
      [3, -1, STATUS_BAD_ARGUMENT],
      [4, 0xffff_ffff, STATUS_BAD_ARGUMENT],
      [5, frame - 1, STATUS_BAD_ARGUMENT],
      [5, end - bound + 1, STATUS_BAD_ARGUMENT],
      [5, -1, STATUS_BAD_ARGUMENT],
      [6, bound - 1, STATUS_NO_SPACE],
      [6, end - frame + 1, STATUS_BAD_ARGUMENT],
      [7, 0, STATUS_BAD_ARGUMENT],
      [7, 4, STATUS_BAD_ARGUMENT],
    ];
    for (const [place, value, status] of changes) {
      const bad = good.with(place, value);
      assert.equal(kernels.zstdEncode!(...bad), status, `argument ${place} is ${value}`);
    }
    assert.equal(kernels.zstdEncodeBound!(134_217_729), STATUS_BAD_ARGUMENT);
    assert.equal(kernels.zstdEncodeWorkSize!(134_217_729, 0, 1), STATUS_BAD_ARGUMENT);
    assert.equal(kernels.zstdEncodeWorkSize!(0, 134_217_729, 1), STATUS_BAD_ARGUMENT);
  });
});
