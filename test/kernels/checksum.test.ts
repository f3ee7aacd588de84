// XXH64 and CRC-32C: published vectors and properties, on the kernel and on the oracle, and XXH64
// against Debian's xxhsum.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { WINDOW_SIZE_BYTES } from '../../assembly/shared/codec-layout.ts';
import { SeededRandom } from '../../host/core/index.ts';
import { needDebian } from '../support/debian.ts';
import { testSeed } from '../support/seed.ts';
import { codec } from '../support/wasm.ts';
import { crc32cOracle, xxh64Oracle } from './checksum-oracle.ts';

interface Checksums {
  xxh64(bytes: Uint8Array, seed: bigint): bigint;
  crc32c(bytes: Uint8Array, previous: number): number;
}

const seed = testSeed('checksum');
const kernel = codec();
const oracle: Checksums = { xxh64: xxh64Oracle, crc32c: crc32cOracle };

/** The buffer of xxHash's own sanity checks. */
function sanityBytes(sizeBytes: number): Uint8Array {
  let state = 2654435761n;
  return new Uint8Array(sizeBytes).map(() => {
    const byte = Number(state >> 56n);
    state = (state * 11400714785074694797n) & 0xffff_ffff_ffff_ffffn;
    return byte;
  });
}

const XXH64_VECTORS: readonly (readonly [sizeBytes: number, seed: bigint, hash: bigint])[] = [
  [0, 0n, 0xef46db3751d8e999n],
  [0, 2654435761n, 0xac75fda2929b17efn],
  [1, 0n, 0xe934a84adb052768n],
  [1, 2654435761n, 0x5014607643a9b4c3n],
  [4, 0n, 0x9136a0dca57457een],
  [14, 0n, 0x8282dcc4994e35c8n],
  [14, 2654435761n, 0xc3bd6bf63deb6df0n],
  [222, 0n, 0xb641ae8cb691c174n],
  [222, 2654435761n, 0x20cb8ab7ae10c14an],
];

// Source: RFC 3720 appendix B.4, and the check value of the CRC catalogue.
const CRC32C_VECTORS: readonly (readonly [name: string, bytes: Uint8Array, crc: number])[] = [
  ['nothing', new Uint8Array(0), 0],
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['32 rising', new Uint8Array(32).map((_, index) => index), 0x46dd794e],
  ['32 falling', new Uint8Array(32).map((_, index) => 31 - index), 0x113fdb5c],
  ['123456789', new TextEncoder().encode('123456789'), 0xe3069283],
];

for (const [name, checksums] of Object.entries({ oracle, kernel })) {
  describe(`the ${name}`, () => {
    for (const [sizeBytes, start, hash] of XXH64_VECTORS) {
      it(`XXH64 of ${sizeBytes} bytes with seed ${start}`, () => {
        assert.equal(checksums.xxh64(sanityBytes(sizeBytes), start), hash);
      });
    }
    for (const [what, bytes, crc] of CRC32C_VECTORS) {
      it(`CRC-32C of ${what}`, () => assert.equal(checksums.crc32c(bytes, 0), crc));
    }
    it('CRC-32C goes on from a checksum', () => {
      const bytes = sanityBytes(100);
      const begun = checksums.crc32c(bytes.subarray(0, 33), 0);
      assert.equal(checksums.crc32c(bytes.subarray(33), begun), checksums.crc32c(bytes, 0));
    });
  });
}

describe("with Debian's xxhsum", () => {
  it('XXH64 of files of many lengths is the same', () => {
    needDebian('xxhsum', 'xxhash');
    const folder = mkdtempSync(join(tmpdir(), 'sluice-xxh64-'));
    try {
      const random = new SeededRandom(seed);
      const lengths = [0, 1, 3, 4, 7, 8, 31, 32, 33, 4_095, 4_096, WINDOW_SIZE_BYTES + 5];
      for (let count = 0; count < 40; ++count) lengths.push(random.uint32() % 20_000);
      const expected = lengths.map((length, index) => {
        const bytes = new Uint8Array(length).map(() => random.uint32());
        writeFileSync(join(folder, String(index)), bytes);
        return `${kernel.xxh64(bytes, 0n).toString(16).padStart(16, '0')}  ${index}`;
      });
      const names = lengths.map((_, index) => String(index));
      const run = spawnSync('xxhsum', ['-H1', ...names], { cwd: folder, encoding: 'utf8' });
      assert.equal(run.status, 0, run.stderr);
      assert.deepEqual(run.stdout.trim().split('\n'), expected);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('kernel and oracle agree', () => {
  it('for any bytes and seed', () => {
    const seeds = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), seeds, (bytes, start) => {
        assert.equal(kernel.xxh64(bytes, start), oracle.xxh64(bytes, start));
        const previous = Number(start & 0xffff_ffffn);
        assert.equal(kernel.crc32c(bytes, previous), oracle.crc32c(bytes, previous));
      }),
      { seed },
    );
  });

  it('for every length up to a few stripes, at any alignment', () => {
    const bytes = sanityBytes(200);
    for (let start = 0; start < 9; ++start) {
      for (let end = start; end <= 140; ++end) {
        const part = bytes.subarray(start, end);
        assert.equal(kernel.xxh64(part), oracle.xxh64(part, 0n));
        assert.equal(kernel.crc32c(part), oracle.crc32c(part, 0));
      }
    }
  });

  it('around the edges of the window', () => {
    const bytes = sanityBytes(2 * WINDOW_SIZE_BYTES + 40);
    for (const sizeBytes of [-33, -1, 0, 1, 31, 32, WINDOW_SIZE_BYTES, WINDOW_SIZE_BYTES + 39]) {
      const part = bytes.subarray(0, WINDOW_SIZE_BYTES + sizeBytes);
      assert.equal(kernel.xxh64(part, 5n), oracle.xxh64(part, 5n), `${part.length} bytes`);
      assert.equal(kernel.crc32c(part), oracle.crc32c(part, 0), `${part.length} bytes`);
    }
  });

  it('whatever the last input left in the window', () => {
    const short = sanityBytes(37);
    const expected = kernel.xxh64(short);
    const crc = kernel.crc32c(short);
    kernel.xxh64(new Uint8Array(4096).fill(0xff));
    assert.equal(kernel.xxh64(short), expected);
    assert.equal(kernel.crc32c(short), crc);
  });
});
