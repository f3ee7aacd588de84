// Bundles the host for the standalone binary: one CommonJS text for each kind of thread, with every
// package inside. What a package would load from a file at run time is turned to the embedded parts
// here, and whatever would still be loaded from outside fails the build: the binary must not pick
// up what happens to lie in the folder it is started in.

import { existsSync, readFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';

export interface Bundle {
  /** Texts by name: `main`, `io-worker`, `db-worker`, `compute-worker`. */
  readonly texts: ReadonlyMap<string, string>;
  /** Folders of the packages inside. */
  readonly packageFolders: readonly string[];
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const UWS = join(ROOT, 'node_modules/uWebSockets.js');
const SQLITE = join(ROOT, 'node_modules/@sqlite.org/sqlite-wasm');
const PISCINA = dirname(createRequire(import.meta.url).resolve('piscina'));
/** Optional natives, which their users do without: faster masks for ws, priorities for piscina. */
const ABSENT = ['bufferutil', 'utf-8-validate', '@napi-rs/nice'];
const LMDB = join(ROOT, 'node_modules/lmdb');
/** Where piscina's thread loads its tasks: first by require, then by import. */
const TASK_LOADS = [
  '__importStar(require(s))',
  'getImportESM()((0, node_url_1.pathToFileURL)(filename).href)',
];

const ENTRIES = {
  main: join(ROOT, 'host/main.ts'),
  'io-worker': join(ROOT, 'host/workers/io-worker.ts'),
  'db-worker': join(ROOT, 'host/workers/db-worker.ts'),
  'compute-worker': join(PISCINA, 'worker.js'),
};

/** Errors: Error, when a package is not what this file knows or wants something from outside. */
export async function bundleHost(): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    entryPoints: ENTRIES,
    absWorkingDir: ROOT,
    outdir: 'binary',
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    // Read in a checkout only; a text here keeps the bundler from warning about an empty one.
    define: { 'import.meta.url': '"file:///standalone"' },
    plugins: [embeddedAddons, embeddedThreads, absentNatives],
    logLevel: 'warning',
  });
  assertClosed(metafile);
  const texts = new Map<string, string>();
  for (const name of Object.keys(ENTRIES)) {
    const file = outputFiles.find(({ path }) => path === join(ROOT, 'binary', `${name}.js`));
    if (file === undefined) throw new Error(`esbuild made no ${name}.js`);
    texts.set(name, file.text);
  }
  return { texts, packageFolders: [UWS, SQLITE, ...packageFoldersOf(metafile)] };
}

/** The addon of uWebSockets for the node that runs this. Errors: names what was looked for. */
export function uwsAddonPath(): string {
  const { platform, arch, versions } = process;
  const name = `uws_${platform}_${arch}_${versions.modules}.node`;
  // The repack on npm, and the official package.
  const found = [join(UWS, 'dist/bin', name), join(UWS, name)].find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(`${UWS} holds no ${name}: uWebSockets.js is not made for this node`);
}

/** SQLite, of which only the module is used. */
export function sqliteWasmPath(): string {
  return join(SQLITE, 'dist/sqlite3.wasm');
}

/** The addon of LMDB for the node that runs this. Errors: names what was looked for. */
export function lmdbAddonPath(): string {
  const { platform, arch, versions } = process;
  const folder = join(ROOT, `node_modules/@lmdb/lmdb-${platform}-${arch}`);
  const found = join(folder, `node.abi${versions.modules}.glibc.node`);
  if (existsSync(found)) return found;
  throw new Error(`there is no ${found}: lmdb is not made for this node`);
}

/** uWebSockets.js is its addon; lmdb-js asks a package for its own. */
const embeddedAddons: Plugin = {
  name: 'embedded-addons',
  setup(on) {
    const loader = JSON.stringify(join(ROOT, 'host/core/embedded-addon.ts'));
    const parts = JSON.stringify(join(ROOT, 'host/workers/assets.ts'));
    const contents = {
      uws: `const { loadAddon, UWS_ADDON } = require(${loader});
        module.exports = loadAddon(UWS_ADDON);`,
      lmdb: `module.exports = () => require(${parts}).loadLmdbAddon();`,
    };
    on.onResolve({ filter: /^uWebSockets\.js$/ }, () => ({ path: 'uws', namespace: 'addon' }));
    on.onResolve({ filter: /^node-gyp-build-optional-packages$/ }, ({ importer }) => {
      return importer === join(LMDB, 'native.js') ? { path: 'lmdb', namespace: 'addon' } : null;
    });
    // The same without an addon of its own, which it would look for outside.
    on.onResolve({ filter: /^msgpackr$/ }, ({ importer }) => {
      return { path: join(dirname(createRequire(importer).resolve('msgpackr')), '../index.js') };
    });
    on.onLoad({ filter: /.*/, namespace: 'addon' }, ({ path }) => ({
      contents: path === 'uws' ? contents.uws : contents.lmdb,
      resolveDir: ROOT,
    }));
  },
};

/** Piscina starts its threads from a file beside itself; these load their tasks from another. */
const embeddedThreads: Plugin = {
  name: 'embedded-threads',
  setup(on) {
    const parts = join(ROOT, 'host/workers/assets.ts');
    const tasks = join(ROOT, 'host/workers/compute-worker.ts');
    on.onResolve({ filter: /^node:worker_threads$/ }, ({ importer }) => {
      if (importer !== join(PISCINA, 'worker_pool/index.js')) return null;
      return { path: 'threads', namespace: 'threads' };
    });
    on.onLoad({ filter: /.*/, namespace: 'threads' }, () => ({
      contents: `
        const { startWorker } = require(${JSON.stringify(parts)});
        function Worker(file, options) { return startWorker('compute-worker', options); }
        module.exports = { ...require('node:worker_threads'), Worker };`,
      resolveDir: ROOT,
    }));
    on.onLoad({ filter: /[/\\]piscina[/\\]dist[/\\]worker\.js$/ }, ({ path }) => {
      let contents = readFileSync(path, 'utf8');
      for (const load of TASK_LOADS) {
        const [before, after, ...more] = contents.split(load);
        if (after === undefined || more.length > 0) {
          throw new Error(`${path} does not hold ${load} once; look how it loads tasks now`);
        }
        contents = `${before}require(${JSON.stringify(tasks)})${after}`;
      }
      return { contents, loader: 'js' };
    });
  },
};

const absentNatives: Plugin = {
  name: 'absent-natives',
  setup(on) {
    const filter = new RegExp(`^(${ABSENT.join('|')})$`);
    on.onResolve({ filter }, ({ path }) => ({ path, namespace: 'absent' }));
    on.onLoad({ filter: /.*/, namespace: 'absent' }, ({ path }) => ({
      contents: `throw new Error('${path} is not in the standalone binary');`,
    }));
  },
};

function assertClosed({ inputs, outputs }: Metafile): void {
  for (const [output, { imports }] of Object.entries(outputs)) {
    for (const { path, external } of imports) {
      if (external !== true || builtinModules.includes(path.replace(/^node:/, ''))) continue;
      if (path === 'node:sea') continue;
      throw new Error(`${output} would load ${path} from outside`);
    }
  }
  const poolIndex = Object.keys(inputs).some((path) => path.endsWith('threads:threads'));
  if (!poolIndex)
    throw new Error(`${PISCINA}/worker_pool/index.js does not start threads any more`);
}

function packageFoldersOf({ inputs }: Metafile): string[] {
  const folders = Object.keys(inputs)
    .map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
    .filter((folder) => folder !== undefined);
  return [...new Set(folders)].map((folder) => resolve(ROOT, folder)).sort();
}
