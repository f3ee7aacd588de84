// publish, release and keys as people type them, through the built program.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { createLoader } from '../../client/node.ts';
import { keysCommand } from '../../host/cli/release/keys.ts';
import { barText, ProgressBar } from '../../host/cli/release/progress.ts';
import { publishCommand } from '../../host/cli/release/publish.ts';
import { releaseCommand } from '../../host/cli/release/release.ts';
import { costTable, grouped } from '../../host/cli/release/table.ts';
import { SeededRandom } from '../../host/core/index.ts';
import type { ChannelState } from '../../host/distribution/index.ts';
import { testSeed } from '../support/seed.ts';
import { sourceText, storeScene } from '../support/store-scene.ts';

const PROGRAM = resolve('dist/sluice.js');
const scene = storeScene();
after(() => scene.remove());
const random = new SeededRandom(testSeed('cli release'));
const text = sourceText(random, 30_000);

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function sluice(...argv: string[]): Answer {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...argv], {
    cwd: scene.root,
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

function fine(...argv: string[]): string {
  const { code, stdout, stderr } = sluice(...argv);
  assert.equal(code, 0, `${argv.join(' ')}: ${stderr}`);
  return stdout;
}

function refusedBy(reason: string, ...argv: string[]): string {
  const { code, stdout, stderr } = sluice(...argv);
  assert.equal(code, reason === 'GW_FLAG_BAD_VALUE' ? 2 : 1, `${argv.join(' ')}: ${stdout}`);
  assert.ok(stderr.includes(reason), `${argv.join(' ')}: ${stderr}`);
  return stderr;
}

/** The same within this process, for what is refused before anything is done. */
async function refusedHere(reason: string, ...argv: string[]): Promise<string> {
  let stderr = '';
  const output = {
    stdout: { write: (more: string) => assert.fail(`${argv.join(' ')}: ${more}`) },
    stderr: { write: (more: string) => (stderr += more) },
  };
  const command = { publish: publishCommand, release: releaseCommand, keys: keysCommand }[argv[0]!];
  const code = await command!(argv.slice(1), output);
  assert.equal(code, reason === 'GW_FLAG_BAD_VALUE' ? 2 : 1, argv.join(' '));
  assert.ok(stderr.includes(reason), `${argv.join(' ')}: ${stderr}`);
  return stderr;
}

function states(): ChannelState[] {
  return JSON.parse(fine('release', 'list', '--json'));
}

describe('the life of a channel', () => {
  const app = ['--channel', 'app'];
  const publish = (tree: string, version: string, ...more: string[]) => [
    ...['publish', tree, ...app, '--version', version],
    ...more,
  ];

  it('begins with keys', () => {
    refusedBy('GW_DIST_KEY', 'keys', 'show');
    const shown = fine('keys', 'init');
    assert.match(shown, /trust root 1, until 20\d\d-/);
    assert.doesNotMatch(shown, /PRIVATE/);
    assert.equal(readdirSync(join(scene.root, 'keys')).length, 4);
    refusedBy('GW_DIST_KEY', 'keys', 'init');
  });

  it('goes on with releases, whose names stay as they were typed', () => {
    scene.tree('one', { 'main.js': text, 'a.txt': 'a' });
    const changed = `${text.slice(0, 5000)}/* new */${text.slice(5000)}`;
    scene.tree('two', { 'main.js': changed, 'a.txt': 'a' });
    const first = fine(...publish('one', '1.0', '--built-in', '--entry', 'main.js'));
    assert.match(first, /published 1\.0 in app as number 1: 2 files/);
    assert.doesNotMatch(first, /\r|\[#/, 'no bars where nobody sees them');
    const second = fine(...publish('two', '1.10', '--rollout', '10%', '--halt-share', '5%'));
    assert.match(second, /from 1\.0 +\d{2,3} B/);
    const [state] = states();
    assert.deepEqual(
      state!.releases.map(({ version, rollout, isBuiltIn }) => [version, rollout, isBuiltIn]),
      [
        ['1.10', 1000, false],
        ['1.0', 10_000, true],
      ],
    );
    assert.deepEqual(state!.releases[0]!.halt, { failureShare: 0.05, minimumCount: 100 });
    refusedBy('GW_DIST_EXISTS', ...publish('two', '1.10'));
  });

  it('is steered by rules', () => {
    fine('release', 'rollout', '1.10', ...app, '--rollout', '25%');
    fine('release', 'pause', ...app);
    const steps = ['--schedule', '2030-01-01T00:00Z=50%', '--schedule', '2030-01-02T00:00Z=100%'];
    fine('release', 'schedule', '1.10', ...app, ...steps);
    const target = ['--platform', 'ios', '--platform', 'web', '--attribute', 'tier=gold'];
    fine('release', 'target', ...app, ...target, '--app-version', '>=1.2.0 <2.0.0');
    let [release] = states()[0]!.releases;
    assert.equal(release!.rollout, 2500);
    assert.equal(release!.state, 'paused');
    assert.deepEqual(release!.schedule, [
      { atMs: Date.UTC(2030, 0, 1), rollout: 5000 },
      { atMs: Date.UTC(2030, 0, 2), rollout: 10_000 },
    ]);
    assert.deepEqual(release!.targeting?.platforms, ['ios', 'web']);
    const listed = fine('release', 'list');
    assert.match(listed, /25\.00 %.*; for app >=1\.2\.0 <2\.0\.0, platform ios\|web, tier gold/);
    assert.match(listed, /50\.00 % at 2030-01-01T00:00:00, 100\.00 % at 2030/);
    assert.equal(JSON.parse(fine('release', 'list', '--json'))[0].releases[0].rolloutInForce, 2500);
    fine('release', 'resume', ...app);
    fine('release', 'target', ...app, '--clear');
    const cleared = fine('release', 'schedule', ...app, '--clear');
    assert.match(
      cleared,
      /the schedule has ended; the share stays at 25\.00 %; dropped: 50\.00 % at/,
    );
    fine('release', 'halt', ...app, '--clear');
    [release] = states()[0]!.releases;
    assert.deepEqual(
      [release!.state, release!.targeting, release!.schedule, release!.halt],
      ['active', null, [], null],
    );
  });

  it('goes back by going on', () => {
    assert.match(fine('release', 'rollback', '1.0', ...app), /published 1\.0-again\.3 in app/);
    assert.match(fine('release', 'list'), /3 {2}1\.0-again\.3 +active/);
    refusedBy('GW_DIST_NOT_FOUND', 'release', 'rollback', '7', ...app);
  });

  it('gives out a signed manifest, for an app that ships with the files', async () => {
    // An author found no way to it but by a hash in the store's own folders.
    const envelope = fine('release', 'manifest', '1.0', ...app);
    const loader = createLoader({
      channels: ['app'],
      origins: [],
      trustRoot: readFileSync(join(scene.root, 'keys/roots/1.json'), 'utf8'),
      builtIn: { app: { manifest: envelope, read: async () => Buffer.from(text) } },
    });
    const [open] = await loader.start();
    assert.deepEqual([open?.version, open?.source], ['1.0', 'builtIn']);
    await loader.close();
    assert.equal(JSON.parse(fine('release', 'manifest', ...app)).signatures.length, 1);
    refusedBy('GW_DIST_NOT_FOUND', 'release', 'manifest', '7', ...app);
    const empty = refusedBy('GW_DIST_NOT_FOUND', 'release', 'pause', '--channel', 'none');
    assert.match(empty, /the channel has no release/);
  });

  it('ends well when nobody reads to the end', () => {
    // A list into `head` ended in a stack trace.
    const script = '{ "$0" "$1" release list; echo "code $?" >&2; } | true';
    const { stderr } = spawnSync('bash', ['-c', script, process.execPath, PROGRAM], {
      cwd: scene.root,
      encoding: 'utf8',
    });
    assert.equal(stderr, 'code 0\n');
  });

  it('is looked after', () => {
    assert.match(fine('release', 'scan'), /\b0 findings/);
    fine('release', 'retire', '1.10', ...app);
    refusedBy('GW_DIST_RULE', 'release', 'retire', '1.0-again.3', ...app);
    assert.match(fine('release', 'gc'), /removed [1-9]\d* files/);
    const objects = join(scene.root, 'data', 'resources', 'objects');
    const [folder] = readdirSync(objects);
    const [name] = readdirSync(join(objects, folder!));
    writeFileSync(join(objects, folder!, name!), 'damaged');
    const { code, stdout } = sluice('release', 'scan');
    assert.equal(code, 1);
    assert.ok(stdout.includes(`object ${name}`), stdout);
  });

  it('changes its keys, and a release is signed by the new ones', () => {
    fine('keys', 'rotate', '--role', 'release');
    fine(...publish('one', '2.0'));
    assert.deepEqual(readdirSync(join(scene.root, 'data', 'resources', 'roots')).sort(), [
      '1.json',
      '2.json',
    ]);
    assert.match(fine('keys', 'add', '--role', 'release', '--threshold', '2'), /2 of 2 must sign/);
    const keys = readdirSync(join(scene.root, 'keys')).filter((name) => name.startsWith('release'));
    const paths = keys.map((name) => join('keys', name));
    const shown = fine('keys', 'show');
    const [one, two] = paths.filter((path) => shown.includes(path));
    refusedBy('GW_DIST_SIGNATURE', ...publish('two', '3.0', '--key', one!));
    fine(...publish('two', '3.0', '--key', one!, '--prepare', 'manifest.json'));
    assert.equal(states()[0]!.releases[0]!.version, '2.0', 'nothing was published');
    refusedBy('GW_DIST_SIGNATURE', ...publish('two', '3.0', '--manifest', 'manifest.json'));
    fine('keys', 'sign', '--in', 'manifest.json', '--key', two!);
    fine(...publish('two', '3.0', '--manifest', 'manifest.json'));
    assert.equal(states()[0]!.releases[0]!.version, '3.0');
  });

  it('refuses keys that others may read', () => {
    const name = readdirSync(join(scene.root, 'keys')).find((one) => one.startsWith('release'))!;
    const path = join('keys', name);
    chmodSync(join(scene.root, path), 0o644);
    assert.match(refusedBy('GW_DIST_KEY', ...publish('one', '4.0', '--key', path)), /mode 644/);
    chmodSync(join(scene.root, path), 0o600);
  });
});

describe('what is typed wrong', () => {
  it('is refused with the flag and what was expected', async () => {
    const app = ['--channel', 'app'];
    for (const argv of [
      ['publish', ...app, '--version', '1'],
      ['publish', 'one', '--version', '1'],
      ['publish', 'one', ...app],
      ['publish', 'one', 'two', ...app, '--version', '1'],
      ['publish', 'one', ...app, '--version', 'a b'],
      ['publish', 'one', ...app, '--version', '9', '--pack', '--unpack'],
      ['publish', 'one', ...app, '--version', '9', '--rollout', '101%'],
      ['publish', 'one', ...app, '--version', '9', '--rollout', '5'],
      ['publish', 'one', ...app, '--version', '9', '--schedule', 'soon=5%'],
      ['publish', 'one', ...app, '--version', '9', '--attribute', 'gold'],
      ['publish', 'one', ...app, '--version', '9', '--halt-after', '5'],
      ['publish', 'one', ...app, '--version', '9', '--base-count', '-1'],
      ['publish', 'one', ...app, '--version', '9', '--disk', 'much'],
      ['publish', 'one', ...app, '--version', '9', '--manifest', 'nowhere.json'],
      ['publish', 'one', ...app, '--version', '9', '--unknown'],
      ['release', 'rollback', '1', ...app, '--name', '../x'],
      ['release'],
      ['release', 'explode'],
      ['release', 'pause'],
      ['release', 'rollback', ...app],
      ['release', 'target', ...app],
      ['release', 'target', ...app, '--clear', '--platform', 'ios'],
      ['keys'],
      ['keys', 'rotate'],
      ['keys', 'rotate', '--role', 'king'],
      ['keys', 'init', '--days', '0'],
      ['keys', 'sign', '--in', 'x'],
    ]) {
      await refusedHere('GW_FLAG_BAD_VALUE', ...argv);
    }
    const words = ['publish', 'nowhere', ...app, '--version', '9'];
    await refusedHere('GW_DIST_TREE', ...words);
    mkdirSync(join(scene.root, 'bare'));
    await refusedHere(
      'GW_DIST_TREE',
      'publish',
      join(scene.root, 'bare'),
      ...app,
      '--version',
      '9',
    );
    const range = ['--app-version', 'new'];
    await refusedHere('GW_DIST_RULE', 'release', 'target', ...app, ...range);
    const version = [...app, '--version', '9'];
    for (const [argv, expected] of [
      [['one', ...app, '--version', '-1.0'], /first and last a letter or a digit/],
      [['one', '--channel', '.x', '--version', '1'], /first and last a letter or a digit/],
      [['one', '--channel', 'root', '--version', '1'], /a name other than root, check, outcomes/],
    ] as const) {
      // A version with a dash in front is written with an equals sign.
      const joined = argv.join(' ').replace('--version -', '--version=-').split(' ');
      assert.match(await refusedHere('GW_FLAG_BAD_VALUE', 'publish', ...joined), expected);
    }
    for (const steps of [['2020-01-01=50%'], ['+1h=10%'], ['+2h=50%', '+1h=60%']]) {
      const schedule = steps.flatMap((step) => ['--schedule', step]);
      const publish = ['publish', 'one', ...version, '--rollout', '10%', ...schedule];
      await refusedHere('GW_DIST_RULE', ...publish);
    }
  });

  it('has its help', () => {
    for (const command of ['publish', 'release', 'keys']) {
      const help = execFileSync(process.execPath, [PROGRAM, command, '--help'], {
        encoding: 'utf8',
      });
      assert.match(help, /Usage:/);
    }
  });
});

describe('what is shown', () => {
  // A build's log stood still for minutes; a bar would have filled it with thousands of lines.
  it('is a line every ten seconds where there is no terminal', () => {
    let nowMs = 0;
    let log = '';
    const terminal = { isTTY: false, write: (text: string) => (log += text) };
    const bar = new ProgressBar(terminal, () => nowMs);
    for (let doneCount = 0; doneCount <= 25; ++doneCount) {
      bar.show({ label: 'deltas', doneCount, totalCount: 25 });
      nowMs += 1_000;
    }
    bar.clear();
    assert.equal(log, 'deltas: 10 of 25\ndeltas: 20 of 25\n');
  });

  it('is a bar for each phase', () => {
    assert.equal(
      barText({ label: 'deltas', doneCount: 3, totalCount: 9 }),
      `deltas    [${'#'.repeat(10)}${'-'.repeat(20)}] 3/9`,
    );
  });

  it('is a table in columns', () => {
    const rows = [
      { label: 'full', sizeBytes: 1_234_567, note: '' },
      { label: 'from 1.0', sizeBytes: 1234, note: '1 deltas' },
    ];
    assert.equal(
      costTable(rows),
      '  full      1,234,567 B 100.00 %\n  from 1.0      1,234 B   0.10 %  1 deltas',
    );
    assert.equal(grouped(0), '0');
    assert.equal(costTable([{ label: 'full', sizeBytes: 0, note: '' }]), '  full  0 B   0.00 %');
  });
});
