// The gateway as the main thread runs it: loads the configuration, publishes it to the io workers,
// reloads and drains. It never touches a request.

import {
  type ConfigIssue,
  formatIssue,
  openSnapshot,
  type PathPart,
  type Snapshot,
} from '../config/index.ts';
import { type Clock, COMPUTE_THREADS_MAX, GatewayError, secretBytes } from '../core/index.ts';
import type { ServiceStats } from '../db/index.ts';
import type { DistributionDesk } from '../distribution/index.ts';
import { boundReceiveBuffers } from '../edge/index.ts';
import {
  createEdgeImage,
  type EdgeImage,
  type EdgeInstance,
  initialiseLimiter,
  instantiateEdge,
  LIMITER_SEED_SIZE_BYTES,
  Limiter,
  MAIN_THREAD_INDEX,
  RouteTables,
  StatsReader,
} from '../kernels/index.ts';
import type { LogFields, ProcessLog } from '../telemetry/index.ts';
import { readWasm } from './assets.ts';
import { Certificates } from './certificates.ts';
import { ComputePool } from './compute.ts';
import { ConfigRefused } from './config-refused.ts';
import { ConfigSource, readConfigFile } from './config-source.ts';
import { DbFleet } from './db-fleet.ts';
import { DistributionPlane, type ReleaseChange } from './distribution.ts';
import { IoFleet } from './io-fleet.ts';
import type { Publication } from './messages.ts';
import { PluginPlane } from './plugins/plugin-plane.ts';
import type { PublishedPlugin } from './plugins/published.ts';
import { prepareListening } from './ports.ts';
import { RESTART_MESSAGE, restartPaths } from './restart-keys.ts';
import { SeriesBook } from './series-book.ts';

export interface GatewayOptions {
  readonly configPath: string;
  readonly clock: Clock;
  readonly log: ProcessLog;
  /** The process must end at once; the reason has been logged. */
  readonly onFatal: () => void;
}

/** What happened to reloads so far, for the metrics. */
export interface ReloadHistory {
  taken: number;
  refused: number;
  isLastTaken: boolean;
  lastWallMs: number;
}

interface Compiled {
  readonly snapshot: SharedArrayBuffer;
  readonly routeTable: Uint8Array;
  readonly text: string;
}

/** Issues of a refused reload that are logged; `sluice check` names the rest. */
const ISSUES_LOGGED_MAX = 10;

export class Gateway {
  readonly image: EdgeImage;
  /** The main thread's own. */
  readonly instance: EdgeInstance;
  readonly series: SeriesBook;
  readonly reloads: ReloadHistory = { taken: 0, refused: 0, isLastTaken: true, lastWallMs: 0 };
  readonly startWallMs: number;
  readonly #options: GatewayOptions;
  readonly #limiter: Limiter;
  readonly #tables: RouteTables;
  readonly #reader: StatsReader;
  readonly #compute: ComputePool;
  readonly #source: ConfigSource;
  #fleet: IoFleet | null = null;
  #distribution: DistributionPlane | null = null;
  #databases: DbFleet | null = null;
  #plugins: PluginPlane | null = null;
  #snapshot: Snapshot | null = null;
  #certificates: Certificates | null = null;
  #isDraining = false;
  #generation = 0;
  /** Reloads wait for each other: workers see one publication after the other. */
  #queue: Promise<unknown> = Promise.resolve();
  /** The reload that has not begun yet. */
  #waiting: Promise<number> | null = null;

  private constructor(options: GatewayOptions, text: string) {
    this.#options = options;
    this.startWallMs = options.clock.wallMs();
    this.image = createEdgeImage(readWasm('edge.wasm'));
    initialiseLimiter(this.image, { seed: secretBytes(LIMITER_SEED_SIZE_BYTES) });
    this.instance = instantiateEdge(this.image, MAIN_THREAD_INDEX);
    this.#limiter = new Limiter(this.instance);
    this.#tables = new RouteTables(this.instance);
    this.#reader = new StatsReader(this.image.memory);
    this.series = new SeriesBook(this.image.memory);
    this.#compute = new ComputePool(COMPUTE_THREADS_MAX);
    this.#source = new ConfigSource(
      options.configPath,
      text,
      () => void this.reloadFromFile('the file changed').catch(() => {}),
      (error) => options.log.error('cannot watch the configuration', { error: asError(error) }),
    );
  }

  /** Starts a gateway from a configuration file. Errors: ConfigRefused; GatewayError such as
   *  GW_LISTEN. Nothing is left running after an error. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const text = await readConfigFile(options.configPath);
    const gateway = new Gateway(options, text);
    try {
      await gateway.#start(text);
    } catch (error) {
      await gateway.stop(0);
      throw error;
    }
    return gateway;
  }

  get snapshot(): Snapshot {
    return this.#snapshot!;
  }

  /** Io workers that serve the newest configuration, of those there should be. */
  workerCounts(): { serving: number; wanted: number } {
    return { serving: this.#fleet?.servingCount ?? 0, wanted: this.#fleet?.count ?? 0 };
  }

  /** The plane's desk; null where nothing is distributed. */
  get distribution(): DistributionDesk | null {
    return this.#distribution?.desk ?? null;
  }

  get plugins(): PluginPlane {
    return this.#plugins!;
  }

  /** What each db worker last said; empty without databases. */
  databaseStats(): readonly (ServiceStats | null)[] {
    return this.#databases?.stats() ?? [];
  }

  /** The db workers; null without databases. */
  get databases(): DbFleet | null {
    return this.#databases;
  }

  /** Changes who gets a release. Errors: GW_DIST_NOT_FOUND, GW_DIST_RULE, GW_DIST_LOCKED,
   *  GW_DIST_KEY, GW_DIST_DISK. */
  async changeRelease(change: ReleaseChange): Promise<void> {
    if (this.#distribution === null) throw new GatewayError('GW_DIST_NOT_FOUND', change.channel);
    await this.#distribution.change(change);
  }

  /** Exchanges that have begun and not ended, by the shared counters. */
  inFlightCount(): number {
    const workers = this.#reader.usedWorkers();
    const count = (sum: number, { slot }: { slot: number }) =>
      sum + this.#reader.route(slot, workers).active;
    return this.series.routes.series().reduce(count, 0);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Reads the file again and puts it into force, or changes nothing. Whoever asks while a reload
   *  waits for its turn shares it: it reads the file when it begins, so a storm of changes costs
   *  two reloads and not one each.
   *  Errors: ConfigRefused; GatewayError when it does not fit or a worker does not take it. */
  reloadFromFile(cause: string): Promise<number> {
    if (this.#waiting !== null) return this.#waiting;
    const turn = this.#queue.then(() => {
      this.#waiting = null;
      return this.#reload(cause);
    });
    this.#waiting = turn;
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** Checks a configuration without putting it into force. */
  async check(text: string): Promise<readonly ConfigIssue[]> {
    const result = await this.#compute.compile({
      text,
      fileName: this.#options.configPath,
      generation: this.#generation,
    });
    return result.ok ? [] : result.issues;
  }

  /** Stops: accepts nothing new, lets exchanges in progress end for at most `drainTimeoutMs`.
   *  Returns how many were cut off. */
  async stop(drainTimeoutMs: number): Promise<number> {
    this.#isDraining = true;
    this.#source.stop();
    const abandoned = (await this.#fleet?.drain(drainTimeoutMs)) ?? 0;
    await this.#distribution?.stop();
    await this.#databases?.stop();
    await this.#compute.close();
    this.#plugins?.stop();
    return abandoned;
  }

  /** Cuts what a stop still waits for; that stop then resolves. */
  hurry(): void {
    void this.#fleet?.drain(0).catch(() => {});
  }

  async #start(text: string): Promise<void> {
    const { log } = this.#options;
    const compiled = await this.#compile(text);
    const snapshot = openSnapshot(compiled.snapshot);
    this.#generation = snapshot.generation;
    log.setLevel(snapshot.log.level);
    await prepareListening(snapshot.listeners);
    if (snapshot.distribution !== null) {
      this.#distribution = await DistributionPlane.start({
        config: snapshot.distribution,
        compute: this.#compute,
        clock: this.#options.clock,
        log,
        tellAll: (message) => this.#fleet?.tellAll(message),
      });
    }
    if (snapshot.db !== null) {
      this.#databases = await DbFleet.start({
        config: snapshot.db,
        count: snapshot.workers.db,
        clock: this.#options.clock,
        log,
        repage: (task) => this.#compute.repage(task),
        logLevel: snapshot.log.level,
        joinAll: (join) => this.#fleet?.joinAll(join),
        onFatal: (error) => this.#endFatally(error),
      });
    }
    this.#certificates = new Certificates(snapshot.listeners);
    this.#plugins = this.#createPlugins(snapshot);
    const plugins = await this.#plugins.prepare(snapshot.plugins);
    const table = this.#tables.place(compiled.routeTable);
    this.#tables.publish(table);
    this.#snapshot = snapshot;
    const fleet = new IoFleet({
      image: this.image,
      shared: this.#plugins.shared,
      count: snapshot.workers.io,
      ports: snapshot.listeners.map(({ port }) => port),
      clock: this.#options.clock,
      log,
      onFatal: (error) => this.#endFatally(error),
      onServing: () => this.#boundReceiveBuffers(snapshot),
      onGone: (workerIndex) => this.#clearWorker(workerIndex),
      onReleased: (workerIndex, generation) => this.series.released(workerIndex, generation),
      onPluginReport: (index, reports) => this.#plugins?.takeReport(index, reports),
      channels: () => this.#distribution?.desk.views() ?? null,
      join: (post) => this.#databases?.join(post),
      onDistribution: (message, reply) => this.#distribution?.take(message, reply),
    });
    this.#fleet = fleet;
    await fleet.start(this.#publication(compiled.snapshot, snapshot, [], plugins.published));
    this.#plugins.commit(plugins);
    this.#source.start();
    for (const [index, { engine, address, tls }] of snapshot.listeners.entries()) {
      log.info('listening', { engine, address, port: fleet.ports[index]!, tls: tls !== null });
    }
  }

  #boundReceiveBuffers({ listeners }: Snapshot): void {
    try {
      const ports = this.#fleet?.ports ?? [];
      boundReceiveBuffers(ports.filter((_, index) => listeners[index]!.engine === 'uws'));
    } catch (error) {
      this.#options.log.warn('receive buffers are not bounded', { error: asError(error) });
    }
  }

  async #reload(cause: string): Promise<number> {
    const { log, clock } = this.#options;
    this.reloads.lastWallMs = clock.wallMs();
    try {
      await this.#publish(await this.#compile(await this.#source.read()));
    } catch (error) {
      this.reloads.refused += 1;
      this.reloads.isLastTaken = false;
      log.error('reload refused; the old configuration stays', { cause, ...whyRefused(error) });
      throw error;
    }
    this.reloads.taken += 1;
    this.reloads.isLastTaken = true;
    log.info('configuration in force', { cause, generation: this.#generation });
    return this.#generation;
  }

  async #publish(compiled: Compiled): Promise<void> {
    const fleet = this.#fleet;
    if (fleet === null || this.#isDraining) throw new GatewayError('GW_DRAINING', '');
    const next = openSnapshot(compiled.snapshot);
    const before = this.snapshot;
    const fixed = restartPaths(before, next);
    if (fixed.length > 0) throw new ConfigRefused(await this.#restartIssues(compiled.text, fixed));
    const plugins = await this.plugins.prepare(next.plugins);
    const table = this.#tables.place(compiled.routeTable);
    const renewed = this.#certificates!.takeChanged(next.listeners);
    // A number that was refused is given again; one that a worker may have is not.
    this.#generation = next.generation;
    const publication = this.#publication(compiled.snapshot, next, renewed, plugins.published);
    this.series.superseded(before.generation, fleet.servingWorkers());
    await fleet.publish(publication, () => this.#tables.publish(table));
    this.#snapshot = next;
    this.plugins.commit(plugins);
    this.#tables.freeRetired();
    if (renewed.length > 0) this.#afterRenewal(next, renewed);
  }

  #afterRenewal(snapshot: Snapshot, renewed: readonly number[]): void {
    // A renewed listener of uws has a new socket.
    this.#boundReceiveBuffers(snapshot);
    for (const index of renewed) {
      const { tls } = snapshot.listeners[index]!;
      const port = this.#fleet!.ports[index]!;
      this.#options.log.info('certificates renewed', { port, cert: tls?.cert ?? '' });
    }
  }

  #publication(
    buffer: SharedArrayBuffer,
    snapshot: Snapshot,
    renewed: readonly number[],
    plugins: readonly PublishedPlugin[],
  ): Publication {
    return {
      generation: snapshot.generation,
      snapshot: buffer,
      slots: this.series.assign(snapshot),
      renewed,
      plugins,
    };
  }

  #createPlugins({ pluginStore }: Snapshot): PluginPlane {
    return new PluginPlane({
      dir: pluginStore,
      compute: this.#compute,
      clock: this.#options.clock,
      log: this.#options.log,
      switchAll: (plugins) => this.#fleet!.switchPlugins(plugins),
      inTurn: (change) => this.#inTurn(change),
      onFileChange: () => void this.reloadFromFile('the file of a plugin changed').catch(() => {}),
    });
  }

  /** Runs a change of the plugins between reloads. Errors: GW_DRAINING. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() => {
      if (this.#isDraining) throw new GatewayError('GW_DRAINING', '');
      return change();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  async #restartIssues(text: string, paths: readonly (readonly PathPart[])[]) {
    const places = await this.#compute.locate({ text, paths });
    return places.map((place) => ({
      code: 'GW_CONFIG_CONFLICT' as const,
      file: this.#options.configPath,
      ...place,
      message: RESTART_MESSAGE,
    }));
  }

  async #compile(text: string): Promise<Compiled> {
    const result = await this.#compute.compile({
      text,
      fileName: this.#options.configPath,
      generation: this.#generation + 1,
    });
    if (!result.ok) throw new ConfigRefused(result.issues);
    return { ...result, text };
  }

  #clearWorker(workerIndex: number): void {
    this.#tables.clearWorker(workerIndex);
    this.#limiter.recover(workerIndex);
    this.#plugins?.workerGone(workerIndex);
    this.series.workerGone(workerIndex);
    this.#reader.clearGauges(workerIndex);
  }

  #endFatally(error: GatewayError): void {
    this.#options.log.error('the process ends', { error });
    this.#options.log.flush();
    this.#options.onFatal();
  }
}

/** What is wrong with the file needs no stack: it names its lines. */
function whyRefused(error: unknown): LogFields {
  if (!(error instanceof ConfigRefused)) return { error: asError(error) };
  const issues = error.issues.slice(0, ISSUES_LOGGED_MAX).map(formatIssue);
  return { issueCount: error.issues.length, issues };
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
