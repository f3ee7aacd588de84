// A module's imports, linked: every host function under its names, guarded. A function that the
// plugin has no capability for, or an ABI function that is called from malloc or in a start
// function, answers with a failure and does nothing; one that the host does not have answers
// UNIMPLEMENTED.

import type { ModuleImport } from '../contract.ts';
import { shownName } from '../shown-name.ts';
import type { Vm } from '../vm.ts';
import { bufferFunctions } from './buffers.ts';
import { callFunctions } from './calls.ts';
import { clockFunctions } from './clock.ts';
import { foreignFunctions } from './foreign.ts';
import type { HostFunction, HostFunctions } from './function.ts';
import { grpcFunctions } from './grpc.ts';
import { headerFunctions } from './header-maps.ts';
import { legacyFunctions } from './legacy.ts';
import { logFunctions } from './logging.ts';
import { metricFunctions } from './metrics.ts';
import { propertyFunctions } from './properties.ts';
import { sharedFunctions } from './shared.ts';
import { streamFunctions } from './streams.ts';
import { INTERNAL_FAILURE, UNIMPLEMENTED } from './values.ts';
import { wasiFunctions } from './wasi.ts';

export const WASI_MODULES: readonly string[] = ['wasi_snapshot_preview1', 'wasi_unstable'];

/** "Capabilities insufficient". Source: WASI preview 1, errno. */
const WASI_NOT_CAPABLE = 76;
/** When a function may be called: not while the module starts or allocates, not while it
 *  allocates, or always, as all of WASI. */
type Time = 'running' | 'starting' | 'any';

const TIMES: Readonly<Record<string, Time>> = {
  proxy_log: 'starting',
  emscripten_notify_memory_growth: 'any',
};

type Chapter = (vm: Vm) => HostFunctions;

const CHAPTERS: readonly Chapter[] = [
  logFunctions,
  clockFunctions,
  bufferFunctions,
  headerFunctions,
  propertyFunctions,
  streamFunctions,
  callFunctions,
  grpcFunctions,
  sharedFunctions,
  metricFunctions,
  foreignFunctions,
  legacyFunctions,
];

/** Names of all host functions: those of the ABI, and those of WASI. */
export interface HostFunctionNames {
  readonly env: ReadonlySet<string>;
  readonly wasi: ReadonlySet<string>;
}

/** By the names of a chapter's functions. */
type Homes = ReadonlyMap<string, Chapter>;

// Chapters only close over the instance, so that their names are known without one.
const ENV: Homes = homesOf(CHAPTERS);
const WASI: Homes = homesOf([wasiFunctions]);

function homesOf(chapters: readonly Chapter[]): Homes {
  const none = {} as Vm;
  return new Map(
    chapters.flatMap((chapter) => Object.keys(chapter(none)).map((name) => [name, chapter])),
  );
}

export function hostFunctionNames(): HostFunctionNames {
  return { env: new Set(ENV.keys()), wasi: new Set(WASI.keys()) };
}

/** Whether the host has a function. */
export function isHostFunction(module: string, name: string): boolean {
  return homesIn(module)?.has(name) === true;
}

function homesIn(module: string): Homes | undefined {
  if (module === 'env') return ENV;
  return WASI_MODULES.includes(module) ? WASI : undefined;
}

/** What a module is instantiated with. Only chapters that it imports from are made: all of them
 *  would be most of what a tenant's first request allocates. */
export function hostImports(vm: Vm): WebAssembly.Imports {
  const imports = withoutPrototype<WebAssembly.ModuleImports>();
  const made = new Map<Chapter, HostFunctions>();
  for (const known of vm.module.report.imports) {
    const homes = homesIn(known.module);
    const chapter = homes?.get(known.name);
    let found: HostFunction | undefined;
    if (chapter !== undefined) {
      const functions = made.get(chapter) ?? chapter(vm);
      made.set(chapter, functions);
      found = functions[known.name];
    }
    imports[known.module] ??= withoutPrototype();
    imports[known.module]![known.name] = link(vm, known, found, homes === WASI);
  }
  return imports;
}

/** A module may import from `__proto__`, and what it calls `constructor`. */
function withoutPrototype<Value>(): Record<string, Value> {
  return Object.create(null) as Record<string, Value>;
}

function link(
  vm: Vm,
  { module, name }: ModuleImport,
  found: HostFunction | undefined,
  isWasi: boolean,
): WebAssembly.ImportValue {
  const { capabilities } = vm.spec;
  if (found === undefined) {
    const full = `${shownName(module)}.${shownName(name)}`;
    return () => {
      if (vm.enterStarting()) {
        vm.log.host('warn', `it calls ${full}, which this host does not have`);
      }
      return UNIMPLEMENTED;
    };
  }
  const refusal = isWasi ? WASI_NOT_CAPABLE : INTERNAL_FAILURE;
  const isAllowed = capabilities.includes('*') || capabilities.includes(name);
  if (!isAllowed) {
    return () => {
      if (vm.enterStarting()) vm.log.host('warn', `it calls ${name} without the capability`);
      return refusal;
    };
  }
  return guard(vm, found, refusal, isWasi ? 'any' : (TIMES[name] ?? 'running'));
}

type Loose = (...args: unknown[]) => number;

function entryOf(vm: Vm, time: Time): () => boolean {
  if (time === 'any') return () => vm.enterAnyTime();
  return time === 'starting' ? () => vm.enterStarting() : () => vm.enter();
}

/** By count of arguments, for a rest parameter costs an array at each call. */
function guard(vm: Vm, found: HostFunction, refusal: number, time: Time): Loose {
  const call = found as unknown as Loose;
  const mayEnter = entryOf(vm, time);
  switch (found.length) {
    case 0:
      return () => (mayEnter() ? call() : refusal);
    case 1:
      return (a) => (mayEnter() ? call(a) : refusal);
    case 2:
      return (a, b) => (mayEnter() ? call(a, b) : refusal);
    case 3:
      return (a, b, c) => (mayEnter() ? call(a, b, c) : refusal);
    case 4:
      return (a, b, c, d) => (mayEnter() ? call(a, b, c, d) : refusal);
    case 5:
      return (a, b, c, d, e) => (mayEnter() ? call(a, b, c, d, e) : refusal);
    default:
      return (...args) => (mayEnter() ? call(...args) : refusal);
  }
}
