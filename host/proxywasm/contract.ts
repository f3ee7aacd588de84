// What the rest of the gateway knows of the Proxy-Wasm host: what a plugin is configured with, what
// a loaded module is, and what the host needs from outside. All plain data that crosses threads,
// but for HostServices, which each thread brings itself.

import type { Clock, ServiceCaller } from '../core/index.ts';

/** What answers a request whose plugin failed: an error (`close`), the request without the plugin
 *  (`open`), or an error and a fresh instance at once for the next request (`reload`). */
export type FailurePolicy = 'close' | 'open' | 'reload';

/** Order of plugins in a chain; within a phase by priority, the highest first, then by name. */
export type PluginPhase = 'authn' | 'authz' | 'unspecified' | 'stats';

/** Who shares an instance: every stream of a worker, nobody, or those with one value of a
 *  header. */
export type Isolation =
  | { readonly kind: 'shared' }
  | { readonly kind: 'request' }
  | { readonly kind: 'tenant'; readonly header: string; readonly countMax: number };

export interface PluginLimits {
  /** Linear memory; rounded down to pages of 64 KiB. */
  readonly memorySizeBytes: number;
  /** For one callback of a stream, and one tick. A step is a loop iteration, or the entry of a
   *  function that is not very short. */
  readonly steps: number;
  /** For start, on_vm_start and on_configure, each. */
  readonly startSteps: number;
  /** What one stream may hold in each direction. */
  readonly bodySizeBytes: number;
  /** Calls to services in flight, for each instance. */
  readonly callsMax: number;
}

export interface PluginSpec {
  readonly name: string;
  /** What the module registered itself as: `plugin_root_id`. */
  readonly rootId: string;
  /** Plugins of one id share data and queues; `''` for those of the same module and vmConfig. */
  readonly vmId: string;
  /** What on_configure and on_vm_start are given. */
  readonly config: Uint8Array;
  readonly vmConfig: Uint8Array;
  readonly env: Readonly<Record<string, string>>;
  readonly phase: PluginPhase;
  readonly priority: number;
  readonly onFailure: FailurePolicy;
  /** Pauses before a failed instance is replaced: the first, and the longest. Units: ms. */
  readonly reload: { readonly baseMs: number; readonly maxMs: number };
  readonly limits: PluginLimits;
  readonly isolation: Isolation;
  /** Host functions that may be called, by name; `*` for all. */
  readonly capabilities: readonly string[];
  /** Whether body callbacks come while a filter holds the headers. */
  readonly allowOnHeadersStopIteration: boolean;
  /** Whether an unknown import is refused instead of answered with UNIMPLEMENTED. */
  readonly strictImports: boolean;
  /** The module has a root context only: it sees no streams. */
  readonly background: boolean;
  /** What get_header_map_value says of a repeated header. */
  readonly repeatedHeaders: 'join' | 'first';
  /** Services by the names that the module knows them under; others by their own. */
  readonly upstreams: Readonly<Record<string, string>>;
}

export type AbiVersion = '0.1.0' | '0.2.0' | '0.2.1';

export interface ModuleImport {
  readonly module: string;
  readonly name: string;
  readonly kind: string;
  /** Whether the host has it. */
  readonly isKnown: boolean;
}

/** What is known of a module without running it. */
export interface ModuleReport {
  /** Of the bytes as they came, in hexadecimal. */
  readonly sha256: string;
  readonly abi: AbiVersion;
  /** Guessed from exports and custom sections: `rust`, `c++`, `go`, `tinygo`, `assemblyscript` or
   *  `unknown`. */
  readonly sdk: string;
  readonly sizeBytes: number;
  readonly rewrittenSizeBytes: number;
  readonly imports: readonly ModuleImport[];
  readonly exports: readonly string[];
  /** Units: pages of 64 KiB. The second is what it asked for, Infinity for no bound. */
  readonly memoryPages: number;
  readonly memoryPagesMax: number;
  readonly functionCount: number;
  /** What does not stop it, and should be known. */
  readonly warnings: readonly string[];
  /** Names of what the rewriter added. */
  readonly fuelExport: string;
  /** `''` where the module has no start function. */
  readonly startExport: string;
}

/** A module ready to be instantiated on any thread: structured-cloneable. */
export interface PluginModule {
  readonly module: WebAssembly.Module;
  readonly report: ModuleReport;
}

export interface LoadOptions {
  /** Expected hash in hexadecimal; `''` for any. */
  readonly sha256: string;
  readonly memorySizeBytesMax: number;
  readonly strictImports: boolean;
}

export type PluginLogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical';

export interface PluginLogLine {
  readonly plugin: string;
  readonly level: PluginLogLevel;
  readonly message: string;
}

/** Timers, so that tests and `sluice plugin test` can drive them. */
export interface Timers {
  /** Calls back every `ms` until the returned function is called. Never keeps a process alive. */
  every(ms: number, onTime: () => void): () => void;
  /** Calls back once. */
  after(ms: number, onTime: () => void): () => void;
}

export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** Metrics that plugins define: one registry for each thread. */
export interface PluginMetrics {
  /** The same id for the same plugin and name; -1 when there are too many, or it is of another
   *  kind. */
  define(plugin: string, kind: MetricKind, name: string): number;
  /** Sets a gauge, adds to a histogram; a counter is set as well. False: no such id. */
  record(id: number, value: number): boolean;
  increment(id: number, delta: number): boolean;
  /** Undefined for no such id. A histogram's is what was recorded last. */
  value(id: number): number | undefined;
}

export interface SharedEntry {
  readonly value: Uint8Array;
  readonly cas: number;
}

/** Data that plugins of one vm id share. Statuses are those of the ABI; `busy`: not to be had in
 *  time. */
export interface SharedData {
  /** Null where there is none. */
  get(vmId: string, key: string): SharedEntry | null | 'busy';
  /** `cas`: 0 for unconditional, 0xffffffff for only where there is none. */
  set(vmId: string, key: string, value: Uint8Array, cas: number): SharedStatus;
}

export type SharedStatus = 'ok' | 'cas-mismatch' | 'full' | 'busy';

/** Queues that plugins share; a token is the same in every thread. */
export interface SharedQueues {
  /** Makes it, or finds it. 0 when there are too many. */
  register(vmId: string, name: string): number;
  /** 0 for none. */
  resolve(vmId: string, name: string): number;
  enqueue(token: number, value: Uint8Array): 'ok' | 'not-found' | 'full' | 'busy';
  dequeue(token: number): Uint8Array | 'not-found' | 'empty' | 'busy';
  /** Calls back, later, once for each message; only the last who asked. Returns what ends it. */
  watch(token: number, onReady: () => void): () => void;
}

/** What the host needs from the thread it runs on. */
export interface HostServices {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Fills with bytes that cannot be guessed. */
  readonly fillRandom: (bytes: Uint8Array) => void;
  readonly log: (line: PluginLogLine) => void;
  /** The lowest level that is written at all. */
  readonly logLevel: PluginLogLevel;
  readonly metrics: PluginMetrics;
  readonly data: SharedData;
  readonly queues: SharedQueues;
  /** Null where plugins can call no service. */
  readonly services: ServiceCaller | null;
}

/** What happened to a plugin, counted. */
export interface PluginCounts {
  /** Streams that began. */
  readonly opened: number;
  /** Instances that started, and those of tenants that were given up for others. */
  readonly started: number;
  readonly evicted: number;
  readonly traps: number;
  /** Where and of what an instance died last; `''` for never. */
  readonly lastTrap: string;
  /** Traps that were for want of steps. */
  readonly stepsExceeded: number;
  readonly failedStreams: number;
  /** The same by the code of the error. */
  readonly failedByCode: Readonly<Record<string, number>>;
  readonly skippedStreams: number;
  readonly stepsUsed: number;
  readonly logLinesDropped: number;
}

/** One module of a plugin on one thread: plain data that is posted. */
export interface PluginReport extends PluginCounts {
  readonly name: string;
  readonly sha256: string;
  /** Instances that live, and streams in them. */
  readonly instances: number;
  readonly streams: number;
}

/** A version of a plugin since it was installed on this thread. */
export interface PluginStats extends PluginReport {
  readonly version: number;
}
