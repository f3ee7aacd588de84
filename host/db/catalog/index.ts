// The databases of a folder.

export {
  type CatalogOptions,
  DatabaseCatalog,
  type OpenedPages,
  type ReceivedCopy,
} from './catalog.ts';
export { findAdminUrl } from './folder-lock.ts';
export { checkDatabaseName, isDatabaseName } from './names.ts';
export { type DatabaseOverview, overviewOf } from './overview.ts';
export { type PageConversion, withOwnPages } from './own-pages.ts';
export { beginningOf, type Moment, type Reach, reachOf, replayUpTo } from './restore.ts';
