// A database file with pages of 4,096 bytes, whatever it has: what an import reads.

import { rm } from 'node:fs/promises';
import { DB_PAGE_SIZE_BYTES } from '../contract.ts';
import { checkSqliteFile } from '../page-store/index.ts';

export interface PageConversion {
  /** Where nothing is yet. */
  readonly temporaryPath: () => string;
  /** Writes `source` once more, as engine/repage.ts does. */
  readonly repage: (source: string, target: string) => void | Promise<void>;
}

/** Runs a job with the file itself, or with one of our pages that is made of it and removed
 *  afterwards. Errors: DB_FORMAT, those of `repage`, and those of the job. */
export async function withOwnPages<T>(
  path: string,
  { temporaryPath, repage }: PageConversion,
  job: (path: string) => Promise<T>,
): Promise<T> {
  const { pageSizeBytes } = await checkSqliteFile(path);
  if (pageSizeBytes === DB_PAGE_SIZE_BYTES) return job(path);
  const target = temporaryPath();
  try {
    await repage(path, target);
    return await job(target);
  } finally {
    await rm(target, { force: true });
  }
}
