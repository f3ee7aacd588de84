// Paths inside a release. The loader refuses what the publisher would have refused: a path is a key
// here, and becomes a URL and, for apps that unpack, a file.

import { utf8 } from './bytes.ts';
import { LoaderError } from './errors.ts';
import { shown } from './fields.ts';
import { PATH_SEGMENT_SIZE_BYTES_MAX, RESOURCE_PATH_SIZE_BYTES_MAX } from './limits.ts';

/** Control characters, what Windows and URLs take for something else, and lone surrogates. */
const FORBIDDEN = /[\p{Cc}\p{Surrogate}\\:*?"<>|]/u;
/** Names that Windows takes for devices, with any extension. */
const DEVICE_NAME = /^(?:con|conin\$|conout\$|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?:\..*)?$/i;

/** Returns the path if it is allowed. Errors: LOADER_DOCUMENT. */
export function checkResourcePath(path: string): string {
  const why = pathFault(path);
  if (why === null) return path;
  throw new LoaderError('LOADER_DOCUMENT', `the path ${shown(path)} ${why}`);
}

function pathFault(path: string): string | null {
  if (path === '') return 'is empty';
  if (utf8(path).length > RESOURCE_PATH_SIZE_BYTES_MAX) {
    return `has more than ${RESOURCE_PATH_SIZE_BYTES_MAX} bytes`;
  }
  if (FORBIDDEN.test(path)) return 'holds a character that is not allowed';
  if (path.normalize('NFC') !== path) return 'is not in Unicode normal form C';
  for (const segment of path.split('/')) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `holds the segment ${segment}`;
    if (utf8(segment).length > PATH_SEGMENT_SIZE_BYTES_MAX) {
      return `has a segment of more than ${PATH_SEGMENT_SIZE_BYTES_MAX} bytes`;
    }
    if (/[ .]$/.test(segment)) return 'has a segment that ends with a dot or a space';
    if (DEVICE_NAME.test(segment)) return `holds the device name ${segment}`;
  }
  return null;
}

/** What two paths may not share: many file systems ignore case. */
export function foldedPath(path: string): string {
  return path.normalize('NFKC').toLowerCase().normalize('NFC');
}

export function encodeResourcePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
