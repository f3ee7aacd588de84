// What a path below a distribution route asks for. Nothing of it becomes a path on the disk: names
// are looked up in what the channel knows, and hashes are checked to be hashes.

import { fromByteString } from '../core/index.ts';
import { CHANNEL_PATTERN, SHA256_PATTERN, VERSION_PATTERN } from './fields.ts';

export type ResourceRequest =
  | { readonly kind: 'check' }
  | { readonly kind: 'outcomes' }
  | { readonly kind: 'root'; readonly version: number }
  | ChannelRequest;

/** What is asked of one channel. */
export type ChannelRequest =
  | { readonly kind: 'manifest'; readonly channel: string; readonly sha256: string }
  | {
      readonly kind: 'file';
      readonly channel: string;
      readonly version: string;
      readonly path: string;
      /** The request's own spelling of the URL's path before and after the version. */
      readonly before: string;
      readonly after: string;
    }
  | {
      readonly kind: 'pack';
      readonly channel: string;
      readonly version: string;
      readonly before: string;
    }
  | { readonly kind: 'current'; readonly channel: string; readonly path: string };

const ROOT_VERSION = /^[1-9]\d{0,8}$/;
/** What a folder means to a page. */
const INDEX_FILE = 'index.html';

/** Reads a request's path. `prefix`: of the route, without a slash at its end. Null when it asks
 *  for nothing that could be here. */
export function parseResource(path: string, prefix: string): ResourceRequest | null {
  if (!path.startsWith(`${prefix}/`)) return null;
  const [first, second, ...rest] = path.slice(prefix.length + 1).split('/');
  if (second === undefined) {
    if (first === 'check') return { kind: 'check' };
    return first === 'outcomes' ? { kind: 'outcomes' } : null;
  }
  if (rest.length === 0) {
    if (first !== 'root' || !ROOT_VERSION.test(second)) return null;
    return { kind: 'root', version: Number(second) };
  }
  if (!CHANNEL_PATTERN.test(first!)) return null;
  return parseOfChannel(first!, second, rest, `${prefix}/${first}/${second}/`);
}

function parseOfChannel(
  channel: string,
  kind: string,
  rest: readonly string[],
  before: string,
): ChannelRequest | null {
  const name = rest[0]!;
  switch (kind) {
    case 'manifest':
      if (rest.length !== 1 || !SHA256_PATTERN.test(name)) return null;
      return { kind, channel, sha256: name };
    case 'pack': {
      const version = rest.length === 1 ? versionOf(name) : null;
      return version === null ? null : { kind, channel, version, before };
    }
    case 'v': {
      const version = versionOf(name);
      const path = decodedPath(rest.slice(1));
      if (version === null || path === null || rest.length === 1) return null;
      const after = `/${rest.slice(1).join('/')}`;
      return { kind: 'file', channel, version, path, before, after };
    }
    case 'current': {
      const path = decodedPath(rest.at(-1) === '' ? [...rest.slice(0, -1), INDEX_FILE] : rest);
      return path === null ? null : { kind, channel, path };
    }
    default:
      return null;
  }
}

function versionOf(segment: string): string | null {
  const version = decoded(segment);
  return version !== null && VERSION_PATTERN.test(version) ? version : null;
}

/** A slash that was escaped is no slash of a path, so such a path is none of ours. */
function decodedPath(segments: readonly string[]): string | null {
  const parts: string[] = [];
  for (const segment of segments) {
    const part = decoded(segment);
    if (part === null || part === '' || part.includes('/')) return null;
    parts.push(part);
  }
  return parts.join('/');
}

function decoded(segment: string): string | null {
  try {
    return decodeURIComponent(fromByteString(segment));
  } catch {
    return null;
  }
}

const BASE_PARAMETER = /(?:^|&)base=([^&]*)/g;

/** The base that a query names: null for none. `malformed` when it is no hash, or there are two:
 *  caches and others on the way may take the other. Further parameters mean nothing here and change
 *  nothing. */
export function parseBase(query: string): string | 'malformed' | null {
  if (query === '') return null;
  const [found, ...more] = query.matchAll(BASE_PARAMETER);
  if (found === undefined) return null;
  return SHA256_PATTERN.test(found[1]!) && more.length === 0 ? found[1]! : 'malformed';
}
