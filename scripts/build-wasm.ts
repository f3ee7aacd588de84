// Compiles the kernels. `--debug` builds the debug targets, with asserts and source maps.
// The compiler runs as a program: its type declarations replace global types of ours.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

const isDebug = process.argv.includes('--debug');
mkdirSync('build', { recursive: true });

for (const name of ['edge', 'codec', 'decoder']) {
  const target = isDebug ? `${name}-debug` : name;
  const { status } = spawnSync(
    process.execPath,
    [
      'node_modules/assemblyscript/bin/asc.js',
      `assembly/${name}/index.ts`,
      '--config',
      'asconfig.json',
      '--target',
      target,
    ],
    { stdio: 'inherit' },
  );
  if (status !== 0) process.exit(status ?? 1);
}
