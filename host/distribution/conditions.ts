// Entity tags and the conditions that refer to them. Every form of a file has a strong tag of its
// own, because each is different bytes. There is no Last-Modified: content is named by its hash, so
// conditions on time have nothing to go by and are passed over.
// Source: RFC 9110 sections 8.8.3 and 13.

import { type HeaderList, joinedHeaderValue } from '../core/index.ts';
import type { Coding } from './negotiate.ts';

/** Digits of a hash in a tag: 128 bits. */
const TAG_DIGITS = 32;
const SUFFIXES: Readonly<Record<Coding, string>> = {
  identity: '',
  gzip: '-gz',
  br: '-br',
  zstd: '-zst',
  dcz: '-dcz-',
};
/** Elements of nothing are passed over. Source: RFC 9110 section 5.6.1.2. */
const ENTITY_TAG = /^[ \t,]*(W\/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)/;
/** More than any client keeps of one resource. */
const TAGS_COUNT_MAX = 64;

/** The strong tag of one form. `base`: of a delta, in hex. */
export function entityTag(sha256: string, coding: Coding, base: string | null): string {
  const tail = coding === 'dcz' ? base!.slice(0, TAG_DIGITS) : '';
  return `"${sha256.slice(0, TAG_DIGITS)}${SUFFIXES[coding]}${tail}"`;
}

export type ConditionOutcome = 'send' | 'not-modified' | 'failed';

/** What the conditions of a request say about the chosen form. Only GET and HEAD come here. */
export function evaluateConditions(headers: HeaderList, tag: string): ConditionOutcome {
  const match = joinedHeaderValue(headers, 'if-match');
  if (match !== undefined && !isListed(match, tag, 'strong')) return 'failed';
  const noneMatch = joinedHeaderValue(headers, 'if-none-match');
  if (noneMatch !== undefined && isListed(noneMatch, tag, 'weak')) return 'not-modified';
  return 'send';
}

/** Whether a range may be sent: without If-Range, or when it names exactly this form. A date never
 *  does. */
export function isRangeAllowed(headers: HeaderList, tag: string): boolean {
  const ifRange = joinedHeaderValue(headers, 'if-range');
  return ifRange === undefined || ifRange.trim() === tag;
}

/** Whether a list of tags, or `*`, holds a tag. A list that breaks the syntax holds what stands
 *  before the break. */
function isListed(list: string, tag: string, comparison: 'strong' | 'weak'): boolean {
  if (list.trim() === '*') return true;
  let rest = list;
  for (let count = 0; count < TAGS_COUNT_MAX && rest !== ''; ++count) {
    const found = ENTITY_TAG.exec(rest);
    if (found === null) return false;
    const isWeak = found[1] !== undefined;
    if (found[2] === tag && !(isWeak && comparison === 'strong')) return true;
    rest = rest.slice(found[0].length);
  }
  return false;
}
