// Durations, sizes and percentages as people write them in the configuration and on the command
// line. Each parser returns null for what it does not understand; the caller says where it stood.

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** Parses `50ms`, `1.5s`, `5m`, `1h`. Units: ms. */
export function parseDurationMs(text: string): number | null {
  return parseWithUnit(/^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/, DURATION_UNITS_MS, text);
}

/** Parses `512B`, `16KiB`, `1.5MiB`, `1GiB` to a whole number of bytes. */
export function parseSizeBytes(text: string): number | null {
  const size = parseWithUnit(/^(\d{1,12}(?:\.\d{1,3})?)(B|KiB|MiB|GiB)$/, SIZE_UNITS_BYTES, text);
  return size === null || !Number.isSafeInteger(Math.ceil(size)) ? null : Math.ceil(size);
}

/** Parses `20%` or `0.5%` to a ratio from 0 to 1. */
export function parsePercentage(text: string): number | null {
  const found = /^(\d{1,3}(?:\.\d{1,4})?)%$/.exec(text);
  if (found === null) return null;
  const ratio = Number(found[1]) / 100;
  return ratio <= 1 ? ratio : null;
}

function parseWithUnit(
  pattern: RegExp,
  units: Readonly<Record<string, number>>,
  text: string,
): number | null {
  const found = pattern.exec(text);
  if (found === null) return null;
  const factor = units[found[2]!];
  return factor === undefined ? null : Number(found[1]) * factor;
}
