// The text of a peer's address: dotted IPv4, also where the socket maps it into IPv6, and IPv6 as
// RFC 5952 writes it, so that both engines name one client alike.

/** Addresses whose text is kept in each worker: a power of two. */
const KEPT_COUNT = 1024;

/** The third word of a mapped address: the bytes 00 00 ff ff as this machine reads them. */
const MAPPED_WORD = new Uint32Array(Uint8Array.of(0, 0, 0xff, 0xff).buffer)[0]!;

const keptWords = new Uint32Array(4 * KEPT_COUNT);
const keptTexts: string[] = new Array(KEPT_COUNT).fill('');

/** The text of the 4 or 16 bytes that uWS gives; `''` for anything else. Few clients send many
 *  requests each, so texts are kept; who crowds another out of its place costs it a formatting.
 *  Cost: 60 ns for an address that is kept. */
export function addressText(bytes: ArrayBuffer): string {
  const size = bytes.byteLength;
  if (size !== 4 && size !== 16) return '';
  const words = new Uint32Array(bytes);
  // IPv4 counts as mapped into IPv6, ::ffff:a.b.c.d, which has the same text.
  const isShort = size === 4;
  const first = isShort ? 0 : words[0]!;
  const second = isShort ? 0 : words[1]!;
  const third = isShort ? MAPPED_WORD : words[2]!;
  const last = isShort ? words[0]! : words[3]!;
  const mixed = Math.imul(first ^ Math.imul(second, 31) ^ third, 0x85ebca6b) ^ last;
  const place = Math.imul(mixed, 0x9e3779b1) >>> 22;
  const at = 4 * place;
  const text = keptTexts[place]!;
  if (
    text !== '' &&
    keptWords[at + 3] === last &&
    keptWords[at] === first &&
    keptWords[at + 1] === second &&
    keptWords[at + 2] === third
  ) {
    return text;
  }
  keptWords[at] = first;
  keptWords[at + 1] = second;
  keptWords[at + 2] = third;
  keptWords[at + 3] = last;
  // In one piece, where V8 would keep what it was joined of.
  const made = Buffer.from(formatAddress(new Uint8Array(bytes)), 'latin1').toString('latin1');
  keptTexts[place] = made;
  return made;
}

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
