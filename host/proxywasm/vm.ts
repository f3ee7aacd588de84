// One instance of a module with its contexts: calls into the guest under a limit of steps, and
// tells host functions on whose behalf they are called. A guest that traps is dead from then on,
// whatever it would still answer: after a trap its memory may hold anything.

import { createHash } from 'node:crypto';
import { GatewayError } from '../core/index.ts';
import { hostImports } from './abi/imports.ts';
import { ContextTable } from './context-table.ts';
import { type CallResult, type GuestContext, RootContext, type StreamContext } from './contexts.ts';
import type { HostServices, PluginModule, PluginSpec } from './contract.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { GuestMemory } from './guest-memory.ts';
import { CONTEXTS_COUNT_MAX, HOST_CALL_STEPS, TICK_MS_MIN } from './limits.ts';
import { LogGate } from './log-gate.ts';
import { OutCalls } from './out-calls.ts';
import { shownName } from './shown-name.ts';
import { ROOT_CONTEXT_ID, type VmOwner } from './vm-owner.ts';

/** What a guest ended itself with. */
export class GuestExit extends Error {}
/** The host used up a guest's steps on its behalf. */
class StepsUsedUp extends Error {}

type GuestFunction = (...args: number[]) => number | undefined;

/** Steps that host functions used are taken off the guest's in batches: a global costs 16 ns. What
 *  a guest may overdraw is less than the shortest of its own loops would take. */
const HOST_STEPS_BATCH = 256;
const FALSE = 0;

export class Vm {
  readonly spec: PluginSpec;
  readonly module: PluginModule;
  readonly services: HostServices;
  readonly memory: GuestMemory;
  readonly root = new RootContext(ROOT_CONTEXT_ID);
  readonly log: LogGate;
  readonly calls: OutCalls;
  /** What it defined. */
  readonly metricIds = new Set<number>();
  readonly grpc: GrpcCalls;
  /** Whose call runs, or whom the guest chose to speak for. */
  effective: GuestContext = this.root;
  /** What get_configuration and buffers 6 and 7 give: `vm` while on_vm_start runs. */
  configuring: 'vm' | 'plugin' | null = null;
  /** The guest's start function or _initialize runs: only logs and WASI are there. */
  isStarting = false;
  /** Why it died; null while it lives. */
  death: GatewayError | null = null;
  readonly #owner: VmOwner;
  readonly #exports: WebAssembly.Exports;
  readonly #fuel: WebAssembly.Global;
  readonly #streams = new ContextTable();
  readonly #functions = new Map<string, GuestFunction | null>();
  /** Streams whose onTouched is to be called; those before the index have been. */
  #touched: StreamContext[] = [];
  #toldCount = 0;
  readonly #queueWatches: (() => void)[] = [];
  #nextId = ROOT_CONTEXT_ID + 1;
  #depth = 0;
  #isAllocating = false;
  #hostSteps = 0;
  #active: StreamContext | null = null;
  #stopTick: (() => void) | null = null;
  #vmId: string | null = null;

  /** Instantiates a module; start() follows. Errors: GW_PLUGIN_START. */
  constructor(spec: PluginSpec, module: PluginModule, services: HostServices, owner: VmOwner) {
    this.spec = spec;
    this.module = module;
    this.services = services;
    this.#owner = owner;
    this.log = new LogGate(spec.name, services);
    this.calls = new OutCalls(this);
    this.grpc = new GrpcCalls(this);
    try {
      const instance = new WebAssembly.Instance(module.module, hostImports(this));
      this.#exports = instance.exports;
    } catch (error) {
      throw new GatewayError('GW_PLUGIN_START', `it cannot be instantiated: ${error}`, error);
    }
    this.#fuel = this.#exports[module.report.fuelExport] as WebAssembly.Global;
    const memory = this.#exports.memory;
    if (!(memory instanceof WebAssembly.Memory)) {
      throw new GatewayError('GW_PLUGIN_START', 'it exports no memory');
    }
    this.memory = new GuestMemory(
      memory,
      (sizeBytes) => this.#allocate(sizeBytes),
      (steps) => this.charge(steps),
    );
  }

  /** Starts and configures the guest. Errors: GW_PLUGIN_START with the call that failed. */
  start(): void {
    const { spec } = this;
    const { startExport } = this.module.report;
    this.isStarting = true;
    if (startExport !== '') this.#startCall(startExport, []);
    if (this.has('_initialize')) {
      this.#startCall('_initialize', []);
      if (this.has('main')) this.#startCall('main', [0, 0]);
    } else if (this.has('_start')) this.#startCall('_start', []);
    this.isStarting = false;
    this.#startCall('proxy_on_context_create', [this.root.id, 0]);
    this.configuring = 'vm';
    const isStarted = this.#startCall('proxy_on_vm_start', [this.root.id, spec.vmConfig.length]);
    if (isStarted === FALSE) {
      throw new GatewayError('GW_PLUGIN_START', 'proxy_on_vm_start returned false');
    }
    this.configuring = 'plugin';
    const isConfigured = this.#startCall('proxy_on_configure', [this.root.id, spec.config.length]);
    if (isConfigured === FALSE) {
      throw new GatewayError('GW_PLUGIN_START', 'proxy_on_configure returned false');
    }
    this.configuring = null;
  }

  /** Who shares data and queues with this instance: a hash that few ask for. */
  get vmId(): string {
    this.#vmId ??= vmIdOf(this.spec, this.module.report.sha256);
    return this.#vmId;
  }

  has(name: string): boolean {
    return this.#function(name) !== null;
  }

  context(id: number): GuestContext | undefined {
    return id === this.root.id ? this.root : this.#streams.get(id);
  }

  get streamsCount(): number {
    return this.#streams.size;
  }

  /** Makes a context known to the guest. Null where it died of it. */
  createStream(make: (id: number) => StreamContext): StreamContext | null {
    if (this.death !== null) return null;
    if (this.#streams.size >= CONTEXTS_COUNT_MAX) return null;
    const id = this.#nextId;
    this.#nextId = id >= 0x7fff_fffe ? ROOT_CONTEXT_ID + 1 : id + 1;
    const context = make(id);
    this.#streams.add(context);
    this.callStream(context, 'proxy_on_context_create', [id, this.root.id]);
    return this.death === null ? context : null;
  }

  /** Calls the guest for a stream. Returns 0 where it does not export the function, and where it
   *  died: see `death`. */
  callStream(context: StreamContext, name: string, args: number[]): number {
    const before = this.#active;
    this.#active = context;
    try {
      return this.#call(context, name, args, this.spec.limits.steps);
    } finally {
      this.#active = before;
      this.#tellTouched();
    }
  }

  callRoot(name: string, args: number[]): number {
    try {
      return this.#call(this.root, name, args, this.spec.limits.steps);
    } finally {
      this.#tellTouched();
    }
  }

  /** Whether no more calls to services may begin. */
  get hasAllCalls(): boolean {
    return this.calls.count + this.grpc.count >= this.spec.limits.callsMax;
  }

  /** Calls the root with what a service answered. */
  deliver(result: CallResult, name: string, args: number[]): void {
    const { root } = this;
    root.callMaps[2] = result.headers;
    root.callMaps[3] = result.trailers;
    root.callBody = result.body;
    this.callRoot(name, args);
    root.callMaps.fill(null);
    root.callBody = null;
  }

  /** Ends a stream in the guest: done, logged, deleted; deleted later where the guest says so. */
  finish(context: StreamContext): void {
    const { id } = context;
    context.onTouched = null;
    if (this.death !== null) {
      this.#forget(context);
      return;
    }
    const isDone =
      !this.has('proxy_on_done') || this.callStream(context, 'proxy_on_done', [id]) !== FALSE;
    if (isDone || this.death !== null) this.release(context);
    else context.isFinishing = true;
  }

  /** Logs and deletes a stream whose guest is done with it. */
  release(context: StreamContext): void {
    const { id } = context;
    context.isFinishing = false;
    context.isLogging = true;
    this.callStream(context, 'proxy_on_log', [id]);
    this.callStream(context, 'proxy_on_delete', [id]);
    this.#forget(context);
  }

  /** The guest is done with a stream: it is released when the guest's call has ended. */
  releaseLater(context: StreamContext): void {
    context.onTouched = () => this.release(context);
    this.#tellLater(context);
  }

  /** A host function begins: whether it may go on. It pays for itself and for what it copies. */
  enter(): boolean {
    return this.enterStarting() && !this.isStarting;
  }

  /** The same for what may be called while the guest starts. */
  enterStarting(): boolean {
    return this.enterAnyTime() && !this.#isAllocating;
  }

  /** The same for WASI, which never asks the guest for memory: a runtime whose allocator collects
   *  garbage or grows the memory reads the clock in it, and ends itself where it may not. */
  enterAnyTime(): boolean {
    // What is refused is paid for too: a guest may ask again and again.
    this.charge(HOST_CALL_STEPS);
    return this.death === null;
  }

  /** Takes steps off the guest's. Errors: throws through the guest when there are none left. */
  charge(steps: number): void {
    this.#hostSteps += steps;
    if (this.#hostSteps < HOST_STEPS_BATCH) return;
    const left = this.#fuel.value - this.#hostSteps;
    this.#hostSteps = 0;
    this.#fuel.value = left < 0 ? -1 : left;
    if (left < 0) throw new StepsUsedUp();
  }

  /** A stream other than the one that is called has to look at what was asked of it. */
  touch(context: StreamContext): void {
    if (context !== this.#active) this.#tellLater(context);
  }

  setTick(ms: number): void {
    this.#stopTick?.();
    this.#stopTick = null;
    if (ms === 0) return;
    this.#stopTick = this.services.timers.every(Math.max(ms, TICK_MS_MIN), () => {
      this.callRoot('proxy_on_tick', [this.root.id]);
    });
  }

  watchQueue(token: number): void {
    const stop = this.services.queues.watch(token, () => {
      this.callRoot('proxy_on_queue_ready', [this.root.id, token]);
    });
    this.#queueWatches.push(stop);
  }

  /** Ends what would call the guest again. */
  close(): void {
    this.#stopTick?.();
    this.#stopTick = null;
    for (const stop of this.#queueWatches.splice(0)) stop();
    this.calls.close();
    this.grpc.close();
  }

  #forget(context: StreamContext): void {
    if (this.grpc.count > 0) this.grpc.endOf(context);
    if (this.#streams.delete(context)) this.#owner.onStreamGone(this);
  }

  #startCall(name: string, args: number[]): number {
    const { startSteps } = this.spec.limits;
    if (!this.has(name)) return 1;
    const result = this.#call(this.root, name, args, startSteps);
    if (this.death === null) return result;
    throw new GatewayError('GW_PLUGIN_START', this.death.detail, this.death);
  }

  #call(context: GuestContext, name: string, args: number[], steps: number): number {
    const target = this.#function(name);
    if (target === null || this.death !== null) return 0;
    const isOutermost = this.#depth === 0;
    const before = this.effective;
    if (isOutermost) {
      this.#fuel.value = steps;
      this.#hostSteps = 0;
    }
    this.effective = context;
    this.#depth += 1;
    try {
      return apply(target, args);
    } catch (error) {
      this.#die(name, error, steps);
      return 0;
    } finally {
      this.#depth -= 1;
      this.effective = before;
      if (isOutermost) {
        this.log.endLines();
        this.#owner.onSteps(steps - Math.max(0, this.#fuel.value - this.#hostSteps));
      }
    }
  }

  #function(name: string): GuestFunction | null {
    const known = this.#functions.get(name);
    if (known !== undefined) return known;
    const found = this.#exports[name];
    const target = typeof found === 'function' ? (found as GuestFunction) : null;
    this.#functions.set(name, target);
    return target;
  }

  #allocate(sizeBytes: number): number {
    const name = this.has('proxy_on_memory_allocate') ? 'proxy_on_memory_allocate' : 'malloc';
    const target = this.#function(name);
    if (target === null || this.#isAllocating) return 0;
    this.#isAllocating = true;
    try {
      return target(sizeBytes) ?? 0;
    } finally {
      this.#isAllocating = false;
    }
  }

  #die(name: string, error: unknown, steps: number): void {
    if (this.death !== null) return;
    const isSpent = this.#fuel.value < 0;
    const code = isSpent ? 'GW_PLUGIN_STEPS' : 'GW_PLUGIN_TRAP';
    const why = isSpent ? `more than ${steps} steps` : describeTrap(error);
    this.death = new GatewayError(code, `${name}: ${why}`, error);
    this.#isAllocating = false;
    this.log.endLines();
    this.log.host('error', `${this.death.detail}${traceOf(error)}`);
    this.close();
    this.#owner.onDeath(this, this.death);
    for (const context of this.#streams.all()) {
      if (context.isFinishing) this.#forget(context);
      else this.touch(context);
    }
  }

  #tellLater(context: StreamContext): void {
    if (context.isTouched) return;
    context.isTouched = true;
    this.#touched.push(context);
  }

  #tellTouched(): void {
    if (this.#depth > 0 || this.#touched.length === 0) return;
    // What they do may touch further ones, and tell all there are.
    while (this.#toldCount < this.#touched.length) {
      const context = this.#touched[this.#toldCount]!;
      this.#toldCount += 1;
      context.isTouched = false;
      context.onTouched?.();
    }
    this.#touched = [];
    this.#toldCount = 0;
  }
}

/** By count of arguments: to spread them costs more than the call. */
function apply(target: GuestFunction, args: readonly number[]): number {
  switch (args.length) {
    case 1:
      return target(args[0]!) ?? 0;
    case 2:
      return target(args[0]!, args[1]!) ?? 0;
    case 3:
      return target(args[0]!, args[1]!, args[2]!) ?? 0;
    default:
      return target(...args) ?? 0;
  }
}

/** Who a plugin shares with. Instances of one module with other VM configurations are other VMs. */
export function vmIdOf({ vmId, vmConfig }: PluginSpec, sha256: string): string {
  if (vmId !== '') return vmId;
  return `${sha256}\n${createHash('sha256').update(vmConfig).digest('hex').slice(0, 16)}`;
}

function describeTrap(error: unknown): string {
  if (error instanceof GuestExit) return error.message;
  if (error instanceof RangeError) return 'the stack is used up';
  return error instanceof Error ? error.message : String(error);
}

/** The guest's functions on the stack, as its name section calls them. */
function traceOf(error: unknown): string {
  if (!(error instanceof WebAssembly.RuntimeError)) return '';
  const frames = [...(error.stack ?? '').matchAll(/at (\S+) \(wasm:/g)].map((frame) =>
    shownName(frame[1]!),
  );
  return frames.length === 0 ? '' : ` (in ${frames.slice(0, 8).join(' < ')})`;
}
