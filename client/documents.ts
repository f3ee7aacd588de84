// Reading manifests and heads: signatures have been checked by envelope.ts, here each field is, and
// that they fit each other.

import { LoaderError } from './errors.ts';
import { CHANNEL_PATTERN, Fields, SHA256_PATTERN, VERSION_PATTERN } from './fields.ts';
import {
  ENVELOPE_SIZE_BYTES_MAX,
  PACK_OVERHEAD_BYTES_MAX,
  RELEASE_FILES_COUNT_MAX,
  RELEASE_SIZE_BYTES_MAX,
  RESOURCE_SIZE_BYTES_MAX,
} from './limits.ts';
import {
  type ChannelHead,
  type ContentRef,
  PRIORITIES,
  type ReleaseFile,
  type ReleaseManifest,
} from './model.ts';
import { checkResourcePath, foldedPath } from './resource-path.ts';

const PACK_SIZE_BYTES_MAX = RELEASE_SIZE_BYTES_MAX + PACK_OVERHEAD_BYTES_MAX;

/** Errors: LOADER_DOCUMENT. */
export function readManifest(value: unknown): ReleaseManifest {
  const names = ['type', 'channel', 'sequence', 'version', 'createdAtMs', 'entryPoints', 'files'];
  const fields = new Fields(value, 'the manifest', [...names, 'pack', 'rollbackOf']);
  fields.literal('type', ['release']);
  const manifest: ReleaseManifest = {
    channel: fields.matching('channel', CHANNEL_PATTERN),
    sequence: fields.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
    version: fields.matching('version', VERSION_PATTERN),
    createdAtMs: fields.integer('createdAtMs', 0, Number.MAX_SAFE_INTEGER),
    entryPoints: fields.list('entryPoints', RELEASE_FILES_COUNT_MAX, readPath),
    files: fields.list('files', RELEASE_FILES_COUNT_MAX, readFile),
    pack: fields.nullable('pack', (pack, place) => readRef(pack, place, PACK_SIZE_BYTES_MAX)),
    rollbackOf: fields.nullable('rollbackOf', () => fields.matching('rollbackOf', VERSION_PATTERN)),
  };
  checkFiles(manifest);
  return manifest;
}

/** Errors: LOADER_DOCUMENT. */
export function readHead(value: unknown): ChannelHead {
  const names = ['type', 'channel', 'counter', 'sequence', 'version', 'manifest'];
  const fields = new Fields(value, 'the head', [...names, 'issuedAtMs', 'expiresAtMs']);
  fields.literal('type', ['head']);
  return {
    channel: fields.matching('channel', CHANNEL_PATTERN),
    counter: fields.integer('counter', 1, Number.MAX_SAFE_INTEGER),
    sequence: fields.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
    version: fields.matching('version', VERSION_PATTERN),
    manifest: readRef(fields.get('manifest'), fields.at('manifest'), ENVELOPE_SIZE_BYTES_MAX),
    issuedAtMs: fields.integer('issuedAtMs', 0, Number.MAX_SAFE_INTEGER),
    expiresAtMs: fields.integer('expiresAtMs', 0, Number.MAX_SAFE_INTEGER),
  };
}

/** Errors: LOADER_DOCUMENT. */
export function readRef(value: unknown, place: string, sizeBytesMax: number): ContentRef {
  const fields = new Fields(value, place, ['sha256', 'sizeBytes']);
  return {
    sha256: fields.matching('sha256', SHA256_PATTERN),
    sizeBytes: fields.integer('sizeBytes', 0, sizeBytesMax),
  };
}

function readPath(value: unknown, place: string): string {
  if (typeof value === 'string') return checkResourcePath(value);
  throw bad(`${place} is no path`);
}

function readFile(value: unknown, place: string): ReleaseFile {
  const fields = new Fields(value, place, ['path', 'sha256', 'sizeBytes', 'priority']);
  return {
    path: readPath(fields.get('path'), fields.at('path')),
    sha256: fields.matching('sha256', SHA256_PATTERN),
    sizeBytes: fields.integer('sizeBytes', 0, RESOURCE_SIZE_BYTES_MAX),
    priority: fields.literal('priority', PRIORITIES),
  };
}

/** Sorted, each path once also where case is ignored, no path under a file, one size per content,
 *  entry points that exist, and a bounded sum. */
function checkFiles({ files, entryPoints }: ReleaseManifest): void {
  const folded = new Set<string>();
  const sizes = new Map<string, number>();
  let previous = '';
  let sumBytes = 0;
  for (const { path, sha256, sizeBytes } of files) {
    if (path <= previous) throw bad(`files are not sorted at ${path}`);
    previous = path;
    if (folded.has(foldedPath(path))) throw bad(`${path} differs from another in case only`);
    folded.add(foldedPath(path));
    if ((sizes.get(sha256) ?? sizeBytes) !== sizeBytes) {
      throw bad(`${path}: two sizes for content ${sha256}`);
    }
    sizes.set(sha256, sizeBytes);
    sumBytes += sizeBytes;
  }
  if (sumBytes > RELEASE_SIZE_BYTES_MAX) {
    throw bad(`files of ${sumBytes} bytes, the limit is ${RELEASE_SIZE_BYTES_MAX}`);
  }
  for (const { path } of files) checkParents(path, folded);
  const paths = new Set(files.map((file) => file.path));
  for (const path of entryPoints) {
    if (!paths.has(path)) throw bad(`entry point ${path} is no file of the release`);
  }
}

function checkParents(path: string, folded: ReadonlySet<string>): void {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    if (folded.has(foldedPath(path.slice(0, at)))) {
      throw bad(`${path} lies under ${path.slice(0, at)}, which is a file`);
    }
  }
}

function bad(detail: string): LoaderError {
  return new LoaderError('LOADER_DOCUMENT', detail);
}
