// Page deltas, LZ4 and XXH64 of database pages, with the copies in and out, against native lz4 of
// Debian on the same pages in memory (`lz4 -b`). Pages of a database of users, orders, an index and
// JSON events that Debian's sqlite3 makes. Does not measure the store or the log. `sizeFactor` 1 is
// real; a small one proves that it runs.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Benchmark from 'benchmark';
import { PAGE_DELTA_SIZE_BYTES_MAX, PageCodec } from '../../host/kernels/index.ts';
import { needDebian } from '../../test/support/debian.ts';
import { codecModuleBytes } from '../../test/support/wasm.ts';

const PAGE_SIZE_BYTES = 4096;
const ROWS_COUNT = 20_000;
const SECONDS_EACH = 1;

const SQL = `pragma page_size=${PAGE_SIZE_BYTES};
create table users(id integer primary key, name text, email text, at int);
create table orders(id integer primary key, user int, sku text, amount real);
create index orders_user on orders(user);
create table events(id integer primary key, body text);
with recursive n(i) as (select 1 union all select i+1 from n where i < ${ROWS_COUNT})
insert into users select i, 'user ' || hex(i*2654435761 % 4294967296),
  'u' || i*7919%100003 || '@example.com', 1700000000+i*37 from n;
with recursive n(i) as (select 1 union all select i+1 from n where i < ${ROWS_COUNT})
insert into orders select i, i*7919%${ROWS_COUNT}, 'SKU-' || i*104729%100000, i*3571%9973/7.0
  from n;
with recursive n(i) as (select 1 union all select i+1 from n where i < ${ROWS_COUNT})
insert into events select i, json_object('type', iif(i%3,'view','buy'), 'user', i*7919%100003,
  'session', printf('%x%x', i*2654435761, i*40503%65536), 'path', '/item/' || i*31%977) from n;`;

/** Reports pages per second, named `page/<subject>`. */
export async function run(
  report: (name: string, opsPerSecond: number) => void,
  sizeFactor: number,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pages-'));
  try {
    const path = join(folder, 'pages');
    makeDatabase(path);
    for (const [name, pagesPerSecond] of kernelSpeeds(readFileSync(path), sizeFactor)) {
      report(`page/${name}`, pagesPerSecond);
      // A turn of the event loop, so that a runner may print or stop.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const native = nativeSpeeds(path, SECONDS_EACH * sizeFactor);
    report('page/native-lz4-out', native.out / PAGE_SIZE_BYTES);
    report('page/native-lz4-in', native.in / PAGE_SIZE_BYTES);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function makeDatabase(path: string): void {
  needDebian('sqlite3', 'sqlite3');
  const { status, stderr } = spawnSync('sqlite3', [path], { input: SQL });
  if (status !== 0) throw new Error(`sqlite3: ${stderr}`);
}

function* kernelSpeeds(file: Uint8Array, sizeFactor: number): Iterable<[string, number]> {
  const codec = new PageCodec(new WebAssembly.Module(codecModuleBytes()));
  const pages = Array.from({ length: file.length / PAGE_SIZE_BYTES }, (_, index) =>
    file.subarray(index * PAGE_SIZE_BYTES, (index + 1) * PAGE_SIZE_BYTES),
  );
  const room = new Uint8Array(2 * PAGE_SIZE_BYTES);
  const blocks = pages.map((page) => room.slice(0, codec.compress(page, room.length, room, 0)));
  const into = new Uint8Array(PAGE_SIZE_BYTES);
  for (const [index, block] of blocks.entries()) {
    codec.decompress(block, into);
    if (Buffer.compare(into, pages[index]!) !== 0) throw new Error(`page ${index} differs`);
  }
  // One counter of a row, as a hot row is, and a page that has nothing in common.
  const counted = pages.map((page) => page.with(2000, (page[2000]! + 1) & 255));
  const seconds = SECONDS_EACH * sizeFactor;
  const each = (work: (index: number) => unknown): number =>
    pages.length * measure(() => pages.forEach((_, index) => void work(index)), seconds);
  if (PAGE_DELTA_SIZE_BYTES_MAX > room.length) throw new Error('no room for a delta');
  yield ['delta-counter', each((n) => codec.encodeDelta(pages[n]!, counted[n]!, room, 0))];
  yield ['delta-new', each((n) => codec.encodeDelta(null, pages[n]!, room, 0))];
  const size = codec.encodeDelta(pages[0]!, counted[0]!, room, 0);
  const delta = room.slice(0, size);
  yield ['delta-decode', each((n) => codec.decodeDelta(pages[n]!, delta, into))];
  yield ['xxh64', each((n) => codec.xxh64(pages[n]!))];
  yield ['lz4-out', each((n) => codec.decompress(blocks[n]!, into))];
  yield ['lz4-in', each((n) => codec.compress(pages[n]!, PAGE_SIZE_BYTES, room, 0))];
}

/** What `lz4 -b` says of pages of this file. Units: bytes per second. */
function nativeSpeeds(path: string, seconds: number): { in: number; out: number } {
  needDebian('lz4', 'lz4');
  const args = ['-b1', `-B${PAGE_SIZE_BYTES}`, `-i${Math.max(1, Math.round(seconds))}`, path];
  const { stdout, stderr } = spawnSync('lz4', args, { encoding: 'utf8' });
  const found = [...`${stdout}${stderr}`.matchAll(/([\d.]+) MB\/s\s*,\s*([\d.]+) MB\/s/g)].at(-1);
  if (found === undefined) throw new Error(`lz4 -b says no speeds: ${stdout}${stderr}`);
  return { in: Number(found[1]) * 1e6, out: Number(found[2]) * 1e6 };
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
      const megabytes = Math.round((opsPerSecond * PAGE_SIZE_BYTES) / 1e6);
      const microseconds = (1e6 / opsPerSecond).toFixed(2);
      console.log(name.padEnd(24), `${microseconds} us a page, ${megabytes} MB/s`);
    },
    Number(process.argv[2] ?? 1),
  );
}
