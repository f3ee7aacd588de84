// Reads and writes cookies (RFC 6265).

/** A cookie's value in a Cookie header; '' for none. Of several, the first. */
export function cookieOf(header: string, name: string): string {
  const pairs = header.split(';');
  for (let index = 0; index < pairs.length; index++) {
    const pair = pairs[index].trim();
    const end = pair.indexOf('=');
    if (end < 0 || pair.slice(0, end).trimEnd() != name) continue;
    const value = pair.slice(end + 1).trimStart();
    const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"');
    return isQuoted ? value.slice(1, value.length - 1) : value;
  }
  return '';
}

/** Whether a text may be a cookie's name or value as it is, and a part of a header's name. */
export function isCookieText(text: string): bool {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const lower = code | 0x20;
    const isWord = (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39);
    if (!isWord && code != 0x2d && code != 0x2e && code != 0x5f) return false;
  }
  return text.length > 0;
}
