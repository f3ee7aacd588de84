// Bytes that nobody can guess, from WASI. AssemblyScript's Math.random wants a seed from an import
// that hosts of this ABI do not have.

import { random_get } from './wasi_snapshot_preview1';

/** Fills with random bytes; traps when the host has none, for an id of zeros is not one. */
export function fillRandom(bytes: Uint8Array): void {
  const status = random_get(bytes.dataStart, bytes.byteLength);
  assert(status == 0, 'the host has no random bytes');
}
