// The decoder kernel against damaged frames: it returns, never traps, writes nothing outside its
// areas, is not swayed by what lies around them, and takes a frame for good exactly when the oracle
// does, with the same bytes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { ZSTD_AREA_OFFSET } from '../../assembly/shared/codec-layout.ts';
import { STATUS_BAD_ARGUMENT, STATUS_NO_SPACE } from '../../assembly/shared/status.ts';
import { type Random, SeededRandom } from '../../host/core/index.ts';
import type { ZstdDecodeKernels } from '../../host/kernels/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { xxh64Oracle } from './checksum-oracle.ts';
import { ZstdCommand } from './zstd-command.ts';
import { CONTENT_KINDS, edited } from './zstd-contents.ts';
import { ZstdRefusal, zstdOracle } from './zstd-oracle.ts';

const CONTENT_SIZE_BYTES_MAX = 3000;
const OUTPUT_SIZE_BYTES_MAX = 6000;
const CANARY_SIZE_BYTES = 64;
const COMMAND_SAMPLES_COUNT = 30;
const CHECKSUM_BIT = 4;

const random = new SeededRandom(testSeed('zstd-decoder fuzz'));
const command = new ZstdCommand();
after(() => command.remove());

function below(limit: number): number {
  return random.uint32() % limit;
}

interface Base {
  readonly frame: Uint8Array;
  readonly content: Uint8Array;
  readonly dictionary: Uint8Array;
}

const bases = makeBases();

/** Small frames of every kind, with and without a dictionary. */
function makeBases(): Base[] {
  const made: Base[] = [];
  const dictionary = CONTENT_KINDS.text!(2000, random);
  const options = [['-1'], ['-19'], ['-9', '--zstd=wlog=10'], ['-19', '--no-content-size']];
  for (const [kind, make] of Object.entries(CONTENT_KINDS)) {
    const contents = new Map<string, Uint8Array>(
      [700, CONTENT_SIZE_BYTES_MAX].map((size) => [`${kind}-${size}`, make(size, random)] as const),
    );
    for (const given of options) {
      for (const [name, frame] of command.compress(contents, given)) {
        made.push({ frame, content: contents.get(name)!, dictionary: new Uint8Array(0) });
      }
    }
  }
  for (const given of options) {
    const content = edited(dictionary, random, 8);
    made.push({ frame: command.patch(dictionary, content, given), content, dictionary });
  }
  return made;
}

/** The frame with its checksum left out. */
function unchecked(frame: Uint8Array): Uint8Array {
  const bare = frame.slice(0, -4);
  bare[4] = bare[4]! & ~CHECKSUM_BIT;
  return bare;
}

/** An unchecked frame with the checksum of what it decodes to. */
function rechecked(frame: Uint8Array, content: Uint8Array): Uint8Array {
  const hash = Buffer.alloc(8);
  hash.writeBigUInt64LE(xxh64Oracle(content, 0n));
  const checked = Buffer.concat([frame, hash.subarray(0, 4)]);
  checked[4] = checked[4]! | CHECKSUM_BIT;
  return checked;
}

const CHANGES: readonly ((frame: Uint8Array, random: Random) => Uint8Array)[] = [
  // A few bytes, more often near the front, where the headers are.
  (frame) => {
    const copy = frame.slice();
    for (let count = 1 + below(3); count > 0; --count) {
      copy[below(below(2) === 0 ? Math.min(60, frame.length) : frame.length)] = random.uint32();
    }
    return copy;
  },
  (frame) => {
    const copy = frame.slice();
    const at = below(frame.length);
    copy[at] = copy[at]! ^ (1 << below(8));
    return copy;
  },
  (frame) => frame.slice(0, below(frame.length)),
  (frame) => Buffer.concat([frame, new Uint8Array(1 + below(20)).map(() => random.uint32())]),
  (frame) => {
    const at = below(frame.length);
    return Buffer.concat([frame.subarray(0, at), frame.subarray(at + 1 + below(10))]);
  },
  (frame) => {
    const other = bases[below(bases.length)]!.frame;
    return Buffer.concat([
      frame.subarray(0, below(frame.length)),
      other.subarray(below(other.length)),
    ]);
  },
  // A block's header stays, and what it announces is noise with few high bits.
  (frame) => {
    const copy = frame.slice();
    const start = 10 + below(20);
    return copy.map((byte, at) => (at < start ? byte : random.uint32() & (below(2) * 255)));
  },
];

/** The kernel with its areas apart, canaries between them. */
class Rig {
  readonly #kernels: ZstdDecodeKernels;
  readonly #bytes: Uint8Array;
  readonly #workSize: number;
  readonly #canary = new Uint8Array(CANARY_SIZE_BYTES);

  constructor(name: string) {
    const module = new WebAssembly.Module(new Uint8Array(readFileSync(`build/${name}.wasm`)));
    const kernels = new WebAssembly.Instance(module, {}).exports as unknown as ZstdDecodeKernels;
    kernels.memory.grow(16);
    this.#kernels = kernels;
    this.#bytes = new Uint8Array(kernels.memory.buffer);
    this.#workSize = kernels.zstdDecodeWorkSizeBytes();
  }

  /** Decodes with everything but frame and dictionary filled with one byte before. */
  decode(
    frame: Uint8Array,
    dictionary: Uint8Array,
    surroundings: number,
    checksum: 'required' | 'if-present',
  ): Uint8Array | number {
    const bytes = this.#bytes;
    const workPtr = ZSTD_AREA_OFFSET + CANARY_SIZE_BYTES;
    const framePtr = workPtr + this.#workSize + CANARY_SIZE_BYTES;
    const frameEnd = framePtr + frame.length;
    const dictionaryPtr = frameEnd + CANARY_SIZE_BYTES;
    const outputPtr = dictionaryPtr + dictionary.length;
    const outputEnd = outputPtr + OUTPUT_SIZE_BYTES_MAX;
    bytes.fill(surroundings, ZSTD_AREA_OFFSET, outputEnd + CANARY_SIZE_BYTES);
    bytes.set(frame, framePtr);
    bytes.set(dictionary, dictionaryPtr);
    const size = this.#kernels.zstdDecode(
      workPtr,
      framePtr,
      frame.length,
      dictionary.length,
      outputPtr,
      OUTPUT_SIZE_BYTES_MAX,
      checksum === 'required' ? 1 : 0,
    );
    for (const ptr of [ZSTD_AREA_OFFSET, framePtr - CANARY_SIZE_BYTES, frameEnd, outputEnd]) {
      const canary = bytes.subarray(ptr, ptr + CANARY_SIZE_BYTES);
      const wanted = this.#canary.fill(surroundings);
      assert.equal(Buffer.compare(canary, wanted), 0, `wrote at ${ptr}`);
    }
    assert.equal(Buffer.compare(bytes.subarray(framePtr, frameEnd), frame), 0, 'frame');
    assert.equal(Buffer.compare(bytes.subarray(dictionaryPtr, outputPtr), dictionary), 0);
    assert.ok(size <= OUTPUT_SIZE_BYTES_MAX, `${size} bytes`);
    return size < 0 ? size : bytes.slice(outputPtr, outputPtr + size);
  }

  /** Decodes in two surroundings: what lies outside the areas must not show. */
  decodeTwice(
    frame: Uint8Array,
    dictionary: Uint8Array,
    checksum: 'required' | 'if-present',
  ): Uint8Array | number {
    const content = this.decode(frame, dictionary, 0xa5, checksum);
    const again = this.decode(frame, dictionary, 0x00, checksum);
    const isSame =
      typeof content === 'number' || typeof again === 'number'
        ? content === again
        : Buffer.compare(content, again) === 0;
    assert.ok(isSame, 'what lies around the areas shows');
    return content;
  }

  raw(...given: Parameters<ZstdDecodeKernels['zstdDecode']>): number {
    return this.#kernels.zstdDecode(...given);
  }

  get memorySize(): number {
    return this.#bytes.length;
  }

  get workSize(): number {
    return this.#workSize;
  }
}

/** What the oracle decodes, or undefined for what it refuses. */
function oracleContent(
  frame: Uint8Array,
  dictionary: Uint8Array,
  checksum: 'required' | 'if-present',
): Uint8Array | undefined {
  try {
    return zstdOracle(frame, { dictionary, sizeBytesMax: OUTPUT_SIZE_BYTES_MAX, checksum });
  } catch (error) {
    if (error instanceof ZstdRefusal) return undefined;
    throw error;
  }
}

function assertAgrees(
  content: Uint8Array | number,
  wanted: Uint8Array | undefined,
  frame: Uint8Array,
): void {
  const where = () => Buffer.from(frame).toString('hex');
  if (typeof content === 'number') {
    assert.equal(wanted, undefined, `status ${content}, the oracle takes ${where()}`);
  } else {
    assert.ok(wanted !== undefined, `the oracle refuses ${where()}`);
    assert.equal(Buffer.compare(content, wanted), 0, `other bytes: ${where()}`);
  }
}

describe('damaged frames', () => {
  const rigs = ['codec', 'decoder'].map((name) => new Rig(name));

  it('without a checksum: kernel, oracle and, for some, the zstd command agree', () => {
    const end = Date.now() + FUZZ_TIME_MS;
    let goodCount = 0;
    let badCount = 0;
    const samples: (Base & { readonly content: Uint8Array })[] = [];
    while (Date.now() < end || badCount === 0) {
      const base = bases[below(bases.length)]!;
      const { dictionary } = base;
      const change = CHANGES[below(CHANGES.length)]!;
      const frame = change(unchecked(base.frame), random);
      const rig = rigs[(goodCount + badCount) % rigs.length]!;
      const content = rig.decodeTwice(frame, dictionary, 'if-present');
      assertAgrees(content, oracleContent(frame, dictionary, 'if-present'), frame);
      if (typeof content === 'number') {
        ++badCount;
        continue;
      }
      ++goodCount;
      const isChecked = (frame[4]! & CHECKSUM_BIT) !== 0;
      if (!isChecked && samples.length < COMMAND_SAMPLES_COUNT && below(4) === 0) {
        samples.push({ frame, content, dictionary });
        const again = rig.decode(rechecked(frame, content), dictionary, 0x5a, 'required');
        assertAgrees(again, content, frame);
      }
    }
    for (const { frame, content, dictionary } of samples) {
      const given = dictionary.length === 0 ? undefined : dictionary;
      const wanted = command.decode(frame, given);
      const where = Buffer.from(frame).toString('hex');
      assert.ok(wanted !== undefined, `the zstd command refuses ${where}`);
      assert.equal(Buffer.compare(content, wanted), 0, `the zstd command differs: ${where}`);
    }
    console.log(`# ${goodCount} good, ${badCount} bad, ${samples.length} asked of zstd`);
    assert.ok(goodCount > 0 && samples.length > 0);
  });

  it('with the checksum required, wrong bytes are never taken for good', () => {
    const end = Date.now() + FUZZ_TIME_MS;
    let refusedCount = 0;
    for (let count = 0; Date.now() < end || count === 0; ++count) {
      const { frame, content, dictionary } = bases[below(bases.length)]!;
      // Not the change that puts two frames together: what it makes may be good and another.
      const change = CHANGES[count % 5]!;
      const found = rigs[count % 2]!.decodeTwice(change(frame, random), dictionary, 'required');
      if (typeof found === 'number') ++refusedCount;
      else assert.equal(Buffer.compare(found, content), 0);
    }
    assert.ok(refusedCount > 0);
  });
});

describe('the kernel by itself', () => {
  const rig = new Rig('codec');
  const workPtr = ZSTD_AREA_OFFSET;
  const inputPtr = workPtr + rig.workSize;
  const end = rig.memorySize;

  it('refuses areas in disorder, also where a sum would wrap', () => {
    const outputPtr = inputPtr + 100;
    assert.notEqual(
      rig.raw(workPtr, inputPtr, 100, 0, outputPtr, end - outputPtr, 0),
      STATUS_BAD_ARGUMENT,
    );
    const disorders: readonly Parameters<ZstdDecodeKernels['zstdDecode']>[] = [
      [workPtr - 1, inputPtr, 100, 0, outputPtr, 100, 0],
      [workPtr, inputPtr - 1, 100, 0, outputPtr, 100, 0],
      [workPtr, inputPtr, 101, 0, outputPtr, 100, 0],
      [workPtr, inputPtr, 100, 1, outputPtr, 100, 0],
      [workPtr, inputPtr, 100, 0, outputPtr, end - outputPtr + 1, 0],
      [workPtr, inputPtr, 100, 0, outputPtr, 0xffff_ffff, 0],
      [workPtr, inputPtr, 0xffff_ffff, 0, outputPtr, 100, 0],
      [workPtr, inputPtr, 100, 0xffff_ffff, outputPtr, 100, 0],
      [0xffff_ffff, inputPtr, 100, 0, outputPtr, 100, 0],
      [workPtr, inputPtr, 100, 0, 0xffff_ff00, 100, 0],
    ];
    for (const given of disorders) {
      assert.equal(rig.raw(...given), STATUS_BAD_ARGUMENT, String(given));
    }
  });

  it('three new tables for three bytes, block after block', () => {
    // Size and kind; no literals; one sequence; three distributions of one code each, of the
    // largest log; 26 bits of states: a match of 3 at the second repeated offset, 4.
    const block = [0x6c, 0, 0, 0, 1, 0xa8, 0xf4, 0x3f, 0xf3, 0x1f, 0xf4, 0x3f, 0, 0, 0, 4];
    const start = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x88, 0x20, 0, 0, 1, 2, 3, 4];
    const blocks = new Array(1000).fill(block).flat();
    const frame = Uint8Array.from([...start, ...blocks, 1, 0, 0]);
    const nothing = new Uint8Array(0);
    const content = rig.decodeTwice(frame, nothing, 'if-present');
    assert.ok(typeof content !== 'number' && content.length === 3004);
    assertAgrees(content, oracleContent(frame, nothing, 'if-present'), frame);
  });

  it('a small frame that stands for gigabytes ends at the bound', () => {
    const header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88];
    // Blocks of 131072 times one byte, of which none is the last.
    const block = [0x02, 0x00, 0x10, 0x41];
    const frame = Uint8Array.from([...header, ...new Array(20_000).fill(block).flat()]);
    const content = rig.decode(frame, new Uint8Array(0), 0, 'if-present');
    assert.equal(content, STATUS_NO_SPACE);
  });
});
