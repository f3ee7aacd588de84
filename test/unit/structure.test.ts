// The rules of the house as tests, so that nobody has to remember them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, it } from 'node:test';

/** Folders by rank: a file imports from its own folder or from a folder of lower rank. Folders of
 *  one rank never import each other. */
const RANKS: readonly (readonly string[])[] = [
  ['assembly/shared'],
  ['host/core'],
  ['host/kernels', 'host/config'],
  ['host/telemetry'],
  ['host/edge', 'host/mesh', 'host/proxywasm', 'host/db', 'host/distribution'],
  ['host/workers', 'host/admin'],
  ['host/cli'],
  ['host/main.ts'],
];

/** Outside things, and the one folder or file through which each is reached. */
const DOORS: Readonly<Record<string, string | readonly string[]>> = {
  'uWebSockets.js': 'host/edge/uws-app.ts',
  piscina: 'host/workers/compute.ts',
  '@sqlite.org/sqlite-wasm': 'host/db/engine',
  lmdb: 'host/db/page-store',
  flatbuffers: 'host/config',
  yaml: 'host/config/general-yaml.ts',
  'ipaddr.js': 'host',
  zod: 'host/config',
  re2js: 'host',
  ws: 'host',
  cac: 'host/cli',
  pino: 'host/telemetry',
  'sonic-boom': 'host/telemetry',
  'hdr-histogram-js': ['host/telemetry', 'host/cli/bench'],
};

const FILE_LINES_MAX = 500;
const TEST_FILE_LINES_MAX = 800;
const LINE_COLUMNS_MAX = 100;

const sources = trackedFiles().filter((path) => path.endsWith('.ts'));

function trackedFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
    encoding: 'utf8',
  });
  return listed.split('\n').filter((path) => path !== '');
}

function roomOf(path: string): string | undefined {
  return RANKS.flat().find((room) => path === room || path.startsWith(`${room}/`));
}

function rankOf(room: string): number {
  return RANKS.findIndex((rooms) => rooms.includes(room));
}

function importsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  const pattern = /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s*'([^']+)'|import\('([^']+)'\)/g;
  return [...text.matchAll(pattern)].map((found) => found[1] ?? found[2]!);
}

describe('the import rule', () => {
  for (const path of sources.filter((source) => source.startsWith('host/'))) {
    it(path, () => {
      const room = roomOf(path);
      assert.ok(room !== undefined, `${path} stands in no room of DESIGN section 2`);
      for (const specifier of importsOf(path)) {
        if (specifier.startsWith('.')) checkInside(path, room, specifier);
        else checkDoor(path, specifier);
      }
    });
  }
});

function checkInside(path: string, room: string, specifier: string): void {
  const target = normalize(join(dirname(path), specifier));
  const targetRoom = roomOf(target);
  // The version's one home.
  if (target === 'package.json') return;
  assert.ok(targetRoom !== undefined, `${path} imports ${target}, which stands in no room`);
  if (targetRoom === room) {
    assert.ok(!/^\.\/index\.ts$/.test(specifier), `${path} imports its own folder's index`);
    return;
  }
  assert.ok(
    rankOf(targetRoom) < rankOf(room),
    `${path} (${room}) imports ${target} (${targetRoom}), which is not of lower rank`,
  );
  if (targetRoom === 'assembly/shared') return;
  assert.equal(
    relative(targetRoom, target),
    'index.ts',
    `${path} reaches past ${targetRoom}/index.ts`,
  );
}

function checkDoor(path: string, specifier: string): void {
  const doors = DOORS[specifier];
  if (doors === undefined) return;
  const isDoor = [doors].flat().some((door) => path.startsWith(door));
  assert.ok(isDoor, `${path} imports ${specifier}; its door is ${doors}`);
}

describe('the loader', () => {
  it('stands alone: its own files, the shared constants, and Node where it is for Node', () => {
    for (const path of sources.filter((source) => source.startsWith('client/'))) {
      for (const specifier of importsOf(path)) {
        if (specifier.startsWith('.')) {
          const target = normalize(join(dirname(path), specifier));
          assert.match(target, /^(client|assembly\/shared)\//, `${path} imports ${target}`);
        } else {
          assert.match(specifier, /^node:/, `${path} imports ${specifier}`);
          assert.match(path, /^client\/node/, `${path} is for browsers and imports ${specifier}`);
        }
      }
    }
  });

  it('reads time and chance where an app can give its own', () => {
    // Locks and half-written files of other processes have the times of the file system.
    const isPlatform = (path: string): boolean => /^client\/(clock|node-)/.test(path);
    for (const path of sources.filter((source) => source.startsWith('client/'))) {
      if (isPlatform(path)) continue;
      const text = readFileSync(path, 'utf8');
      const found = /\bDate\.now\(|\bperformance\.now\(|\bMath\.random\(|\bnew Date\(\)/.exec(text);
      assert.equal(found, null, `${path} reads time or randomness itself: ${found?.[0]}`);
    }
  });
});

describe('size and shape', () => {
  it('no file is longer than its limit and no line wider than 100 columns', () => {
    for (const path of sources.filter((source) => !/generated/.test(source))) {
      const lines = readFileSync(path, 'utf8').split('\n');
      const limit = path.startsWith('test/') ? TEST_FILE_LINES_MAX : FILE_LINES_MAX;
      assert.ok(lines.length <= limit, `${path} has ${lines.length} lines, the limit is ${limit}`);
      const wide = lines.findIndex((line) => line.length > LINE_COLUMNS_MAX);
      assert.equal(wide, -1, `${path}:${wide + 1} is wider than ${LINE_COLUMNS_MAX} columns`);
    }
  });

  it('time and randomness come in through host/core', () => {
    for (const path of sources.filter((source) => source.startsWith('host/'))) {
      if (path.startsWith('host/core/')) continue;
      const text = readFileSync(path, 'utf8');
      const found =
        /\bDate\.now\(|\bperformance\.now\(|\bMath\.random\(|\bnew Date\(\)|hrtime/.exec(text);
      assert.equal(found, null, `${path} reads time or randomness itself: ${found?.[0]}`);
    }
  });

  it('no file is named after a drawer', () => {
    for (const path of sources) {
      assert.doesNotMatch(path, /(^|\/)(utils?|helpers?|misc|common)(\/|\.)/);
    }
  });
});
