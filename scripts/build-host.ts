// Bundles the host into dist/. Packages stay imports, so that node_modules serves a checkout.

import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

mkdirSync('dist', { recursive: true });
await build({
  entryPoints: {
    sluice: 'host/main.ts',
    'io-worker': 'host/workers/io-worker.ts',
    'compute-worker': 'host/workers/compute-worker.ts',
    'db-worker': 'host/workers/db-worker.ts',
    example: 'examples/start.ts',
  },
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  sourcemap: true,
  // `npm link` starts sluice.js by this line; in the other files it says nothing.
  banner: { js: '#!/usr/bin/env node' },
  logLevel: 'warning',
});
chmodSync('dist/sluice.js', 0o755);
for (const name of ['edge', 'codec']) copyFileSync(`build/${name}.wasm`, `dist/${name}.wasm`);
copyFileSync('node_modules/@sqlite.org/sqlite-wasm/dist/sqlite3.wasm', 'dist/sqlite3.wasm');

await buildLoader();

/** The loader for apps: one file for each platform with the decoder inside, and its types. */
async function buildLoader(): Promise<void> {
  const decoder = readFileSync('build/decoder.wasm').toString('base64');
  for (const platform of ['browser', 'node'] as const) {
    await build({
      entryPoints: { [`sluice-loader.${platform}`]: `client/${platform}.ts` },
      outdir: 'dist/client',
      bundle: true,
      platform,
      format: 'esm',
      // Browsers that have ed25519 have all of this.
      target: platform === 'node' ? 'node20' : 'es2022',
      define: { DECODER_BASE64: JSON.stringify(decoder) },
      minifySyntax: true,
      minifyWhitespace: platform === 'browser',
      minifyIdentifiers: platform === 'browser',
      sourcemap: true,
      logLevel: 'warning',
    });
    writeFileSync(
      `dist/client/sluice-loader.${platform}.d.ts`,
      `export * from './types/client/${platform}.js';\n`,
    );
  }
  const args = ['node_modules/typescript/bin/tsc', '-p', 'scripts/loader-types.json'];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
