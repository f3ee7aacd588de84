export {
  type BackupPlace,
  type CheckReport,
  checkLog,
  type DatabaseCommand,
  DatabaseCommands,
  type DatabaseOutcomes,
} from './commands.ts';
export { type OpenDatabaseOptions, openDatabaseOf } from './open-database.ts';
export { DatabaseService, type ServiceOptions, type ServiceStats } from './service.ts';
export { DatabaseShelf, type OpenedDatabase, type ShelfOptions } from './shelf.ts';
