// The text of a peer's address: dotted IPv4, also where the socket maps it into IPv6, and IPv6 as
// RFC 5952 writes it, so that both engines name one client alike.

/** Formats the 4 or 16 bytes that uWS gives; `''` for anything else. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return dotted(bytes, 0);
  if (bytes.length !== 16) return '';
  if (isMapped(bytes)) return dotted(bytes, 12);
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2) groups.push((bytes[index]! << 8) | bytes[index + 1]!);
  return compress(groups);
}

/** Unmaps `::ffff:1.2.3.4`, which node gives for IPv4 on a dual-stack socket. */
export function unmapAddress(text: string): string {
  return text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text;
}

function dotted(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

function isMapped(bytes: Uint8Array): boolean {
  for (let index = 0; index < 10; index++) if (bytes[index] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

/** The longest run of two or more zero groups, the first among equals, becomes `::`. */
function compress(groups: readonly number[]): string {
  let bestStart = -1;
  let bestCount = 1;
  for (let start = 0; start < 8; start++) {
    let count = 0;
    while (start + count < 8 && groups[start + count] === 0) count++;
    if (count > bestCount) {
      bestStart = start;
      bestCount = count;
    }
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  if (bestStart === -1) return text(0, 8);
  return `${text(0, bestStart)}::${text(bestStart + bestCount, 8)}`;
}
