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
      /** The request's own spelling of the URL's path before and after the version, in ASCII as
       *  browsers send it. */
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
/** Parameters that are looked at: more are nobody's who means it. */
const QUERY_PARAMETERS_COUNT_MAX = 32;

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
  return parseOfChannel(first!, second, rest, inAscii(`${prefix}/${first}/${second}/`));
}

/** Bytes that stand in a path without an escape get theirs: headers that name it are ASCII. */
function inAscii(path: string): string {
  return path.replace(/[\x80-\xff]/g, (byte) => {
    return `%${byte.charCodeAt(0).toString(16).toUpperCase()}`;
  });
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
      const after = inAscii(`/${rest.slice(1).join('/')}`);
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

/** What a client that decodes deltas itself has, best first, and whether it takes the whole in the
 *  same answer when there is a delta from none of it. */
export interface NamedBases {
  readonly bases: readonly string[];
  readonly takesWhole: boolean;
}

/** Bases of one request: what runs, what ran before and what is built in, and room for one more. */
const NAMED_BASES_COUNT_MAX = 4;

/** The bases that a query names: null for none. `malformed` when one is no hash, or there are too
 *  many. Other parameters mean nothing here and change nothing. */
export function parseBases(query: string): NamedBases | 'malformed' | null {
  if (query === '') return null;
  const bases: string[] = [];
  let takesWhole = false;
  for (const parameter of query.split('&', QUERY_PARAMETERS_COUNT_MAX)) {
    if (parameter.startsWith('base=')) bases.push(parameter.slice(5));
    else if (parameter === 'else=whole') takesWhole = true;
  }
  if (bases.length === 0) return null;
  const isGood = bases.length <= NAMED_BASES_COUNT_MAX;
  return isGood && bases.every((base) => SHA256_PATTERN.test(base))
    ? { bases, takesWhole }
    : 'malformed';
}
