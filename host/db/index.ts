// Databases: SQLite over a durable log and a page store.

export {
  beginningOf,
  type CatalogOptions,
  checkDatabaseName,
  DatabaseCatalog,
  type DatabaseOverview,
  findAdminUrl,
  isDatabaseName,
  type Moment,
  type OpenedPages,
  type Reach,
  replayUpTo,
  withOwnPages,
} from './catalog/index.ts';
export { DB_PAGE_SIZE_BYTES, type RowSink } from './contract.ts';
export { Database, type DatabaseState, type DatabaseStats } from './database.ts';
export type { DatabaseEvent, DatabaseLimits } from './database-options.ts';
export {
  type Connection,
  compileSqlite,
  type EngineLimits,
  type Repaging,
  repage,
  THREAD_STACK_SIZE_MB,
} from './engine/index.ts';
export { DatabaseFront, ownerOf, WorkerLink } from './front/index.ts';
export { SESSION_LIMITS } from './hrana/index.ts';
export {
  checkSqliteFile,
  exportSqliteFile,
  type LmdbPageStore,
  type PageStoreStats,
  STORE_SIZE_BYTES_MAX_DEFAULT,
  type StoreReport,
} from './page-store/index.ts';
export {
  decideStanding,
  type FollowingEvent,
  type Role,
  Standing,
  standingOfFolder,
  standingWords,
} from './replication/index.ts';
export {
  type BackupPlace,
  type CheckReport,
  checkLog,
  type DatabaseCommand,
  type DatabaseOutcomes,
  DatabaseService,
  openDatabaseOf,
  type ServiceOptions,
  type ServiceStats,
} from './service/index.ts';
export { isSqlError, SqlError, type SqlErrorCode } from './sql-error.ts';
