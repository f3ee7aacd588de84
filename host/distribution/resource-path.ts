// Paths inside a release: one spelling per file, safe in a URL, in a tar and on every file system.

import { GatewayError, RESOURCE_PATH_SIZE_BYTES_MAX } from '../core/index.ts';
import { shown } from './fields.ts';

const SEGMENT_SIZE_BYTES_MAX = 255;
/** Control characters, those that turn the direction of writing (`gnp.exe` reads as `exe.png`
 *  behind one), what Windows and URLs take for something else, and lone surrogates. */
const FORBIDDEN = /[\p{Cc}\p{Bidi_Control}\p{Surrogate}\\:*?"<>|]/u;
/** Names that Windows takes for devices, with any extension. */
const DEVICE_NAME = /^(?:con|conin\$|conout\$|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?:\..*)?$/i;

/** Returns the path if it is allowed. Errors: GW_DIST_PATH, which names the path and the rule. */
export function checkResourcePath(path: string): string {
  const why = pathFault(path);
  if (why !== null) throw new GatewayError('GW_DIST_PATH', `${shown(path)} ${why}`);
  return path;
}

function pathFault(path: string): string | null {
  if (path === '') return 'is empty';
  if (Buffer.byteLength(path) > RESOURCE_PATH_SIZE_BYTES_MAX) {
    return `has ${Buffer.byteLength(path)} bytes, the limit is ${RESOURCE_PATH_SIZE_BYTES_MAX}`;
  }
  if (FORBIDDEN.test(path)) return 'holds a character that is not allowed';
  if (path.normalize('NFC') !== path) return 'is not in Unicode normal form C';
  for (const segment of path.split('/')) {
    if (segment === '') return 'begins or ends with a slash, or has two in a row';
    if (segment === '.' || segment === '..') return `holds the segment ${segment}`;
    if (Buffer.byteLength(segment) > SEGMENT_SIZE_BYTES_MAX) {
      return `has a segment of more than ${SEGMENT_SIZE_BYTES_MAX} bytes`;
    }
    if (/[ .]$/.test(segment)) return 'has a segment that ends with a dot or a space';
    if (DEVICE_NAME.test(segment)) return `holds the device name ${segment}`;
  }
  return null;
}

/** What two paths may not share: file systems of phones and desktops ignore case. */
export function foldedPath(path: string): string {
  return path.normalize('NFKC').toLowerCase().normalize('NFC');
}

/** The path as it stands in a URL. */
export function encodeResourcePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
