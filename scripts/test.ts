// Runs every test. With arguments, only the files whose path holds one of them.
// What the tests need from Debian is installed here when root, or named exactly.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** Programs the tests drive, with the Debian package each comes from. */
const PROGRAMS: Readonly<Record<string, string>> = {
  '/usr/sbin/nginx': 'nginx-light',
  '/usr/sbin/haproxy': 'haproxy',
  '/usr/bin/curl': 'curl',
  '/usr/bin/openssl': 'openssl',
  '/usr/bin/chromium': 'chromium',
  '/usr/bin/zstd': 'zstd',
};

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function installPrograms(): void {
  const missing = Object.keys(PROGRAMS).filter((path) => !isExecutable(path));
  if (missing.length === 0) return;
  const packages = missing.map((path) => PROGRAMS[path]!);
  const install = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  const command = `apt-get update && ${install}`;
  if (process.getuid?.() !== 0) {
    console.error(`the tests need ${missing.join(', ')}; as root: ${command}`);
    process.exit(1);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const { status } = spawnSync('sh', ['-c', command], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  });
  if (status !== 0) {
    console.error(`could not install ${packages.join(', ')}; by hand, as root: ${command}`);
    process.exit(1);
  }
}

function testFiles(wanted: readonly string[]): string[] {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
    .map((name) => join('test', name))
    .filter((path) => path.endsWith('.test.ts'))
    .sort();
  if (wanted.length === 0) return files;
  return files.filter((path) => wanted.some((part) => path.includes(part)));
}

installPrograms();
const files = testFiles(process.argv.slice(2));
if (files.length === 0) {
  console.error(`no test file matches ${process.argv.slice(2).join(' ')}`);
  process.exit(1);
}
const { status } = spawnSync(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    `--test-concurrency=${Math.min(2, availableParallelism())}`,
    '--test-reporter=spec',
    ...files,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);
process.exit(status ?? 1);
