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
