// Structured fields of HTTP, read strictly: a field that breaks one rule is no field at all. Only
// items are read, for Available-Dictionary and Dictionary-ID are items; what is written is strings.
// Source: RFC 9651 sections 4.1.6 and 4.2.3.

/** What an item is; parameters are checked and dropped. */
export type BareItem =
  | { readonly kind: 'integer' | 'decimal' | 'date'; readonly value: number }
  | { readonly kind: 'string' | 'token' | 'displayString'; readonly value: string }
  | { readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly kind: 'boolean'; readonly value: boolean };

/** Fields are short; this bounds the work for one that is not. */
const FIELD_SIZE_CHARS_MAX = 4_096;

const NUMBER = /-?(?:\d{1,12}\.\d{1,3}(?![.\d])|\d{1,15}(?![.\d]))/y;
const STRING = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*/y;
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y;
const BOOLEAN = /\?([01])/y;
const DATE = /@(-?\d{1,15})(?![.\d])/y;
const DISPLAY_STRING = /%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"/y;
const PARAMETER_KEY = /; *([a-z*][a-z0-9_.*-]*)(=?)/y;

/** Reads an item with its parameters. Shape: `:cZh3…=:` gives bytes, `"v1"` a string. Null when the
 *  field is not exactly one item. */
export function parseItem(field: string): BareItem | null {
  if (field.length > FIELD_SIZE_CHARS_MAX) return null;
  const text = field.replace(/^ +| +$/g, '');
  const found = bareItemAt(text, 0);
  if (found === null) return null;
  let at = found.end;
  while (at < text.length) {
    const key = matchAt(PARAMETER_KEY, text, at);
    if (key === null) return null;
    at += key[0].length;
    if (key[2] === '') continue;
    const value = bareItemAt(text, at);
    if (value === null) return null;
    at = value.end;
  }
  return found.item;
}

/** The bytes of a byte sequence; null for any other field. */
export function parseByteSequence(field: string): Uint8Array | null {
  const item = parseItem(field);
  return item !== null && item.kind === 'bytes' ? item.value : null;
}

/** Writes a string. Errors: RangeError when a character is not visible ASCII or a space. */
export function serialiseString(value: string): string {
  if (!/^[\x20-\x7e]*$/.test(value)) throw new RangeError('a structured string is ASCII');
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

/** Writes a byte sequence. */
export function serialiseBytes(value: Uint8Array): string {
  return `:${Buffer.from(value).toString('base64')}:`;
}

interface Found {
  readonly item: BareItem;
  readonly end: number;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function bareItemAt(text: string, at: number): Found | null {
  const first = text.charAt(at);
  switch (first) {
    case '"':
      return read(STRING, text, at, ([, inner]) => {
        return { kind: 'string', value: inner!.replace(/\\(.)/g, '$1') };
      });
    case ':':
      return read(BYTES, text, at, ([, base64]) => bytesOf(base64!));
    case '?':
      return read(BOOLEAN, text, at, ([, bit]) => ({ kind: 'boolean', value: bit === '1' }));
    case '@':
      return read(DATE, text, at, ([, seconds]) => ({ kind: 'date', value: Number(seconds) }));
    case '%':
      return read(DISPLAY_STRING, text, at, ([, inner]) => displayStringOf(inner!));
  }
  if (/[A-Za-z*]/.test(first)) {
    return read(TOKEN, text, at, ([token]) => ({ kind: 'token', value: token }));
  }
  return read(NUMBER, text, at, ([number]) => {
    return { kind: number.includes('.') ? 'decimal' : 'integer', value: Number(number) };
  });
}

function read(
  pattern: RegExp,
  text: string,
  at: number,
  make: (found: RegExpExecArray) => BareItem | null,
): Found | null {
  const found = matchAt(pattern, text, at);
  const item = found === null ? null : make(found);
  return item === null ? null : { item, end: at + found![0].length };
}

/** Padding is optional when read (section 4.2.7), but one text stands for one value here: bits that
 *  decode to nothing must be zero. */
function bytesOf(base64: string): BareItem | null {
  const bytes = Buffer.from(base64, 'base64');
  const canonical = bytes.toString('base64');
  const isSame = base64 === canonical || base64 === canonical.replace(/=+$/, '');
  return isSame ? { kind: 'bytes', value: bytes } : null;
}

function displayStringOf(inner: string): BareItem | null {
  try {
    return { kind: 'displayString', value: decodeURIComponent(inner) };
  } catch {
    return null;
  }
}
