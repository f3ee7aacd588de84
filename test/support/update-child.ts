// A device as a process of its own: starts, updates and confirms in the folder it is given. What
// its storage promised goes to the trace (kill-at-call.ts): `kept HASH` once content is written,
// and `state` when the state is about to name it.

import { appendFileSync, readFileSync } from 'node:fs';
import type { LoaderStorage } from '../../client/api.ts';
import { loadDecoder } from '../../client/decoder.ts';
import { openLoader } from '../../client/loader.ts';
import { memoryStorage } from '../../client/memory-storage.ts';
import type { Bytes } from '../../client/model.ts';
import { nodeFetch } from '../../client/node-fetch.ts';
import { fileStorage } from '../../client/node-storage.ts';

const [directory, origin, trustRootPath] = process.argv.slice(2);
const wasm = new Uint8Array(readFileSync('build/decoder.wasm')) as Bytes;
const trace = process.env.TRACE;
const note = (line: string): void => {
  if (trace !== undefined) appendFileSync(trace, `${line}\n`);
};
const files = fileStorage(directory!);
const storage: LoaderStorage = {
  ...files,
  write: async (sha256, content) => {
    await files.write(sha256, content);
    note(`kept ${sha256}`);
  },
  writeState: async (text) => {
    note('state begins');
    await files.writeState(text);
  },
};
const loader = openLoader(
  {
    channels: ['app'],
    origins: [origin!],
    trustRoot: readFileSync(trustRootPath!, 'utf8'),
    storage,
    limits: { rounds: 1 },
  },
  { storage: memoryStorage, decoder: () => loadDecoder(wasm), fetch: nodeFetch },
);
await loader.start();
const [update] = await loader.update();
await loader.confirm();
await loader.close();
process.stdout.write(`${update?.status} ${update?.error?.message ?? ''}\n`);
