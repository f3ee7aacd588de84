// Accept-Encoding: which codings a client takes, and how much it likes each.
// Source: RFC 9110 sections 12.4.2 and 12.5.3.

/** Weights in thousandths, so that they compare exactly. */
export interface AcceptedCodings {
  /** By coding in lower case; 0 refuses it. What is not here goes by `other`. */
  readonly weights: ReadonlyMap<string, number>;
  /** The weight of `*`; null where there is none. */
  readonly other: number | null;
}

/** What the longest real header has is seven. */
const MEMBERS_COUNT_MAX = 64;
const WEIGHT_WHOLE = 1_000;
/** Of a member without the blanks around it. */
const MEMBER =
  /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/;
const BLANKS_AROUND = /^[ \t]+|[ \t]+$/g;

const NOTHING: AcceptedCodings = { weights: new Map(), other: null };

/** Reads the header; undefined when there is none. A member that breaks the syntax is passed over,
 *  so that it never makes a coding acceptable; a coding that stands twice has its least weight. */
export function parseAcceptEncoding(header: string | undefined): AcceptedCodings {
  if (header === undefined) return NOTHING;
  const weights = new Map<string, number>();
  let other: number | null = null;
  for (const member of header.split(',', MEMBERS_COUNT_MAX)) {
    const found = MEMBER.exec(member.replace(BLANKS_AROUND, ''));
    if (found === null) continue;
    const weight = found[2] === undefined ? WEIGHT_WHOLE : Math.round(Number(found[2]) * 1_000);
    const coding = canonicalCoding(found[1]!.toLowerCase());
    if (coding === '*') other = other === null ? weight : Math.min(other, weight);
    else weights.set(coding, Math.min(weights.get(coding) ?? weight, weight));
  }
  return { weights, other };
}

/** The weight of a coding that `*` may stand for; 0 when it is refused. Without a header or a
 *  member for it, nothing but identity is taken. */
export function weightOf({ weights, other }: AcceptedCodings, coding: string): number {
  const own = weights.get(coding);
  if (own !== undefined) return own;
  if (other !== null) return other;
  // Not mentioned at all: acceptable, and less wanted than anything that is.
  return coding === 'identity' ? 1 : 0;
}

/** The weight of a coding that has to be named: `*` does not count. */
export function explicitWeightOf({ weights }: AcceptedCodings, coding: string): number {
  return weights.get(coding) ?? 0;
}

/** Source: RFC 9110 section 8.4.1.3: x-gzip is gzip. */
function canonicalCoding(coding: string): string {
  return coding === 'x-gzip' ? 'gzip' : coding;
}
