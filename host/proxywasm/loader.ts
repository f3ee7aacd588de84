// From a file's bytes to a module that can be instantiated on any thread: checked, metered,
// compiled once. A pure function of the bytes, so that it can run in the compute pool; what it
// makes can be posted.

import { createHash } from 'node:crypto';
import { GatewayError } from '../core/index.ts';
import { isHostFunction, WASI_MODULES } from './abi/imports.ts';
import type {
  AbiVersion,
  LoadOptions,
  ModuleImport,
  ModuleReport,
  PluginModule,
} from './contract.ts';
import { MEMORY_SIZE_BYTES_MAX, MODULE_SIZE_BYTES_MAX, PAGE_SIZE_BYTES } from './limits.ts';
import { rewriteModule } from './rewriter/rewrite.ts';
import { shownName } from './shown-name.ts';

const ABI_MARKERS: readonly [string, AbiVersion][] = [
  ['proxy_abi_version_0_1_0', '0.1.0'],
  ['proxy_abi_version_0_2_0', '0.2.0'],
  ['proxy_abi_version_0_2_1', '0.2.1'],
];

/** Loads a module. Errors: GW_PLUGIN_HASH, GW_PLUGIN_NOT_WASM, GW_PLUGIN_ABI, GW_PLUGIN_IMPORT,
 *  GW_PLUGIN_INSTRUCTION, GW_PLUGIN_LIMIT. Cost: some 100 ms for 1 MiB. */
export function loadModule(bytes: Uint8Array<ArrayBuffer>, options: LoadOptions): PluginModule {
  if (bytes.length > MODULE_SIZE_BYTES_MAX) {
    const detail = `the module has ${bytes.length} bytes, the limit is ${MODULE_SIZE_BYTES_MAX}`;
    throw new GatewayError('GW_PLUGIN_LIMIT', detail);
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (options.sha256 !== '' && options.sha256.toLowerCase() !== sha256) {
    throw new GatewayError('GW_PLUGIN_HASH', `it is ${sha256}, expected ${options.sha256}`);
  }
  const original = compileOriginal(bytes);
  const exports = WebAssembly.Module.exports(original).map(({ name }) => name);
  const abi = abiOf(exports);
  const imports = WebAssembly.Module.imports(original).map(toImport);
  const warnings = checkImports(imports, options.strictImports);
  if (!exports.includes('malloc') && !exports.includes('proxy_on_memory_allocate')) {
    warnings.push('it exports no allocator: it can be given no bytes');
  }
  const sizeBytesMax = Math.min(options.memorySizeBytesMax, MEMORY_SIZE_BYTES_MAX);
  const rewritten = rewriteModule(bytes, Math.floor(sizeBytesMax / PAGE_SIZE_BYTES));
  const report: ModuleReport = {
    sha256,
    abi,
    sdk: sdkOf(bytes, original, exports, imports),
    sizeBytes: bytes.length,
    rewrittenSizeBytes: rewritten.bytes.length,
    imports,
    exports,
    memoryPages: rewritten.memoryPages,
    memoryPagesMax: rewritten.memoryPagesMax,
    functionCount: rewritten.functionCount,
    warnings,
    fuelExport: rewritten.fuelExport,
    startExport: rewritten.startExport,
  };
  return { module: new WebAssembly.Module(rewritten.bytes), report };
}

function compileOriginal(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new GatewayError('GW_PLUGIN_NOT_WASM', detail, error);
  }
}

function abiOf(exports: readonly string[]): AbiVersion {
  const found = ABI_MARKERS.findLast(([marker]) => exports.includes(marker));
  if (found !== undefined) return found[1];
  const detail = 'it exports none of proxy_abi_version_0_1_0, _0_2_0 and _0_2_1';
  throw new GatewayError('GW_PLUGIN_ABI', detail);
}

function toImport({ module, name, kind }: WebAssembly.ModuleImportDescriptor): ModuleImport {
  return { module, name, kind, isKnown: kind === 'function' && isHostFunction(module, name) };
}

/** What is not known, as warnings. */
function checkImports(imports: readonly ModuleImport[], isStrict: boolean): string[] {
  const warnings: string[] = [];
  for (const { module, name, kind, isKnown } of imports) {
    if (isKnown) continue;
    const full = `${shownName(module)}.${shownName(name)}`;
    const detail = `it imports the ${kind} ${full}, which this host does not have`;
    if (isStrict || kind !== 'function') throw new GatewayError('GW_PLUGIN_IMPORT', detail);
    warnings.push(detail);
  }
  return warnings;
}

/** The names of AssemblyScript's library files, which its checks hold, are in UTF-16. */
const ASSEMBLYSCRIPT_MARK = Buffer.from('~lib/', 'utf16le');
/** Where a panic of Rust's library says that it is from. */
const RUST_MARK = 'library/alloc/src/';

function sdkOf(
  bytes: Uint8Array,
  module: WebAssembly.Module,
  exports: readonly string[],
  imports: readonly ModuleImport[],
): string {
  const producers = WebAssembly.Module.customSections(module, 'producers')
    .map((section) => Buffer.from(section).toString('latin1'))
    .join('');
  if (producers.includes('TinyGo')) return 'tinygo';
  if (producers.includes('Go')) return 'go';
  if (producers.includes('Rust') || producers.includes('rustc')) return 'rust';
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (data.includes(RUST_MARK)) return 'rust';
  if (data.includes(ASSEMBLYSCRIPT_MARK)) return 'assemblyscript';
  if (exports.some((name) => name.startsWith('emscripten_') || name.startsWith('__emscripten'))) {
    return 'c++';
  }
  if (imports.some(({ name }) => name === 'emscripten_notify_memory_growth')) return 'c++';
  if (producers.includes('clang')) return 'c++';
  if (imports.some(({ name }) => name === 'poll_oneoff')) return 'go';
  if (exports.some((name) => name.startsWith('__new') || name === 'malloc')) {
    const isWasi = imports.some((known) => WASI_MODULES.includes(known.module));
    return isWasi ? 'assemblyscript' : 'unknown';
  }
  return 'unknown';
}
