// Range: one range of bytes. Several at once are answered with the whole, as RFC 9110 section 14.2
// allows: multipart answers are rarely asked for honestly, and cost much to build.

/** Units: bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Units: bytes; 15 digits are exact as a number. */
const SINGLE = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i;

/** Reads a Range header against a size. Null: it is to be passed over and the whole is sent.
 *  `unsatisfiable`: 416. */
export function parseRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | 'unsatisfiable' | null {
  if (header === undefined) return null;
  const found = SINGLE.exec(header);
  if (found === null) return null;
  const [, first, last] = found as unknown as [string, string, string];
  if (first === '') return last === '' ? null : suffixRange(Number(last), sizeBytes);
  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Number(last);
  if (end < start && last !== '') return null;
  if (start >= sizeBytes) return 'unsatisfiable';
  return { offset: start, sizeBytes: Math.min(end, sizeBytes - 1) - start + 1 };
}

function suffixRange(count: number, sizeBytes: number): ByteRange | 'unsatisfiable' {
  if (count === 0 || sizeBytes === 0) return 'unsatisfiable';
  const size = Math.min(count, sizeBytes);
  return { offset: sizeBytes - size, sizeBytes: size };
}

/** The Content-Range of a part. */
export function contentRange({ offset, sizeBytes }: ByteRange, wholeSizeBytes: number): string {
  return `bytes ${offset}-${offset + sizeBytes - 1}/${wholeSizeBytes}`;
}
