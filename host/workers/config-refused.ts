// A configuration that was refused, with everything that is wrong with it.

import type { ConfigIssue } from '../config/index.ts';

/** Nothing changed: the gateway goes on with what it had, or does not start. */
export class ConfigRefused extends Error {
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[]) {
    super(`the configuration has ${errorCount(issues)}`);
    this.issues = issues;
  }
}

/** `1 error`, `2 errors`. */
export function errorCount({ length }: readonly ConfigIssue[]): string {
  return length === 1 ? '1 error' : `${length} errors`;
}
