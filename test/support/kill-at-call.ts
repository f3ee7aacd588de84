// Preloaded into a child: counts its changes of the file system and ends it, as a crash would, at
// the one that KILL_AT names. TEAR=1 writes half of what that call writes first. TRACE names a file
// that gets one line for each call, and one with `done` in front when a rename or a sync has ended.

import { appendFileSync, writeSync } from 'node:fs';
import * as promises from 'node:fs/promises';
import { createRequire, syncBuiltinESMExports } from 'node:module';

const killAt = Number(process.env.KILL_AT ?? 0);
const tears = process.env.TEAR === '1';
const trace = process.env.TRACE;
const real = createRequire(import.meta.url)('node:fs/promises') as Record<
  string,
  (...args: unknown[]) => unknown
>;
let callCount = 0;

function step(name: string, args: readonly unknown[], beforeDeath: () => void): void {
  callCount += 1;
  note(name, args);
  if (callCount !== killAt) return;
  beforeDeath();
  process.kill(process.pid, 'SIGKILL');
}

function note(name: string, args: readonly unknown[]): void {
  const shown = args.filter((arg) => typeof arg === 'string').join(' -> ');
  if (trace !== undefined) appendFileSync(trace, `${name} ${shown}\n`);
}

for (const name of ['open', 'rename', 'rm', 'mkdir', 'link', 'writeFile', 'utimes']) {
  const original = real[name]!;
  real[name] = async (...args) => {
    step(name, args, () => {});
    const result = await original(...args);
    if (name === 'rename') note('done rename', args);
    return result;
  };
}
syncBuiltinESMExports();

interface Handle {
  readonly fd: number;
  writeFile: (bytes: Uint8Array) => Promise<void>;
  sync: () => Promise<void>;
}

const probe = await promises.open(process.execPath, 'r');
const prototype = Object.getPrototypeOf(probe) as Handle;
await probe.close();
callCount = 0;

const { writeFile, sync } = prototype;
const paths = new WeakMap<Handle, string>();
const openCounted = real.open!;
real.open = async (...args) => {
  const handle = (await openCounted(...args)) as Handle;
  paths.set(handle, String(args[0]));
  return handle;
};
syncBuiltinESMExports();
prototype.writeFile = function (this: Handle, bytes) {
  step('write', [paths.get(this)], () => {
    if (tears) writeSync(this.fd, bytes.subarray(0, bytes.length / 2));
  });
  return writeFile.call(this, bytes);
};
prototype.sync = async function (this: Handle) {
  step('sync', [paths.get(this)], () => {});
  await sync.call(this);
  note('done sync', [paths.get(this)]);
};
process.on('exit', () => {
  if (trace !== undefined) appendFileSync(trace, `end ${callCount}\n`);
});
