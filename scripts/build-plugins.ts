// Compiles the filters of plugins/ into build/plugins/. What has not changed since the last time is
// left as it is: a filter takes seconds to compile, and few builds change one.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = 'plugins';
const TARGET = 'build/plugins';
const OPTIONS = join(SOURCE, 'asconfig.json');
/** What filters share: a change here is a change of each. */
const SHARED = 'kit';

interface Compiler {
  main(
    args: readonly string[],
    streams: { stdout: NodeJS.WritableStream; stderr: NodeJS.WritableStream },
  ): Promise<{ readonly error: Error | null }>;
}

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
  // One compiler for all: the second filter takes a third of the first one's time. Its name is not
  // a literal because its type declarations would replace global types of ours.
  const specifier: string = 'assemblyscript/asc';
  const compiler: Compiler = (await import(specifier)).default;
  for (const { name, print } of stale) {
    const args = [join(SOURCE, name, 'index.ts'), '--config', OPTIONS];
    args.push('--outFile', join(TARGET, `${name}.wasm`));
    const { error } = await compiler.main(args, { stdout: process.stdout, stderr: process.stderr });
    if (error !== null) {
      console.error(`plugins/${name}: ${error.message}`);
      process.exit(1);
    }
    writeFileSync(join(TARGET, `${name}.stamp`), print);
  }
}
