// Configuration: schema, load, validate, normalise, and the snapshot that workers read.

export { DISTRIBUTION_DISK } from './defaults.ts';
export { checkFiles, loadConfigFile } from './files.ts';
export type { ConfigIssue, PathPart } from './issue.ts';
export { formatIssue } from './issue.ts';
export type { KeyPlace, LoadResult } from './load.ts';
export { loadConfig, locateKeys } from './load.ts';
export type * from './model.ts';
export { readConfigText, readPlainFileSync } from './plain-file.ts';
export type { KeyGroup } from './schema-pages.ts';
export { documentKeys, jsonSchema, keyGroups } from './schema-pages.ts';
export { openSnapshot, Snapshot } from './snapshot.ts';
export { encodeSnapshot } from './snapshot-writer.ts';
