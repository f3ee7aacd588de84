// Which forms of which resources leave: what tells an operator whether deltas are worth it. Counted
// in the io worker by a number that is made with the headers of a form.

import type { Coding } from './negotiate.ts';

export const RESOURCE_KINDS = ['file', 'pack', 'manifest'] as const;

export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** `delta`: the bytes of a dcz as content, asked for by `?base=`. */
export const RESPONSE_FORMS = ['dcz', 'delta', 'br', 'zstd', 'gzip', 'identity'] as const;

export type ResponseForm = (typeof RESPONSE_FORMS)[number];

export interface ResponseCount {
  readonly resource: ResourceKind;
  readonly form: ResponseForm;
  readonly count: number;
}

export const RESPONSE_KEYS_COUNT = RESOURCE_KINDS.length * RESPONSE_FORMS.length;

/** The place in a list of counts. */
export function responseKey(resource: ResourceKind, coding: Coding, isNamed: boolean): number {
  const form = isNamed ? 'delta' : coding;
  return RESOURCE_KINDS.indexOf(resource) * RESPONSE_FORMS.length + RESPONSE_FORMS.indexOf(form);
}

/** A list of counts with its names. */
export function responseCounts(counts: readonly number[]): ResponseCount[] {
  return counts.map((count, key) => ({
    resource: RESOURCE_KINDS[Math.floor(key / RESPONSE_FORMS.length)]!,
    form: RESPONSE_FORMS[key % RESPONSE_FORMS.length]!,
    count,
  }));
}

export function noResponses(): number[] {
  return new Array(RESPONSE_KEYS_COUNT).fill(0);
}
