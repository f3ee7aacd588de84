// Decoding of what `zstd -19` made, copies in and out included, against what Node 20 has built in
// for the same content: brotli at 11 and gzip at 9. Does not measure files larger than the caches.
// `sizeFactor` 1 is real; a small one proves that it runs.

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import Benchmark from 'benchmark';
import { SeededRandom } from '../../host/core/index.ts';
import { ZstdDecoder } from '../../host/kernels/index.ts';
import { ZstdCommand } from '../../test/kernels/zstd-command.ts';
import { edited } from '../../test/kernels/zstd-contents.ts';

const TEXT_FILE = 'node_modules/assemblyscript/dist/assemblyscript.js';
const SECONDS_EACH = 1;
const SEED = 42;
/** Fewer would make the delta one long copy. */
const EDITS_COUNT = 2000;

/** Reports decodings per second, named `zstd-decode/<subject>/<bytes of content>`. */
export async function run(
  report: (name: string, opsPerSecond: number) => void,
  sizeFactor: number,
): Promise<void> {
  const module = new WebAssembly.Module(new Uint8Array(readFileSync('build/codec.wasm')));
  const decoder = new ZstdDecoder(module);
  const text = new Uint8Array(readFileSync(TEXT_FILE));
  const wasm = new Uint8Array(readFileSync('build/codec.wasm'));
  const newer = edited(text, new SeededRandom(SEED), EDITS_COUNT);
  const command = new ZstdCommand();
  const frames = command.compress(new Map(Object.entries({ text, wasm })), ['-19']);
  const patch = command.patch(text, newer, ['-19']);
  command.remove();
  const decoded = (frame: Uint8Array, sizeBytesMax: number, dictionary?: Uint8Array) =>
    decoder.decode(frame, {
      sizeBytesMax,
      checksum: 'required',
      ...(dictionary === undefined ? {} : { dictionary }),
    });
  const brotli = brotliCompressSync(text);
  const gzip = gzipSync(text, { level: 9 });
  const subjects: readonly (readonly [string, Uint8Array, () => Uint8Array])[] = [
    ['delta', newer, () => decoded(patch, newer.length, text)],
    ['wasm', wasm, () => decoded(frames.get('wasm')!, wasm.length)],
    ['text', text, () => decoded(frames.get('text')!, text.length)],
    ['node-brotli', text, () => brotliDecompressSync(brotli)],
    ['node-gzip', text, () => gunzipSync(gzip)],
  ];
  for (const [name, content, work] of subjects) {
    if (Buffer.compare(work(), content) !== 0) throw new Error(`${name} gives other bytes`);
    report(`zstd-decode/${name}/${content.length}`, measure(work, SECONDS_EACH * sizeFactor));
    // A turn of the event loop, so that a runner may print or stop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function measure(work: () => void, seconds: number): number {
  const bench = new Benchmark(work, {
    maxTime: seconds,
    minSamples: 1,
    minTime: Math.min(0.05, seconds / 10),
  });
  bench.run();
  return bench.hz;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run(
    (name, opsPerSecond) => {
      const bytesPerSecond = opsPerSecond * Number(name.split('/').at(-1));
      const microseconds = Math.round(1e6 / opsPerSecond);
      const megabytes = Math.round(bytesPerSecond / 1e6);
      console.log(name.padEnd(32), `${microseconds} us, ${megabytes} MB/s`);
    },
    Number(process.argv[2] ?? 1),
  );
}
