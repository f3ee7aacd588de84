// The zstd encoder against the zstd command: whatever a content has of its dictionary, of itself,
// of runs and of noise, at every effort the command decodes it.

import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../../host/core/index.ts';
import { compileCodec, ZstdEncoder } from '../../host/kernels/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { assertDecoded } from './zstd-encoder-verdict.ts';

/** A piece of a content: where it is from, where it begins there, how long it is. */
interface Piece {
  readonly kind: 'dictionary' | 'content' | 'run' | 'noise' | 'letters' | 'flip';
  readonly from: number;
  readonly size: number;
}

const EFFORTS = [1, 2, 3] as const;
const CONTENTS_PER_RUN = 12;
const seed = testSeed('zstd-encoder');
const encoder = new ZstdEncoder(compileCodec(new Uint8Array(readFileSync('build/codec.wasm'))));

const pieces = fc.record({
  kind: fc.constantFrom(...(['dictionary', 'content', 'run', 'noise', 'letters', 'flip'] as const)),
  from: fc.nat(2 ** 20),
  size: fc.oneof(
    { weight: 12, arbitrary: fc.nat(40) },
    { weight: 6, arbitrary: fc.nat(2000) },
    { weight: 1, arbitrary: fc.nat(200_000) },
  ),
});
const contents = fc.array(pieces, { maxLength: 40 });

function build(list: readonly Piece[], dictionary: Uint8Array): Uint8Array {
  let content: Uint8Array = new Uint8Array(0);
  for (const piece of list) {
    content = new Uint8Array(Buffer.concat([content, bytesOf(piece, dictionary, content)]));
  }
  return content;
}

function bytesOf(piece: Piece, dictionary: Uint8Array, content: Uint8Array): Uint8Array {
  const random = new SeededRandom(piece.from);
  const part = (source: Uint8Array) => {
    const from = piece.from % (source.length + 1);
    return source.subarray(from, from + piece.size);
  };
  if (piece.kind === 'dictionary') return part(dictionary);
  if (piece.kind === 'content') return part(content);
  const bytes = new Uint8Array(piece.size);
  if (piece.kind === 'run') return bytes.fill(piece.from);
  if (piece.kind === 'noise') return bytes.map(() => random.uint32());
  if (piece.kind === 'letters') return bytes.map(() => 97 + (random.uint32() % 6));
  return part(dictionary).map((byte, at) => (at % 50 === 49 ? byte ^ 1 : byte));
}

it('zstd decodes what the encoder makes', () => {
  fc.assert(
    fc.property(
      contents,
      fc.array(contents, { minLength: 1, maxLength: CONTENTS_PER_RUN }),
      (dictionaryPieces, lists) => {
        // Its first byte keeps it from beginning like a trained one.
        const dictionary = build(
          [{ kind: 'run', from: 1, size: 1 }, ...dictionaryPieces],
          new Uint8Array(0),
        );
        const frames = lists.flatMap((list) => {
          const content = build(list, dictionary);
          return EFFORTS.map((effort) => ({
            name: `effort ${effort}, ${content.length} bytes`,
            content,
            frame: encoder.encode(content, { dictionary, effort }),
          }));
        });
        assertDecoded(frames, dictionary);
      },
    ),
    {
      seed,
      includeErrorInReport: true,
      interruptAfterTimeLimit: 3 * FUZZ_TIME_MS,
      markInterruptAsFailure: false,
    },
  );
});
