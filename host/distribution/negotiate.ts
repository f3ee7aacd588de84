// Which bytes of a file a client gets: the delta against what it has, a compressed form, or the
// file as it is. Pure: header values and what is there in, a choice out.
// Source: RFC 9842 (Compression Dictionary Transport) sections 2 and 6.

import { explicitWeightOf, parseAcceptEncoding, weightOf } from './accept-encoding.ts';
import type { RequestFields } from './request-fields.ts';
import { parseByteSequence, serialiseString } from './structured-fields.ts';

/** The forms in which a file is kept, as Content-Encoding names them. */
export type Coding = 'identity' | 'gzip' | 'br' | 'zstd' | 'dcz';

/** The codings that need no base. */
type FullCoding = Exclude<Coding, 'dcz'>;

/** 32 bytes are 43 digits of base64 and one of padding. Source: RFC 9842 section 2.2. */
const DICTIONARY = /^ *:[A-Za-z0-9+/]{43}=: *$/;
/** Source: RFC 9842 section 2.1.3. */
const DICTIONARY_ID_SIZE_CHARS_MAX = 1_024;

/** What every answer that depends on them must say, so that caches keep the forms apart. */
export const VARY = 'accept-encoding, available-dictionary';

/** The headers of a request that decide its form, read once. */
export interface Wishes {
  /** Codings without a base that are taken, the most wanted first. */
  readonly fullWeights: Readonly<Record<FullCoding, number>>;
  /** 0: no delta may be sent. */
  readonly dczWeight: number;
  /** The SHA-256 of the base, in hex; null where there is none. */
  readonly base: string | null;
}

/** Reads a request's headers. Cost: a look-up of a Map for each of the two that count, where their
 *  values were seen before; two or three microseconds for others. */
export function readWishes(fields: Readonly<RequestFields>): Wishes {
  const accepted = weightsIn(fields.acceptEncoding);
  const { availableDictionary } = fields;
  if (availableDictionary === null) return accepted.withoutBase;
  const base = baseIn(availableDictionary);
  const canTakeDelta = base !== null && isSameSiteFetch(fields.fetchSite);
  return {
    fullWeights: accepted.withoutBase.fullWeights,
    dczWeight: canTakeDelta ? accepted.dczWeight : 0,
    base,
  };
}

/** Browsers send a handful of different values; whoever sends others costs a parse. */
const SEEN_COUNT_MAX = 256;

/** Remembers what a function made of the values it saw lately. The very last one is compared as
 *  text, for that is cheaper than the hash that a Map needs of each new string. */
function remembering<K extends string | null, V>(make: (key: K) => V): (key: K) => V {
  const seen = new Map<K, V>();
  let lastKey: K | undefined;
  let lastValue: V | undefined;
  return (key) => {
    if (key === lastKey) return lastValue!;
    let value = seen.get(key);
    if (value === undefined) {
      value = make(key);
      if (seen.size >= SEEN_COUNT_MAX) seen.clear();
      seen.set(key, value);
    }
    lastKey = key;
    lastValue = value;
    return value;
  };
}

const weightsIn = remembering((header: string | null) => {
  const accepted = parseAcceptEncoding(header ?? undefined);
  return {
    withoutBase: {
      fullWeights: {
        br: weightOf(accepted, 'br'),
        zstd: weightOf(accepted, 'zstd'),
        gzip: weightOf(accepted, 'gzip'),
        identity: weightOf(accepted, 'identity'),
      },
      dczWeight: 0,
      base: null,
    } satisfies Wishes,
    // A `*` never means dcz: whoever says it does not know what it would get.
    dczWeight: explicitWeightOf(accepted, 'dcz'),
  };
});

/** The forms of a file that need no base, with their sizes; null for one that does not exist. */
export interface FullForms {
  readonly identity: number;
  readonly gzip: number | null;
  readonly br: number | null;
  readonly zstd: number | null;
}

/** The form to send: the most wanted, and of equally wanted ones the smallest; of equals the first
 *  of br, zstd, gzip, dcz, and identity before them. Identity when the client refuses everything
 *  there is: an answer is better than none. Cost: no allocation. */
export function chooseForm(wishes: Wishes, forms: FullForms, dczSizeBytes: number | null): Coding {
  const { fullWeights, dczWeight } = wishes;
  chosen = 'identity';
  chosenWeight = fullWeights.identity;
  chosenSizeBytes = forms.identity;
  consider('br', fullWeights.br, forms.br);
  consider('zstd', fullWeights.zstd, forms.zstd);
  consider('gzip', fullWeights.gzip, forms.gzip);
  consider('dcz', dczWeight, dczSizeBytes);
  return chosen;
}

let chosen: Coding = 'identity';
let chosenWeight = 0;
let chosenSizeBytes = 0;

function consider(coding: Coding, weight: number, sizeBytes: number | null): void {
  if (sizeBytes === null || weight === 0 || weight < chosenWeight) return;
  if (weight === chosenWeight && sizeBytes >= chosenSizeBytes) return;
  chosen = coding;
  chosenWeight = weight;
  chosenSizeBytes = sizeBytes;
}

/** The SHA-256 in Available-Dictionary, in hex; null when it is anything but one byte sequence of
 *  32 bytes, as every client writes it: padded, and without parameters, which no hash has. */
const baseIn = remembering((field: string): string | null => {
  const bytes = DICTIONARY.test(field) ? parseByteSequence(field) : null;
  return bytes === null ? null : Buffer.from(bytes).toString('hex');
});

/** Whether a page of another site has nothing to do with the request. Clients that are no browser
 *  do not say. Source: RFC 9842 section 9.3.3 asks for same-origin or CORS-readable answers. */
function isSameSiteFetch(site: string | null): boolean {
  return site === null || site === 'same-origin' || site === 'none';
}

/** The value of Use-As-Dictionary: this answer is a base for what lies at the pattern, in which a
 *  `*` between `before` and `after`, parts of a URL's path, stands for any version. Each `*` of
 *  `after` stands for whatever is there; no path has one of its own. */
export function useAsDictionary(before: string, after: string, id: string): string {
  const shownAfter = after.split('*').map(escapePattern).join('*');
  const match = `${escapePattern(before)}*${shownAfter}`;
  const shownId = id.length <= DICTIONARY_ID_SIZE_CHARS_MAX ? `, id=${serialiseString(id)}` : '';
  return `match=${serialiseString(match)}${shownId}`;
}

/** Takes the meaning from every character that has one in a URLPattern.
 *  Source: URL Pattern Standard, "escape a pattern string". */
export function escapePattern(path: string): string {
  return path.replace(/[+*?:{}()\\]/g, '\\$&');
}
