// Keys that a running gateway cannot change: sockets, threads and the admin API are made once. A
// reload that would change one is refused as a whole, rather than half applied.

import type { PathPart, Snapshot } from '../config/index.ts';

const KEYS = ['listeners', 'admin', 'workers', 'log', 'pluginStore', 'distribution', 'db'] as const;
/** As the file calls them. */
const NAMES = {
  listeners: 'listen',
  admin: 'admin',
  workers: 'workers',
  log: 'log',
  pluginStore: 'pluginStore',
  distribution: 'distribution',
  db: 'db',
} as const;

export const RESTART_MESSAGE = 'cannot change in a reload; restart the gateway for it';

/** Where two configurations differ in what needs a restart: for each of these keys the first part
 *  that does. Shape: `['listen', 0, 'port']`. */
export function restartPaths(before: Snapshot, next: Snapshot): (readonly PathPart[])[] {
  const paths: (readonly PathPart[])[] = [];
  for (const key of KEYS) {
    if (isSame(before[key], next[key])) continue;
    paths.push([NAMES[key], ...firstDifference(before[key], next[key], DEPTH_MAX[key])]);
  }
  return paths;
}

/** Deeper parts are called otherwise in the file. */
const DEPTH_MAX = {
  listeners: 2,
  admin: 1,
  workers: 1,
  log: 1,
  pluginStore: 0,
  distribution: 0,
  db: 0,
} as const;

function firstDifference(before: unknown, next: unknown, depthMax: number): PathPart[] {
  // A key that one of the two does not have is named by itself.
  if (!isObject(before) || !isObject(next)) return [];
  const names = Object.keys(before) as (keyof typeof before)[];
  // Of lists that differ in length no entry is the culprit.
  if (depthMax === 0 || names.length !== Object.keys(next).length) return [];
  const name = names.find((candidate) => !isSame(before[candidate], next[candidate]));
  if (name === undefined) return [];
  const part = Array.isArray(before) ? Number(name) : name;
  return [part, ...firstDifference(before[name], next[name], depthMax - 1)];
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
