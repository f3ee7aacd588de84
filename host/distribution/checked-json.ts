// JSON files of the store that nobody signs: with a checksum, so that a bit that has turned on the
// disk is found and does not become another rule. Replaced as a whole.
//
//   {"sha256":"<hex of the JSON text of content>","content":{ … }}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '../core/index.ts';
import { sha256Of } from './artefact-file.ts';
import { errorCode, makeFolder, TEMPORARY_FOLDER, writeDurably } from './durable-file.ts';
import { Fields, parseJson, SHA256_PATTERN } from './fields.ts';

const CODE = 'GW_DIST_CORRUPT';
/** No such file is longer; a longer one is not read into memory. */
const FILE_SIZE_BYTES_MAX = 67_108_864;

/** The content of a file; undefined when there is none. `path` is below the store's folder. The
 *  caller checks the content's fields. Errors: GW_DIST_CORRUPT. */
export async function readCheckedJson(dir: string, path: string): Promise<unknown> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(join(dir, path));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return checkedContent(bytes, path);
}

/** The content of the bytes of such a file. Errors: GW_DIST_CORRUPT, which names `path`. */
export function checkedContent(bytes: Uint8Array, path: string): unknown {
  const fields = new Fields(parseJson(bytes, path, CODE), path, ['sha256', 'content'], CODE);
  const sha256 = fields.matching('sha256', SHA256_PATTERN, 'a SHA-256 in hex');
  const content = fields.get('content');
  // What JSON.stringify wrote it writes again: the order of keys is that of the text.
  if (sha256Of(Buffer.from(JSON.stringify(content) ?? '', 'utf8')) !== sha256) {
    throw new GatewayError(
      CODE,
      `${path}: the content has another SHA-256; it was damaged or edited`,
    );
  }
  return content;
}

/** Replaces a file as a whole. Errors: GW_DIST_DISK, and then nothing has changed. */
export async function replaceCheckedJson(
  dir: string,
  path: string,
  content: object,
): Promise<void> {
  const text = JSON.stringify(content);
  // A reader parses before it hashes, and keys that look like numbers then come first.
  const settled = JSON.stringify(JSON.parse(text));
  const sha256 = sha256Of(Buffer.from(settled, 'utf8'));
  const bytes = Buffer.from(`{"sha256":"${sha256}","content":${settled}}\n`, 'utf8');
  if (bytes.length > FILE_SIZE_BYTES_MAX) {
    const detail = `${path} of ${bytes.length} bytes, the limit is ${FILE_SIZE_BYTES_MAX}`;
    throw new GatewayError('GW_DIST_LIMIT', detail);
  }
  const temporaryDir = join(dir, TEMPORARY_FOLDER);
  await makeFolder(temporaryDir);
  await writeDurably({ path: join(dir, path), temporaryDir, parts: [bytes] });
}
