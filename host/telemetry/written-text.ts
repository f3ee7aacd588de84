// How much a text takes where it is written as JSON: an escape makes six bytes of one, and whoever
// may log a text of any kind could make a line six times as long as its bound.

const MARK = '…';
const MARK_SIZE_BYTES = 3;
const ESCAPED_SIZE_BYTES = 6;
const PAIR_SIZE_BYTES = 4;
/** `\b \t \n \f \r " \`, which JSON writes as two characters. */
const SHORT_ESCAPES: ReadonlySet<number> = new Set([8, 9, 10, 12, 13, 34, 92]);

/** The text, or its beginning with a mark, so that JSON in UTF-8 takes no more than this, without
 *  the quotes. Never cuts a character in two. Cost: nothing for short ones. */
export function boundWritten(text: string, sizeBytesMax: number): string {
  if (text.length * ESCAPED_SIZE_BYTES <= sizeBytesMax) return text;
  let sizeBytes = 0;
  let end = 0;
  for (let index = 0; index < text.length; ) {
    const isPair = text.codePointAt(index)! > 0xffff;
    sizeBytes += isPair ? PAIR_SIZE_BYTES : writtenSizeBytes(text.charCodeAt(index));
    index += isPair ? 2 : 1;
    if (sizeBytes <= sizeBytesMax - MARK_SIZE_BYTES) end = index;
    if (sizeBytes > sizeBytesMax) return text.slice(0, end) + MARK;
  }
  return text;
}

/** Of a character that is no half of a pair. */
function writtenSizeBytes(unit: number): number {
  if (SHORT_ESCAPES.has(unit)) return 2;
  // JSON.stringify writes a lone half of a pair as an escape.
  if (unit < 0x20 || (unit >= 0xd800 && unit <= 0xdfff)) return ESCAPED_SIZE_BYTES;
  if (unit < 0x80) return 1;
  return unit < 0x800 ? 2 : 3;
}
