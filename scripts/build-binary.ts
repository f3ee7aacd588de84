// Makes the standalone binary: `npm run build:binary`, or with `--out FILE` somewhere else than
// dist/sluice. The kernels must have been built. docs/binary.md says what is inside.

import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleHost, lmdbAddonPath, sqliteWasmPath, uwsAddonPath } from './binary/bundle.ts';
import { makeExecutable } from './binary/executable.ts';
import { licencesOf } from './binary/licences.ts';

const { values } = parseArgs({ options: { out: { type: 'string', default: 'dist/sluice' } } });
const output = resolve(values.out);
const { texts, packageFolders } = await bundleHost();
const assets = new Map<string, Uint8Array | string>([
  ['edge.wasm', readFileSync('build/edge.wasm')],
  ['codec.wasm', readFileSync('build/codec.wasm')],
  ['sqlite3.wasm', readFileSync(sqliteWasmPath())],
  ['io-worker.js', texts.get('io-worker')!],
  ['db-worker.js', texts.get('db-worker')!],
  ['compute-worker.js', texts.get('compute-worker')!],
  ['uws.node', readFileSync(uwsAddonPath())],
  ['lmdb.node', readFileSync(lmdbAddonPath())],
]);
const licences = licencesOf(packageFolders);
makeExecutable({ node: process.execPath, output }, { main: texts.get('main')!, assets });

writeFileSync(`${output}.licences.txt`, licences);

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const { status, stdout, stderr } = spawnSync(output, ['version'], { encoding: 'utf8' });
if (status !== 0 || stdout.trim() !== version) {
  console.error(`${output} does not run: exit code ${status}\n${stdout}${stderr}`);
  process.exit(1);
}
const sizeMib = Math.round(statSync(output).size / 1_048_576);
console.log(`${basename(output)} ${version}: ${sizeMib} MiB, ${output}`);
