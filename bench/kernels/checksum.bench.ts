// Checksums of a page, a log group and a file: the kernels with the copy into their window, against
// the test oracles and against MD5 of Node's OpenSSL, the fastest digest that comes with it. Does
// not measure memory that is cold. `sizeFactor` 1 is real; a small one proves that it runs.

import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import Benchmark from 'benchmark';
import { SeededRandom } from '../../host/core/index.ts';
import { crc32cOracle, xxh64Oracle } from '../../test/kernels/checksum-oracle.ts';
import { codec } from '../../test/support/wasm.ts';

const SIZES_BYTES = [64, 4096, 65_536, 1_048_576];
const ORACLE_SIZE_BYTES_MAX = 4096;
const SECONDS_EACH = 1;
const SEED = 42;

/** Reports checksums per second, named `checksum/<subject>/<bytes>`. */
export async function run(
  report: (name: string, opsPerSecond: number) => void,
  sizeFactor: number,
): Promise<void> {
  const kernel = codec();
  const random = new SeededRandom(SEED);
  const subjects: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
    xxh64: (bytes) => kernel.xxh64(bytes),
    crc32c: (bytes) => kernel.crc32c(bytes),
    'node-md5': (bytes) => createHash('md5').update(bytes).digest(),
    'xxh64-oracle': (bytes) => xxh64Oracle(bytes, 0n),
    'crc32c-oracle': (bytes) => crc32cOracle(bytes, 0),
  };
  for (const sizeBytes of SIZES_BYTES) {
    const bytes = new Uint8Array(sizeBytes).map(() => random.uint32());
    if (sizeBytes <= ORACLE_SIZE_BYTES_MAX) checkEqual(kernel, bytes);
    for (const [name, checksum] of Object.entries(subjects)) {
      if (name.endsWith('oracle') && sizeBytes > ORACLE_SIZE_BYTES_MAX) continue;
      const opsPerSecond = measure(() => checksum(bytes), SECONDS_EACH * sizeFactor);
      report(`checksum/${name}/${sizeBytes}`, opsPerSecond);
      // A turn of the event loop, so that a runner may print or stop.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function checkEqual(kernel: ReturnType<typeof codec>, bytes: Uint8Array): void {
  const isEqual =
    kernel.xxh64(bytes) === xxh64Oracle(bytes, 0n) &&
    kernel.crc32c(bytes) === crc32cOracle(bytes, 0);
  if (!isEqual) throw new Error(`kernel and oracle differ for ${bytes.length} bytes`);
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
      const gigabytes = (bytesPerSecond / 1e9).toFixed(2);
      console.log(name.padEnd(32), `${Math.round(1e9 / opsPerSecond)} ns, ${gigabytes} GB/s`);
    },
    Number(process.argv[2] ?? 1),
  );
}
