// Reads a folder that is to be published. What is found is taken as it is or refused with the
// reason: links are never followed, nothing is renamed, and a file that changes while it is read is
// no file to sign.

import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  GatewayError,
  RELEASE_FILES_COUNT_MAX,
  RELEASE_SIZE_BYTES_MAX,
  RESOURCE_SIZE_BYTES_MAX,
} from '../core/index.ts';
import { sha256Of } from './artefact-file.ts';
import { errorCode } from './durable-file.ts';
import { shown } from './fields.ts';
import { RELEASE_OPTIONS_FILE } from './release-options.ts';
import { checkResourcePath, foldedPath } from './resource-path.ts';

const CODE = 'GW_DIST_TREE';

export interface TreeFile {
  /** Relative, `/` between segments. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface ScanOptions {
  readonly dir: string;
  readonly emptyFiles: 'refused' | 'allowed';
  /** Told of each file that has been read, and of how many there are. */
  readonly onFile?: (file: TreeFile, totalCount: number) => void;
}

/** Every file below a folder, sorted by path as manifests are, without the release's own options.
 *  Errors: GW_DIST_TREE, GW_DIST_PATH, GW_DIST_LIMIT, GW_DIST_REFERENCE. */
export async function scanTree(options: ScanOptions): Promise<TreeFile[]> {
  const paths: string[] = [];
  await checkFolder(options.dir);
  await walk(options.dir, '', paths);
  if (paths.length === 0) throw new GatewayError(CODE, `${options.dir} holds no file`);
  checkCase(paths);
  paths.sort();
  const files: TreeFile[] = [];
  let sumBytes = 0;
  for (const path of paths) {
    const bytes = await readTreeFile(options.dir, path);
    if (bytes.length === 0 && options.emptyFiles === 'refused') {
      throw new GatewayError(CODE, `${path} is empty; allow empty files if it is meant to be`);
    }
    sumBytes += bytes.length;
    if (sumBytes > RELEASE_SIZE_BYTES_MAX) {
      const detail = `${options.dir} has more than ${RELEASE_SIZE_BYTES_MAX} bytes at ${path}`;
      throw new GatewayError('GW_DIST_LIMIT', detail);
    }
    const file = { path, sha256: sha256Of(bytes), sizeBytes: bytes.length };
    files.push(file);
    options.onFile?.(file, paths.length);
  }
  return files;
}

/** The bytes of a file below a folder. Errors: GW_DIST_TREE when it is no plain file, or changes;
 *  GW_DIST_LIMIT. */
export async function readTreeFile(dir: string, path: string): Promise<Uint8Array> {
  let handle: FileHandle;
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    handle = await open(join(dir, path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    throw new GatewayError(CODE, `${path} cannot be read: ${errorCode(error)}`, error);
  }
  try {
    const before = await handle.stat();
    if (!before.isFile()) throw new GatewayError(CODE, `${path} is no plain file any more`);
    if (before.size > RESOURCE_SIZE_BYTES_MAX) {
      const detail = `${path} has ${before.size} bytes, the limit is ${RESOURCE_SIZE_BYTES_MAX}`;
      throw new GatewayError('GW_DIST_LIMIT', detail);
    }
    const bytes = await handle.readFile();
    const after = await handle.stat();
    if (bytes.length !== before.size || hasChanged(before, after)) {
      throw new GatewayError(CODE, `${path} changed while it was read; publish what is finished`);
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

function hasChanged(before: Stats, after: Stats): boolean {
  return before.size !== after.size || before.mtimeMs !== after.mtimeMs;
}

async function checkFolder(dir: string): Promise<void> {
  let stats: Stats;
  try {
    stats = await lstat(dir);
  } catch (error) {
    throw new GatewayError(CODE, `${dir} cannot be read: ${errorCode(error)}`, error);
  }
  if (stats.isDirectory()) return;
  const what = stats.isSymbolicLink() ? 'a symbolic link; publish what it points to' : 'no folder';
  throw new GatewayError(CODE, `${dir} is ${what}`);
}

async function walk(dir: string, below: string, paths: string[]): Promise<void> {
  const folder = join(dir, below);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (path === RELEASE_OPTIONS_FILE) continue;
    checkResourcePath(path);
    if (entry.isDirectory()) await walk(dir, path, paths);
    else if (entry.isFile()) paths.push(path);
    else throw new GatewayError(CODE, `${shown(path)} is a ${kindOf(entry)}`);
    if (paths.length > RELEASE_FILES_COUNT_MAX) {
      const detail = `${dir} has more than ${RELEASE_FILES_COUNT_MAX} files`;
      throw new GatewayError('GW_DIST_LIMIT', detail);
    }
  }
}

interface Kind {
  isSymbolicLink(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

function kindOf(entry: Kind): string {
  if (entry.isSymbolicLink()) return 'symbolic link; publish what it points to';
  if (entry.isFIFO()) return 'pipe';
  return entry.isSocket() ? 'socket' : 'device';
}

/** Paths and the folders above them, each once also where case is ignored. */
function checkCase(paths: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const path of paths) {
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const part = path.slice(0, end);
      const twin = seen.get(foldedPath(part));
      if (twin !== undefined && twin !== part) {
        throw new GatewayError(CODE, `${part} and ${twin} are one name where case is ignored`);
      }
      seen.set(foldedPath(part), part);
    }
  }
}
