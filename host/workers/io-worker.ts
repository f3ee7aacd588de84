// The thread that owns sockets: listeners, the mesh behind them, and this worker's part of the
// shared memory. Whatever happens here, the listeners are closed before the thread ends, because
// a uWebSockets app that is still open would take the whole process down with it.

import { getHeapStatistics } from 'node:v8';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { openSnapshot, type Snapshot } from '../config/index.ts';
import {
  ERRORS,
  type ErrorCode,
  type Exchange,
  GatewayError,
  isGatewayError,
  Progress,
  systemClock,
  systemRandom,
  UploadBudget,
} from '../core/index.ts';
import { DatabaseFront, WorkerLink } from '../db/index.ts';
import { Deliverer, type FromDesk, Store } from '../distribution/index.ts';
import { type Listener, type ListenerOptions, listenNode, listenUws } from '../edge/index.ts';
import { Codec, instantiateEdge, Limiter, Matcher, StatsWriter } from '../kernels/index.ts';
import { Mesh, MeshServiceCaller } from '../mesh/index.ts';
import { AccessLog, createPostedLog, LoopDelayMonitor } from '../telemetry/index.ts';
import { readWasm } from './assets.ts';
import type { FromIoWorker, IoWorkerData, Publication, ToIoWorker } from './messages.ts';
import type { PublishedPlugin } from './plugins/published.ts';
import { WorkerPlugins } from './plugins/worker-plugins.ts';
import { HEARTBEAT_INTERVAL_MS } from './watchdog.ts';

/** Above this share of the heap limit the worker ends itself while it still can: when V8 gives up,
 *  nothing can be closed any more. The limit counts the young generation, which the old one, the
 *  first to be full, cannot use: of a heap of 256 MiB that is 15 %. */
const HEAP_SHARE_MAX = 0.8;
const STDOUT_FD = 1;

const data = workerData as IoWorkerData;
const port = parentPort!;

function tell(message: FromIoWorker): void {
  port.postMessage(message);
}

class IoWorker {
  readonly #mesh: Mesh;
  readonly #stats: StatsWriter;
  readonly #accessLog: AccessLog | null;
  readonly #delay: LoopDelayMonitor;
  readonly #log;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #uploadBudget = new UploadBudget();
  readonly #plugins: WorkerPlugins;
  /** Null where nothing is distributed. */
  readonly #deliverer: Deliverer | null;
  /** Null where there are no databases. */
  readonly #databases: DatabaseFront | null;
  /** By their place in the configuration; one that this worker does not serve is left out. */
  readonly #listeners = new Map<number, Listener>();
  /** The watchdog sees the same beats as those of the timer. */
  readonly #progress = new Progress(() => this.#stats.heartbeat());
  #handledCount = 0;
  #acceptedBefore = 0;
  #isEnding = false;
  #drainDeadlineMs = 0;
  #drained: Promise<number> | null = null;

  constructor(snapshot: Snapshot) {
    const instance = instantiateEdge(data.image, data.workerIndex);
    this.#log = createPostedLog({
      level: snapshot.log.level,
      clock: systemClock,
      workerIndex: data.workerIndex,
      post: (record) => tell({ kind: 'log', record }),
    });
    this.#stats = new StatsWriter(instance);
    this.#accessLog = this.#createAccessLog(snapshot.log.access);
    this.#deliverer = this.#createDeliverer(snapshot);
    this.#plugins = new WorkerPlugins(
      this.#log,
      new MeshServiceCaller((name) => this.#mesh.service(name), systemClock),
      data,
    );
    this.#databases = this.#createFront(snapshot);
    this.#mesh = new Mesh({
      matcher: new Matcher(instance),
      limiter: new Limiter(instance),
      stats: this.#stats,
      accessLog: this.#accessLog,
      clock: systemClock,
      random: systemRandom(),
      uploadBudget: this.#uploadBudget,
      distribution: this.#deliverer,
      progress: this.#progress,
      filters: this.#plugins.book,
      db: this.#databases,
      onReleased: (generation) => tell({ kind: 'released', generation }),
    });
    this.#delay = new LoopDelayMonitor(this.#stats);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_INTERVAL_MS);
  }

  publish(publication: Publication): void {
    // The mesh first: a plugin may call a service as it is configured. No exchange is in between.
    this.#mesh.publish(openSnapshot(publication.snapshot), publication.slots);
    this.#plugins.apply(publication.plugins);
    for (const index of publication.renewed) this.#renew(index);
  }

  /** Takes other plugins. Returns those that were refused, with why. */
  takePlugins(plugins: readonly PublishedPlugin[]): readonly string[] {
    return this.#plugins.apply(plugins);
  }

  /** Takes what the main thread says of distribution. */
  takeDistribution(message: FromDesk): void {
    this.#deliverer?.take(message);
  }

  /** Takes the way to a db worker. */
  takeDatabase(workerIndex: number, databasePort: MessagePort): void {
    this.#databases?.connect(workerIndex, new WorkerLink(databasePort));
  }

  /** Returns the port of each listener. */
  async listen(snapshot: Snapshot): Promise<number[]> {
    const ports = [...data.ports];
    for (const [index, { engine, address, chunked, tls }] of snapshot.listeners.entries()) {
      if (engine === 'node' && !data.servesNodeListeners) continue;
      const port = ports[index]!;
      const options: ListenerOptions = {
        port,
        address,
        tls,
        chunked,
        clock: systemClock,
        uploadBudget: this.#uploadBudget,
        progress: this.#progress,
        handler: (exchange: Exchange) => {
          this.#handledCount += 1;
          this.#mesh.handle(exchange);
        },
        onRefused: (code: ErrorCode) => this.#stats.refuse(ERRORS[code].reason),
        onError: (error: unknown) => this.#onError(error),
      };
      const listener = await (engine === 'node' ? listenNode(options) : listenUws(options));
      this.#listeners.set(index, listener);
      ports[index] = listener.port;
    }
    return ports;
  }

  /** Lets exchanges in progress end, for at most `timeoutMs`. Returns how many were cut off. A
   *  connection that seems idle may have a request on its way already, so idle connections are
   *  closed only when nothing has come on any of them for a while; each one that has a request
   *  meanwhile is answered and told to close. Asked again, only the time changes. */
  drain(timeoutMs: number): Promise<number> {
    this.#drainDeadlineMs = systemClock.nowMs() + timeoutMs;
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<number> {
    let nowMs = systemClock.nowMs();
    let quietMs = nowMs;
    let handled = this.#handledCount;
    for (const listener of this.#listeners.values()) listener.stopAccepting();
    this.#mesh.drain();
    this.#databases?.drain();
    while (nowMs < this.#drainDeadlineMs && this.#connectionCount() > 0) {
      if (this.#activeCount() > 0 || this.#handledCount !== handled) quietMs = nowMs;
      else if (nowMs - quietMs >= DRAIN_QUIET_MS) break;
      handled = this.#handledCount;
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
      nowMs = systemClock.nowMs();
    }
    const abandoned = this.#activeCount();
    this.#deliverer?.report();
    this.#reportPlugins();
    await this.close();
    return abandoned;
  }

  async close(): Promise<void> {
    this.#isEnding = true;
    clearInterval(this.#heartbeat);
    this.#delay.stop();
    this.#mesh.cut();
    for (const listener of this.#listeners.values()) await listener.close();
    this.#mesh.close();
    this.#plugins.close();
    await this.#accessLog?.close();
  }

  /** Ends the thread for a fault that it cannot go on with. */
  async fail(error: unknown): Promise<never> {
    const code = isGatewayError(error) ? error.code : 'GW_INTERNAL';
    this.#stats.addCell('uncaughtErrors', 1);
    tell({ kind: 'failed', code, detail: describe(error) });
    if (!this.#isEnding) await this.close();
    process.exit(1);
  }

  /** The old certificate stays where the new one cannot be taken: the files were checked, but may
   *  have changed since. */
  #renew(index: number): void {
    try {
      this.#listeners.get(index)?.renewCertificates();
    } catch (error) {
      const known = error instanceof Error ? error : new Error(String(error));
      this.#log.error('a certificate was not renewed', { listener: index, error: known });
    }
  }

  #sum(read: (listener: Listener) => number): number {
    let sum = 0;
    for (const listener of this.#listeners.values()) sum += read(listener);
    return sum;
  }

  #activeCount(): number {
    return this.#sum((listener) => listener.activeCount());
  }

  #connectionCount(): number {
    return this.#sum((listener) => listener.connectionCount());
  }

  #countConnections(): void {
    const accepted = this.#sum((listener) => listener.acceptedCount());
    this.#stats.setCell('connectionsOpen', this.#connectionCount());
    this.#stats.addCell('connectionsTotal', accepted - this.#acceptedBefore);
    this.#acceptedBefore = accepted;
  }

  #onError(error: unknown): void {
    this.#stats.addCell('uncaughtErrors', 1);
    const known = error instanceof Error ? error : new Error(String(error));
    this.#log.error('an exchange failed', { error: known });
  }

  #beat(): void {
    this.#stats.heartbeat();
    this.#delay.sample();
    this.#countConnections();
    this.#deliverer?.report();
    this.#reportPlugins();
    if (this.#accessLog !== null) {
      this.#stats.setCell('logLinesWritten', this.#accessLog.linesWritten);
      this.#stats.setCell('logLinesDropped', this.#accessLog.linesDropped);
    }
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    if (used <= limit * HEAP_SHARE_MAX) return;
    const detail = `heap of ${used} bytes, the limit is ${limit}`;
    void this.fail(new GatewayError('GW_OVERLOADED', detail));
  }

  #reportPlugins(): void {
    const reports = this.#plugins.report();
    if (reports.length > 0) tell({ kind: 'plugin-report', reports });
  }

  #createDeliverer({ distribution }: Snapshot): Deliverer | null {
    if (distribution === null) return null;
    const deliverer = new Deliverer({
      store: new Store(distribution.dir, Codec.create(readWasm('codec.wasm'))),
      clock: systemClock,
      log: this.#log,
      memorySizeBytesMax: distribution.limits.memorySizeBytesMax,
      tell: (message) => tell({ kind: 'distribution', message }),
    });
    if (data.channels !== null) deliverer.take(data.channels);
    return deliverer;
  }

  #createFront({ db, workers }: Snapshot): DatabaseFront | null {
    if (db === null) return null;
    return new DatabaseFront({
      clock: systemClock,
      workersCount: workers.db,
      publicKey: db.publicKey,
      replicationToken: db.replication.token,
      requestSizeBytesMax: db.limits.requestSizeBytesMax,
      onError: (error) => this.#onError(error),
    });
  }

  #createAccessLog(format: 'json' | 'text' | 'off'): AccessLog | null {
    if (format === 'off') return null;
    return new AccessLog({
      format,
      destination: STDOUT_FD,
      onError: (error) => this.#log.error('cannot write the access log', { error }),
    });
  }
}

/** How often a drain looks whether it is done. */
const DRAIN_LOOK_MS = 20;
/** Connections on which nothing has come for this long are taken to be idle: much more than a
 *  request needs from a client that had not yet been told to close. */
const DRAIN_QUIET_MS = 1_000;

function describe(error: unknown): string {
  if (isGatewayError(error)) return (error as GatewayError).detail;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function main(): Promise<void> {
  const snapshot = openSnapshot(data.publication.snapshot);
  const worker = new IoWorker(snapshot);
  process.on('uncaughtException', (error) => void worker.fail(error));
  process.on('unhandledRejection', (error) => void worker.fail(error));
  port.on('message', (message: ToIoWorker) => {
    if (message.kind === 'publish') {
      worker.publish(message.publication);
      tell({ kind: 'published', generation: message.publication.generation });
      return;
    }
    if (message.kind === 'plugins') {
      const { turn, plugins } = message;
      tell({ kind: 'plugins', turn, refused: worker.takePlugins(plugins) });
      return;
    }
    if (message.kind === 'distribution') {
      worker.takeDistribution(message.message);
      return;
    }
    if (message.kind === 'database') {
      worker.takeDatabase(message.workerIndex, message.port);
      return;
    }
    void worker.drain(message.timeoutMs).then((abandoned) => {
      tell({ kind: 'drained', abandoned });
      process.exit(0);
    });
  });
  try {
    worker.publish(data.publication);
    tell({ kind: 'ready', ports: await worker.listen(snapshot) });
  } catch (error) {
    await worker.fail(error);
  }
}

void main();
