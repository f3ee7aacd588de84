// Pages folded out of the log, kept in LMDB; the only folder that imports it.

export type { StoreReport } from './check.ts';
export { STORE_SIZE_BYTES_MAX_DEFAULT } from './limits.ts';
export type { BranchBase, FoldedState } from './meta.ts';
export type { PageStoreOptions, PageStoreStats } from './options.ts';
export {
  checkSqliteFile,
  type ExportSource,
  exportSqliteFile,
  openSqliteFile,
  readExportChunk,
  type SqliteFile,
} from './sqlite-file.ts';
export { LmdbPageStore } from './store.ts';
