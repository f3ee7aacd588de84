// The benchmark's filters: compiled as plugins/ are, with the same options, and kept in
// build/bench-filters until a source changes. Each comes metered, as it runs in a gateway, and
// without counters.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadModule, PLUGIN_DEFAULTS, type PluginModule } from '../../host/proxywasm/index.ts';
import { rewriteModule } from '../../host/proxywasm/rewriter/rewrite.ts';

/** The filters whose cost is measured. */
export type FilterName = 'noop' | 'header' | 'body';

export const FILTERS: readonly FilterName[] = ['noop', 'header', 'body'];

const PAGE_SIZE_BYTES = 65_536;
const execute = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const sources = 'bench/plugins/filters';
const kit = 'plugins/kit';
const options = 'plugins/asconfig.json';
const target = join(root, 'build', 'bench-filters');

/** The bytes of a filter. Cost: seconds the first time. Errors: those of the compiler. */
export async function filterBytes(name: FilterName | 'answer'): Promise<Uint8Array<ArrayBuffer>> {
  const kept = join(target, `${name}-${fingerprint(name)}.wasm`);
  if (!existsSync(kept)) await compile(name, kept);
  return new Uint8Array(readFileSync(kept));
}

/** A loaded filter: metered, and the same without counters. */
export function loadedFilter(bytes: Uint8Array<ArrayBuffer>): Record<Metering, PluginModule> {
  const { memorySizeBytes } = PLUGIN_DEFAULTS.limits;
  const metered = loadModule(bytes, {
    sha256: '',
    memorySizeBytesMax: memorySizeBytes,
    strictImports: true,
  });
  const plain = rewriteModule(bytes, memorySizeBytes / PAGE_SIZE_BYTES, 'none');
  const unmetered = { module: new WebAssembly.Module(plain.bytes), report: metered.report };
  return { metered, unmetered };
}

export type Metering = 'metered' | 'unmetered';

function fingerprint(name: string): string {
  const hash = createHash('sha256');
  const shared = readdirSync(join(root, kit)).map((file) => `${kit}/${file}`);
  for (const file of [`${sources}/${name}.ts`, options, 'package-lock.json', ...shared.sort()]) {
    hash.update(`\n${file}\n`).update(readFileSync(join(root, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** As a program: loaded here, the compiler would pass through tsx, which takes 12 s. */
async function compile(name: string, kept: string): Promise<void> {
  mkdirSync(target, { recursive: true });
  const unfinished = `${kept}.${process.pid}`;
  await execute(
    process.execPath,
    [
      ...['node_modules/assemblyscript/bin/asc.js', `${sources}/${name}.ts`],
      ...['--config', options, '--outFile', unfinished],
    ],
    { cwd: root },
  );
  renameSync(unfinished, kept);
}

/** Another image of the same filter: a custom section behind it gives it another hash. */
export function anotherImage(bytes: Uint8Array, version: number): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(String(version));
  const section = Buffer.concat([Buffer.from([1]), Buffer.from('v'), text]);
  return new Uint8Array(Buffer.concat([bytes, Buffer.from([0, section.length]), section]));
}
