// Who shares: namespaces by vm id, found by number. Runs under the store's lock.

import { NAMESPACES_COUNT_MAX } from '../limits.ts';
import { type Blocks, blocksFor } from './blocks.ts';
import { hashOf } from './hash.ts';
import { NAMESPACE_WORDS, RECORD_HASH, RECORD_KEY_SIZE, type StoreView } from './layout.ts';

export const NAMESPACE_NAME = 0;
export const NAMESPACE_ENTRIES = 1;
export const NAMESPACE_BLOCKS = 2;

/** Writes a name's record. 0 where there is no room. */
export function makeName(blocks: Blocks, name: Uint8Array): number {
  if (blocks.freeCount < blocksFor(name.length)) return 0;
  const record = blocks.allocate(name.length);
  blocks.setWord(record, RECORD_HASH, hashOf(name, 0));
  blocks.setWord(record, RECORD_KEY_SIZE, name.length);
  blocks.write(record, 0, name);
  return record;
}

export function isNamed(blocks: Blocks, record: number, name: Uint8Array): boolean {
  return (
    blocks.word(record, RECORD_KEY_SIZE) === name.length &&
    blocks.word(record, RECORD_HASH) === hashOf(name, 0) &&
    blocks.begins(record, name)
  );
}

/** A namespace's number; -1 for none. */
export function findNamespace(view: StoreView, blocks: Blocks, vmId: Uint8Array): number {
  for (let index = 0; index < NAMESPACES_COUNT_MAX; index++) {
    const name = view.namespaces[index * NAMESPACE_WORDS + NAMESPACE_NAME]!;
    if (name !== 0 && isNamed(blocks, name, vmId)) return index;
  }
  return -1;
}

/** Finds it or makes it; -1 when there are too many. */
export function makeNamespace(view: StoreView, blocks: Blocks, vmId: Uint8Array): number {
  const known = findNamespace(view, blocks, vmId);
  if (known >= 0) return known;
  for (let index = 0; index < NAMESPACES_COUNT_MAX; index++) {
    const at = index * NAMESPACE_WORDS;
    if (view.namespaces[at + NAMESPACE_NAME] !== 0) continue;
    const name = makeName(blocks, vmId);
    if (name === 0) return -1;
    view.namespaces[at + NAMESPACE_ENTRIES] = 0;
    view.namespaces[at + NAMESPACE_BLOCKS] = 0;
    view.namespaces[at + NAMESPACE_NAME] = name;
    return index;
  }
  return -1;
}
