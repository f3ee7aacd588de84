// The header operations of a route, and what is taken from an upstream's response. The order is
// remove, set, add; names that frame a message are refused, since they are the listener's and the
// upstream client's to write. Configured values are text and are made byte strings once, here.

import type { HeaderOperations } from '../config/index.ts';
import {
  GatewayError,
  type HeaderList,
  isFramingHeader,
  isHeaderValue,
  toByteString,
} from '../core/index.ts';

/** Operations made ready: one filter, and one list of byte strings to put behind. */
export interface CompiledOperations {
  readonly removed: ReadonlySet<string>;
  readonly appended: readonly string[];
}

/** Makes a route's operations ready; null where there are none.
 *  Errors: GW_CONFIG_BAD_VALUE for a framing header or a value that would split a message. */
export function compileHeaderOperations(operations: HeaderOperations): CompiledOperations | null {
  const removed = new Set(operations.remove);
  const appended: string[] = [];
  for (let index = 0; index < operations.set.length; index += 2) {
    removed.add(operations.set[index]!);
  }
  for (const list of [operations.set, operations.add]) {
    for (let index = 0; index < list.length; index += 2) {
      requireValue(list[index]!, list[index + 1]!);
      appended.push(list[index]!, toByteString(list[index + 1]!));
    }
  }
  for (const name of [...removed, ...appended.filter((_, index) => index % 2 === 0)]) {
    if (!isFramingHeader(name)) continue;
    throw new GatewayError('GW_CONFIG_BAD_VALUE', `header '${name}' is the gateway's to write`);
  }
  return removed.size === 0 && appended.length === 0 ? null : { removed, appended };
}

/** Applies operations in place. Cost: O(headers), no allocation but growth. */
export function applyHeaderOperations(
  headers: HeaderList,
  operations: CompiledOperations | null,
): void {
  if (operations === null) return;
  const removed = operations.removed;
  if (removed.size > 0) {
    let kept = 0;
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!;
      if (removed.has(name)) continue;
      if (kept !== index) {
        headers[kept] = name;
        headers[kept + 1] = headers[index + 1]!;
      }
      kept += 2;
    }
    headers.length = kept;
  }
  const appended = operations.appended;
  for (let index = 0; index < appended.length; index++) headers.push(appended[index]!);
}

/** Makes an upstream's response headers fit for `Exchange.begin`, in place: the listener writes
 *  `date` itself, the reason is never an upstream's to give, and the upstream client has taken out
 *  what concerns its own hop. `server` is the upstream's and stays. */
export function cleanResponseHeaders(
  headers: HeaderList,
  operations: CompiledOperations | null,
): void {
  let kept = 0;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    if (name === 'date' || name === 'x-sluice-reason') continue;
    if (kept !== index) {
      headers[kept] = name;
      headers[kept + 1] = headers[index + 1]!;
    }
    kept += 2;
  }
  headers.length = kept;
  applyHeaderOperations(headers, operations);
}

function requireValue(name: string, value: string): void {
  if (isHeaderValue(value)) return;
  throw new GatewayError(
    'GW_CONFIG_BAD_VALUE',
    `the value of header '${name}' holds a control character`,
  );
}
