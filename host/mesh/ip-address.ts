// IP addresses in text to 128 bits and back, and sets of address ranges. Strict: no octal, no short
// forms of IPv4, no zone, no brackets; what is not an address is refused, because the text comes
// from headers that anybody may write. IPv4 counts as ::ffff:a.b.c.d, so that both are one kind.

import { GatewayError } from '../core/index.ts';

/** Four 32-bit words, the most significant first. */
export type IpWords = Uint32Array;

const MAPPED_WORD = 0xffff;

/** Parses an address into `words`; false when it is none, and `words` is then undefined. */
export function parseIp(text: string, words: IpWords): boolean {
  if (text.length < 2 || text.length > 45) return false;
  if (text.indexOf(':') === -1) {
    const v4 = parseV4(text, 0);
    if (v4 === -1) return false;
    words[0] = 0;
    words[1] = 0;
    words[2] = MAPPED_WORD;
    words[3] = v4;
    return true;
  }
  return parseV6(text, words);
}

/** The canonical text of an address: IPv4 where it is mapped, else RFC 5952. */
export function formatIp(words: IpWords): string {
  const [first, second, third, last] = words as unknown as [number, number, number, number];
  if (first === 0 && second === 0 && third === MAPPED_WORD) {
    return `${last >>> 24}.${(last >>> 16) & 255}.${(last >>> 8) & 255}.${last & 255}`;
  }
  const groups: number[] = [];
  for (const word of words) groups.push(word >>> 16, word & 0xffff);
  let zerosStart = -1;
  let zerosCount = 1;
  for (let start = 0; start < 8; start++) {
    let count = 0;
    while (start + count < 8 && groups[start + count] === 0) count++;
    if (count > zerosCount) {
      zerosStart = start;
      zerosCount = count;
    }
  }
  const texts = groups.map((group) => group.toString(16));
  if (zerosStart === -1) return texts.join(':');
  const before = texts.slice(0, zerosStart).join(':');
  return `${before}::${texts.slice(zerosStart + zerosCount).join(':')}`;
}

/** A set of ranges such as `10.0.0.0/8`, `::1` or `2001:db8::/32`. */
export class IpRanges {
  /** Eight words a range: the network, then the mask. */
  readonly #ranges: Uint32Array;

  /** Errors: GW_CONFIG_BAD_VALUE for what is not a range. */
  constructor(ranges: readonly string[]) {
    this.#ranges = new Uint32Array(ranges.length * 8);
    ranges.forEach((range, index) => {
      parseRange(range, this.#ranges.subarray(index * 8, index * 8 + 8));
    });
  }

  /** Cost: O(ranges), a few ns each. */
  includes(words: IpWords): boolean {
    const ranges = this.#ranges;
    for (let at = 0; at < ranges.length; at += 8) {
      if (
        ((words[0]! & ranges[at + 4]!) ^ ranges[at]!) === 0 &&
        ((words[1]! & ranges[at + 5]!) ^ ranges[at + 1]!) === 0 &&
        ((words[2]! & ranges[at + 6]!) ^ ranges[at + 2]!) === 0 &&
        ((words[3]! & ranges[at + 7]!) ^ ranges[at + 3]!) === 0
      ) {
        return true;
      }
    }
    return false;
  }
}

function parseRange(text: string, target: Uint32Array): void {
  const slash = text.indexOf('/');
  const address = slash === -1 ? text : text.slice(0, slash);
  const prefixText = slash === -1 ? null : text.slice(slash + 1);
  const isV4 = !address.includes(':');
  const prefixMax = isV4 ? 32 : 128;
  const prefix = prefixText === null ? prefixMax : Number(prefixText);
  const isPrefix = prefixText === null || /^(0|[1-9]\d{0,2})$/.test(prefixText);
  if (!parseIp(address, target) || !isPrefix || prefix > prefixMax) {
    throw new GatewayError('GW_CONFIG_BAD_VALUE', `'${text}' is not an address or a CIDR`);
  }
  let bits = isV4 ? prefix + 96 : prefix;
  for (let word = 0; word < 4; word++) {
    const count = Math.min(32, Math.max(0, bits));
    const mask = count === 0 ? 0 : (0xffffffff << (32 - count)) >>> 0;
    target[4 + word] = mask;
    target[word] = target[word]! & mask;
    bits -= 32;
  }
}

/** Four decimal numbers from `start` to the end; -1 when they are not an address. */
function parseV4(text: string, start: number): number {
  let address = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let index = start; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 46) {
      if (digits === 0 || ++dots > 3) return -1;
      address = address * 256 + octet;
      octet = 0;
      digits = 0;
      continue;
    }
    if (code < 48 || code > 57 || (digits > 0 && octet === 0)) return -1;
    octet = octet * 10 + code - 48;
    digits++;
    if (octet > 255) return -1;
  }
  return dots === 3 && digits > 0 ? address * 256 + octet : -1;
}

function parseV6(text: string, words: IpWords): boolean {
  words.fill(0);
  let group = 0;
  /** The group before which `::` stands. */
  let gap = -1;
  let index = 0;
  if (text.startsWith('::')) {
    gap = 0;
    index = 2;
  }
  while (index < text.length) {
    if (group === 8) return false;
    const end = groupEnd(text, index);
    if (text.charCodeAt(end) === 46) {
      const v4 = group <= 6 ? parseV4(text, index) : -1;
      if (v4 === -1) return false;
      setGroup(words, group++, v4 >>> 16);
      setGroup(words, group++, v4 & 0xffff);
      break;
    }
    if (end === index || end - index > 4) return false;
    setGroup(words, group++, Number.parseInt(text.slice(index, end), 16));
    index = end;
    if (index === text.length) break;
    if (text.charCodeAt(index) !== 58) return false;
    index++;
    if (text.charCodeAt(index) === 58) {
      if (gap !== -1) return false;
      gap = group;
      index++;
    } else if (index === text.length) return false;
  }
  if (gap === -1) return group === 8;
  if (group === 8) return false;
  moveTail(words, gap, group);
  return true;
}

/** Moves groups gap..count-1 to the end of the address. */
function moveTail(words: IpWords, gap: number, count: number): void {
  for (let from = count - 1, to = 7; from >= gap; from--, to--) {
    const value = getGroup(words, from);
    setGroup(words, from, 0);
    setGroup(words, to, value);
  }
}

/** Where the hexadecimal digits that begin at `start` end. */
function groupEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length) {
    const code = text.charCodeAt(end) | 32;
    const isDigit = code >= 48 && code <= 57 && text.charCodeAt(end) >= 48;
    if (!isDigit && !(code >= 97 && code <= 102)) break;
    end++;
  }
  return end;
}

function getGroup(words: IpWords, group: number): number {
  const word = words[group >> 1]!;
  return (group & 1) === 0 ? word >>> 16 : word & 0xffff;
}

function setGroup(words: IpWords, group: number, value: number): void {
  const word = words[group >> 1]!;
  words[group >> 1] =
    (group & 1) === 0 ? (word & 0xffff) | (value << 16) : (word & 0xffff0000) | value;
}
