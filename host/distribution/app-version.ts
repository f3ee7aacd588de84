// Comparing versions of apps, as targeting needs it: `>=1.2.0 <2.0.0`. Precedence as in Semantic
// Versioning 2.0.0 section 11, with any number of numeric parts; what is missing counts as 0. A
// pre-release of a release that a range ends below is outside: `<2.0.0` does not mean the betas of
// 2.0.0, though these come before it; `<2.0.0-beta` names what it means.

const COMPARISON = /^(<=|>=|<|>|=)?(\d{1,9}(?:\.\d{1,9}){0,3})(?:-([0-9A-Za-z.-]{1,64}))?$/;
const VERSION = /^v?(\d{1,9}(?:\.\d{1,9}){0,3})(?:-([0-9A-Za-z.-]{1,64}))?(?:\+[0-9A-Za-z.-]*)?$/;
const COMPARISONS_COUNT_MAX = 8;
const NUMERIC = /^\d+$/;

interface Version {
  readonly numbers: readonly number[];
  /** Empty for a release proper. */
  readonly preRelease: readonly string[];
}

export type VersionRange = (version: string) => boolean;

/** Compiles comparisons separated by spaces, which must all hold; null when it is none.
 *  A version that cannot be read is in no range. */
export function compileVersionRange(text: string): VersionRange | null {
  const parts = text.trim().split(/\s+/);
  if (parts.length > COMPARISONS_COUNT_MAX) return null;
  const checks: ((version: Version) => boolean)[] = [];
  for (const part of parts) {
    const found = COMPARISON.exec(part);
    if (found === null) return null;
    const bound = versionOf(found[2]!, found[3]);
    const operator = found[1] ?? '=';
    const isBelow = operator === '<' && bound.preRelease.length === 0;
    checks.push((version) => {
      const isIn = holds(operator, compare(version, bound));
      return isIn && !(isBelow && compareNumbers(version, bound) === 0);
    });
  }
  return (version) => {
    const found = VERSION.exec(version);
    if (found === null) return false;
    const parsed = versionOf(found[1]!, found[2]);
    return checks.every((check) => check(parsed));
  };
}

function versionOf(numbers: string, preRelease: string | undefined): Version {
  return { numbers: numbers.split('.').map(Number), preRelease: preRelease?.split('.') ?? [] };
}

function holds(operator: string, order: number): boolean {
  switch (operator) {
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
    default:
      return order === 0;
  }
}

function compare(left: Version, right: Version): number {
  return compareNumbers(left, right) || comparePreRelease(left.preRelease, right.preRelease);
}

function compareNumbers(left: Version, right: Version): number {
  const count = Math.max(left.numbers.length, right.numbers.length);
  for (let index = 0; index < count; ++index) {
    const order = (left.numbers[index] ?? 0) - (right.numbers[index] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

function comparePreRelease(left: readonly string[], right: readonly string[]): number {
  if (left.length === 0 || right.length === 0) return right.length - left.length;
  for (let index = 0; index < Math.min(left.length, right.length); ++index) {
    const order = compareIdentifier(left[index]!, right[index]!);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function compareIdentifier(left: string, right: string): number {
  const isLeftNumber = NUMERIC.test(left);
  if (isLeftNumber !== NUMERIC.test(right)) return isLeftNumber ? -1 : 1;
  if (isLeftNumber) return Number(left) - Number(right);
  return left < right ? -1 : Number(left > right);
}
