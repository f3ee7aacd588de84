// Page deltas: one suite on the kernel and on the oracle, then both on anything, and hostile deltas
// with the oracle's verdict.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Random, SeededRandom } from '../../host/core/index.ts';
import { PAGE_DELTA_SIZE_BYTES_MAX, PageCodec } from '../../host/kernels/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { codecModuleBytes } from '../support/wasm.ts';
import { pageDeltaOracle, pageOfDeltaOracle } from './page-delta-oracle.ts';

interface Deltas {
  encode(before: Uint8Array | null, after: Uint8Array): Uint8Array;
  /** Null for what is no delta of this page. */
  decode(before: Uint8Array | null, delta: Uint8Array): Uint8Array | null;
}

const PAGE_SIZE_BYTES = 4096;
const seed = testSeed('page-delta');
const pageCodec = new PageCodec(new WebAssembly.Module(codecModuleBytes()));

const kernel: Deltas = {
  encode(before, after) {
    const room = new Uint8Array(7 + PAGE_DELTA_SIZE_BYTES_MAX).fill(0xee);
    const size = pageCodec.encodeDelta(before, after, room, 7);
    assert.ok(room.subarray(0, 7).every((byte) => byte === 0xee));
    return room.slice(7, 7 + size);
  },
  decode(before, delta) {
    const page = new Uint8Array(PAGE_SIZE_BYTES).fill(0xee);
    try {
      pageCodec.decodeDelta(before, delta, page);
      return page;
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'DB_DELTA_CORRUPT');
      assert.ok(page.every((byte) => byte === 0xee));
      return null;
    }
  },
};
const oracle: Deltas = { encode: pageDeltaOracle, decode: pageOfDeltaOracle };

function noise(random: Random): Uint8Array {
  return new Uint8Array(PAGE_SIZE_BYTES).map(() => random.uint32());
}

/** The page with other bytes at some places. */
function changed(page: Uint8Array, places: readonly number[]): Uint8Array {
  const copy = page.slice();
  for (const place of places) copy[place] = copy[place]! ^ 0x55;
  return copy;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

const base = noise(new SeededRandom(1));

/** What of the base is changed, and the delta without the bytes themselves. */
const CASES: readonly (readonly [name: string, places: readonly number[], head: number[]])[] = [
  ['nothing', [], [1]],
  ['the first byte', [0], [1, 0x00, 0x00]],
  ['the last byte', [4095], [1, 0xff, 0x0f]],
  ['a counter of two bytes', [1000, 1001], [1, 0xe8, 0x13]],
  ['two bytes, two between them', [16, 19], [1, 0x10, 0x30]],
  ['fifteen bytes', range(5, 20), [1, 0x05, 0xe0]],
  ['sixteen bytes', range(5, 21), [1, 0x05, 0xf0, 0]],
  ['143 bytes', range(64, 207), [1, 0x40, 0xf0, 127]],
  ['144 bytes', range(64, 208), [1, 0x40, 0xf0, 128, 1]],
  ['the whole page', range(0, 4096), [1, 0x00, 0xf0, 0xf0, 31]],
];

for (const [name, deltas] of Object.entries({ oracle, kernel })) {
  describe(`the ${name}`, () => {
    for (const [what, places, head] of CASES) {
      it(`tells ${what}`, () => {
        const after = changed(base, places);
        const delta = deltas.encode(base, after);
        assert.deepEqual([...delta.subarray(0, head.length)], head);
        const first = places[0] ?? 0;
        const end = (places.at(-1) ?? -1) + 1;
        assert.deepEqual(delta.subarray(head.length), after.subarray(first, end));
        assert.deepEqual(deltas.decode(base, delta), after);
      });
    }

    it('leaves three bytes that stay to the next run', () => {
      const delta = deltas.encode(base, changed(base, [16, 20]));
      assert.deepEqual([...delta], [1, 0x10, 0x00, base[16]! ^ 0x55, 0x03, 0x00, base[20]! ^ 0x55]);
    });

    it('tells a page that was not there over zeros', () => {
      const page = new Uint8Array(PAGE_SIZE_BYTES);
      page[9] = 3;
      assert.deepEqual([...deltas.encode(null, page)], [0, 9, 0, 3]);
      assert.deepEqual(deltas.decode(null, Uint8Array.from([0, 9, 0, 3])), page);
      assert.deepEqual([...deltas.encode(null, new Uint8Array(PAGE_SIZE_BYTES))], [0]);
    });

    it('refuses what is no delta', () => {
      const full = deltas.encode(base, changed(base, range(0, 4096)));
      const refused: readonly (readonly [string, readonly number[]])[] = [
        ['nothing', []],
        ['a base of another page', [0]],
        ['a base that there is not', [2]],
        ['half a token', [1, 0]],
        ['a token without its byte', [1, 0, 0]],
        ['a long run without its length', [1, 0, 0xf0]],
        ['a length without its second byte', [1, 0, 0xf0, 0x80]],
        ['a second byte of nothing', [1, 0, 0xf0, 0x80, 0, ...new Array(16).fill(7)]],
        ['a third byte of a length', [1, 0, 0xf0, 0x80, 0x81, ...new Array(200).fill(7)]],
        ['a run beyond the page', [1, 0xff, 0x1f, 7, 7]],
        ['a second run beyond the page', [1, 0xff, 0x0f, 7, 0, 0, 7]],
        ['a byte too many', [...full, 9]],
        ['more than a delta has', [...full, ...new Array(60).fill(9)]],
      ];
      for (const [what, delta] of refused) {
        assert.equal(deltas.decode(base, Uint8Array.from(delta)), null, what);
      }
      assert.equal(deltas.decode(null, Uint8Array.from([1])), null, 'a delta of a page, no page');
    });
  });
}

/** A page that came of another by what SQLite does: bytes set, moved and shifted. */
function edited(page: Uint8Array, random: Random): Uint8Array {
  const copy = page.slice();
  const below = (limit: number): number => random.uint32() % limit;
  for (let count = below(12); count > 0; --count) {
    const at = below(PAGE_SIZE_BYTES);
    const size = 1 + (below(4) === 0 ? below(700) : below(24));
    if (below(3) === 0) copy.copyWithin(at, at + 1 + below(9), at + size);
    else for (let byte = at; byte < at + size; byte += 1 + below(5)) copy[byte] = below(256);
  }
  return copy;
}

describe('kernel and oracle agree', () => {
  it('on pages with a few changes of any kind', () => {
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (pageSeed, isNew) => {
        const random = new SeededRandom(pageSeed);
        const page = noise(random);
        const before = isNew ? null : page;
        const after = edited(isNew ? new Uint8Array(PAGE_SIZE_BYTES) : page, random);
        const delta = kernel.encode(before, after);
        assert.deepEqual(delta, oracle.encode(before, after));
        assert.deepEqual(kernel.decode(before, delta), after);
        assert.deepEqual(oracle.decode(before, delta), after);
      }),
      { seed, numRuns: 300 },
    );
  });

  it('at every distance between two changes, at every place of a vector', () => {
    for (let first = 0; first < 70; ++first) {
      for (const second of [...range(first + 1, first + 20), 4093 - first]) {
        const after = changed(base, [first, second, PAGE_SIZE_BYTES - 1 - first]);
        const delta = kernel.encode(base, after);
        assert.deepEqual(delta, oracle.encode(base, after), `${first}, ${second}`);
        assert.deepEqual(kernel.decode(base, delta), after);
      }
    }
  });

  it('whatever the last pages left in the window', () => {
    const after = changed(base, [4094]);
    kernel.encode(noise(new SeededRandom(2)), noise(new SeededRandom(3)));
    assert.deepEqual(kernel.encode(base, after), oracle.encode(base, after));
    assert.deepEqual(kernel.encode(null, after), oracle.encode(null, after));
  });

  it('on how long a delta gets', () => {
    let longest = 0;
    for (const [run, stay] of [
      [1, 3],
      [15, 3],
      [16, 3],
      [143, 3],
      [144, 3],
      [4096, 0],
    ] as const) {
      const places = range(0, 4096).filter((place) => place % (run + stay) < run);
      const after = changed(base, places);
      const delta = kernel.encode(base, after);
      assert.deepEqual(delta, oracle.encode(base, after));
      longest = Math.max(longest, delta.length);
    }
    assert.ok(longest > PAGE_SIZE_BYTES + 16 && longest <= PAGE_DELTA_SIZE_BYTES_MAX, `${longest}`);
  });

  it(`on damaged deltas, for ${FUZZ_TIME_MS} ms`, () => {
    const random = new SeededRandom(seed);
    const below = (limit: number): number => random.uint32() % limit;
    const verdicts = { taken: 0, refused: 0 };
    const endMs = Date.now() + FUZZ_TIME_MS;
    while (Date.now() < endMs) {
      const before = below(4) === 0 ? null : base;
      let delta = oracle.encode(before, edited(before ?? new Uint8Array(PAGE_SIZE_BYTES), random));
      if (below(3) === 0) delta = delta.slice(0, below(delta.length + 1));
      for (let count = below(4); count > 0 && delta.length > 0; --count) {
        delta[below(below(2) === 0 ? Math.min(8, delta.length) : delta.length)] = random.uint32();
      }
      if (below(8) === 0) delta = Uint8Array.from({ length: below(5000) }, () => random.uint32());
      const expected = oracle.decode(before, delta);
      assert.deepEqual(kernel.decode(before, delta), expected, `SEED=${seed}, delta [${delta}]`);
      verdicts[expected === null ? 'refused' : 'taken'] += 1;
    }
    assert.ok(verdicts.taken > 50 && verdicts.refused > 50, JSON.stringify(verdicts));
  });
});

describe('the face', () => {
  it('refuses pages of another size and too little room', () => {
    const room = new Uint8Array(PAGE_DELTA_SIZE_BYTES_MAX);
    const short = new Uint8Array(PAGE_SIZE_BYTES - 1);
    assert.throws(() => pageCodec.encodeDelta(short, base, room, 0), RangeError);
    assert.throws(() => pageCodec.encodeDelta(base, short, room, 0), RangeError);
    assert.throws(() => pageCodec.encodeDelta(base, base, room, 1), RangeError);
    assert.throws(() => pageCodec.decodeDelta(base, Uint8Array.from([1]), short), RangeError);
  });

  it('decodes in place', () => {
    const page = base.slice();
    pageCodec.decodeDelta(page, Uint8Array.from([1, 0, 0, 42]), page);
    assert.equal(page[0], 42);
    assert.deepEqual(page.subarray(1), base.subarray(1));
  });
});
