// When a canary has failed: more often than what runs beside it, and not by chance.

/** What one version has served since the canary began. */
export interface Trial {
  readonly requests: number;
  readonly failures: number;
}

/** Fewer failures than this are an accident, whatever the shares say. */
const FAILURES_MIN = 5;
/** Standard errors between the two shares: some three of them are chance once in a thousand. */
const DEVIATIONS = 3;
/** What the version before is taken to fail at most while it has served nothing to judge by. */
const SHARE_UNKNOWN = 0.05;

/** Why a canary has to go; null while it may stay. The lower bound of its share of failures must
 *  stand above the upper bound of the other's. Source: Wilson, Probable inference, 1927. */
export function canaryFault(canary: Trial, current: Trial): string | null {
  if (canary.failures < FAILURES_MIN) return null;
  const least = wilson(canary, -1);
  const most = current.requests === 0 ? SHARE_UNKNOWN : wilson(current, 1);
  if (least <= most) return null;
  return `it failed ${shown(canary)}, the version before ${shown(current)}`;
}

/** What came since. */
export function lessTrial(now: Trial, before: Trial): Trial {
  return {
    requests: Math.max(0, now.requests - before.requests),
    failures: Math.max(0, now.failures - before.failures),
  };
}

/** A bound of the share of failures: the lower one for side -1, the upper one for 1. */
function wilson({ requests, failures }: Trial, side: -1 | 1): number {
  // A failure outside of requests, such as in a tick, counts as one more of them.
  const count = Math.max(requests, failures);
  const share = failures / count;
  const square = DEVIATIONS * DEVIATIONS;
  const spread = Math.sqrt((share * (1 - share)) / count + square / (4 * count * count));
  return (share + square / (2 * count) + side * DEVIATIONS * spread) / (1 + square / count);
}

function shown({ requests, failures }: Trial): string {
  return `${failures} of ${Math.max(requests, failures)} requests`;
}
