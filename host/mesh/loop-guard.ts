// Requests that go in circles: an endpoint that is the gateway itself, or two gateways that name
// each other. Each hop puts its name behind `cdn-loop`, which no proxy may take away, and a request
// with too many of them is refused. A count, not an identity: it holds across restarts and a fleet,
// and gateways in a row are no loop. Not `Via`: nginx and others stop compressing at one.
// Source: RFC 8586 section 2.

import { LOOP_HOPS_COUNT_MAX } from '../core/index.ts';

/** The pseudonym of every Sluice. */
export const HOP = 'sluice';

/** The header's value for the next hop, or null when the request has made LOOP_HOPS_COUNT_MAX
 *  through gateways of this kind. Others' names stay as they are. Cost: O(value). */
export function nextHop(value: string): string | null {
  let hops = 0;
  for (const info of value.split(',')) {
    if (info.split(';', 1)[0]!.trim() === HOP) hops += 1;
  }
  return hops < LOOP_HOPS_COUNT_MAX ? `${value}, ${HOP}` : null;
}
