// Bundles the host into dist/. Packages stay imports, so that node_modules serves a checkout.

import { copyFileSync, mkdirSync } from 'node:fs';
import { build } from 'esbuild';

mkdirSync('dist', { recursive: true });
await build({
  entryPoints: {
    sluice: 'host/main.ts',
    'io-worker': 'host/workers/io-worker.ts',
    'compute-worker': 'host/workers/compute-worker.ts',
    example: 'examples/start.ts',
  },
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  sourcemap: true,
  logLevel: 'warning',
});
for (const name of ['edge', 'codec']) copyFileSync(`build/${name}.wasm`, `dist/${name}.wasm`);
