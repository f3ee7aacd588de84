// Which releases of a channel any device can get at a time, and which one everybody gets.

import type { ReleaseRule } from './model.ts';
import { ROLLOUT_WHOLE, rolloutAt } from './release-rules.ts';

/** Whether every device gets the release unless there is a newer one for it. */
export function isForEverybody(rule: ReleaseRule, wallMs: number): boolean {
  if (rule.state !== 'active' || rule.targeting !== null) return false;
  return rolloutAt(rule, wallMs) >= ROLLOUT_WHOLE;
}

/** The releases that a check can answer with, newest first: those down to the first that everybody
 *  gets. A device that has a paused or halted one of them is told that it has what it gets, so
 *  these are among them. */
export function offeredReleases<R extends ReleaseRule>(rules: readonly R[], wallMs: number): R[] {
  const last = rules.findIndex((rule) => isForEverybody(rule, wallMs));
  return last === -1 ? [...rules] : rules.slice(0, last + 1);
}
