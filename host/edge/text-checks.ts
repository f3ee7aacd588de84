// What header names, values and targets may hold. Each check comes in two forms that say the same:
// a loop for short texts, which most are, and a regular expression for long ones, whose call alone
// costs as much as a loop over some thirty characters.

const LOOP_LENGTH_MAX = 32;
const NOT_TOKEN = /[^!#$%&'*+.^_`|~0-9a-z-]/;
const NOT_PLAIN = /[^\t\x20-\x7e]/;
const NOT_TARGET = /[^\x21-\x7e]/;
const TAB = 0x09;

/** 1 for a character of a lower-case token. */
const IS_TOKEN = Uint8Array.from({ length: 128 }, (_, code) =>
  NOT_TOKEN.test(String.fromCharCode(code)) ? 0 : 1,
);

/** Whether a text is a token in lower case: a header name. Source: RFC 9110 section 5.6.2. */
export function isLowerToken(text: string): boolean {
  const { length } = text;
  if (length > LOOP_LENGTH_MAX) return !NOT_TOKEN.test(text);
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f || IS_TOKEN[code] === 0) return false;
  }
  return length > 0;
}

/** Whether a text is of printable ASCII, blanks and tabs: a header value as nearly all are. */
export function isPlainValue(text: string): boolean {
  const { length } = text;
  if (length > LOOP_LENGTH_MAX) return !NOT_PLAIN.test(text);
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7e || (code < 0x20 && code !== TAB)) return false;
  }
  return true;
}

/** Whether a text is of printable ASCII without blanks, as every part of a target should be. */
export function isPlainTarget(text: string): boolean {
  const { length } = text;
  if (length > LOOP_LENGTH_MAX) return !NOT_TARGET.test(text);
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7e || code < 0x21) return false;
  }
  return true;
}
