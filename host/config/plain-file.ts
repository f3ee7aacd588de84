// Reading a file that is only a file: a FIFO would hold up the reader until somebody writes to it,
// and a device may never end.

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { CONFIG_FILE_SIZE_BYTES_MAX, GatewayError } from '../core/index.ts';

/** What takes the file's place between the look and the opening does not hold up the opening. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** Reads a configuration file. Errors: GW_CONFIG_FILE, GW_CONFIG_LIMIT, and GW_CONFIG_SYNTAX for
 *  what is not UTF-8; the detail does not name the file. */
export async function readConfigText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    // Even opening a device may do something: a tape rewinds.
    refuseOther(await stat(path));
    const file = await open(path, OPEN_FLAGS);
    try {
      refuseOther(await file.stat());
      bytes = await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw readError(cause);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_SYNTAX', 'the file is not UTF-8', cause);
  }
}

/** Reads a file that a configuration names. Errors: as of readConfigText. Blocks while it reads. */
export function readPlainFileSync(path: string): Buffer {
  try {
    refuseOther(statSync(path));
    const descriptor = openSync(path, OPEN_FLAGS);
    try {
      refuseOther(fstatSync(descriptor));
      return readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    throw readError(cause);
  }
}

function refuseOther(stats: Stats): void {
  if (!stats.isFile()) {
    throw new GatewayError('GW_CONFIG_FILE', `it is ${kindOf(stats)}, not a plain file`);
  }
  if (stats.size > CONFIG_FILE_SIZE_BYTES_MAX) {
    const detail = `${stats.size} bytes, the limit is ${CONFIG_FILE_SIZE_BYTES_MAX}`;
    throw new GatewayError('GW_CONFIG_LIMIT', detail);
  }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}

function readError(cause: unknown): GatewayError {
  if (cause instanceof GatewayError) return cause;
  const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
  return new GatewayError('GW_CONFIG_FILE', `cannot be read: ${reason}`, cause);
}
