import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { GatewayError, SeededRandom } from '../../host/core/index.ts';
import { sha256Of } from '../../host/distribution/artefact-file.ts';
import { readChannelState, replaceBaseCounts } from '../../host/distribution/channel-state.ts';
import {
  DCZ_HEADER_SIZE_BYTES,
  isDeltaAllowed,
  makeDelta,
  makeVariant,
  readDcz,
  writeDcz,
} from '../../host/distribution/delta.ts';
import { openManifest } from '../../host/distribution/documents.ts';
import {
  EFFORT_2_SIZE_BYTES_MAX,
  EFFORT_3_SIZE_BYTES_MAX,
  effortFor,
} from '../../host/distribution/effort.ts';
import { addSignatures } from '../../host/distribution/envelope.ts';
import { collectGarbage, scanStore } from '../../host/distribution/maintenance.ts';
import type { ReleaseManifest } from '../../host/distribution/model.ts';
import { readPack } from '../../host/distribution/pack.ts';
import { prepareManifest, publish } from '../../host/distribution/publish.ts';
import { addRelease, changeRule, retireRelease } from '../../host/distribution/release-changes.ts';
import { storedSource } from '../../host/distribution/release-source.ts';
import { readStoredManifest } from '../../host/distribution/stored-manifest.ts';
import { FormJobsHere, zstdTools } from '../support/form-jobs.ts';
import { publishScene } from '../support/publish-scene.ts';
import { testSeed } from '../support/seed.ts';
import {
  filesBelow,
  putText,
  randomBytes,
  sourceText,
  storeScene,
} from '../support/store-scene.ts';
import { codeOf, codeOfAsync, rootOf, testKey } from '../support/trust-scene.ts';

const seed = testSeed('distribution publish');
const random = new SeededRandom(seed);
const text = sourceText(random, 40_000);
const changed = `${text.slice(0, 9000)}/* changed */${text.slice(9050)}`;
const image = randomBytes(random, 5000);
const shaOf = (content: string | Uint8Array) => sha256Of(Buffer.from(content));

describe('a delta', () => {
  const scene = storeScene();
  after(() => scene.remove());
  const task = { dir: scene.store.dir, effort: 3, roomBytes: 1e12 } as const;

  it('makes its target from its base', async () => {
    const writer = await scene.writer();
    const [base, target] = [await putText(writer, text), await putText(writer, changed)];
    const result = await makeDelta(scene.store, zstdTools(), { ...task, base, target });
    assert.equal(result.outcome, 'made');
    assert.ok(result.sizeBytes < 300, `${result.sizeBytes} bytes`);
    const dcz = (await scene.store.readWhole({ kind: 'delta', target, base }))!;
    assert.equal(dcz.length, result.sizeBytes);
    assert.deepEqual([...dcz.subarray(0, 8)], [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0]);
    assert.equal(readDcz(dcz).base, base);
    const content = zstdTools().decoder.decode(dcz.subarray(DCZ_HEADER_SIZE_BYTES), {
      dictionary: Buffer.from(text),
      sizeBytesMax: changed.length,
      checksum: 'required',
    });
    assert.equal(Buffer.from(content).toString('utf8'), changed);
    const again = await makeDelta(scene.store, zstdTools(), { ...task, base, target });
    assert.deepEqual(again, { outcome: 'present', sizeBytes: dcz.length, addedBytes: 0 });
    await writer.close();
  });

  it('that saves too little, or has no base, is not kept', async () => {
    const writer = await scene.writer();
    const [one, other] = [randomBytes(random, 3000), randomBytes(random, 3000)];
    const [base, target] = [sha256Of(one), sha256Of(other)];
    await writer.putObject(target, other);
    const make = () => makeDelta(scene.store, zstdTools(), { ...task, base, target });
    assert.equal((await make()).outcome, 'missing');
    await writer.putObject(base, one);
    assert.equal((await make()).outcome, 'useless');
    assert.equal(await scene.store.has({ kind: 'delta', target, base }), false);
    await writer.close();
  });

  it('is measured against the best variant, not against the content', async () => {
    const writer = await scene.writer();
    // Compresses to next to nothing; a delta from noise is no smaller.
    const [base, target] = [
      await putText(writer, 'noise'),
      await putText(writer, 'a'.repeat(5000)),
    ];
    const variant = { dir: task.dir, sha256: target, encoding: 'br', roomBytes: 1e12 } as const;
    assert.equal((await makeVariant(scene.store, zstdTools(), variant)).outcome, 'made');
    const result = await makeDelta(scene.store, zstdTools(), { ...task, base, target });
    assert.equal(result.outcome, 'useless');
    await writer.close();
  });

  it('that decodes to something else never reaches the store', async () => {
    const writer = await scene.writer();
    const [base, target] = [
      await putText(writer, `${text}1`),
      await putText(writer, `${changed}1`),
    ];
    const { encoder, decoder } = zstdTools();
    const wrongs = [
      () => encoder.encode(Buffer.from(text), { dictionary: Buffer.from(`${text}1`), effort: 3 }),
      () =>
        encoder.encode(Buffer.from(`${changed}1`), { dictionary: Buffer.from(text), effort: 3 }),
      () => Buffer.from('no frame'),
    ];
    for (const encode of wrongs) {
      const tools = { encoder: { encode }, decoder };
      const make = () => makeDelta(scene.store, tools, { ...task, base, target });
      assert.equal(await codeOfAsync(make), 'GW_DIST_DELTA');
    }
    assert.equal(await scene.store.has({ kind: 'delta', target, base }), false);
    await writer.close();
  });

  it('takes less effort where the memory for more is not to be had', async () => {
    const writer = await scene.writer();
    const [base, target] = [
      await putText(writer, `${text}2`),
      await putText(writer, `${changed}2`),
    ];
    const { encoder, decoder } = zstdTools();
    const efforts: number[] = [];
    const limited = (effortMax: number) => ({
      decoder,
      encoder: {
        encode: (...[content, options]: Parameters<typeof encoder.encode>) => {
          efforts.push(options.effort);
          if (options.effort <= effortMax) return encoder.encode(content, options);
          throw new GatewayError('GW_DELTA_TOO_LARGE', 'made up');
        },
      },
    });
    const make = (effortMax: number) =>
      makeDelta(scene.store, limited(effortMax), { ...task, base, target });
    assert.equal((await make(0)).outcome, 'window');
    assert.equal((await make(2)).outcome, 'made');
    assert.deepEqual(efforts, [3, 2, 1, 3, 2]);
    await writer.close();
  });

  // Every delta was made at effort 3: a dictionary of 70 MiB that had nothing in common with its
  // target took minutes. Now what is large gets less effort.
  it('of large files is made with less effort', async () => {
    const [small, large] = [EFFORT_3_SIZE_BYTES_MAX, EFFORT_2_SIZE_BYTES_MAX];
    for (const [sizeBytes, wished, expected] of [
      [0, 3, 3],
      [small, 3, 3],
      [small + 1, 3, 2],
      [large, 3, 2],
      [large, 1, 1],
      [large + 1, 3, 1],
      [large + 1, 2, 1],
    ] as const) {
      assert.equal(effortFor(sizeBytes, wished), expected, `${sizeBytes} at ${wished}`);
    }
    const writer = await scene.writer();
    const half = 'x'.repeat(small / 2);
    const [base, target] = [await putText(writer, half), await putText(writer, `${half}y`)];
    const efforts: number[] = [];
    const { encoder, decoder } = zstdTools();
    const encode: typeof encoder.encode = (content, options) => {
      efforts.push(options.effort);
      return encoder.encode(content, options);
    };
    await makeDelta(scene.store, { encoder: { encode }, decoder }, { ...task, base, target });
    assert.deepEqual(efforts, [2], 'base and target count together');
    await writer.close();
  });

  it('is made only where a browser decodes it', () => {
    for (const [target, base, expected] of [
      [8_000_000, 1, true],
      [8_000_001, 1, false],
      [12_500_000, 10_000_000, true],
      [12_500_001, 10_000_000, false],
      [134_217_728, 134_217_728, true],
      [134_217_729, 134_217_728, false],
    ] as const) {
      assert.equal(isDeltaAllowed(target, base), expected, `${target} from ${base}`);
    }
  });

  it('whose header is another is refused', () => {
    const dcz = writeDcz('a'.repeat(64), Buffer.from('frame'));
    assert.equal(readDcz(dcz).base, 'a'.repeat(64));
    for (let at = 0; at < 8; ++at) {
      const bytes = Uint8Array.from(dcz);
      bytes[at]! ^= 1;
      assert.equal(
        codeOf(() => readDcz(bytes)),
        'GW_DIST_DELTA',
      );
    }
    assert.equal(
      codeOf(() => readDcz(dcz.subarray(0, 39))),
      'GW_DIST_DELTA',
    );
  });
});

describe('a variant', () => {
  it('decodes to its content, and is not made of what does not shrink', async () => {
    const scene = storeScene();
    const writer = await scene.writer();
    const sha256 = await putText(writer, text);
    await writer.putObject(sha256Of(image), image);
    for (const encoding of ['gzip', 'br', 'zstd'] as const) {
      const task = { dir: scene.store.dir, sha256, encoding, roomBytes: 1e12 };
      const result = await makeVariant(scene.store, zstdTools(), task);
      assert.equal(result.outcome, 'made');
      const bytes = (await scene.store.readWhole({ kind: 'variant', sha256, encoding }))!;
      const decoded =
        encoding === 'gzip'
          ? gunzipSync(bytes)
          : encoding === 'br'
            ? brotliDecompressSync(bytes)
            : zstdTools().decoder.decode(bytes, { sizeBytesMax: 1e6, checksum: 'required' });
      assert.equal(Buffer.from(decoded).toString('utf8'), text);
      const noise = { ...task, sha256: sha256Of(image) };
      assert.equal((await makeVariant(scene.store, zstdTools(), noise)).outcome, 'useless');
    }
    await writer.close();
    scene.remove();
  });
});

describe('a release', () => {
  it('is signed, whole, and has deltas from the one before', async () => {
    const scene = publishScene();
    const first = await scene.publish('1.0.0', { 'a.js': text, 'b.png': image });
    assert.equal(first.manifest.sequence, 1);
    assert.equal(first.newContentCount, 2);
    const second = await scene.publish('1.1.0', { 'a.js': changed, 'b.png': image });
    assert.equal(second.newContentCount, 1);
    const state = (await readChannelState(scene.store.dir, 'app'))!;
    assert.deepEqual(
      state.releases.map(({ sequence, version }) => [sequence, version]),
      [
        [2, '1.1.0'],
        [1, '1.0.0'],
      ],
    );
    const { manifest } = state.releases[0]!;
    const envelope = await scene.store.readWhole({ kind: 'object', sha256: manifest.sha256 });
    assert.equal(envelope!.length, manifest.sizeBytes);
    assert.deepEqual(openManifest(envelope!, scene.trust), second.manifest);
    for (const { sha256, sizeBytes } of second.manifest.files) {
      const bytes = await scene.store.readWhole({ kind: 'object', sha256 });
      assert.equal(bytes!.length, sizeBytes);
    }
    const delta = { kind: 'delta', target: shaOf(changed), base: shaOf(text) } as const;
    assert.equal(await scene.store.has(delta), true);
    assert.deepEqual((await scanStore(scene.store)).findings, []);
    assert.notEqual(state.releases[0]!.salt, state.releases[1]!.salt);
    scene.remove();
  });

  it('of a version that exists is refused', async () => {
    const scene = publishScene();
    await scene.publish('1.0.0', { 'a.js': text });
    const before = await filesBelow(scene.store.dir);
    const again = () => scene.publish('1.0.0', { 'a.js': changed });
    assert.equal(await codeOfAsync(again), 'GW_DIST_EXISTS');
    assert.deepEqual(await filesBelow(scene.store.dir), before);
    scene.remove();
  });

  it('in a channel whose name is an address already is refused', async () => {
    const scene = publishScene();
    for (const channel of ['root', 'check', 'outcomes']) {
      const run = () => scene.publish('1', { 'a.js': text }, { channel });
      assert.equal(await codeOfAsync(run), 'GW_DIST_RULE', channel);
    }
    scene.remove();
  });

  it('signed by a key of another role, or by none, is refused before a byte is put', async () => {
    const scene = publishScene();
    const wrong = { kind: 'signers', signers: [testKey().signer] } as const;
    const none = { kind: 'signers', signers: [] } as const;
    for (const signing of [wrong, none]) {
      const run = () => scene.publish('1.0.0', { 'a.js': text }, { signing });
      assert.equal(await codeOfAsync(run), 'GW_DIST_KEY');
    }
    assert.equal((await filesBelow(join(scene.store.dir, 'objects'))).length, 0);
    scene.remove();
  });

  it('has deltas against what clients asked with and what ships with the app', async () => {
    const scene = publishScene();
    const versions = [1, 2, 3, 4, 5].map((number) => `${text}// version ${number}`);
    for (const [index, content] of versions.entries()) {
      await scene.publish(`${index}`, { 'a.js': content }, { isBuiltIn: index === 0 });
    }
    await replaceBaseCounts(scene.store.dir, 'app', { [shaOf(versions[1]!)]: 2 });
    const deltas = { askedCountMax: 1, latestCountMax: 1 };
    await scene.publish('new', { 'a.js': changed }, { deltas });
    const has = versions.map((content) =>
      scene.store.has({ kind: 'delta', target: shaOf(changed), base: shaOf(content) }),
    );
    assert.deepEqual(await Promise.all(has), [true, true, false, false, true]);
    scene.remove();
  });

  it('that is packed is one content, with deltas from pack to pack', async () => {
    const scene = publishScene();
    const one = await scene.publish('1', { 'a.js': text, 'b/c.js': 'c' }, { isPacked: true });
    const two = await scene.publish('2', { 'a.js': changed, 'b/c.js': 'c' });
    const target = two.manifest.pack!.sha256;
    const pack = await scene.store.readWhole({ kind: 'object', sha256: target });
    assert.deepEqual(
      readPack(pack!).map(({ path, bytes }) => [path, Buffer.from(bytes).toString()]),
      [
        ['a.js', changed],
        ['b/c.js', 'c'],
      ],
    );
    const base = one.manifest.pack!.sha256;
    assert.equal(await scene.store.has({ kind: 'delta', target, base }), true);
    const three = await scene.publish('3', { 'a.js': text, 'b/c.js': 'c' }, { isPacked: false });
    assert.equal(three.manifest.pack, null);
    scene.remove();
  });

  it('is published by what several keys signed in their places', async () => {
    const scene = publishScene();
    const [one, two, other] = [testKey(), testKey(), testKey()];
    const keys = { root: [other], release: [one, two], head: [other] };
    const root = rootOf(keys, { thresholds: { release: 2 } });
    const files = { 'a.js': text };
    const signing = { kind: 'signers', signers: [one.signer] } as const;
    const alone = () => scene.publish('1', files, { root, signing });
    assert.equal(await codeOfAsync(alone), 'GW_DIST_SIGNATURE');
    const writer = await scene.contentWriter();
    const options = await scene.options('1', files, { root, signing, writer });
    const prepared = await prepareManifest(options);
    const envelope = addSignatures(prepared, 'release', [two.signer]);
    const elsewhere = { kind: 'envelope', envelope } as const;
    const change = { root, signing: elsewhere, writer };
    const swapped = await scene.options('1', { 'a.js': 'other' }, change);
    assert.equal(await codeOfAsync(() => publish(swapped)), 'GW_DIST_REFERENCE');
    const report = await publish({ ...options, signing: elsewhere });
    assert.equal(report.manifest.version, '1');
    scene.remove();
  });

  it('survives a delta that goes wrong, and says so', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text });
    const jobs = new FormJobsHere({
      ...zstdTools(),
      encoder: {
        encode: (content, options) => {
          if (options.dictionary !== undefined) return Buffer.from('wrong');
          return zstdTools().encoder.encode(content, options);
        },
      },
    });
    const { forms } = await scene.publish('2', { 'a.js': changed }, { jobs });
    assert.equal(forms.wrong.length, 1);
    assert.match(forms.wrong[0]!, /cannot be decoded/);
    assert.equal((await readChannelState(scene.store.dir, 'app'))!.releases[0]!.version, '2');
    scene.remove();
  });

  it('that fails at any form is not visible, and the same command finishes it', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text, 'b.png': image });
    const before = JSON.stringify(await readChannelState(scene.store.dir, 'app'));
    const whole = new FormJobsHere();
    const files = { 'a.js': changed, 'c.js': `${changed}c`, 'b.png': image };
    for (let failAt = 0; ; ++failAt) {
      let count = 0;
      const failing = <T>(run: () => Promise<T>): Promise<T> => {
        count += 1;
        if (count <= failAt) return run();
        return Promise.reject(new GatewayError('GW_DIST_DISK', 'made up'));
      };
      const jobs = {
        makeVariant: (task: Parameters<FormJobsHere['makeVariant']>[0]) =>
          failing(() => whole.makeVariant(task)),
        makeDelta: (task: Parameters<FormJobsHere['makeDelta']>[0]) =>
          failing(() => whole.makeDelta(task)),
      };
      const code = await codeOfAsync(() => scene.publish('2', files, { jobs }));
      if (code === 'nothing was thrown') break;
      assert.equal(code, 'GW_DIST_DISK');
      assert.equal(JSON.stringify(await readChannelState(scene.store.dir, 'app')), before);
    }
    const state = (await readChannelState(scene.store.dir, 'app'))!;
    assert.equal(state.releases[0]!.version, '2');
    assert.deepEqual((await scanStore(scene.store)).findings, []);
    scene.remove();
  });

  it('tells how far it is', async () => {
    const scene = publishScene();
    const seen: string[] = [];
    await scene.publish(
      '1',
      { 'a.js': text },
      {
        onProgress: ({ phase, doneCount, totalCount }) => {
          seen.push(`${phase} ${doneCount}/${totalCount}`);
        },
      },
    );
    assert.deepEqual(seen.slice(0, 3), ['content 0/1', 'content 1/1', 'variants 0/3']);
    assert.equal(seen.at(-1), 'deltas 0/0');
    scene.remove();
  });
});

describe('what becomes of a release', () => {
  it('is changed by its rule alone', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text });
    const writer = await scene.writer();
    const state = await writer.update('app', (before) =>
      changeRule(before, '1', { state: 'paused', rollout: 500 }, 0),
    );
    assert.deepEqual(await readChannelState(scene.store.dir, 'app'), state);
    assert.equal(state.generation, 2);
    assert.equal(state.releases[0]!.rollout, 500);
    for (const rollout of [-1, 10_001, 0.5, Number.NaN]) {
      const run = () => writer.update('app', (before) => changeRule(before, '1', { rollout }, 0));
      assert.equal(await codeOfAsync(run), 'GW_DIST_RULE', `${rollout}`);
    }
    const unknown = () => writer.update('app', (before) => changeRule(before, '2', {}, 0));
    assert.equal(await codeOfAsync(unknown), 'GW_DIST_NOT_FOUND');
    const nowhere = () => writer.update('maps', (before) => changeRule(before, '2', {}, 0));
    assert.equal(await codeOfAsync(nowhere), 'GW_DIST_NOT_FOUND');
    await writer.close();
    scene.remove();
  });

  it('is brought back as a new one with its old content', async () => {
    const scene = publishScene();
    const { manifest } = await scene.publish('1', { 'a.js': text });
    await scene.publish('2', { 'a.js': changed });
    const source = storedSource(scene.store, manifest);
    const report = await scene.publish('1-again', { x: 'x' }, { source, rollbackOf: '1' });
    assert.equal(report.manifest.sequence, 3);
    assert.equal(report.manifest.rollbackOf, '1');
    assert.deepEqual(report.manifest.files, manifest.files);
    assert.equal(report.newContentCount, 0);
    const delta = { kind: 'delta', target: shaOf(text), base: shaOf(changed) } as const;
    assert.equal(await scene.store.has(delta), true);
    scene.remove();
  });

  it('may be retired, and its content collected, but no content that another needs', async () => {
    const scene = publishScene();
    await scene.publish('1', { 'a.js': text, 'b.png': image });
    await scene.publish('2', { 'a.js': changed, 'b.png': image });
    await scene.publish('other', { 'only.js': `${text}other` }, { channel: 'maps' });
    const writer = await scene.writer();
    assert.equal((await collectGarbage(writer, Date.now())).removedCount, 0);
    const newest = () => writer.update('app', (state) => retireRelease(state, '2'));
    assert.equal(await codeOfAsync(newest), 'GW_DIST_RULE');
    await writer.update('app', (state) => retireRelease(state, '1'));
    const { removedCount, removedBytes } = await collectGarbage(writer, Date.now());
    // The old script, its three variants, and the manifest.
    assert.equal(removedCount, 5);
    assert.ok(removedBytes > text.length);
    assert.equal(await scene.store.has({ kind: 'object', sha256: shaOf(text) }), false);
    assert.equal(await scene.store.has({ kind: 'object', sha256: shaOf(image) }), true);
    // Clients still have the old script: the delta from it stays.
    const delta = { kind: 'delta', target: shaOf(changed), base: shaOf(text) } as const;
    assert.equal(await scene.store.has(delta), true);
    assert.deepEqual((await scanStore(scene.store)).findings, []);
    await writer.close();
    scene.remove();
  });

  it('is forgotten when there are too many, but for what ships with the app', () => {
    const entryAt = (sequence: number) => ({
      sequence,
      version: `${sequence}`,
      salt: 'x',
      state: 'active' as const,
      rollout: 1,
      schedule: [],
      targeting: null,
      halt: null,
      createdAtMs: 0,
      manifest: { sha256: 'a'.repeat(64), sizeBytes: 1 },
      isBuiltIn: sequence === 1,
      resumeCount: 0,
    });
    const releases = Array.from({ length: 1024 }, (_, index) => entryAt(1024 - index));
    const full = { channel: 'app', generation: 1, isPacked: false, releases };
    const next = addRelease(full, 'app', { entry: entryAt(1025), isPacked: false });
    assert.equal(next.releases.length, 1024);
    assert.deepEqual(
      [next.releases[0]!.sequence, ...next.releases.slice(-2).map(({ sequence }) => sequence)],
      [1025, 3, 1],
    );
  });

  it('whose content is damaged is named, and healed by publishing it again', async () => {
    const scene = publishScene();
    const { manifest } = await scene.publish('1', { 'a.js': text });
    writeFileSync(scene.store.pathOf({ kind: 'object', sha256: shaOf(text) }), 'damaged');
    const { findings } = await scanStore(scene.store);
    assert.deepEqual(
      findings.map(({ what }) => what),
      [`object ${shaOf(text)}`, 'release 1 of channel app'],
    );
    await scene.publish('2', { 'a.js': text });
    assert.deepEqual((await scanStore(scene.store)).findings, []);
    const state = (await readChannelState(scene.store.dir, 'app'))!;
    const stored: ReleaseManifest = await readStoredManifest(scene.store, state.releases[1]!);
    assert.deepEqual(stored, manifest);
    scene.remove();
  });
});
