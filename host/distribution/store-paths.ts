// Where everything of a store stands; docs/distribution.md has the same as a picture.

import { join } from 'node:path';
import { GatewayError } from '../core/index.ts';
import { CHANNEL_PATTERN, SHA256_PATTERN, shown } from './fields.ts';

export type Encoding = 'gzip' | 'br' | 'zstd';

export const ENCODINGS: readonly Encoding[] = ['gzip', 'br', 'zstd'];

/** Names one artefact. Hashes are those of the content, in lower-case hex. */
export type ArtefactRef =
  | { readonly kind: 'object'; readonly sha256: string }
  | { readonly kind: 'variant'; readonly sha256: string; readonly encoding: Encoding }
  | { readonly kind: 'delta'; readonly target: string; readonly base: string };

export const ARTEFACT_FOLDERS = ['objects', 'variants', 'deltas'] as const;

const EXTENSIONS: Readonly<Record<Encoding, string>> = { gzip: 'gz', br: 'br', zstd: 'zst' };
const DELTA_EXTENSION = '.dcz';

/** The path below the store's folder. A hash that is none is a programmer's error: nothing that a
 *  client says may become a path. */
export function artefactPath(ref: ArtefactRef): string {
  switch (ref.kind) {
    case 'object':
      return join('objects', prefixOf(ref.sha256), ref.sha256);
    case 'variant': {
      const name = `${ref.sha256}.${EXTENSIONS[ref.encoding]}`;
      return join('variants', prefixOf(ref.sha256), name);
    }
    case 'delta': {
      prefixOf(ref.base);
      return join('deltas', prefixOf(ref.target), ref.target, `${ref.base}${DELTA_EXTENSION}`);
    }
  }
}

/** The artefact that stands at a path below the store's folder; null when none could. */
export function artefactAt(path: string): ArtefactRef | null {
  const [folder, prefix, name, rest, ...more] = path.split('/');
  if (prefix === undefined || name === undefined || more.length > 0) return null;
  const ref = refOf(folder!, name, rest);
  return ref !== null && artefactPath(ref) === path ? ref : null;
}

function refOf(folder: string, name: string, rest: string | undefined): ArtefactRef | null {
  const [sha256, extension, ...more] = name.split('.');
  if (!SHA256_PATTERN.test(sha256!) || more.length > 0) return null;
  if (folder === 'objects') return { kind: 'object', sha256: sha256! };
  if (folder === 'variants') {
    const encoding = ENCODINGS.find((one) => EXTENSIONS[one] === extension);
    return encoding === undefined ? null : { kind: 'variant', sha256: sha256!, encoding };
  }
  const base = rest?.slice(0, -DELTA_EXTENSION.length) ?? '';
  if (folder !== 'deltas' || !SHA256_PATTERN.test(base)) return null;
  return { kind: 'delta', target: sha256!, base };
}

/** An artefact in words, for messages. */
export function shownArtefact(ref: ArtefactRef): string {
  if (ref.kind === 'object') return `object ${ref.sha256}`;
  if (ref.kind === 'variant') return `${ref.encoding} variant of ${ref.sha256}`;
  return `delta to ${ref.target} from ${ref.base}`;
}

/** The folder of a channel below the store's. Errors: GW_DIST_DOCUMENT for what is no channel. */
export function channelFolder(channel: string): string {
  if (!CHANNEL_PATTERN.test(channel)) {
    throw new GatewayError('GW_DIST_DOCUMENT', `${shown(channel)} is no name of a channel`);
  }
  return join('channels', channel);
}

function prefixOf(sha256: string): string {
  if (!SHA256_PATTERN.test(sha256)) throw new TypeError(`${shown(sha256)} is no SHA-256`);
  return sha256.slice(0, 2);
}
