// The zstd decoder against frames of the zstd command over levels, sizes, contents and kinds of
// frame. The oracle runs on the same frames, except the largest, which would take it minutes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { type ErrorCode, isGatewayError, SeededRandom } from '../../host/core/index.ts';
import { type ZstdDecodeOptions, ZstdDecoder } from '../../host/kernels/index.ts';
import { testSeed } from '../support/seed.ts';
import { ZstdCommand } from './zstd-command.ts';
import { CONTENT_KINDS, edited } from './zstd-contents.ts';
import { ZstdRefusal, zstdOracle } from './zstd-oracle.ts';

const SIZES_BYTES = [0, 1, 10, 1000, 131_071, 131_072, 131_073, 1_000_000];
const ORACLE_SIZE_BYTES_MAX = 131_073;
const LEVELS = ['--fast=5', '-1', '-3', '-6', '-9', '-13', '-16', '-19', '--ultra -22'];
/** Kinds to make large: what else the highest levels of the command take long for. */
const LARGE_KINDS = ['text', 'wasm'];
const FIXED_SEED = 1;
/** What a trained dictionary begins with. */
const DICTIONARY_MAGIC = [0x37, 0xa4, 0x30, 0xec];
const SKIPPABLE = Uint8Array.of(0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);

const random = new SeededRandom(testSeed('zstd-decoder'));
const command = new ZstdCommand();
after(() => command.remove());

const contents = contentsOf(SIZES_BYTES, random);
/** Those that the oracle is fast enough for. */
const small = new Map([...contents].filter(([, { length }]) => length <= ORACLE_SIZE_BYTES_MAX));
const decoders = {
  codec: new ZstdDecoder(compiled('codec')),
  decoder: new ZstdDecoder(compiled('decoder')),
};

function contentsOf(sizesBytes: readonly number[], from: SeededRandom): Map<string, Uint8Array> {
  const made = new Map<string, Uint8Array>();
  for (const [kind, make] of Object.entries(CONTENT_KINDS)) {
    for (const size of sizesBytes) {
      if (size <= ORACLE_SIZE_BYTES_MAX || LARGE_KINDS.includes(kind)) {
        made.set(`${kind}-${size}`, make(size, from));
      }
    }
  }
  return made;
}

function compiled(name: string): WebAssembly.Module {
  return new WebAssembly.Module(new Uint8Array(readFileSync(`build/${name}.wasm`)));
}

function assertSame(found: Uint8Array, wanted: Uint8Array, what: string): void {
  assert.equal(Buffer.compare(found, wanted), 0, what);
}

/** Both modules and, unless the content is large, the oracle give the content back. */
function assertDecodes(
  frame: Uint8Array,
  content: Uint8Array,
  what: string,
  dictionary?: Uint8Array,
  onMode: (mode: string) => void = () => {},
): void {
  const options: ZstdDecodeOptions = {
    sizeBytesMax: content.length,
    checksum: 'if-present',
    ...(dictionary === undefined ? {} : { dictionary }),
  };
  for (const [name, decoder] of Object.entries(decoders)) {
    assertSame(decoder.decode(frame, options), content, `${name}: ${what}`);
  }
  if (content.length > ORACLE_SIZE_BYTES_MAX) return;
  assertSame(zstdOracle(frame, { ...options, onMode }), content, `oracle: ${what}`);
}

function assertRefused(frame: Uint8Array, options: ZstdDecodeOptions, code: ErrorCode): void {
  for (const decoder of Object.values(decoders)) {
    assert.throws(
      () => decoder.decode(frame, options),
      (error) => isGatewayError(error) && error.code === code,
      code,
    );
  }
  assert.throws(() => zstdOracle(frame, options), ZstdRefusal);
}

describe('frames of the zstd command', () => {
  for (const level of LEVELS) {
    it(`level ${level}`, () => {
      for (const [name, frame] of command.compress(contents, level.split(' '))) {
        assertDecodes(frame, contents.get(name)!, name);
      }
    });
  }

  for (const options of [
    '-7 --no-check',
    '-5 --long=27',
    '-4 --no-content-size',
    '-15 --zstd=wlog=12',
  ]) {
    it(`options ${options}`, () => {
      for (const [name, frame] of command.compress(contents, options.split(' '))) {
        assertDecodes(frame, contents.get(name)!, name);
      }
    });
  }

  it('every way to code literals and sequences occurs, as the oracle sees it', () => {
    const seen = new Set<string>();
    const onMode = (mode: string) => seen.add(mode);
    // Always the same contents: what the command makes of them is then the same, too.
    const from = new SeededRandom(FIXED_SEED);
    const fixed = contentsOf([1000, 131_073], from);
    // Small windows make many blocks.
    for (const options of [
      ['-1', '--zstd=wlog=10'],
      ['-19', '--zstd=wlog=12'],
    ]) {
      for (const [name, frame] of command.compress(fixed, options)) {
        assertDecodes(frame, fixed.get(name)!, name, undefined, onMode);
      }
    }
    // Each word of the dictionary once, in another order, with one and the same byte after it.
    const words = Array.from({ length: 200 }, () => CONTENT_KINDS.random!(16, from));
    const dictionary = Buffer.concat(words.flatMap((word) => [word, Uint8Array.of(0)]));
    const same = Buffer.concat(words.toReversed().flatMap((word) => [word, Uint8Array.of(1)]));
    const [frame] = command.compress(new Map([['same', same]]), ['-9'], dictionary).values();
    assertDecodes(frame!, same, 'same', dictionary, onMode);
    const parts = ['literal lengths', 'offsets', 'match lengths'];
    const modes = parts.flatMap((part) =>
      ['predefined', 'RLE', 'FSE', 'repeat'].map((mode) => `${part}: ${mode}`),
    );
    const literals = [
      'raw',
      'RLE',
      'one stream',
      'four streams',
      'treeless',
      'direct weights',
      'coded weights',
    ];
    const blocks = ['raw', 'RLE', 'compressed'].map((kind) => `block: ${kind}`);
    const all = [...blocks, ...literals.map((kind) => `literals: ${kind}`), ...modes];
    assert.deepEqual(
      all.filter((mode) => !seen.has(mode)),
      [],
    );
  });

  it('against a dictionary that does and does not begin like a trained one', () => {
    const plain = CONTENT_KINDS.text!(300_000, random);
    const lookalike = Uint8Array.from([...DICTIONARY_MAGIC, ...plain.subarray(4)]);
    for (const level of ['-1', '-9', '-19']) {
      const frames = command.compress(small, [level], plain);
      for (const [name, frame] of frames) assertDecodes(frame, small.get(name)!, name, plain);
      const content = edited(lookalike, random, 20);
      const patch = command.patch(lookalike, content, [level]);
      assertDecodes(patch, content, level, lookalike);
    }
  });

  it('patches between versions of every kind of content', () => {
    for (const [name, older] of contents) {
      if (!/-(1000|131073|1000000)$/.test(name)) continue;
      const newer = edited(older, random, 12);
      for (const options of [['-3'], ['-19', '--long=27']]) {
        const patch = command.patch(older, newer, options);
        assertDecodes(patch, newer, `${name} ${options}`, older);
        assert.ok(patch.length < newer.length + 100);
      }
    }
  });

  it('content longer than the window, with a dictionary that falls out of it', () => {
    const content = contents.get('text-1000000')!;
    const dictionary = content.subarray(0, 60_000);
    for (const level of ['-3', '-19']) {
      const small = ['--zstd=wlog=16', level];
      for (const [, frame] of command.compress(new Map([['a', content]]), small, dictionary)) {
        assertDecodes(frame, content, level, dictionary);
      }
    }
  });

  it('streams that do not state their length', () => {
    for (const name of ['text-0', 'text-1000', 'wasm-131073', 'runs-131072', 'text-1000000']) {
      const content = contents.get(name)!;
      for (const options of [['-3'], ['-19', '--no-check'], ['-9', '--long=27']]) {
        assertDecodes(command.compressStream(content, options), content, name);
      }
    }
  });

  it('room for the largest content, which the next job does without', () => {
    const content = contents.get('text-1000')!;
    const frame = command.compressStream(content, ['-3']);
    for (const sizeBytesMax of [134_217_728, content.length]) {
      for (const decoder of Object.values(decoders)) {
        assertSame(decoder.decode(frame, { sizeBytesMax, checksum: 'required' }), content, 'room');
      }
    }
  });

  it('frames and skippable frames in a row, each against the same dictionary', () => {
    const dictionary = CONTENT_KINDS.text!(20_000, random);
    const part = edited(dictionary, random, 5);
    const patch = command.patch(dictionary, part, ['-19']);
    const row = Buffer.concat([SKIPPABLE, patch, SKIPPABLE, patch, patch, SKIPPABLE]);
    assertDecodes(row, Buffer.concat([part, part, part]), 'row', dictionary);
  });
});

describe('what is refused', () => {
  const content = CONTENT_KINDS.text!(1000, random);
  const frame = command.compressStream(content, ['-19']);
  const options: ZstdDecodeOptions = { sizeBytesMax: 1000, checksum: 'required' };

  /** The frame with one byte changed: magic 4, descriptor 1, window 1 as a stream has it. */
  function changed(at: number, change: (byte: number) => number): Uint8Array {
    return Uint8Array.from(frame, (byte, index) => (index === at ? change(byte) : byte));
  }

  it('nothing is refused of the frame itself', () => {
    assertDecodes(frame, content, 'frame');
    assertSame(decoders.codec.decode(frame, options), content, 'frame');
  });

  it('no frame at all, which a delta that was cut off looks like', () => {
    for (const input of [new Uint8Array(0), SKIPPABLE]) {
      assertRefused(input, options, 'GW_ZSTD_CORRUPT');
    }
  });

  it('every beginning of a frame, and what follows a frame without being one', () => {
    for (let size = 1; size < frame.length; ++size) {
      assertRefused(frame.subarray(0, size), options, 'GW_ZSTD_CORRUPT');
    }
    for (const rest of [[0], [0x28, 0xb5, 0x2f], [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0]]) {
      assertRefused(Buffer.concat([frame, Uint8Array.from(rest)]), options, 'GW_ZSTD_CORRUPT');
    }
  });

  it('a frame whose checksum is another, or missing where it is required', () => {
    assertRefused(
      changed(frame.length - 1, (byte) => byte ^ 1),
      options,
      'GW_ZSTD_CHECKSUM',
    );
    const unchecked = command.compressStream(content, ['-19', '--no-check']);
    assertRefused(unchecked, options, 'GW_ZSTD_CHECKSUM');
    assertDecodes(unchecked, content, 'unchecked');
  });

  it('a dictionary id, a reserved bit, a window of more than 128 MiB, an old format', () => {
    const withId = Uint8Array.from([...frame.subarray(0, 6), 7, ...frame.subarray(6)]);
    withId[4] = withId[4]! | 1;
    assertRefused(withId, options, 'GW_ZSTD_UNSUPPORTED');
    withId[6] = 0;
    assertDecodes(withId, content, 'an id of 0 is none');
    assertRefused(
      changed(4, (byte) => byte | 8),
      options,
      'GW_ZSTD_UNSUPPORTED',
    );
    assertDecodes(
      changed(4, (byte) => byte | 16),
      content,
      'the unused bit',
    );
    assertDecodes(
      changed(5, () => 17 << 3),
      content,
      'a window of 128 MiB',
    );
    assertRefused(
      changed(5, () => (17 << 3) | 1),
      options,
      'GW_ZSTD_UNSUPPORTED',
    );
    assertRefused(
      changed(5, () => 255),
      options,
      'GW_ZSTD_UNSUPPORTED',
    );
    assertRefused(
      changed(0, () => 0x27),
      options,
      'GW_ZSTD_UNSUPPORTED',
    );
    assertRefused(
      changed(0, () => 0x29),
      options,
      'GW_ZSTD_CORRUPT',
    );
  });

  it('more content than the limit, whether stated or not', () => {
    const [stated] = command.compress(new Map([['a', content]]), ['-19']).values();
    for (const input of [frame, stated!]) {
      assertRefused(input, { ...options, sizeBytesMax: 999 }, 'GW_ZSTD_TOO_LARGE');
      assertRefused(input, { ...options, sizeBytesMax: 0 }, 'GW_ZSTD_TOO_LARGE');
    }
  });

  it('another content size than the one stated', () => {
    const [stated] = command.compress(new Map([['a', content]]), ['-19']).values();
    // Magic, descriptor with a size of two bytes, and the size less 256.
    for (const size of [999, 1001]) {
      const other = Uint8Array.from(stated!);
      new DataView(other.buffer).setUint16(5, size - 256, true);
      assertRefused(other, { sizeBytesMax: 2000, checksum: 'if-present' }, 'GW_ZSTD_CORRUPT');
    }
  });

  it('the wrong dictionary', () => {
    const dictionary = edited(content, random, 3);
    const patch = command.patch(dictionary, content, ['-19']);
    assertRefused(patch, { ...options, dictionary: dictionary.toReversed() }, 'GW_ZSTD_CHECKSUM');
    assertRefused(patch, options, 'GW_ZSTD_CORRUPT');
  });

  it('sizes beyond the limits, which the message names', () => {
    for (const decoder of Object.values(decoders)) {
      assert.throws(() => decoder.decode(frame, { ...options, sizeBytesMax: 134_217_729 }), {
        code: 'GW_ZSTD_TOO_LARGE',
        detail: 'the content may have 134217729 bytes, the limit is 134217728',
      });
      assert.throws(() => decoder.decode(frame, { ...options, sizeBytesMax: -1 }), RangeError);
      assert.throws(() => decoder.decode(frame, { ...options, sizeBytesMax: 0.5 }), RangeError);
    }
  });
});
