// `sluice.release.json` in a folder that is published: what a release says of its files.
//
//   { "entryPoints": ["main.js"], "priorities": { "fonts/": "idle", "main.css": "critical" } }
//
// A key of `priorities` is a path, or a folder with a slash at its end; the longest one that fits
// counts. Entry points are critical where nothing else is said, everything else is normal.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  GatewayError,
  RELEASE_FILES_COUNT_MAX,
  RESOURCE_PATH_SIZE_BYTES_MAX,
} from '../core/index.ts';
import { errorCode } from './durable-file.ts';
import { Fields, parseJson, shown } from './fields.ts';
import { PRIORITIES, type Priority, type ReleaseFile } from './model.ts';

export const RELEASE_OPTIONS_FILE = 'sluice.release.json';
const CODE = 'GW_DIST_TREE';

export interface ReleaseOptions {
  readonly entryPoints: readonly string[];
  readonly priorities: Readonly<Record<string, Priority>>;
}

/** What the folder says; nothing where there is no such file. Errors: GW_DIST_TREE. */
export async function readReleaseOptions(dir: string): Promise<ReleaseOptions> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(join(dir, RELEASE_OPTIONS_FILE));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { entryPoints: [], priorities: {} };
    throw new GatewayError(CODE, `${RELEASE_OPTIONS_FILE}: ${errorCode(error)}`, error);
  }
  return parseReleaseOptions(bytes);
}

export function parseReleaseOptions(bytes: Uint8Array): ReleaseOptions {
  const value = parseJson(bytes, RELEASE_OPTIONS_FILE, CODE);
  const fields = new Fields(value, RELEASE_OPTIONS_FILE, ['entryPoints', 'priorities'], CODE);
  const has = (key: string) => fields.get(key) !== undefined;
  return {
    entryPoints: has('entryPoints')
      ? fields.list('entryPoints', RELEASE_FILES_COUNT_MAX, readText)
      : [],
    priorities: has('priorities')
      ? fields.map('priorities', RELEASE_FILES_COUNT_MAX, (one, place) => {
          const priority = PRIORITIES.find((name) => name === one);
          if (priority !== undefined) return priority;
          const detail = `${place} is ${shown(one)}; expected one of ${PRIORITIES.join(', ')}`;
          throw new GatewayError(CODE, detail);
        })
      : {},
  };
}

/** Gives each file its priority. Errors: GW_DIST_REFERENCE for what fits no file. */
export function withPriorities(
  files: readonly Omit<ReleaseFile, 'priority'>[],
  options: ReleaseOptions,
): ReleaseFile[] {
  const used = new Set<string>();
  const result = files.map((file): ReleaseFile => {
    const key = keyFor(file.path, options.priorities);
    if (key !== null) used.add(key);
    const fallback = options.entryPoints.includes(file.path) ? 'critical' : 'normal';
    return { ...file, priority: key === null ? fallback : options.priorities[key]! };
  });
  for (const key of Object.keys(options.priorities)) {
    if (used.has(key) || files.some(({ path }) => isUnder(path, key))) continue;
    throw new GatewayError('GW_DIST_REFERENCE', `priorities: ${shown(key)} fits no file`);
  }
  return result;
}

function keyFor(path: string, priorities: ReleaseOptions['priorities']): string | null {
  if (Object.hasOwn(priorities, path)) return path;
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    const folder = path.slice(0, at + 1);
    if (Object.hasOwn(priorities, folder)) return folder;
  }
  return null;
}

function isUnder(path: string, key: string): boolean {
  return key.endsWith('/') && path.startsWith(key);
}

function readText(value: unknown, place: string): string {
  const lengthMax = RESOURCE_PATH_SIZE_BYTES_MAX;
  if (typeof value === 'string' && value !== '' && value.length <= lengthMax) return value;
  throw new GatewayError(CODE, `${place} is no path of 1 to ${lengthMax} characters`);
}
