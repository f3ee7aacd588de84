// Frees old versions that no kept state needs: a version is needed where a kept state lies between
// it and the page's next one. Goes through the history in transactions of bounded size.

import type { Lsn } from '../contract.ts';
import type { Environment } from './environment.ts';
import { BATCH_RECORDS_COUNT } from './limits.ts';
import {
  lsnOfRecord,
  PAGE_KEY_SIZE_BYTES,
  placeOfKey,
  type VersionPlace,
  versionKey,
  writePageKey,
} from './record.ts';

/** Looks through all of the history. `onFreed` runs within each transaction.
 *  Units: `kept` LSNs, oldest first. Cost: O(history). */
export async function collectHistory(
  environment: Environment,
  kept: readonly Lsn[],
  onFreed: (freedBytes: number) => void,
): Promise<void> {
  let start: Buffer | null = versionKey({ pageNumber: 0, lsn: 0 });
  while (start !== null) {
    const from: Buffer = start;
    start = environment.write(() => {
      const { next, freedBytes } = collectBatch(environment, kept, from);
      if (freedBytes > 0) onFreed(freedBytes);
      return next;
    });
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function collectBatch(
  environment: Environment,
  kept: readonly Lsn[],
  start: Buffer,
): { readonly next: Buffer | null; readonly freedBytes: number } {
  const { history } = environment;
  const limit = BATCH_RECORDS_COUNT + 1;
  const keys = [...history.getKeys({ start, limit })].map((key) => Buffer.from(key));
  const next = keys.length === limit ? keys.pop()! : null;
  let freedBytes = 0;
  for (const [index, key] of keys.entries()) {
    const place = placeOfKey(key);
    const untilLsn = nextLsn(environment, place, keys[index + 1] ?? next);
    if (isNeeded(kept, place.lsn, untilLsn)) continue;
    freedBytes += history.getBinary(key)!.length;
    history.removeSync(key);
  }
  return { next, freedBytes };
}

/** The LSN of the page's next version. */
function nextLsn(
  environment: Environment,
  { pageNumber }: VersionPlace,
  after: Buffer | null,
): Lsn {
  if (after !== null) {
    const other = placeOfKey(after);
    if (other.pageNumber === pageNumber) return other.lsn;
  }
  const key = writePageKey(Buffer.allocUnsafe(PAGE_KEY_SIZE_BYTES), pageNumber);
  const record = environment.current.getBinary(key);
  return record === undefined ? Number.POSITIVE_INFINITY : lsnOfRecord(record);
}

/** Whether a kept state lies in [lsn, untilLsn). Cost: O(log of the kept). */
function isNeeded(kept: readonly Lsn[], lsn: Lsn, untilLsn: Lsn): boolean {
  let low = 0;
  let high = kept.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (kept[middle]! < lsn) low = middle + 1;
    else high = middle;
  }
  return low < kept.length && kept[low]! < untilLsn;
}
