// The databases of a folder.

export {
  type CatalogOptions,
  DatabaseCatalog,
  type OpenedPages,
  type ReceivedCopy,
} from './catalog.ts';
export { checkDatabaseName, isDatabaseName } from './names.ts';
export { type DatabaseOverview, overviewOf } from './overview.ts';
export { type Moment, replayUpTo, stateFor } from './restore.ts';
