// Configuration: schema, load, validate, normalise, and the snapshot that workers read.

export { readDocument } from './document-of.ts';
export { checkFiles, loadConfigFile } from './files.ts';
export type { ConfigIssue, PathPart } from './issue.ts';
export { formatIssue } from './issue.ts';
export { DURATION, text } from './leaves.ts';
export type { KeyPlace, LoadResult } from './load.ts';
export { loadConfig, locateKeys } from './load.ts';
export type * from './model.ts';
export { readConfigText, readPlainFileSync } from './plain-file.ts';
export { withDefault } from './schema-common.ts';
export type { Infer, Schema } from './schema-kit.ts';
export { dictionary, leaf, list, object, optional, required } from './schema-kit.ts';
export type { KeyGroup } from './schema-pages.ts';
export { documentKeys, jsonSchema, keyGroups } from './schema-pages.ts';
export { PLUGIN_GIVEN } from './schema-plugins.ts';
export { openSnapshot, Snapshot } from './snapshot.ts';
export { encodeSnapshot } from './snapshot-writer.ts';
