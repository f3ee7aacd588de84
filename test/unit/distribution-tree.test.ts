import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { BaseFinder as LoaderFinder, formOf as loaderFormOf } from '../../client/path-form.ts';
import { SeededRandom } from '../../host/core/index.ts';
import { sha256Of } from '../../host/distribution/artefact-file.ts';
import { planDeltas } from '../../host/distribution/delta-plan.ts';
import { packSize, readPack, writePack } from '../../host/distribution/pack.ts';
import { BaseFinder, formOf } from '../../host/distribution/path-form.ts';
import { parseReleaseOptions, withPriorities } from '../../host/distribution/release-options.ts';
import { treeSource } from '../../host/distribution/release-source.ts';
import { checkResourcePath } from '../../host/distribution/resource-path.ts';
import { readTreeFile, scanTree } from '../../host/distribution/scan-tree.ts';
import { testSeed } from '../support/seed.ts';
import { randomBytes, storeScene } from '../support/store-scene.ts';
import { codeOf, codeOfAsync } from '../support/trust-scene.ts';

const seed = testSeed('distribution tree');
const random = new SeededRandom(seed);
const scene = storeScene();
after(() => scene.remove());
let treeCount = 0;

function tree(files: Readonly<Record<string, string | Uint8Array>>): string {
  treeCount += 1;
  return scene.tree(`tree-${treeCount}`, files);
}

function scan(dir: string, emptyFiles: 'refused' | 'allowed' = 'refused') {
  return scanTree({ dir, emptyFiles });
}

describe('a folder to publish', () => {
  it('is read in the order of manifests', async () => {
    const dir = tree({ 'b.js': 'b', 'a/z.js': 'z', 'a.js': 'a', 'ä.txt': 'ä' });
    const files = await scan(dir);
    assert.deepEqual(
      files.map(({ path }) => path),
      ['a.js', 'a/z.js', 'b.js', 'ä.txt'],
    );
    assert.deepEqual(files[0], { path: 'a.js', sha256: sha256Of(Buffer.from('a')), sizeBytes: 1 });
  });

  it('with a link is refused, wherever the link leads', async () => {
    for (const target of ['a.js', '/etc/passwd', '..', 'nowhere']) {
      const dir = tree({ 'a.js': 'a', 'sub/b.js': 'b' });
      symlinkSync(target, join(dir, 'sub', 'link'));
      await assert.rejects(scan(dir), /GW|sub\/link" is a symbolic link/);
      assert.equal(await codeOfAsync(() => scan(dir)), 'GW_DIST_TREE');
    }
    const dir = tree({ 'a.js': 'a' });
    symlinkSync(dir, `${dir}-link`);
    assert.equal(await codeOfAsync(() => scan(`${dir}-link`)), 'GW_DIST_TREE');
  });

  // Package managers and build tools make hard links, and the docs said that these are refused.
  // They are files: what can change under the scan is found by its hash.
  it('with hard links is read as any other', async () => {
    const dir = tree({ 'a.js': 'a' });
    linkSync(join(dir, 'a.js'), join(dir, 'b.js'));
    const files = await scan(dir);
    assert.deepEqual(
      files.map(({ path, sha256 }) => [path, sha256]),
      ['a.js', 'b.js'].map((path) => [path, sha256Of(Buffer.from('a'))]),
    );
  });

  it('with a pipe is refused without waiting for its writer', async () => {
    const dir = tree({ 'a.js': 'a' });
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    await assert.rejects(scan(dir), /"pipe" is a pipe/);
    await assert.rejects(readTreeFile(dir, 'pipe'), /no plain file/);
  });

  it('without files, or that is none, is refused', async () => {
    const dir = tree({});
    mkdirSync(join(dir, 'empty'), { recursive: true });
    assert.equal(await codeOfAsync(() => scan(dir)), 'GW_DIST_TREE');
    assert.equal(await codeOfAsync(() => scan(join(dir, 'nowhere'))), 'GW_DIST_TREE');
    const file = join(tree({ 'a.js': 'a' }), 'a.js');
    assert.equal(await codeOfAsync(() => scan(file)), 'GW_DIST_TREE');
    const link = join(dir, '..', `${basename(dir)}-link`);
    symlinkSync(dir, link);
    await assert.rejects(scan(link), /is a symbolic link; publish what it points to/);
  });

  it('with an empty file is refused unless it is meant to be', async () => {
    const dir = tree({ 'a.js': '', 'b.js': 'b' });
    await assert.rejects(scan(dir), /a\.js is empty/);
    assert.equal((await scan(dir, 'allowed'))[0]!.sizeBytes, 0);
  });

  it('with names that differ in case is refused, folders too', async () => {
    for (const files of [
      { 'a.js': '1', 'A.js': '2' },
      { 'lib/a.js': '1', 'Lib/b.js': '2' },
      { 'x/lib/a.js': '1', 'x/LIB/b.js': '2' },
    ]) {
      assert.equal(await codeOfAsync(() => scan(tree(files))), 'GW_DIST_TREE');
    }
  });

  it('with a path that is not allowed is refused', async () => {
    for (const name of ['a:b', 'a\\b', 'e\u0301', 'nul', 'com\u00b9', 'a. ', 'a*']) {
      assert.equal(await codeOfAsync(() => scan(tree({ [name]: 'x' }))), 'GW_DIST_PATH', name);
    }
  });

  it('with a name that is no text is refused', async () => {
    const dir = tree({ 'a.js': 'a' });
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]), 'x');
    assert.match(await codeOfAsync(() => scan(dir)), /^GW_DIST_(TREE|PATH)$/);
  });

  it('with a file above the limit is refused before it is read', async () => {
    const dir = tree({ 'a.js': 'a' });
    execFileSync('truncate', ['-s', '134217729', join(dir, 'large.bin')]);
    await assert.rejects(scan(dir), /134217729 bytes, the limit is 134217728/);
  });

  it('that changes after it was scanned is refused', async () => {
    const dir = tree({ 'a.js': 'a' });
    const source = await treeSource({ dir, emptyFiles: 'refused', entryPoints: [] });
    writeFileSync(join(dir, 'a.js'), 'b');
    assert.equal(await codeOfAsync(() => source.read(source.files[0]!)), 'GW_DIST_TREE');
  });

  it('says of itself what is loaded first', async () => {
    const options = {
      entryPoints: ['main.js'],
      priorities: { 'fonts/': 'idle', 'a.css': 'critical' },
    };
    const dir = tree({
      'main.js': 'm',
      'a.css': 'a',
      'b.js': 'b',
      'fonts/f.woff2': 'f',
      'sluice.release.json': JSON.stringify(options),
    });
    const { files, entryPoints } = await treeSource({
      dir,
      emptyFiles: 'refused',
      entryPoints: [],
    });
    assert.deepEqual(entryPoints, ['main.js']);
    assert.deepEqual(
      files.map(({ path, priority }) => [path, priority]),
      [
        ['a.css', 'critical'],
        ['b.js', 'normal'],
        ['fonts/f.woff2', 'idle'],
        ['main.js', 'critical'],
      ],
    );
  });

  it('that says what makes no sense is refused', () => {
    const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
    for (const value of [[], { entry: [] }, { entryPoints: 'a' }, { priorities: { a: 'high' } }]) {
      assert.equal(
        codeOf(() => parseReleaseOptions(bytes(value))),
        'GW_DIST_TREE',
      );
    }
    const options = parseReleaseOptions(bytes({ priorities: { 'nowhere/': 'idle' } }));
    assert.equal(
      codeOf(() => withPriorities([], options)),
      'GW_DIST_REFERENCE',
    );
  });
});

const pathText = fc
  .array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((segments) => segments.join('/'))
  .filter((path) => codeOf(() => checkResourcePath(path)) === 'nothing was thrown');

const packFiles = fc
  .uniqueArray(fc.tuple(pathText, fc.uint8Array({ maxLength: 1500 })), {
    maxLength: 8,
    selector: ([path]) => path,
  })
  .map((files) =>
    files.map(([path, bytes]) => ({ path, bytes })).sort((a, b) => (a.path < b.path ? -1 : 1)),
  );

describe('a pack', () => {
  it('gives back its files, and the same files are the same bytes', () => {
    fc.assert(
      fc.property(packFiles, (files) => {
        const pack = writePack(files);
        const sized = files.map(({ path, bytes }) => ({ path, sizeBytes: bytes.length }));
        assert.equal(pack.length, packSize(sized));
        const found = readPack(pack);
        assert.deepEqual(
          found.map(({ path, bytes }) => [path, Buffer.from(bytes)]),
          files.map(({ path, bytes }) => [path, Buffer.from(bytes)]),
        );
        assert.deepEqual(writePack(found), pack);
      }),
      { seed, numRuns: 200 },
    );
  });

  it('is what tar reads', () => {
    const long = `${'folder/'.repeat(20)}${'x'.repeat(120)}.js`;
    const files = [
      { path: 'a.js', bytes: Buffer.from('a') },
      { path: 'empty', bytes: Buffer.alloc(0) },
      { path: long, bytes: randomBytes(random, 2000) },
      { path: 'ä/日本.js', bytes: Buffer.from('ä') },
    ].sort((a, b) => (a.path < b.path ? -1 : 1));
    const dir = tree({ 'pack.tar': writePack(files) });
    mkdirSync(join(dir, 'out'));
    const env = { ...process.env, LC_ALL: 'C.UTF-8' };
    execFileSync('tar', ['-xf', join(dir, 'pack.tar'), '-C', join(dir, 'out')], { env });
    const listed = execFileSync('tar', ['-tf', join(dir, 'pack.tar'), '--quoting-style=literal'], {
      env,
    });
    assert.deepEqual(
      listed.toString('utf8').trim().split('\n'),
      files.map(({ path }) => path),
    );
    for (const { path, bytes } of files) {
      const found = execFileSync('cat', [join(dir, 'out', path)]);
      assert.deepEqual(found, Buffer.from(bytes));
    }
  });

  it('with any bit changed is refused, or is the one pack of what it holds', () => {
    const pack = writePack([
      { path: 'a.js', bytes: Buffer.from('abc') },
      { path: 'ä.js', bytes: Buffer.from('def') },
    ]);
    let refusedCount = 0;
    for (let at = 0; at < pack.length; ++at) {
      const bytes = Uint8Array.from(pack);
      bytes[at]! ^= 1 << (random.uint32() % 8);
      const code = codeOf(() => readPack(bytes));
      if (code === 'nothing was thrown') {
        assert.deepEqual(Buffer.from(writePack(readPack(bytes))), Buffer.from(bytes), `byte ${at}`);
      } else {
        assert.match(code, /^GW_DIST_(DOCUMENT|PATH)$/, `byte ${at}`);
        refusedCount += 1;
      }
    }
    // All but content and the letters of an extended path.
    assert.ok(refusedCount > pack.length - 20, `${refusedCount} of ${pack.length}`);
  });

  it('with a path that escapes, twice the same path, or a cut end is refused', () => {
    const file = (path: string) => ({ path, bytes: Buffer.from('x') });
    const escaping = writePack([file('../a')]);
    assert.equal(
      codeOf(() => readPack(escaping)),
      'GW_DIST_PATH',
    );
    const twice = writePack([file('a'), file('a')]);
    assert.equal(
      codeOf(() => readPack(twice)),
      'GW_DIST_DOCUMENT',
    );
    const whole = writePack([file('a'), file('b')]);
    for (let end = 0; end < whole.length; end += 1) {
      assert.equal(
        codeOf(() => readPack(whole.subarray(0, end))),
        'GW_DIST_DOCUMENT',
        `${end}`,
      );
    }
    assert.equal(
      codeOf(() => readPack(new Uint8Array(1536))),
      'GW_DIST_DOCUMENT',
    );
  });

  it('made of noise is refused with a code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        if (bytes.length === 1024 && bytes.every((byte) => byte === 0)) return;
        assert.equal(
          codeOf(() => readPack(bytes)),
          'GW_DIST_DOCUMENT',
        );
      }),
      { seed },
    );
  });
});

describe('the plan of deltas', () => {
  const hash = (name: string) => sha256Of(Buffer.from(name));
  const file = (path: string, name: string, sizeBytes = 1000) => {
    return { path, sha256: hash(name), sizeBytes, priority: 'normal' as const };
  };
  const old = (version: string, files: ReturnType<typeof file>[], isBuiltIn = false) => {
    return { entry: { version, isBuiltIn }, manifest: { files, pack: null } };
  };
  const options = { askedCountMax: 1, latestCountMax: 1 };

  it('takes the latest, what ships with apps, and what is asked with most', () => {
    const olds = [
      old('5', [file('a.js', 'v5')]),
      old('4', [file('a.js', 'v4')]),
      old('3', [file('a.js', 'v3')]),
      old('2', [file('a.js', 'v2')], true),
      old('1', [file('a.js', 'v1')]),
    ];
    const manifest = { files: [file('a.js', 'v6'), file('b.js', 'new')], pack: null };
    const counts = { [hash('v3')]: 5, [hash('v4')]: 9, [hash('elsewhere')]: 100 };
    const planned = planDeltas(manifest, olds, counts, options);
    assert.deepEqual(
      planned.map(({ path, base }) => [path, base]).sort(),
      ['v2', 'v4', 'v5'].map((name) => ['a.js', hash(name)]).sort(),
    );
  });

  it('has none to what a client has already, and each once', () => {
    const manifest = {
      files: [file('a.js', 'same'), file('b.js', 'x'), file('c.js', 'x')],
      pack: null,
    };
    const olds = [old('1', [file('a.js', 'same'), file('b.js', 'y'), file('c.js', 'y')])];
    const planned = planDeltas(manifest, olds, {}, options);
    assert.deepEqual(planned, [{ path: 'c.js', target: hash('x'), base: hash('y') }]);
  });

  it('finds a file whose name holds its hash, by nearest size', () => {
    const manifest = { files: [file('assets/main-BX3k9aQz.js', 'new', 1000)], pack: null };
    const olds = [
      old('1', [
        file('assets/main-DkfJQweR.js', 'near', 1100),
        file('assets/main-aaaa1111.js', 'far', 2000),
        file('assets/main-AAAA1111.js', 'tiny', 3),
        file('assets/other-CX3k9aQz.js', 'other', 1000),
      ]),
    ];
    const planned = planDeltas(manifest, olds, {}, options);
    assert.deepEqual(
      planned.map(({ base }) => base),
      [hash('near')],
    );
  });

  it('of a packed release is about packs alone', () => {
    const pack = { sha256: hash('new pack'), sizeBytes: 10 };
    const packed = { files: [file('a.js', 'a')], pack: { sha256: hash('old pack'), sizeBytes: 9 } };
    const olds = [
      { entry: { version: '2', isBuiltIn: false }, manifest: packed },
      old('1', [file('a.js', 'b')], true),
    ];
    const planned = planDeltas({ files: [file('a.js', 'c')], pack }, olds, {}, options);
    assert.deepEqual(planned, [{ path: null, target: pack.sha256, base: hash('old pack') }]);
  });

  it('leaves a file alone whose path goes on, and takes the one that is gone', () => {
    const manifest = {
      files: [file('c-AAAA1111.js', 'same', 500), file('c-BBBB2222.js', 'new', 520)],
    };
    const olds = [
      old('1', [file('c-AAAA1111.js', 'same', 520), file('c-CCCC3333.js', 'gone', 900)]),
    ];
    assert.deepEqual(
      planDeltas({ ...manifest, pack: null }, olds, {}, options).map(({ base }) => base),
      [hash('gone')],
    );
  });

  it('sees through what builds put into names', () => {
    for (const [one, other, form] of [
      ['main.3f2a1b9c.js', 'main.00ffee11.js', 'main.*.js'],
      ['app.3f2a.js', 'app.91bc.js', 'app.*.js'],
      ['a/chunk-ABCdefgh.js', 'a/chunk-x_9-8765.js', 'a/chunk-*.js'],
      ['app-QWERTYUI.css', 'app-A2B3C4D5.css', 'app-*.css'],
      ['vendor-react-3f2a1b9c.js', 'vendor-react-0a1b2c3d.js', 'vendor-react-*.js'],
      ['main.3f2a1b9c.chunk.js.map', 'main.77777777.chunk.js.map', 'main.*.chunk.js.map'],
      ['3f2a1b9cdeadbeef.js', '77777777aaaabbbb.js', '*.js'],
      ['lib-1.2.3.js', 'lib-1.10.0.js', 'lib-*.*.*.js'],
    ] as const) {
      assert.equal(formOf(one), form);
      assert.equal(formOf(other), form);
    }
    for (const path of ['main.js', 'a/main.js', 'Button-Primary.js', 'vendor-vue.js', 'LICENSE']) {
      assert.equal(formOf(path), path);
    }
  });

  it('pairs as the loader does, whatever the names are', () => {
    // The loader asked for the same path alone: files with a hash in their name came whole.
    const below = (count: number): number => random.uint32() % count;
    const pick = (of: string): string => of[below(of.length)]!;
    const name = (): string => {
      const hashed = Array.from({ length: 3 + below(7) }, () => pick('abcdefABCDEF0123456789_-'));
      const stem = ['main', 'chunk-vendor', 'Page', 'v1.2', ''][below(5)];
      const [folder, end] = [['', 'a/', 'b.c/'][below(3)], ['.js', '.js.map', ''][below(3)]];
      return `${folder}${stem}${pick('.-_')}${hashed.join('')}${end}`;
    };
    const release = () => {
      const paths = [...new Set(Array.from({ length: 12 }, name))].sort();
      return paths.map((path) => ({ ...file(path, path, below(3000)), path }));
    };
    let pairCount = 0;
    for (let round = 0; round < 500; round += 1) {
      const [one, two] = [release(), release()];
      const paths = new Set(two.map(({ path }) => path));
      const [ours, theirs] = [new BaseFinder(one, paths), new LoaderFinder(one, paths)];
      for (const target of two) {
        assert.equal(loaderFormOf(target.path), formOf(target.path));
        assert.deepEqual(theirs.find(target), ours.find(target), target.path);
        pairCount += Number(ours.find(target) !== null);
      }
    }
    assert.ok(pairCount > 100, `${pairCount} pairs`);
  });
});
