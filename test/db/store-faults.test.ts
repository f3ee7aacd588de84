// The page store when things go wrong: killed in the middle of folds, bits flipped, no room,
// several threads; and that a fold is on the disk when it says so.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { needDebian } from '../support/debian.ts';
import { testSeed } from '../support/seed.ts';
import { startThread } from '../support/thread.ts';
import { lastFoldOf, PAGES_COUNT, pageOf, pagesOfFold } from './store-folds.ts';
import { anyPage, readPage, StoreScene } from './store-scene.ts';

const KILLS_COUNT = 5;
const seed = testSeed('store-faults');
const random = new SeededRandom(seed);
const scenes: StoreScene[] = [];
after(async () => {
  for (const scene of scenes) await scene.remove();
});

function newScene(): StoreScene {
  const scene = new StoreScene();
  scenes.push(scene);
  return scene;
}

const CHILD = ['--import', 'tsx', 'test/db/store-child.ts'];

/** Runs folds in a process of its own and kills it. Returns the last LSN it said it had folded. */
async function killedFolds(folder: string, linesCount: number): Promise<number> {
  const child = spawn(process.execPath, [...CHILD, folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let errors = '';
  child.stderr.on('data', (data) => {
    errors += data;
  });
  child.stdout.on('data', (data) => {
    said += data;
    if (said.split('\n').length > linesCount) child.kill('SIGKILL');
  });
  await once(child, 'close');
  const done = [...said.matchAll(/done (\d+)\n/g)].at(-1);
  assert.equal(child.signalCode, 'SIGKILL', errors);
  return Number(done?.[1] ?? 0);
}

describe('a page store', () => {
  it(`that is killed ${KILLS_COUNT} times in its folds has each whole or not at all`, async () => {
    const scene = newScene();
    const folder = join(scene.folder, 'pages');
    let doneLsn = 0;
    for (let kill = 0; kill < KILLS_COUNT; ++kill) {
      doneLsn = Math.max(doneLsn, await killedFolds(folder, 2 + (random.uint32() % 20)));
      const store = await scene.open();
      assert.ok(
        store.lsn >= doneLsn,
        `lsn ${store.lsn}, ${doneLsn} was acknowledged, SEED=${seed}`,
      );
      assert.deepEqual((await store.check()).findings, []);
      for (let pageNumber = 1; pageNumber <= PAGES_COUNT; ++pageNumber) {
        const fold = lastFoldOf(pageNumber, store.lsn);
        const expected = fold === 0 ? null : pageOf(fold, pageNumber);
        assert.deepEqual(readPage(store, pageNumber, store.lsn), expected, `page ${pageNumber}`);
      }
      // The pins of the killed process are gone, and so is what only they kept.
      await store.collect();
      assert.equal(store.stats().historyCount, 0);
      await scene.close(store);
    }
  });

  it('is on the disk when a fold says so', () => {
    needDebian('strace', 'strace');
    const folder = join(newScene().folder, 'pages');
    const traced = ['-f', '-e', 'trace=fdatasync,fsync,write,openat,pwrite64,pwritev,writev'];
    const run = spawnSync('strace', [...traced, process.execPath, ...CHILD, folder, '2'], {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    assert.equal(run.status, 0, run.stderr.slice(-2000));
    const lines = run.stderr.split('\n');
    const from = lines.findIndex((line) => line.includes('"begin 2'));
    const to = lines.findIndex((line) => line.includes('"done 2'));
    const fold = lines.slice(from, to);
    const writes = fold.findIndex((line) => /(pwrite64|pwritev|writev)\(\d/.test(line));
    const sync = fold.findIndex((line) => /fdatasync\(/.test(line));
    const metaWrite = fold.findLast((line) => /pwrite64\(/.test(line));
    assert.ok(writes >= 0 && sync > writes, fold.join('\n'));
    // What makes the fold the state is written last, through a descriptor that syncs by itself.
    const descriptor = /pwrite64\((\d+),/.exec(metaWrite!)![1];
    const opened = lines.filter((line) => new RegExp(`data\\.mdb.* = ${descriptor}$`).test(line));
    assert.match(opened.join('\n'), /O_DSYNC/);
  });

  it('finds a flipped bit, names its page, and gives no wrong byte', async () => {
    const scene = newScene();
    const store = await scene.open();
    const pages = new Map(
      Array.from({ length: 40 }, (_, index) => [index + 1, anyPage(random)] as const),
    );
    await store.fold(
      7,
      40,
      [...pages].map(([pageNumber, bytes]) => ({ pageNumber, bytes })),
    );
    await scene.close(store);
    const path = join(scene.folder, 'pages', 'data.mdb');
    const file = readFileSync(path);
    // A byte of page 3 as it stands there; noise is stored as it is.
    const noise = [...pages].find(([, page]) => page.subarray(4000).some((byte) => byte !== 0))!;
    const at = file.indexOf(noise[1].subarray(1000, 1040)) + 17;
    assert.ok(at > 17);
    file[at] = file[at]! ^ 4;
    writeFileSync(path, file);
    const damaged = await scene.open();
    assert.throws(() => readPage(damaged, noise[0], 7), {
      code: 'DB_PAGE_CORRUPT',
      message: new RegExp(`page ${noise[0]} at lsn 7`),
    });
    const report = await damaged.check();
    assert.equal(report.findingsCount, 1);
    assert.match(report.findings[0]!, new RegExp(`page ${noise[0]} at lsn 7`));
    for (const [number, page] of pages) {
      if (number !== noise[0]) assert.deepEqual(readPage(damaged, number, 7), page);
    }
  });

  // An LSN that a flipped bit made newer hid its page: it was read as one of zeros.
  it('finds a flipped bit wherever it is in a record, and wherever a file is cut', async () => {
    const [scene, other] = [newScene(), newScene()];
    const store = await scene.open();
    const pages = new Map(
      Array.from({ length: 300 }, (_, index) => [index + 1, anyPage(random)] as const),
    );
    for (let lsn = 1; lsn <= 6; ++lsn) {
      const folded = [...pages].filter(([number]) => lsn === 1 || number % 6 === lsn % 6);
      const records = folded.map(([pageNumber, bytes]) => ({ pageNumber, bytes }));
      await store.fold(lsn, pages.size, records);
    }
    await scene.close(store);
    const file = readFileSync(join(scene.folder, 'pages', 'data.mdb'));
    mkdirSync(join(other.folder, 'pages'));
    const damaged = join(other.folder, 'pages', 'data.mdb');
    const wrongPages = async (): Promise<number> => {
      const opened = await other.open();
      let toldCount = 0;
      for (const [number, page] of pages) {
        try {
          assert.deepEqual(readPage(opened, number, opened.lsn), page, `page ${number}`);
        } catch (error) {
          if ((error as { code?: string }).code !== 'DB_PAGE_CORRUPT') throw error;
          toldCount += 1;
        }
      }
      const { findingsCount } = await opened.check();
      assert.equal(
        findingsCount > 0,
        toldCount > 0,
        `${findingsCount} findings, ${toldCount} told`,
      );
      await other.close(opened);
      return toldCount;
    };
    // Bytes of the heads of records that have a page of LMDB for themselves: codec, LSN, checksum.
    let told = 0;
    for (let trial = 0; trial < 40; ++trial) {
      const bytes = Buffer.from(file);
      const page = 2 + (random.uint32() % (file.length / 4096 - 2));
      bytes[page * 4096 + 24 + (random.uint32() % 16)]! ^= 1 << (random.uint32() % 8);
      // Those of a tree can end the process: see DESIGN.md.
      if ((bytes.readUInt16LE(page * 4096 + 18) & 4) === 0) continue;
      writeFileSync(damaged, bytes);
      told += await wrongPages();
    }
    assert.ok(told > 0);
    let cutsCount = 0;
    for (let trial = 0; trial < 40; ++trial) {
      const size = 1 + (random.uint32() % (file.length - 1));
      writeFileSync(damaged, file.subarray(0, size));
      try {
        // What is missing is free: it is whole.
        assert.equal(await wrongPages(), 0);
      } catch (error) {
        cutsCount += 1;
        assert.match((error as Error).message, /(it is cut at byte \d+: a page )?at byte \d+/);
        assert.equal((error as { code?: string }).code, 'DB_FORMAT', `cut at ${size}: ${error}`);
      }
    }
    assert.ok(cutsCount > 20, `${cutsCount} cuts were told`);
  });

  it('whose fold a power cut tears is what it was before, or after', async () => {
    const [scene, other] = [newScene(), newScene()];
    const path = join(scene.folder, 'pages', 'data.mdb');
    const store = await scene.open();
    const fold = (lsn: number) =>
      store.fold(
        lsn,
        PAGES_COUNT,
        pagesOfFold(lsn).map((pageNumber) => ({ pageNumber, bytes: pageOf(lsn, pageNumber) })),
      );
    for (let lsn = 1; lsn <= 12; ++lsn) await fold(lsn);
    mkdirSync(join(other.folder, 'pages'));
    for (let lsn = 13; lsn <= 32; ++lsn) {
      const before = readFileSync(path);
      await fold(lsn);
      const after = readFileSync(path);
      // Sectors of any pages are on the disk; the meta page is written after a sync of the rest.
      const torn = Buffer.concat([before, Buffer.alloc(Math.max(0, after.length - before.length))]);
      for (let at = 2 * 4096; at < after.length; at += 512) {
        if (random.uint32() % 2 === 0) after.copy(torn, at, at, at + 512);
      }
      const isAfter = lsn % 4 === 0;
      writeFileSync(join(other.folder, 'pages', 'data.mdb'), isAfter ? after : torn);
      const opened = await other.open();
      assert.equal(opened.lsn, isAfter ? lsn : lsn - 1);
      assert.deepEqual((await opened.check()).findings, []);
      for (let pageNumber = 1; pageNumber <= PAGES_COUNT; ++pageNumber) {
        const written = lastFoldOf(pageNumber, opened.lsn);
        const expected = written === 0 ? null : pageOf(written, pageNumber);
        assert.deepEqual(readPage(opened, pageNumber, opened.lsn), expected, `page ${pageNumber}`);
      }
      await other.close(opened);
    }
  });

  it('refuses what is no store', async () => {
    const scene = newScene();
    const folder = join(scene.folder, 'pages');
    const store = await scene.open();
    await scene.close(store);
    writeFileSync(join(folder, 'data.mdb'), Buffer.alloc(8192, 7));
    await assert.rejects(scene.open(), { code: 'DB_FORMAT' });
  });

  it('that is full refuses the fold whole, and goes on with less', async () => {
    const scene = newScene();
    const store = await scene.open({ sizeBytesMax: 100_000 });
    const page = (value: number) => new Uint8Array(4096).map((_, at) => at * value * 7 + (at >> 5));
    const noise = () => new Uint8Array(4096).map(() => random.uint32());
    await store.fold(1, 40, [{ pageNumber: 1, bytes: page(1) }]);
    const many = Array.from({ length: 40 }, (_, index) => ({
      pageNumber: index + 1,
      bytes: noise(),
    }));
    const before = store.stats();
    await assert.rejects(store.fold(2, 40, many), {
      code: 'DB_STORE_FULL',
      message: /the limit is 100000/,
    });
    assert.deepEqual({ ...store.stats(), fileSizeBytes: 0 }, { ...before, fileSizeBytes: 0 });
    assert.deepEqual(readPage(store, 1, store.lsn), page(1));
    await store.fold(2, 40, many.slice(0, 10));
    assert.deepEqual(readPage(store, 1, store.lsn), many[0]!.bytes);
    assert.deepEqual((await store.check()).findings, []);
  });

  it('whose disk takes no more refuses the fold, and what it has stays', () => {
    // A limit on file sizes is what a full disk is to this process: writes of it fail.
    const folder = join(newScene().folder, 'pages');
    const filled = spawnSync(
      'sh',
      ['-c', 'ulimit -f 2048; exec "$@"', 'sh', process.execPath, ...CHILD, folder, '400'],
      { encoding: 'utf8' },
    );
    assert.equal(filled.status, 0, filled.stderr);
    const done = Number([...filled.stdout.matchAll(/done (\d+)\n/g)].at(-1)![1]);
    assert.ok(done > 0 && done < 400);
    assert.match(filled.stdout, new RegExp(`DB_STORE_FULL, ${done}, 0 findings`));
    const room = spawnSync(process.execPath, [...CHILD, folder, '1'], { encoding: 'utf8' });
    assert.equal(room.status, 0, room.stderr);
    assert.match(room.stdout, new RegExp(`done ${done + 1}\n`));
    assert.ok(statSync(join(folder, 'data.mdb')).size > 0);
  });

  it('is read in several threads of one process, each closed when it likes', async () => {
    const scene = newScene();
    const folder = join(scene.folder, 'pages');
    const store = await scene.open();
    await store.fold(1, PAGES_COUNT, [{ pageNumber: 1, bytes: pageOf(1, 1) }]);
    const threads = await Promise.all(
      [1, 2].map(async () => {
        const thread = startThread(new URL('./store-thread.ts', import.meta.url), folder);
        await once(thread, 'message');
        return thread;
      }),
    );
    for (let lsn = 2; lsn < 20; ++lsn) {
      const pages = pagesOfFold(lsn);
      await store.fold(
        lsn,
        PAGES_COUNT,
        pages.map((pageNumber) => ({ pageNumber, bytes: pageOf(lsn, pageNumber) })),
      );
      const pageNumber = pages[lsn]!;
      for (const thread of threads) {
        thread.postMessage({ pageNumber, lsn });
        const [answer] = await once(thread, 'message');
        assert.deepEqual(answer, { lsn, page: pageOf(lsn, pageNumber) });
      }
      if (lsn === 10) {
        const thread = threads.pop()!;
        thread.postMessage('close');
        await once(thread, 'exit');
      }
    }
    threads[0]!.postMessage('close');
    await once(threads[0]!, 'exit');
    await store.fold(20, PAGES_COUNT, [{ pageNumber: 1, bytes: pageOf(20, 1) }]);
    assert.deepEqual(readPage(store, 1, 20), pageOf(20, 1));
  });
});
