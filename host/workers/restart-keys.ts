// Keys that a running gateway cannot change: sockets, threads and the admin API are made once. A
// reload that would change one is refused as a whole, rather than half applied.

import type { ConfigIssue, Snapshot } from '../config/index.ts';

const KEYS = ['listeners', 'admin', 'workers', 'log', 'distribution'] as const;
/** As the file calls them. */
const NAMES = {
  listeners: 'listen',
  admin: 'admin',
  workers: 'workers',
  log: 'log',
  distribution: 'distribution',
} as const;

/** One issue for each key that differs and needs a restart. */
export function restartIssues(before: Snapshot, next: Snapshot, file: string): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  for (const key of KEYS) {
    if (JSON.stringify(before[key]) === JSON.stringify(next[key])) continue;
    issues.push({
      code: 'GW_CONFIG_CONFLICT',
      file,
      line: 1,
      column: 1,
      path: NAMES[key],
      message: 'cannot change in a reload; restart the gateway for it',
    });
  }
  return issues;
}
