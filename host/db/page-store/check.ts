// A scan of a whole store: every record is decoded and compared with its checksum.

import { isGatewayError } from '../../core/index.ts';
import type { PageCodec } from '../../kernels/index.ts';
import { DB_PAGE_SIZE_BYTES, type Lsn } from '../contract.ts';
import type { Environment } from './environment.ts';
import { FINDINGS_COUNT_MAX, FOLD_SLICE_PAGES_COUNT } from './limits.ts';
import {
  decodeRecord,
  lsnOfRecord,
  PAGE_KEY_SIZE_BYTES,
  placeOfKey,
  VERSION_KEY_SIZE_BYTES,
} from './record.ts';

export interface StoreReport {
  readonly recordsCount: number;
  readonly recordsSizeBytes: number;
  /** What is wrong, the first of it. */
  readonly findings: readonly string[];
  readonly findingsCount: number;
}

/** What there can be at most, and what there should be. */
export interface ExpectedRecords {
  readonly lsn: Lsn;
  readonly recordsSizeBytes: number;
}

/** Reads everything. Nobody writes meanwhile. Cost: O(store), in slices. */
export async function checkStore(
  environment: Environment,
  codec: PageCodec,
  { lsn, recordsSizeBytes }: ExpectedRecords,
): Promise<StoreReport> {
  const findings: string[] = [];
  const report = { recordsCount: 0, recordsSizeBytes: 0, findingsCount: 0 };
  const find = (finding: string): void => {
    report.findingsCount += 1;
    if (findings.length < FINDINGS_COUNT_MAX) findings.push(finding);
  };
  const into = new Uint8Array(DB_PAGE_SIZE_BYTES);
  for (const name of ['current', 'history'] as const) {
    const keySize = name === 'current' ? PAGE_KEY_SIZE_BYTES : VERSION_KEY_SIZE_BYTES;
    let start: Buffer = Buffer.alloc(0);
    let isOrdered = true;
    while (isOrdered) {
      const keys = batchOfKeys(environment, name, start);
      if (keys.length === 0) break;
      for (const key of keys) {
        // A search would miss it, and this one would never end.
        isOrdered = Buffer.compare(key, start) >= 0;
        if (!isOrdered) {
          find(`${name}: key ${key.toString('hex')} follows ${start.toString('hex')}`);
          break;
        }
        start = Buffer.concat([key, Buffer.from([0])]);
        const record = environment[name].getBinary(key) ?? Buffer.alloc(0);
        report.recordsCount += 1;
        report.recordsSizeBytes += record.length;
        const finding =
          key.length === keySize
            ? findingOf(codec, key, record, lsn, into)
            : `a key of ${key.length} bytes`;
        if (finding !== null) find(`${name}: ${finding}`);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  if (report.recordsSizeBytes !== recordsSizeBytes) {
    find(`records of ${report.recordsSizeBytes} bytes were found, of ${recordsSizeBytes} written`);
  }
  return { ...report, findings };
}

function batchOfKeys(
  environment: Environment,
  name: 'current' | 'history',
  start: Buffer,
): Buffer[] {
  const range = { limit: FOLD_SLICE_PAGES_COUNT, ...(start.length > 0 ? { start } : {}) };
  return [...environment[name].getKeys(range)].map((key) => Buffer.from(key));
}

function findingOf(
  codec: PageCodec,
  key: Buffer,
  record: Buffer,
  lsn: Lsn,
  into: Uint8Array,
): string | null {
  const isCurrent = key.length === PAGE_KEY_SIZE_BYTES;
  const place = isCurrent
    ? { pageNumber: key.readUInt32BE(), lsn: lsnOfRecord(record) }
    : placeOfKey(key);
  if (place.lsn > lsn) return `page ${place.pageNumber} at lsn ${place.lsn}, beyond ${lsn}`;
  try {
    decodeRecord(codec, place, record, into);
    return null;
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return error.detail;
  }
}
