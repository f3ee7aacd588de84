// A file of a release, a pack or a manifest as it is answered: its content, and the headers of each
// form, made once.

import type { HeaderList, PreparedHead } from '../core/index.ts';
import { ChoiceBook } from './choice-book.ts';
import { entityTag } from './conditions.ts';
import { contentTypeOf, isCompressible } from './content-types.ts';
import type { ContentRef } from './model.ts';
import { type Coding, useAsDictionary, VARY } from './negotiate.ts';
import { formOf } from './path-form.ts';
import type { IndexedContent } from './release-index.ts';
import { type ResourceKind, responseKey } from './response-forms.ts';
import type { ArtefactRef } from './store-paths.ts';

/** One form's headers; not to be changed. */
export interface PreparedHeaders {
  readonly tag: string;
  /** Of the whole form. */
  readonly head: PreparedHead;
  /** Where its bytes are, and the key of those in memory. */
  readonly ref: ArtefactRef;
  readonly bodyKey: string;
  /** What counts it: see response-forms.ts. */
  readonly countKey: number;
}

/** Which form, and how it is asked for. */
export interface FormChoice {
  readonly coding: Coding;
  /** Of a delta; null for every other form. */
  readonly base: string | null;
  /** Asked for by `?base=`: the delta is the content, not its encoding. */
  readonly isNamed: boolean;
  /** A better form is being made: shared caches are to ask again soon. */
  readonly isPending: boolean;
}

const IMMUTABLE = 'public, max-age=31536000, immutable';
/** The same for the client, whose copy never changes; a cache for many asks again in a minute. */
const IMMUTABLE_PENDING = `${IMMUTABLE}, s-maxage=60`;
/** What is revalidated is no dictionary: clients take none that may not be served stale. */
const REVALIDATED = 'no-cache';
export const DELTA_CONTENT_TYPE = 'application/vnd.sluice.dcz';
/** Forms whose headers are kept of one resource: clients choose the bases they name. */
const PREPARED_COUNT_MAX = 64;

export interface ResourceFacts {
  readonly kind: ResourceKind;
  readonly channel: string;
  readonly sequence: number;
  readonly content: ContentRef;
  readonly contentType: string;
  /** The value of Use-As-Dictionary; null for what is no base. */
  readonly dictionary: string | null;
  readonly isImmutable: boolean;
}

export class Resource {
  readonly channel: string;
  readonly sequence: number;
  readonly content: ContentRef;
  /** Whether variants and deltas are made of it. */
  readonly isCompressible: boolean;
  /** What was chosen of late, and from what. */
  readonly choices = new ChoiceBook();
  readonly #facts: ResourceFacts;
  readonly #prepared = new Map<string, PreparedHeaders>();

  constructor(facts: ResourceFacts) {
    this.#facts = facts;
    this.channel = facts.channel;
    this.sequence = facts.sequence;
    this.content = facts.content;
    this.isCompressible = isCompressible(facts.contentType) && facts.content.sizeBytes > 0;
  }

  /** The headers of a whole form. */
  prepared(choice: FormChoice): PreparedHeaders {
    const { coding, base, isNamed, isPending } = choice;
    // A plain delta goes by its base alone, a plain form by its coding: the two have no key in
    // common with each other, nor with the others, which have dots.
    const isPlain = !isNamed && !isPending;
    const key = isPlain ? (base ?? coding) : `${coding}.${base}.${isNamed}.${isPending}`;
    const known = this.#prepared.get(key);
    if (known !== undefined) return known;
    if (this.#prepared.size >= PREPARED_COUNT_MAX) this.#prepared.clear();
    const made = this.#prepare(choice);
    this.#prepared.set(key, made);
    return made;
  }

  #prepare({ coding, base, isNamed, isPending }: FormChoice): PreparedHeaders {
    const { content, contentType, dictionary, isImmutable } = this.#facts;
    const tag = entityTag(content.sha256, coding, base);
    const ref = artefactOf(content, coding, base);
    const countKey = responseKey(this.#facts.kind, coding, isNamed);
    const form = { tag, ref, bodyKey: bodyKey(ref), countKey };
    const immutable = isPending ? IMMUTABLE_PENDING : IMMUTABLE;
    const headers: HeaderList = [
      'content-type',
      isNamed ? DELTA_CONTENT_TYPE : contentType,
      'etag',
      tag,
      'cache-control',
      isImmutable ? immutable : REVALIDATED,
      'accept-ranges',
      'bytes',
      'x-content-type-options',
      'nosniff',
    ];
    const head: PreparedHead = { status: 200, headers, listenerHead: null };
    if (isNamed) return { ...form, head };
    headers.push('vary', VARY);
    if (coding !== 'identity') headers.push('content-encoding', coding);
    if (dictionary !== null) headers.push('use-as-dictionary', dictionary);
    return { ...form, head };
  }
}

/** The artefact that holds a form. */
function artefactOf(content: ContentRef, coding: Coding, base: string | null): ArtefactRef {
  const { sha256 } = content;
  if (coding === 'identity') return { kind: 'object', sha256 };
  if (coding === 'dcz') return { kind: 'delta', target: sha256, base: base! };
  return { kind: 'variant', sha256, encoding: coding };
}

export interface ReleaseFacts {
  readonly channel: string;
  readonly sequence: number;
  readonly version: string;
  readonly content: ContentRef;
}

/** A file at its release's own address. `before` and `after`: see ResourceRequest. Its pattern
 *  takes any hash and number in the name, unless another file of the release would have the same:
 *  browsers keep one dictionary for each pattern. */
export function fileResource(
  release: ReleaseFacts & { readonly content: IndexedContent },
  path: string,
  url: { readonly before: string; readonly after: string },
  kind: ResourceKind = 'file',
): Resource {
  const contentType = contentTypeOf(path);
  const isBase = isCompressible(contentType) && release.content.sizeBytes > 0;
  // Escapes have digits of their own, so a path that is spelled with any is taken as it stands.
  const isWide = release.content.isAlone && url.after === `/${path}`;
  const after = isWide ? formOf(url.after) : url.after;
  const id = `${release.channel}/${release.version}`;
  const dictionary = isBase ? useAsDictionary(url.before, after, id) : null;
  return new Resource({ ...release, kind, contentType, dictionary, isImmutable: true });
}

/** A file of the release that everybody gets. */
export function currentResource(release: ReleaseFacts, path: string): Resource {
  const facts = { ...release, kind: 'file', contentType: contentTypeOf(path) } as const;
  return new Resource({ ...facts, dictionary: null, isImmutable: false });
}

/** The manifest of a release: an envelope, which is JSON. */
export function manifestResource(release: ReleaseFacts): Resource {
  const facts = { ...release, kind: 'manifest', contentType: 'application/json' } as const;
  return new Resource({ ...facts, dictionary: null, isImmutable: true });
}

/** The key of an artefact's bytes. */
export function bodyKey(ref: ArtefactRef): string {
  switch (ref.kind) {
    case 'object':
      return ref.sha256;
    case 'variant':
      return ref.sha256 + ref.encoding;
    case 'delta':
      return ref.target + ref.base;
  }
}
