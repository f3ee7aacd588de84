// Modules for the tests of the plugin host: hand-written text through wabt, and filters in
// AssemblyScript built on the SDK that users have.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import createWabt from 'wabt';

const FEATURES = {
  bulk_memory: true,
  exceptions: true,
  multi_value: true,
  mutable_globals: true,
  reference_types: true,
  sat_float_to_int: true,
  sign_extension: true,
  simd: true,
  tail_call: true,
  threads: true,
};

const execute = promisify(execFile);
const wabt = await createWabt();

/** Assembles a module. */
export function wat(text: string): Uint8Array<ArrayBuffer> {
  const module = wabt.parseWat('test.wat', text, FEATURES);
  try {
    return new Uint8Array(module.toBinary({ write_debug_names: true }).buffer);
  } finally {
    module.destroy();
  }
}

/** Disassembles a module, an instruction a line. */
export function toWat(bytes: Uint8Array): string {
  const module = wabt.readWasm(bytes, { readDebugNames: false, ...FEATURES });
  try {
    return module.toText({ foldExprs: false, inlineExport: false });
  } finally {
    module.destroy();
  }
}

const SDK = '@gcoredev/proxy-wasm-sdk-as/assembly';

/** What the source of each filter begins with. */
export const FILTER_PRELUDE = `
export * from '${SDK}/proxy';
import {
  BufferTypeValues, Context, FilterDataStatusValues, FilterHeadersStatusValues, GrpcStatusValues,
  LogLevelValues, RootContext, get_buffer_bytes, get_property, log, makeHeaderPair,
  registerRootContext, send_http_response, set_buffer_bytes, stream_context
} from '${SDK}';
import { proxy_log } from '${SDK}/imports';
export namespace plugin_process {
  export namespace stdout {
    export function write(line: string): void {
      const bytes = String.UTF8.encode(line.trimEnd());
      proxy_log(2, changetype<usize>(bytes), bytes.byteLength);
    }
  }
}
`;

/** Compiles a filter that is written on the SDK, or finds it in build/ where it was compiled
 *  before. Cost: 3 s of CPU the first time. */
export async function compileFilter(source: string): Promise<Uint8Array<ArrayBuffer>> {
  const text = FILTER_PRELUDE + source;
  const hash = createHash('sha256').update(text).digest('hex');
  const kept = `build/test-filters/${hash}.wasm`;
  if (!existsSync(kept)) await compile(text, kept);
  return new Uint8Array(readFileSync(kept));
}

/** As a program: loaded here, the compiler would pass through tsx, which takes 12 s for its 14
 *  MB. */
async function compile(text: string, kept: string): Promise<void> {
  mkdirSync('build/test-filters', { recursive: true });
  const unfinished = `${kept}.${process.pid}`;
  writeFileSync(`${unfinished}.ts`, text);
  await execute(process.execPath, [
    ...['node_modules/assemblyscript/bin/asc.js', `${unfinished}.ts`, '-O1'],
    ...['--outFile', unfinished, '--path', 'node_modules', '--use', 'abort=abort_proc_exit'],
    ...['--use', `process=${unfinished}/plugin_process`, '--config', 'none'],
  ]);
  rmSync(`${unfinished}.ts`);
  renameSync(unfinished, kept);
}
