// Pages folded out of the log, kept in LMDB; the only folder that imports it.

export type { StoreReport } from './check.ts';
export type { BranchBase, FoldedState } from './meta.ts';
export {
  type ExportSource,
  exportSqliteFile,
  openSqliteFile,
  type SqliteFile,
} from './sqlite-file.ts';
export { LmdbPageStore, type PageStoreOptions, type PageStoreStats } from './store.ts';
