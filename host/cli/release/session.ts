// What the commands of distribution have in common: the store, its writer, and how errors are said.

import { isGatewayError, systemClock } from '../../core/index.ts';
import { ContentWriter, LOCK_PATIENCE_MS, Store, StoreWriter } from '../../distribution/index.ts';
import { Codec } from '../../kernels/index.ts';
import { readWasm } from '../../workers/index.ts';
import type { Flags } from './flags.ts';

export interface Output {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
}

export function openStore(flags: Flags): Store {
  return new Store(flags.store().dir, Codec.create(readWasm('codec.wasm')));
}

/** A writer of content for a publishing, which takes the lock when it needs it. */
export function openContentWriter(flags: Flags): Promise<ContentWriter> {
  const { diskBytesMax } = flags.store();
  return ContentWriter.open({ store: openStore(flags), diskBytesMax, clock: systemClock });
}

/** Runs something with the store's lock. Errors: GW_DIST_LOCKED and those of `work`. */
export async function withWriter<T>(
  flags: Flags,
  work: (writer: StoreWriter) => Promise<T>,
): Promise<T> {
  const { diskBytesMax } = flags.store();
  const store = openStore(flags);
  const writer = await StoreWriter.open(
    { store, diskBytesMax, clock: systemClock },
    LOCK_PATIENCE_MS,
  );
  try {
    return await work(writer);
  } finally {
    await writer.close();
  }
}

/** Runs a command. Returns its exit code: 2 for wrong usage, 1 for what failed, with the reason on
 *  stderr. */
export async function withReasons(output: Output, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!isGatewayError(error)) {
      if (!isSystemError(error)) throw error;
      output.stderr.write(`sluice: ${error.message}\n`);
      return 1;
    }
    output.stderr.write(`sluice: ${error.message} (${error.code}, reason ${error.reason})\n`);
    return error.code === 'GW_FLAG_BAD_VALUE' ? 2 : 1;
  }
}

/** What the file system says names call and path: there is nothing to add. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}
