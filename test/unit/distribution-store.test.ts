import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../../host/core/index.ts';
import {
  artefactFileSize,
  BLOCK_SIZE_BYTES,
  sha256Of,
} from '../../host/distribution/artefact-file.ts';
import {
  listChannels,
  readBaseCounts,
  readChannelState,
  replaceBaseCounts,
} from '../../host/distribution/channel-state.ts';
import { replaceCheckedJson } from '../../host/distribution/checked-json.ts';
import { temporaryName } from '../../host/distribution/durable-file.ts';
import { collectGarbage, scanStore } from '../../host/distribution/maintenance.ts';
import type { ChannelState } from '../../host/distribution/model.ts';
import { StoreLock } from '../../host/distribution/store-lock.ts';
import { type ArtefactRef, artefactAt, artefactPath } from '../../host/distribution/store-paths.ts';
import { TestStore } from '../support/distribution.ts';
import { testSeed } from '../support/seed.ts';
import { filesBelow, putText, randomBytes, storeScene } from '../support/store-scene.ts';
import { codeOfAsync } from '../support/trust-scene.ts';

const seed = testSeed('distribution store');
const random = new SeededRandom(seed);
const scene = storeScene();
after(() => scene.remove());
const { store } = scene;
const hash = (digit: string) => digit.repeat(64);

describe('an artefact', () => {
  it('gives back any range of any payload', async () => {
    const writer = await scene.writer();
    const sizes = [0, 1, BLOCK_SIZE_BYTES - 1, BLOCK_SIZE_BYTES, BLOCK_SIZE_BYTES + 1, 200_000];
    for (const sizeBytes of sizes) {
      const bytes = randomBytes(random, sizeBytes);
      const sha256 = sha256Of(bytes);
      assert.equal(await writer.putObject(sha256, bytes), true);
      assert.equal(await writer.putObject(sha256, bytes), false);
      const ref: ArtefactRef = { kind: 'object', sha256 };
      assert.equal(await store.fileSizeOf(ref), artefactFileSize(sizeBytes));
      const reader = await store.open(ref);
      assert.equal(reader!.sizeBytes, sizeBytes);
      assert.deepEqual(Buffer.from(await reader!.readWhole()), Buffer.from(bytes));
      await fc.assert(
        fc.asyncProperty(fc.nat(sizeBytes), fc.nat(sizeBytes), async (one, other) => {
          const [start, end] = one < other ? [one, other] : [other, one];
          const part = await reader!.read(start, end - start);
          assert.deepEqual(Buffer.from(part), Buffer.from(bytes.subarray(start, end)));
        }),
        { seed, numRuns: 30 },
      );
      await assert.rejects(reader!.read(sizeBytes, 1), RangeError);
      await reader!.close();
    }
    await writer.close();
  });

  it('that is not there is null', async () => {
    assert.equal(await store.open({ kind: 'object', sha256: hash('0') }), null);
    assert.equal(await store.open({ kind: 'delta', target: hash('0'), base: hash('1') }), null);
  });

  it('has one path, which no name can leave', () => {
    const refs: ArtefactRef[] = [
      { kind: 'object', sha256: hash('a') },
      { kind: 'variant', sha256: hash('a'), encoding: 'br' },
      { kind: 'variant', sha256: hash('a'), encoding: 'gzip' },
      { kind: 'variant', sha256: hash('a'), encoding: 'zstd' },
      { kind: 'delta', target: hash('a'), base: hash('b') },
    ];
    for (const ref of refs) assert.deepEqual(artefactAt(artefactPath(ref)), ref);
    assert.equal(new Set(refs.map(artefactPath)).size, refs.length);
    for (const sha256 of ['', '..', `../${hash('a')}`, hash('A'), hash('a').slice(1)]) {
      assert.throws(() => artefactPath({ kind: 'object', sha256 }), TypeError);
      assert.throws(
        () => artefactPath({ kind: 'delta', target: hash('a'), base: sha256 }),
        TypeError,
      );
    }
    for (const path of ['objects/ab/x', `objects/bb/${hash('a')}`, `objects/aa/${hash('a')}.gz`]) {
      assert.equal(artefactAt(path), null);
    }
  });
});

describe('a bit that turned', () => {
  const kinds: readonly ArtefactRef['kind'][] = ['object', 'variant', 'delta'];
  for (const kind of kinds) {
    it(`anywhere in a ${kind} is found before it leaves`, async () => {
      const own = storeScene();
      const writer = await own.writer();
      const payload = randomBytes(random, BLOCK_SIZE_BYTES + 100);
      const sha256 = sha256Of(payload);
      const ref: ArtefactRef =
        kind === 'object'
          ? { kind, sha256 }
          : kind === 'variant'
            ? { kind, sha256, encoding: 'zstd' }
            : { kind, target: sha256, base: hash('b') };
      const fileSizeBytes = artefactFileSize(payload.length);
      const tailOffset = payload.length;
      // Each byte of the sums and the footer, and some of the payload.
      const offsets = [0, BLOCK_SIZE_BYTES - 1, BLOCK_SIZE_BYTES, payload.length - 1];
      for (let at = tailOffset; at < fileSizeBytes; ++at) offsets.push(at);
      for (let count = 0; count < 20; ++count) offsets.push(random.uint32() % payload.length);
      for (const offset of offsets) {
        await writer.put(ref, payload);
        const path = own.store.pathOf(ref);
        const bytes = readFileSync(path);
        assert.equal(bytes.length, fileSizeBytes);
        bytes[offset]! ^= 1 << (random.uint32() % 8);
        writeFileSync(path, bytes);
        const code = await codeOfAsync(() => own.store.readWhole(ref));
        assert.equal(code, 'GW_DIST_CORRUPT', `byte ${offset}`);
        assert.equal(await own.store.open(ref), null, 'it is out of sight');
      }
      const aside = readdirSync(join(own.store.dir, 'quarantine'));
      assert.equal(aside.length, offsets.length);
      await writer.close();
      own.remove();
    });
  }

  it('in one block does not keep the others from being read', async () => {
    const own = storeScene();
    const writer = await own.writer();
    const payload = randomBytes(random, BLOCK_SIZE_BYTES * 3);
    const ref: ArtefactRef = { kind: 'variant', sha256: hash('a'), encoding: 'br' };
    await writer.put(ref, payload);
    const bytes = readFileSync(own.store.pathOf(ref));
    bytes[BLOCK_SIZE_BYTES + 5]! ^= 4;
    writeFileSync(own.store.pathOf(ref), bytes);
    const reader = (await own.store.open(ref))!;
    assert.equal((await reader.read(0, BLOCK_SIZE_BYTES)).length, BLOCK_SIZE_BYTES);
    assert.equal((await reader.read(BLOCK_SIZE_BYTES * 2, 10)).length, 10);
    assert.equal(await codeOfAsync(() => reader.read(BLOCK_SIZE_BYTES - 1, 2)), 'GW_DIST_CORRUPT');
    await reader.close();
    await writer.close();
    own.remove();
  });

  it('or a cut file is found, and content that is put again heals', async () => {
    const own = storeScene();
    const writer = await own.writer();
    const payload = randomBytes(random, 1000);
    const sha256 = sha256Of(payload);
    const ref: ArtefactRef = { kind: 'object', sha256 };
    for (const sizeBytes of [0, 1, 31, 32, 500, 1035]) {
      await writer.putObject(sha256, payload);
      const bytes = readFileSync(own.store.pathOf(ref));
      writeFileSync(own.store.pathOf(ref), bytes.subarray(0, sizeBytes));
      assert.equal(await writer.putObject(sha256, payload), true, `${sizeBytes} bytes`);
      assert.deepEqual(Buffer.from((await own.store.readWhole(ref))!), Buffer.from(payload));
    }
    await writer.close();
    own.remove();
  });

  it('is told from good content under the name of another', async () => {
    const own = storeScene();
    const writer = await own.writer();
    const [one, other] = [await putText(writer, 'one'), await putText(writer, 'other')];
    renameSync(
      own.store.pathOf({ kind: 'object', sha256: one }),
      own.store.pathOf({ kind: 'object', sha256: other }),
    );
    const read = () => own.store.readWhole({ kind: 'object', sha256: other });
    assert.equal(await codeOfAsync(read), 'GW_DIST_CORRUPT');
    await writer.close();
    own.remove();
  });

  it('does not take away what has been put in its place since', async () => {
    const own = storeScene();
    const writer = await own.writer();
    const payload = randomBytes(random, 1000);
    const sha256 = sha256Of(payload);
    const ref: ArtefactRef = { kind: 'object', sha256 };
    await writer.put(ref, payload);
    const bytes = readFileSync(own.store.pathOf(ref));
    bytes[3]! ^= 1;
    writeFileSync(own.store.pathOf(ref), bytes);
    const reader = (await own.store.open(ref))!;
    await writer.put(ref, payload);
    assert.equal(await codeOfAsync(() => reader.readWhole()), 'GW_DIST_CORRUPT');
    assert.deepEqual(Buffer.from((await own.store.readWhole(ref))!), Buffer.from(payload));
    await reader.close();
    await writer.close();
    own.remove();
  });

  it('in the state or the bases of a channel is found', async () => {
    const own = storeScene();
    const writer = await own.writer();
    await writer.commit(stateOf('app', []));
    await replaceBaseCounts(own.store.dir, 'app', { [hash('a')]: 3 });
    for (const [name, read] of [
      ['state.json', () => readChannelState(own.store.dir, 'app')],
      ['bases.json', () => readBaseCounts(own.store.dir, 'app')],
    ] as const) {
      const path = join(own.store.dir, 'channels', 'app', name);
      const whole = readFileSync(path);
      // The last byte is a line feed; as another blank it would mean the same.
      for (let at = 0; at < whole.length - 1; ++at) {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= 1 << (random.uint32() % 8);
        writeFileSync(path, bytes);
        assert.equal(await codeOfAsync(read), 'GW_DIST_CORRUPT', `${name} byte ${at}`);
      }
      writeFileSync(path, whole);
      assert.notEqual(await read(), null);
    }
    await writer.close();
    own.remove();
  });
});

function stateOf(channel: string, releases: ChannelState['releases']): ChannelState {
  return { channel, generation: 1, isPacked: false, releases };
}

describe('the state of a channel', () => {
  const entry = {
    sequence: 2,
    version: '2.0.0',
    salt: 'x',
    state: 'active' as const,
    rollout: 100,
    schedule: [{ atMs: 5, rollout: 200 }],
    targeting: {
      appVersion: '>=1.0.0',
      platforms: ['ios'],
      regions: null,
      devices: ['a'],
      // Keys that look like numbers come first in JavaScript, whatever the order they came in.
      attributes: { tier: ['gold'], 7: ['x'] },
    },
    halt: { failureShare: 0.05, minimumCount: 10 },
    createdAtMs: 1,
    manifest: { sha256: hash('a'), sizeBytes: 1 },
    isBuiltIn: true,
    resumeCount: 3,
  };

  it('comes back as it was put', async () => {
    const writer = await scene.writer();
    const state = stateOf('app', [entry, { ...entry, sequence: 1, version: '1.0.0' }]);
    await writer.commit(state);
    const read = await readChannelState(store.dir, 'app');
    assert.equal(JSON.stringify(read), JSON.stringify(JSON.parse(JSON.stringify(state))));
    assert.deepEqual(await listChannels(store.dir), ['app']);
    assert.equal(await readChannelState(store.dir, 'maps'), null);
    await writer.close();
  });

  it('that could not be read again is not put', async () => {
    const writer = await scene.writer();
    for (const change of [
      { sequence: 0 },
      { rollout: 10_001 },
      { state: 'gone' as never },
      { schedule: [entry.schedule[0]!, entry.schedule[0]!] },
      { halt: { failureShare: 2, minimumCount: 1 } },
      { targeting: { ...entry.targeting, appVersion: 'new' } },
      { version: '../x' },
    ]) {
      const state = stateOf('app', [{ ...entry, ...change }]);
      const code = await codeOfAsync(() => writer.commit(state));
      assert.equal(code, 'GW_DIST_CORRUPT', JSON.stringify(change));
    }
    const twice = stateOf('app', [entry, { ...entry, sequence: 1 }]);
    assert.equal(await codeOfAsync(() => writer.commit(twice)), 'GW_DIST_CORRUPT');
    const outside = stateOf('../app', [entry]);
    assert.equal(await codeOfAsync(() => writer.commit(outside)), 'GW_DIST_DOCUMENT');
    await writer.close();
  });
});

describe('the lock of a store', () => {
  it('is held by one writer, and names it', async () => {
    const writer = await scene.writer();
    await assert.rejects(scene.writer(), new RegExp(`process ${process.pid}`));
    await writer.close();
    await (await scene.writer()).close();
  });

  it('of a process that was killed is taken over', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    const path = join(store.dir, 'lock');
    const holder = { pid, host: hostname(), bootId: '', startedTicks: '', token: 'x' };
    for (const text of [JSON.stringify(holder), '', '{', 'null', '{"pid":-1}']) {
      writeFileSync(path, text);
      const writer = await scene.writer();
      await writer.close();
    }
    assert.deepEqual(readdirSync(join(store.dir, 'temporary')), []);
  });

  it('of a process id that was given again is taken over', async () => {
    const own = JSON.parse(await lockText());
    assert.equal(own.pid, process.pid);
    for (const change of [{ startedTicks: '1' }, { bootId: 'an earlier start' }]) {
      writeFileSync(join(store.dir, 'lock'), JSON.stringify({ ...own, ...change }));
      await (await scene.writer()).close();
    }
  });

  it('of another machine is never taken', async () => {
    const own = JSON.parse(await lockText());
    const path = join(store.dir, 'lock');
    writeFileSync(path, JSON.stringify({ ...own, host: 'elsewhere' }));
    await assert.rejects(scene.writer(), /on elsewhere; when it is gone for good, remove/);
    writeFileSync(path, '');
  });

  it('that was lost lets nothing become visible', async () => {
    const writer = await scene.writer();
    const before = await readChannelState(store.dir, 'app');
    writeFileSync(join(store.dir, 'lock'), '');
    const other = await StoreLock.take(store.dir);
    assert.equal(await codeOfAsync(() => writer.commit(stateOf('app', []))), 'GW_DIST_LOCKED');
    assert.deepEqual(await readChannelState(store.dir, 'app'), before);
    await writer.close();
    await other.assertHeld();
    await other.release();
  });

  it('goes to one of many that find it stale', async () => {
    for (let round = 0; round < 20; ++round) {
      writeFileSync(join(store.dir, 'lock'), '');
      const taken = await Promise.allSettled(
        Array.from({ length: 8 }, () => StoreLock.take(store.dir)),
      );
      const locks = taken.filter((one) => one.status === 'fulfilled').map(({ value }) => value);
      const held = await Promise.allSettled(locks.map((lock) => lock.assertHeld()));
      assert.equal(held.filter(({ status }) => status === 'fulfilled').length, 1);
      for (const lock of locks) await lock.release();
    }
  });

  async function lockText(): Promise<string> {
    const writer = await scene.writer();
    const text = readFileSync(join(store.dir, 'lock'), 'utf8');
    await writer.close();
    return text;
  }
});

describe('room', () => {
  it('that the limit does not leave is refused, and nothing is written', async () => {
    const own = storeScene();
    const payload = randomBytes(random, 5000);
    const sha256 = sha256Of(payload);
    const writer = await own.writer(artefactFileSize(5000) - 1);
    const before = await filesBelow(own.store.dir);
    const code = await codeOfAsync(() => writer.putObject(sha256, payload));
    assert.equal(code, 'GW_DIST_DISK');
    assert.deepEqual(await filesBelow(own.store.dir), before);
    await writer.close();
    const second = await own.writer(artefactFileSize(5000));
    await second.putObject(sha256, payload);
    assert.equal(second.roomBytes, 0);
    await second.close();
    const third = await own.writer(artefactFileSize(5000));
    assert.equal(third.usedBytes, artefactFileSize(5000));
    await third.close();
    own.remove();
  });
});

describe('leftovers', () => {
  // Another machine's process ids say nothing here: its young files may be being written.
  it('of killed processes are removed, of living ones and of other machines are not', async () => {
    const own = storeScene();
    await (await own.writer()).close();
    const folder = join(own.store.dir, 'temporary');
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    const machine = temporaryName().split('-')[1]!;
    const elsewhere = '0'.repeat(8);
    const young = [`${process.pid}-${machine}-0022.tmp`, `${pid}-${elsewhere}-0044.tmp`];
    const old = [`${process.pid}-${machine}-0033.tmp`, `${pid}-${elsewhere}-0055.tmp`];
    for (const name of [`${pid}-${machine}-0011.tmp`, ...young, ...old]) {
      writeFileSync(join(folder, name), 'x');
    }
    for (const name of old) utimesSync(join(folder, name), 1, 1);
    await (await own.writer()).close();
    assert.deepEqual(readdirSync(folder).sort(), young.sort());
    own.remove();
  });
});

describe('content that is not what it is called', () => {
  it('is refused before it is written', async () => {
    const writer = await scene.writer();
    const code = await codeOfAsync(() => writer.putObject(hash('a'), Buffer.from('x')));
    assert.equal(code, 'GW_DIST_CORRUPT');
    assert.equal(await store.has({ kind: 'object', sha256: hash('a') }), false);
    await writer.close();
  });
});

describe('a scan', () => {
  it('names what is damaged and what is missing', async () => {
    const own = storeScene();
    const writer = await own.writer();
    const sha256 = await putText(writer, 'content');
    await writer.put({ kind: 'variant', sha256, encoding: 'gzip' }, Buffer.from('x'));
    await writer.put({ kind: 'delta', target: sha256, base: hash('b') }, Buffer.from('no dcz'));
    const path = own.store.pathOf({ kind: 'variant', sha256, encoding: 'gzip' });
    writeFileSync(path, 'damaged');
    mkdirSync(join(own.store.dir, 'objects', 'zz'));
    const { artefactCount, findings } = await scanStore(own.store);
    assert.equal(artefactCount, 3);
    assert.deepEqual(
      findings.map(({ what }) => what).sort(),
      [`delta to ${sha256} from ${hash('b')}`, `gzip variant of ${sha256}`].sort(),
    );
    await writer.close();
    own.remove();
  });

  it('looks at what no release names too: roots, and what a gateway counts', async () => {
    // A bit that had turned in a trust root was told to nobody until devices asked for it.
    const own = await TestStore.create();
    try {
      await own.publish({ version: '1', files: { 'a.js': 'a' }, forms: 'none' });
      const counted = { counter: 1, heads: {} };
      await replaceCheckedJson(own.dir, 'channels/app/heads.json', counted);
      await replaceCheckedJson(own.dir, 'channels/app/bases.json', { counts: {} });
      await replaceCheckedJson(own.dir, 'channels/app/outcomes.json', { counts: {} });
      assert.deepEqual((await scanStore(own.store)).findings, []);
      for (const name of ['heads', 'bases', 'outcomes', 'state']) {
        flip(join(own.dir, 'channels/app', `${name}.json`));
      }
      flip(join(own.dir, 'roots/1.json'));
      const { findings } = await scanStore(own.store);
      assert.deepEqual(
        findings.map(({ what }) => what),
        [
          'channel app',
          'the head counter of channel app',
          'the bases of channel app',
          'the outcomes of channel app',
          'the trust roots',
        ],
      );
      assert.match(findings.at(-1)!.why, /roots\/1\.json/);
    } finally {
      own.remove();
    }
  });

  it('stops a collection that cannot know what is needed', async () => {
    const own = storeScene();
    const writer = await own.writer();
    const sha256 = await putText(writer, 'no manifest');
    const entry = {
      sequence: 1,
      version: '1',
      salt: 'x',
      state: 'active' as const,
      rollout: 1,
      schedule: [],
      targeting: null,
      halt: null,
      createdAtMs: 0,
      manifest: { sha256: hash('c'), sizeBytes: 1 },
      isBuiltIn: false,
      resumeCount: 0,
    };
    await writer.commit(stateOf('app', [entry]));
    assert.equal(await codeOfAsync(() => collectGarbage(writer, Date.now())), 'GW_DIST_CORRUPT');
    assert.equal(await own.store.has({ kind: 'object', sha256 }), true);
    assert.equal((await scanStore(own.store)).findings.length, 1);
    await writer.commit(stateOf('app', []));
    assert.equal((await collectGarbage(writer, Date.now())).removedCount, 1);
    assert.equal(writer.usedBytes, 0);
    await writer.close();
    own.remove();
  });
});

function flip(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(path, bytes);
}
