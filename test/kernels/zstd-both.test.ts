// The encoder's frames through the decoder: what a publisher makes is what it checks before anybody
// gets it, so that the two must agree.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { writePack } from '../../host/distribution/pack.ts';
import { compileCodec, ZstdDecoder, ZstdEncoder } from '../../host/kernels/index.ts';
import { testSeed } from '../support/seed.ts';

const module = compileCodec(new Uint8Array(readFileSync('build/codec.wasm')));
const encoder = new ZstdEncoder(module);
const decoder = new ZstdDecoder(module);
const EFFORTS = [1, 2, 3] as const;

function checkRoundTrip(content: Uint8Array, dictionary: Uint8Array, what: string): void {
  for (const effort of EFFORTS) {
    const frame = encoder.encode(content, { dictionary, effort });
    const sizeBytesMax = content.length;
    const decoded = decoder.decode(frame, { dictionary, sizeBytesMax, checksum: 'required' });
    assert.equal(Buffer.compare(decoded, content), 0, `${what}, effort ${effort}`);
  }
}

/** A pack in which every tenth file changes, which are whole folders of it. */
function packed(fileCount: number, extra: string): Uint8Array {
  const files = [];
  for (let index = 0; index < fileCount; ++index) {
    const numbers = Array.from({ length: 120 }, (_, at) => (index * 7919 + at * 104_729) % 9973);
    const line = index % 10 === 0 ? extra : '';
    const text = `export const v${index} = xxxxxxxxxx;\n// ${numbers.join(' ')}${line}`;
    files.push({ path: `d${index % 40}/f${index}.js`, bytes: Buffer.from(text) });
  }
  return writePack(files.sort((one, other) => (one.path < other.path ? -1 : 1)));
}

describe('encoder and decoder', () => {
  // Blocks that only copy have no literals. The encoder wrote these as coded with the tree before,
  // and the decoder refused no literals in code: deltas of packs were left out.
  it('agree on blocks without literals', () => {
    checkRoundTrip(packed(2000, '// changed'), packed(2000, ''), 'a pack');
  });

  it('agree on contents that share much, little and nothing with their base', () => {
    const random = new SeededRandom(testSeed('zstd both'));
    const bytes = (sizeBytes: number, spread: number) =>
      Uint8Array.from({ length: sizeBytes }, () => random.uint32() % spread);
    for (let round = 0; round < 12; ++round) {
      const base = bytes(random.uint32() % 400_000, 1 + (random.uint32() % 256));
      const pieces: Uint8Array[] = [];
      for (let count = random.uint32() % 30; count > 0; --count) {
        const start = random.uint32() % (base.length + 1);
        pieces.push(base.subarray(start, start + (random.uint32() % 60_000)));
        pieces.push(bytes(random.uint32() % 200, 1 + (random.uint32() % 40)));
      }
      checkRoundTrip(Buffer.concat(pieces), base, `round ${round}`);
    }
  });
});
