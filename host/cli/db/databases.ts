// The databases that `sluice db` works with: of a folder that nobody has, whose lock it then takes,
// or of the gateway that has it, through its admin API.

import type { CheckReport, DatabaseOverview, Moment } from '../../db/index.ts';

/** One that cannot be opened is listed with why. */
export type ListedDatabase =
  | (DatabaseOverview & { readonly error?: never })
  | { readonly name: string; readonly error: string };

export interface Databases {
  /** The folder, where it was not there before: a command may have been typed in a wrong place. */
  readonly newFolder: string | null;
  /** In the order of their names. */
  list(): Promise<readonly ListedDatabase[]>;
  names(): Promise<readonly string[]>;
  overview(name: string): Promise<DatabaseOverview>;
  create(name: string): Promise<void>;
  importFile(name: string, path: string): Promise<void>;
  remove(name: string): Promise<void>;
  check(name: string): Promise<CheckReport>;
  /** Returns the LSN of the state that it begins with. `moment`: null for now. */
  branch(name: string, as: string, moment: Moment | null): Promise<number>;
  /** Writes a file that SQLite opens; it has its name when it is whole. Errors: DB_EXISTS. */
  backup(name: string, path: string, onProgress: Progress): Promise<BackupReport>;
  /** Makes a gateway that follows another one the primary. Returns its term. Errors:
   *  DB_STANDING. */
  promote(): Promise<number>;
  close(): Promise<void>;
}

export type Progress = (doneCount: number, totalCount: number) => void;

export interface BackupReport {
  readonly lsn: number;
  readonly pageCount: number;
}
