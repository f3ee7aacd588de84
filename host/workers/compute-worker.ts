// A thread of the compute pool. Every export is a task; it gets plain data and returns plain data.

import {
  checkFiles,
  encodeSnapshot,
  type KeyPlace,
  loadConfig,
  locateKeys,
} from '../config/index.ts';
import { isGatewayError, systemClock } from '../core/index.ts';
import { repage as repageFile } from '../db/index.ts';
import {
  type DeltaTask,
  type FormResult,
  makeDelta,
  makeVariant,
  Store,
  type VariantTask,
  type ZstdTools,
} from '../distribution/index.ts';
import {
  Codec,
  compileCodec,
  encodeRouteTable,
  ZstdDecoder,
  ZstdEncoder,
} from '../kernels/index.ts';
import { readWasm } from './assets.ts';
import type {
  CompileResult,
  CompileTask,
  FormOutcome,
  LocateTask,
  RepageOutcome,
  RepageTask,
} from './compute.ts';

/** From the text of a configuration to what can be published. */
export function compile(task: CompileTask): CompileResult {
  const loaded = loadConfig(task.text, task.fileName);
  if (!loaded.ok) return { ok: false, issues: loaded.issues };
  const fileIssues = checkFiles(loaded.config, task);
  if (fileIssues.length > 0) return { ok: false, issues: fileIssues };
  const routeTable = encodeRouteTable(loaded.config.routes.map((route) => route.match));
  return { ok: true, snapshot: encodeSnapshot(loaded.config, task.generation), routeTable };
}

/** Puts a delta into a store. */
export function delta(task: DeltaTask): Promise<FormOutcome> {
  return asData(() => makeDelta(new Store(task.dir, codecTools().codec), codecTools(), task));
}

/** Puts a compressed variant into a store. */
export function variant(task: VariantTask): Promise<FormOutcome> {
  return asData(() => makeVariant(new Store(task.dir, codecTools().codec), codecTools(), task));
}

interface CodecTools extends ZstdTools {
  readonly codec: Codec;
}

let tools: CodecTools | undefined;

/** This thread's own, made when the first task wants them. */
function codecTools(): CodecTools {
  if (tools !== undefined) return tools;
  const module = compileCodec(readWasm('codec.wasm'));
  tools = {
    codec: new Codec(module),
    encoder: new ZstdEncoder(module),
    decoder: new ZstdDecoder(module),
  };
  return tools;
}

async function asData(run: () => Promise<FormResult>): Promise<FormOutcome> {
  try {
    return { ok: true, result: await run() };
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return { ok: false, code: error.code, detail: error.detail };
  }
}

/** A database file with our pages. */
export function repage(task: RepageTask): RepageOutcome {
  try {
    repageFile({ ...task, clock: systemClock });
    return { ok: true };
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return { ok: false, code: error.code, detail: error.detail };
  }
}

/** The index of a release. */
export { runIndexTask as indexRelease } from './index-task.ts';

/** A plugin, loaded and tried. */
export { runPluginTask as loadPlugin } from './plugins/plugin-task.ts';

/** Where keys stand in the text of a configuration. */
export function locate({ text, paths }: LocateTask): readonly KeyPlace[] {
  return locateKeys(text, paths);
}
