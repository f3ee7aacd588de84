// Errors of command-line values, in one voice.

import { ERRORS } from '../core/index.ts';

/** Reports a bad flag on stderr. Returns the exit code. */
export function badFlag(flag: string, value: string, expected: string): number {
  const { reason, title } = ERRORS.GW_FLAG_BAD_VALUE;
  console.error(
    `${title}: ${flag}: found "${value}", expected a value ${expected} ` +
      `(GW_FLAG_BAD_VALUE, reason ${reason})`,
  );
  return 2;
}
