// Real releases and the releases after them, for deltas: files of npm packages, fetched once with
// `npm pack` and kept in build/pairs.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../build/pairs', import.meta.url));
const FILE_SIZE_BYTES_MAX = 134_217_728;

export interface Pair {
  readonly name: string;
  readonly package: string;
  readonly older: string;
  readonly newer: string;
  /** The file's path inside the package. */
  readonly file: string;
}

function pair(name: string, versions: string, file: string): Pair {
  const [older, newer] = versions.split('>') as [string, string];
  return { name: `${name} ${versions}`, package: name, older, newer, file };
}

const REACT_FILE = 'cjs/react-dom-client.production.js';

export const PAIRS: readonly Pair[] = [
  pair('three', '0.179.1>0.180.0', 'build/three.module.min.js'),
  pair('react-dom', '19.2.9>19.3.1', REACT_FILE),
  pair('sql.js', '1.12.0>1.13.0', 'dist/sql-wasm.wasm'),
  pair('sql.js', '1.13.0>1.14.0', 'dist/sql-wasm.wasm'),
  pair('assemblyscript', '0.28.19>0.28.20', 'dist/assemblyscript.js'),
  pair('assemblyscript', '0.27.36>0.28.8', 'dist/assemblyscript.js'),
  pair('typescript', '5.9.2>5.9.3', 'lib/typescript.js'),
  pair('typescript', '6.0.2>6.0.3', 'lib/typescript.js'),
  pair('esbuild-wasm', '0.28.1>0.28.2', 'esbuild.wasm'),
];

/** Paths of a pair's two files. Errors: what npm or tar say. Cost: a download at the first call. */
export function pairPaths(given: Pair): { readonly older: string; readonly newer: string } {
  return { older: cached(given, given.older), newer: cached(given, given.newer) };
}

function cached({ package: name, file }: Pair, version: string): string {
  const path = join(FOLDER, `${name}-${version}-${file.split('/').at(-1)}`);
  if (existsSync(path)) return path;
  mkdirSync(FOLDER, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--silent', `${name}@${version}`], { cwd: FOLDER });
  const archive = join(FOLDER, packed.toString().trim());
  const bytes = execFileSync('tar', ['-xzOf', archive, `package/${file}`], {
    maxBuffer: FILE_SIZE_BYTES_MAX,
  });
  writeFileSync(`${path}.part`, bytes);
  renameSync(`${path}.part`, path);
  rmSync(archive);
  return path;
}
