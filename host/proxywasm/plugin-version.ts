// One version of a plugin on one thread: its instances, by its isolation, with their deaths and
// returns. Streams keep the version they began with; when it is superseded and the last of them has
// ended, its instances are closed.

import { type ErrorCode, type GatewayError, headerValue } from '../core/index.ts';
import type { HostServices, PluginModule, PluginSpec, PluginStats } from './contract.ts';
import { Vm } from './vm.ts';
import type { VmOwner } from './vm-owner.ts';

const SHARED_KEY = '';
/** Of what a guest died of, for reports that are posted each second. */
const TRAP_LENGTH_MAX = 200;

/** Where an instance should be and is not: when it may be tried again. */
interface Absence {
  readonly error: GatewayError;
  readonly untilMs: number;
  readonly pauseMs: number;
}

export class PluginVersion implements VmOwner {
  readonly spec: PluginSpec;
  readonly module: PluginModule;
  readonly number: number;
  readonly #services: HostServices;
  /** By tenant; the shared one under ''. In the order of use, the least recent first. */
  readonly #instances = new Map<string, Vm>();
  /** The same the other way round: thousands of tenants are not searched when a stream ends. */
  readonly #keys = new Map<Vm, string>();
  /** All that have streams, also those no longer in #instances. */
  readonly #live = new Set<Vm>();
  #absence: Absence | null = null;
  #isRetired = false;
  #isClosed = false;
  readonly #counts = {
    opened: 0,
    started: 0,
    evicted: 0,
    traps: 0,
    lastTrap: '',
    stepsExceeded: 0,
    failedStreams: 0,
    failedByCode: {} as Record<string, number>,
    skippedStreams: 0,
    stepsUsed: 0,
    logLinesDropped: 0,
  };

  constructor(spec: PluginSpec, module: PluginModule, number: number, services: HostServices) {
    this.spec = spec;
    this.module = module;
    this.number = number;
    this.#services = services;
  }

  /** Makes the first instance. Errors: GW_PLUGIN_START; the version is of no use then. */
  start(): void {
    const vm = this.#make();
    if (this.spec.isolation.kind === 'shared' || this.spec.background) {
      this.#keep(SHARED_KEY, vm);
    } else this.#drop(vm);
  }

  /** The instance for a stream, or why there is none. */
  instance(requestHeaders: readonly string[]): Vm | GatewayError {
    const { isolation } = this.spec;
    if (isolation.kind === 'request') return this.#tryMake();
    const key =
      isolation.kind === 'tenant'
        ? (headerValue(requestHeaders, isolation.header) ?? SHARED_KEY)
        : SHARED_KEY;
    const known = this.#instances.get(key);
    if (known !== undefined) {
      if (isolation.kind === 'tenant') this.#use(key, known);
      return known;
    }
    const made = this.#tryMake();
    if (made instanceof Vm) {
      this.#keep(key, made);
      if (isolation.kind === 'tenant') this.#evict(isolation.countMax);
    }
    return made;
  }

  countOpened(): void {
    this.#counts.opened += 1;
  }

  countFailed(code: ErrorCode): void {
    const { failedByCode } = this.#counts;
    this.#counts.failedStreams += 1;
    failedByCode[code] = (failedByCode[code] ?? 0) + 1;
  }

  countSkipped(): void {
    this.#counts.skippedStreams += 1;
  }

  /** No stream begins here any more. */
  retire(): void {
    this.#isRetired = true;
    for (const vm of [...this.#live]) this.#dropIdle(vm);
    this.#forgetAll();
  }

  /** The thread ends. */
  close(): void {
    this.#isClosed = true;
    for (const vm of [...this.#live]) this.#drop(vm);
    this.#forgetAll();
  }

  /** Whether anything of it lives. */
  get isLive(): boolean {
    return this.#live.size > 0;
  }

  stats(): PluginStats {
    let streams = 0;
    let dropped = this.#counts.logLinesDropped;
    for (const vm of this.#live) {
      streams += vm.streamsCount;
      dropped += vm.log.droppedCount;
    }
    const { name } = this.spec;
    const { sha256 } = this.module.report;
    const instances = this.#live.size;
    const failedByCode = { ...this.#counts.failedByCode };
    const known = { ...this.#counts, failedByCode, logLinesDropped: dropped };
    return { name, sha256, version: this.number, instances, streams, ...known };
  }

  onSteps(steps: number): void {
    this.#counts.stepsUsed += steps;
  }

  onStreamGone(vm: Vm): void {
    if (vm.streamsCount > 0) return;
    if (!this.#keys.has(vm) || this.#isRetired) this.#drop(vm);
  }

  onDeath(vm: Vm, death: GatewayError): void {
    this.#counts.traps += 1;
    this.#counts.lastTrap = death.detail.slice(0, TRAP_LENGTH_MAX);
    if (death.code === 'GW_PLUGIN_STEPS') this.#counts.stepsExceeded += 1;
    const key = this.#keys.get(vm);
    if (key !== undefined) this.#forget(key, vm);
    if (vm.streamsCount === 0) this.#drop(vm);
    // A guest of one request or tenant says nothing about the next one's.
    if (this.spec.isolation.kind === 'shared') this.#stayAway(death);
  }

  /** A pause before the next try, twice as long each time. A fresh instance that serves for as long
   *  as the longest pause begins anew. `reload` skips the first pause. */
  #stayAway(error: GatewayError): void {
    const { reload, onFailure } = this.spec;
    const nowMs = this.#services.clock.nowMs();
    const before = this.#absence;
    const isRepeated = before !== null && nowMs - before.untilMs < reload.maxMs;
    let pauseMs = onFailure === 'reload' ? 0 : reload.baseMs;
    if (isRepeated) {
      pauseMs = Math.min(reload.maxMs, Math.max(reload.baseMs, before.pauseMs * 2));
    }
    this.#absence = { error, untilMs: nowMs + pauseMs, pauseMs };
    if (this.spec.background) this.#services.timers.after(pauseMs, () => this.#return());
  }

  /** A background plugin has no streams to call it back. A timer may be a fraction of a ms early,
   *  and nobody would ask again. */
  #return(): void {
    if (this.#isRetired || this.#isClosed) return;
    const leftMs = (this.#absence?.untilMs ?? 0) - this.#services.clock.nowMs();
    if (leftMs > 0) this.#services.timers.after(Math.ceil(leftMs), () => this.#return());
    else this.instance([]);
  }

  #tryMake(): Vm | GatewayError {
    const absence = this.#absence;
    if (absence !== null && this.#services.clock.nowMs() < absence.untilMs) return absence.error;
    try {
      return this.#make();
    } catch (error) {
      const known = error as GatewayError;
      // A trap has been noticed already.
      if (this.#absence === absence) this.#stayAway(known);
      return known;
    }
  }

  #make(): Vm {
    const vm = new Vm(this.spec, this.module, this.#services, this);
    this.#live.add(vm);
    try {
      vm.start();
    } catch (error) {
      this.#drop(vm);
      throw error;
    }
    this.#counts.started += 1;
    return vm;
  }

  #keep(key: string, vm: Vm): void {
    this.#instances.set(key, vm);
    this.#keys.set(vm, key);
  }

  #forget(key: string, vm: Vm): void {
    this.#instances.delete(key);
    this.#keys.delete(vm);
  }

  #forgetAll(): void {
    this.#instances.clear();
    this.#keys.clear();
  }

  #use(key: string, vm: Vm): void {
    this.#instances.delete(key);
    this.#instances.set(key, vm);
  }

  /** Drops the tenants that were used least recently; their streams end in peace. */
  #evict(countMax: number): void {
    for (const [key, vm] of this.#instances) {
      if (this.#instances.size <= countMax) return;
      this.#forget(key, vm);
      this.#counts.evicted += 1;
      this.#dropIdle(vm);
    }
  }

  #dropIdle(vm: Vm): void {
    if (vm.streamsCount === 0) this.#drop(vm);
  }

  #drop(vm: Vm): void {
    if (!this.#live.delete(vm)) return;
    this.#counts.logLinesDropped += vm.log.droppedCount;
    vm.close();
  }
}
