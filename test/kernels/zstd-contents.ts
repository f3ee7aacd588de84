// Contents of every kind for the tests of zstd: what they hold depends on the seed alone.

import { readFileSync } from 'node:fs';
import type { Random } from '../../host/core/index.ts';

const TEXT_FILE = 'node_modules/assemblyscript/dist/asc.js';
const WASM_FILE = 'build/edge.wasm';

/** Makes contents of exactly a size. */
export const CONTENT_KINDS: Readonly<
  Record<string, (sizeBytes: number, random: Random) => Uint8Array>
> = {
  text: (sizeBytes) => repeated(readFileSync(TEXT_FILE), sizeBytes),
  wasm: (sizeBytes) => repeated(readFileSync(WASM_FILE), sizeBytes),
  random: (sizeBytes, random) => new Uint8Array(sizeBytes).map(() => random.uint32()),
  runs,
  structured,
  words,
};

/** A file again and again, each time with another byte in front. */
function repeated(file: Uint8Array, sizeBytes: number): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let at = 0, round = 0; at < sizeBytes; at += file.length + 1, ++round) {
    content[at] = round;
    content.set(file.subarray(0, Math.max(0, sizeBytes - at - 1)), at + 1);
  }
  return content;
}

/** Runs of few values, some of them long. */
function runs(sizeBytes: number, random: Random): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; ) {
    const length = 1 + (random.uint32() % 4 === 0 ? random.uint32() % 5000 : random.uint32() % 9);
    content.fill(random.uint32() % 5, at, at + length);
    at += length;
  }
  return content;
}

/** Records of fixed length that differ in a counter and a few bytes. */
function structured(sizeBytes: number, random: Random): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; ++at) {
    const place = at % 24;
    const number = Math.floor(at / 24);
    if (place < 4) content[at] = number >> (8 * place);
    else if (place < 7) content[at] = random.uint32() % 3 === 0 ? random.uint32() : 0;
    else content[at] = 65 + place;
  }
  return content;
}

/** Few words of one length, noise after each: matches of one length. */
function words(sizeBytes: number, random: Random): Uint8Array {
  const known = Array.from({ length: 8 }, () =>
    Uint8Array.from({ length: 8 }, () => random.uint32()),
  );
  const content = new Uint8Array(sizeBytes).map(() => random.uint32());
  for (let at = 0; at + 12 <= sizeBytes; at += 12) {
    content.set(known[random.uint32() % known.length]!, at);
  }
  return content;
}

/** A later version of a content: pieces changed, moved, put in and left out. */
export function edited(content: Uint8Array, random: Random, editsCount: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (let edit = 0; edit < editsCount && at < content.length; ++edit) {
    const next = at + (random.uint32() % Math.ceil((2 * content.length) / editsCount));
    parts.push(content.subarray(at, next));
    const size = random.uint32() % 30;
    if (edit % 3 === 0) parts.push(new Uint8Array(size).map(() => random.uint32() % 128));
    if (edit % 3 === 1) parts.push(content.subarray(at >> 1, (at >> 1) + 10 * size));
    at = next + (edit % 3 === 2 ? size : 0);
  }
  parts.push(content.subarray(at));
  return Buffer.concat(parts);
}
