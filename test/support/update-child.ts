// A device as a process of its own: starts, updates and confirms in the folder it is given.

import { readFileSync } from 'node:fs';
import { loadDecoder } from '../../client/decoder.ts';
import { openLoader } from '../../client/loader.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import type { Bytes } from '../../client/model.ts';
import { fileStorage } from '../../client/node-storage.ts';

const [directory, origin, trustRootPath] = process.argv.slice(2);
const wasm = new Uint8Array(readFileSync('build/decoder.wasm')) as Bytes;
const loader = openLoader(
  {
    channels: ['app'],
    origins: [origin!],
    trustRoot: readFileSync(trustRootPath!, 'utf8'),
    storage: fileStorage(directory!),
    limits: { rounds: 1 },
  },
  { storage: memoryStorage, decoder: () => loadDecoder(wasm) },
);
await loader.start();
const [update] = await loader.update();
await loader.confirm();
await loader.close();
process.stdout.write(`${update?.status} ${update?.error?.message ?? ''}\n`);
