// `npm start` as a process: whoever ends npm ends what it started.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { untilTrue } from '../support/client.ts';
import { endAtLast } from '../support/leftovers.ts';

const STAND_IN = `
process.on('SIGTERM', () => { console.log('told to end'); process.exit(0); });
console.log('pid ' + process.pid);
setInterval(() => {}, 1000);
`;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

// npm passes SIGTERM to the shell that runs the script, which ended and left the example and its
// gateway running. A stand-in keeps the example's fixed ports out of the test.
it('npm start passes SIGTERM to the example', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'));
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
  mkdirSync(join(folder, 'dist'));
  writeFileSync(join(folder, 'dist', 'example.js'), STAND_IN);
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ scripts: { start: scripts.start } }),
  );
  const npm = spawn('npm', ['start', '--silent'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endAtLast(() => npm.kill('SIGKILL'));
  let said = '';
  npm.stdout.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  await untilTrue(() => /pid \d+\n/.test(said));
  const pid = Number(/pid (\d+)/.exec(said)![1]);
  endAtLast(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
  const exited = once(npm, 'exit');
  npm.kill('SIGTERM');
  await exited;
  await untilTrue(() => !isAlive(pid));
  assert.match(said, /told to end/);
  rmSync(folder, { recursive: true });
});
