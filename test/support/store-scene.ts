// A store in a temporary folder, with a writer and the parts it needs.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ManualClock, type SeededRandom } from '../../host/core/index.ts';
import { sha256Of } from '../../host/distribution/artefact-file.ts';
import { ContentWriter } from '../../host/distribution/content-writer.ts';
import { Store } from '../../host/distribution/store.ts';
import { StoreWriter } from '../../host/distribution/store-writer.ts';
import type { Codec } from '../../host/kernels/index.ts';
import { codec } from './wasm.ts';

let shared: Codec | undefined;

/** Checksums for all tests of a file. */
export function sharedCodec(): Codec {
  shared ??= codec();
  return shared;
}

export interface StoreScene {
  readonly root: string;
  readonly store: Store;
  /** With the lock. */
  writer(diskBytesMax?: number): Promise<StoreWriter>;
  /** Without it, as a publisher has it. */
  contentWriter(): Promise<ContentWriter>;
  /** Writes a folder of files and returns it. */
  tree(name: string, files: Readonly<Record<string, string | Uint8Array>>): string;
  remove(): void;
}

/** The store in a folder. */
export function storeAt(dir: string): Store {
  return new Store(dir, sharedCodec());
}

export function storeScene(root = mkdtempSync(join(tmpdir(), 'sluice-store-'))): StoreScene {
  const store = storeAt(join(root, 'store'));
  return {
    root,
    store,
    writer: (diskBytesMax = 1e12) => {
      // Time now: leftovers are told by their age.
      const clock = new ManualClock(0, Date.now());
      return StoreWriter.open({ store, diskBytesMax, clock });
    },
    contentWriter: () => {
      const clock = new ManualClock(0, Date.now());
      return ContentWriter.open({ store, diskBytesMax: 1e12, clock });
    },
    tree: (name, files) => {
      const dir = join(root, name);
      mkdirSync(dir, { recursive: true });
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), content);
      }
      return dir;
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** Bytes that do not compress. */
export function randomBytes(random: SeededRandom, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let index = 0; index < sizeBytes; ++index) bytes[index] = random.uint32();
  return bytes;
}

/** Text that compresses, of about a length. */
export function sourceText(random: SeededRandom, sizeBytes: number): string {
  const words = ['const', 'return', 'value', 'index', 'await', 'length', 'error', 'result'];
  let text = '';
  while (text.length < sizeBytes) {
    const word = words[random.uint32() % words.length]!;
    text += `${word}${random.uint32() % 97}${random.uint32() % 5 === 0 ? ';\n' : ' '}`;
  }
  return text;
}

/** Puts content and returns its hash. */
export async function putText(writer: StoreWriter, text: string): Promise<string> {
  const bytes = Buffer.from(text, 'utf8');
  const sha256 = sha256Of(bytes);
  await writer.putObject(sha256, bytes);
  return sha256;
}

/** Every file below a folder with its size, sorted: what a failed write must not change. */
export async function filesBelow(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = [];
  for (const entry of names) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.push(`${path.slice(dir.length + 1)} ${(await stat(path)).size}`);
  }
  return files.sort();
}
