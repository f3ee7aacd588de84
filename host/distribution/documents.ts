// Reading the two documents that a channel publishes: the manifest of a release, and the head that
// says which release is offered. Both come from envelopes whose signatures have been checked; here
// each field is.

import {
  GatewayError,
  RELEASE_FILES_COUNT_MAX,
  RELEASE_SIZE_BYTES_MAX,
  RESOURCE_PATH_SIZE_BYTES_MAX,
  RESOURCE_SIZE_BYTES_MAX,
} from '../core/index.ts';
import { openEnvelope } from './envelope.ts';
import { CHANNEL_PATTERN, Fields, SHA256_PATTERN, VERSION_PATTERN } from './fields.ts';
import {
  type ChannelHead,
  type ContentRef,
  PRIORITIES,
  type ReleaseFile,
  type ReleaseManifest,
  type TrustRoot,
} from './model.ts';
import { checkResourcePath, foldedPath } from './resource-path.ts';

const CODE = 'GW_DIST_DOCUMENT';
const CHANNEL_RULE = 'a channel: 1 to 64 of a-z 0-9 . _ - with a letter or digit at both ends';
const VERSION_RULE =
  'a version: 1 to 64 of A-Z a-z 0-9 . _ + - with a letter or digit at both ends';
/** A tar header and padding for each file, and its end. */
const PACK_OVERHEAD_BYTES_MAX = RELEASE_FILES_COUNT_MAX * 3072 + 10_240;

/** Opens a manifest.
 *  Errors: GW_DIST_DOCUMENT, GW_DIST_SIGNATURE, GW_DIST_PATH, GW_DIST_REFERENCE, GW_DIST_LIMIT. */
export function openManifest(bytes: Uint8Array, trust: TrustRoot): ReleaseManifest {
  return readManifest(openEnvelope(bytes, 'release', trust, 'release'));
}

/** Opens a head. Errors: GW_DIST_DOCUMENT, GW_DIST_SIGNATURE. */
export function openHead(bytes: Uint8Array, trust: TrustRoot): ChannelHead {
  return readHead(openEnvelope(bytes, 'head', trust, 'head'));
}

/** Checks the fields of a manifest, and that they fit each other. */
export function readManifest(value: unknown): ReleaseManifest {
  const names = ['type', 'channel', 'sequence', 'version', 'createdAtMs', 'entryPoints', 'files'];
  const fields = new Fields(value, '', [...names, 'pack', 'rollbackOf'], CODE);
  const pack = fields.get('pack');
  const rollbackOf = fields.get('rollbackOf');
  const manifest: ReleaseManifest = {
    type: fields.literal('type', ['release']),
    channel: fields.matching('channel', CHANNEL_PATTERN, CHANNEL_RULE),
    sequence: fields.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
    version: fields.matching('version', VERSION_PATTERN, VERSION_RULE),
    createdAtMs: fields.integer('createdAtMs', 0, Number.MAX_SAFE_INTEGER),
    entryPoints: fields.list('entryPoints', RELEASE_FILES_COUNT_MAX, readPath),
    files: fields.list('files', RELEASE_FILES_COUNT_MAX, readFile),
    pack:
      pack === null
        ? null
        : readRef(pack, 'pack', RELEASE_SIZE_BYTES_MAX + PACK_OVERHEAD_BYTES_MAX),
    rollbackOf:
      rollbackOf === null ? null : fields.matching('rollbackOf', VERSION_PATTERN, VERSION_RULE),
  };
  checkFiles(manifest);
  return manifest;
}

/** Checks the fields of a head. */
export function readHead(value: unknown): ChannelHead {
  const names = ['type', 'channel', 'counter', 'sequence', 'version', 'manifest'];
  const fields = new Fields(value, '', [...names, 'issuedAtMs', 'expiresAtMs'], CODE);
  return {
    type: fields.literal('type', ['head']),
    channel: fields.matching('channel', CHANNEL_PATTERN, CHANNEL_RULE),
    counter: fields.integer('counter', 1, Number.MAX_SAFE_INTEGER),
    sequence: fields.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
    version: fields.matching('version', VERSION_PATTERN, VERSION_RULE),
    manifest: readRef(fields.get('manifest'), 'manifest', RESOURCE_SIZE_BYTES_MAX),
    issuedAtMs: fields.integer('issuedAtMs', 0, Number.MAX_SAFE_INTEGER),
    expiresAtMs: fields.integer('expiresAtMs', 0, Number.MAX_SAFE_INTEGER),
  };
}

function readPath(value: unknown, place: string): string {
  if (typeof value === 'string' && value.length <= RESOURCE_PATH_SIZE_BYTES_MAX) {
    return checkResourcePath(value);
  }
  throw new GatewayError('GW_DIST_PATH', `${place} is no path`);
}

function readFile(value: unknown, place: string): ReleaseFile {
  const fields = new Fields(value, place, ['path', 'sha256', 'sizeBytes', 'priority'], CODE);
  return {
    path: readPath(fields.get('path'), fields.placeOf('path')),
    sha256: fields.matching('sha256', SHA256_PATTERN, 'a SHA-256 in hex'),
    sizeBytes: fields.integer('sizeBytes', 0, RESOURCE_SIZE_BYTES_MAX),
    priority: fields.literal('priority', PRIORITIES),
  };
}

/** Checks a reference to stored content. Errors: GW_DIST_DOCUMENT. */
export function readRef(value: unknown, place: string, sizeBytesMax: number): ContentRef {
  const fields = new Fields(value, place, ['sha256', 'sizeBytes'], CODE);
  return {
    sha256: fields.matching('sha256', SHA256_PATTERN, 'a SHA-256 in hex'),
    sizeBytes: fields.integer('sizeBytes', 0, sizeBytesMax),
  };
}

/** Sorted, each path once also where case is ignored, no path under a file, one size per content,
 *  entry points that exist, and a bounded sum. */
function checkFiles({ files, entryPoints }: ReleaseManifest): void {
  const folded = new Map<string, string>();
  const sizes = new Map<string, number>();
  let previous = '';
  let sumBytes = 0;
  for (const { path, sha256, sizeBytes } of files) {
    if (path <= previous) throw new GatewayError(CODE, `files are not sorted at ${path}`);
    previous = path;
    const twin = folded.get(foldedPath(path));
    if (twin !== undefined) {
      throw new GatewayError('GW_DIST_REFERENCE', `${path} and ${twin} differ in case only`);
    }
    folded.set(foldedPath(path), path);
    if ((sizes.get(sha256) ?? sizeBytes) !== sizeBytes) {
      throw new GatewayError('GW_DIST_REFERENCE', `${path}: two sizes for content ${sha256}`);
    }
    sizes.set(sha256, sizeBytes);
    sumBytes += sizeBytes;
  }
  if (sumBytes > RELEASE_SIZE_BYTES_MAX) {
    const detail = `files of ${sumBytes} bytes, the limit is ${RELEASE_SIZE_BYTES_MAX}`;
    throw new GatewayError('GW_DIST_LIMIT', detail);
  }
  for (const { path } of files) checkParents(path, folded);
  const paths = new Set(files.map((file) => file.path));
  for (const path of entryPoints) {
    if (!paths.has(path)) {
      throw new GatewayError('GW_DIST_REFERENCE', `entry point ${path} is no file of the release`);
    }
  }
}

function checkParents(path: string, folded: ReadonlyMap<string, string>): void {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    const file = folded.get(foldedPath(path.slice(0, at)));
    if (file === undefined) continue;
    throw new GatewayError('GW_DIST_REFERENCE', `${path} lies under ${file}, which is a file`);
  }
}
