// A thread of the compute pool. Every export is a task; it gets plain data and returns plain data.

import {
  checkFiles,
  encodeSnapshot,
  type KeyPlace,
  loadConfig,
  locateKeys,
} from '../config/index.ts';
import { encodeRouteTable } from '../kernels/index.ts';
import type { CompileResult, CompileTask, LocateTask } from './compute.ts';

/** From the text of a configuration to what can be published. */
export function compile(task: CompileTask): CompileResult {
  const loaded = loadConfig(task.text, task.fileName);
  if (!loaded.ok) return { ok: false, issues: loaded.issues };
  const fileIssues = checkFiles(loaded.config, task);
  if (fileIssues.length > 0) return { ok: false, issues: fileIssues };
  const routeTable = encodeRouteTable(loaded.config.routes.map((route) => route.match));
  return { ok: true, snapshot: encodeSnapshot(loaded.config, task.generation), routeTable };
}

/** Where keys stand in the text of a configuration. */
export function locate({ text, paths }: LocateTask): readonly KeyPlace[] {
  return locateKeys(text, paths);
}
