// Puts a program and its parts into a copy of node: a single-executable application. The copy is
// finished beside its place and moved there last, so that a half-made one never has the name.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export interface ExecutableParts {
  /** The text of the CommonJS module that runs first. */
  readonly main: string;
  readonly assets: ReadonlyMap<string, Uint8Array | string>;
}

export interface ExecutablePaths {
  /** The node that is copied, and that prepares the parts: they only fit its own version. */
  readonly node: string;
  readonly output: string;
}

/** What node looks for in itself; the digit behind the colon says whether it carries a program.
 *  Source: https://nodejs.org/docs/latest-v20.x/api/single-executable-applications.html */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const POSTJECT = 'postject/dist/cli.js';

/** Errors: Error, naming the node that cannot carry a program, or with the words of the tool that
 *  failed. */
export function makeExecutable({ node, output }: ExecutablePaths, parts: ExecutableParts): void {
  assertCarrier(node);
  const work = mkdtempSync(join(tmpdir(), 'sluice-binary-'));
  mkdirSync(dirname(output), { recursive: true });
  const unfinished = `${resolve(output)}.${process.pid}.part`;
  try {
    const blob = prepareBlob(node, work, parts);
    copyFileSync(node, unfinished);
    chmodSync(unfinished, 0o755);
    const inject = createRequire(import.meta.url).resolve(POSTJECT);
    run(process.execPath, [inject, unfinished, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE]);
    renameSync(unfinished, output);
  } finally {
    rmSync(unfinished, { force: true });
    rmSync(work, { recursive: true, force: true });
  }
}

/** Errors: Error, when the file is no node that can carry a program. */
export function assertCarrier(node: string): void {
  const bytes = readFileSync(node);
  const at = bytes.indexOf(`${FUSE}:`);
  if (at === -1) {
    throw new Error(
      `${node} cannot carry a program: it has no ${FUSE}. Distributions that keep node in ` +
        `libnode.so build it like that; use the node of https://nodejs.org/dist/`,
    );
  }
  const state = String.fromCharCode(bytes[at + FUSE.length + 1] ?? 0);
  if (state !== '0') throw new Error(`${node} already carries a program; build with a plain node`);
}

function prepareBlob(node: string, work: string, parts: ExecutableParts): string {
  // Relative, for the main module's path is part of the program and shows in stack traces.
  const [main, config, output] = ['sluice.js', 'sea.json', 'parts.blob'];
  writeFileSync(join(work, main), parts.main);
  const assets: Record<string, string> = {};
  for (const [name, content] of parts.assets) {
    assets[name] = `asset-${name}`;
    writeFileSync(join(work, assets[name]), content);
  }
  const settings = { main, output, assets, disableExperimentalSEAWarning: true };
  writeFileSync(join(work, config), JSON.stringify(settings));
  run(node, ['--experimental-sea-config', config], work);
  return join(work, output);
}

/** Runs a tool that talks much, and lets it be heard only when it fails. */
function run(program: string, args: readonly string[], cwd = '.'): void {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
  });
  if (status === 0) return;
  const why = error?.message ?? `${signal ?? `exit code ${status}`}\n${stdout}${stderr}`;
  throw new Error(`${program} ${args[0]}: ${why}`);
}
