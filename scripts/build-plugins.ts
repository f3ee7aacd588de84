// Compiles the filters of plugins/ into build/plugins/. What has not changed since the last time is
// left as it is: a filter takes seconds to compile, and few builds change one.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = 'plugins';
const TARGET = 'build/plugins';
const OPTIONS = join(SOURCE, 'asconfig.json');
/** What filters share: a change here is a change of each. */
const SHARED = 'kit';

/** One compiler for all, since the second filter takes a third of the first one's time; and in a
 *  process without tsx, which would take 12 s to load its 14 MB. */
const COMPILER = `
  import { main } from 'assemblyscript/asc';
  const { stdout, stderr } = process;
  for (const words of JSON.parse(process.argv[1])) {
    const { error } = await main(words, { stdout, stderr });
    if (error === null) continue;
    console.error(words[0] + ': ' + error.message);
    process.exit(1);
  }
`;

/** The names of all filters. */
function pluginNames(): string[] {
  return readdirSync(SOURCE).filter((name) => existsSync(join(SOURCE, name, 'index.ts')));
}

function sourcesOf(folder: string): string[] {
  return readdirSync(join(SOURCE, folder))
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => join(SOURCE, folder, name));
}

function versionOf(name: string): string {
  return JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version;
}

/** Of everything that decides what comes out. */
function fingerprint(name: string): string {
  const hash = createHash('sha256');
  hash.update(versionOf('assemblyscript')).update(versionOf('@gcoredev/proxy-wasm-sdk-as'));
  for (const path of [OPTIONS, ...sourcesOf(SHARED), ...sourcesOf(name)]) {
    hash.update(`\n${path}\n`).update(readFileSync(path));
  }
  return hash.digest('hex');
}

function isFresh(name: string, print: string): boolean {
  const stamp = join(TARGET, `${name}.stamp`);
  if (!existsSync(stamp) || !existsSync(join(TARGET, `${name}.wasm`))) return false;
  return readFileSync(stamp, 'utf8') === print;
}

mkdirSync(TARGET, { recursive: true });
const stale = pluginNames()
  .map((name) => ({ name, print: fingerprint(name) }))
  .filter(({ name, print }) => !isFresh(name, print));
if (stale.length > 0) {
  const orders = stale.map(({ name }) => [
    ...[join(SOURCE, name, 'index.ts'), '--config', OPTIONS],
    ...['--outFile', join(TARGET, `${name}.wasm`)],
  ]);
  const words = ['--input-type=module', '-e', COMPILER, JSON.stringify(orders)];
  const { status } = spawnSync(process.execPath, words, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  for (const { name, print } of stale) writeFileSync(join(TARGET, `${name}.stamp`), print);
}
