// The io workers as the main thread sees them: started, replaced when one dies, given each new
// configuration, drained. A worker closes its own listeners before it ends, whatever happens,
// because a uWebSockets app that is still open would take the process down with it.

import type { MessagePort, Worker } from 'node:worker_threads';
import { type Clock, GatewayError, WORKER_RESTART_MS_MAX } from '../core/index.ts';
import type { FromDesk, ToDesk } from '../distribution/index.ts';
import type { EdgeImage } from '../kernels/index.ts';
import type { PluginReport } from '../proxywasm/index.ts';
import type { ProcessLog } from '../telemetry/index.ts';
import { startWorker } from './assets.ts';
import type { FromIoWorker, IoWorkerData, Publication, ToIoWorker } from './messages.ts';
import type { PublishedPlugin } from './plugins/published.ts';
import { ioHeartbeats, Watchdog } from './watchdog.ts';

export interface FleetOptions {
  readonly image: EdgeImage;
  /** What plugins of all io workers share. */
  readonly shared: SharedArrayBuffer;
  readonly count: number;
  /** The configured port of each listener. */
  readonly ports: readonly number[];
  readonly clock: Clock;
  readonly log: ProcessLog;
  /** A worker is stuck or a native failure is near: the process must end. */
  readonly onFatal: (error: GatewayError) => void;
  /** A worker has its listeners open. */
  readonly onServing: () => void;
  /** A worker is gone; what it held in the shared memory may be cleared. */
  readonly onGone: (workerIndex: number) => void;
  /** A generation that was superseded has no exchange in flight on a worker any more. */
  readonly onReleased: (workerIndex: number, generation: number) => void;
  readonly onPluginReport: (workerIndex: number, reports: readonly PluginReport[]) => void;
  /** The channels that a worker starts with; null where nothing is distributed. */
  readonly channels: () => FromDesk | null;
  /** Gives a worker that starts its ports to the db workers. */
  readonly join: (post: (workerIndex: number, port: MessagePort) => void) => void;
  /** What a worker says of distribution. `reply` posts to it. */
  readonly onDistribution: (message: ToDesk, reply: (message: FromDesk) => void) => void;
}

interface Member {
  readonly index: number;
  worker: Worker;
  state: 'starting' | 'serving' | 'gone';
  generation: number;
  /** Which change of the plugins it has taken, and what it refused of that. */
  pluginTurn: number;
  pluginsRefused: readonly string[];
  restarts: number;
  readyMs: number;
}

/** The pause before a worker that died is replaced; it doubles while successors die young. */
const RESTART_MS_FIRST = 250;
/** A worker that has served for this long is not counted as having died young. */
const SETTLED_MS = 60_000;
/** A worker that has not said `ready` by then never will. */
const START_MS_MAX = 20_000;
/** A worker that does not take a new configuration within this is stuck. */
const PUBLISH_MS_MAX = 15_000;

export class IoFleet {
  readonly #options: FleetOptions;
  readonly #members: Member[] = [];
  readonly #watchdog: Watchdog;
  readonly #waiting = new Set<() => void>();
  #ports: readonly number[];
  #publication: Publication | null = null;
  #watch: NodeJS.Timeout | null = null;
  #isPublishing = false;
  #pluginTurn = 0;
  #isDraining = false;
  #abandoned = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#ports = options.ports;
    this.#watchdog = new Watchdog(ioHeartbeats(options.image.memory), options.clock);
  }

  /** Starts all workers and waits until each serves. Errors: GatewayError of the first that cannot,
   *  for instance GW_LISTEN. */
  async start(publication: Publication): Promise<void> {
    this.#publication = publication;
    const indexes = Array.from({ length: this.#options.count }, (_, index) => index);
    // Of port 0 each worker would get its own: the first one's is everybody's.
    const isAnyFree = this.#ports.includes(0);
    const first = indexes.splice(0, isAnyFree ? 1 : 0).map((index) => this.#startMember(index));
    const outcomes = await Promise.allSettled(first);
    if (outcomes.every(({ status }) => status === 'fulfilled')) {
      const rest = indexes.map((index) => this.#startMember(index));
      outcomes.push(...(await Promise.allSettled(rest)));
    }
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) {
      await this.drain(0);
      throw failed.reason;
    }
    this.#watch = setInterval(() => this.#lookForStuck(), 1_000);
    this.#watch.unref();
  }

  /** Workers that serve the newest configuration, of those there should be. */
  get servingCount(): number {
    return this.#members.filter((member) => this.#isCurrent(member)).length;
  }

  /** The port that each listener has. */
  get ports(): readonly number[] {
    return this.#ports;
  }

  get count(): number {
    return this.#options.count;
  }

  /** Hands a configuration to every worker and waits until each works with it. `activate` makes
   *  its route table the active one; it is called while no worker is starting, so that none can
   *  take the new table with the old snapshot. A worker that dies meanwhile counts as done: its
   *  successor starts with the new one. Errors: GW_WORKER_STUCK. */
  async publish(publication: Publication, activate: () => void): Promise<void> {
    await this.#settled();
    this.#isPublishing = true;
    try {
      activate();
      this.#publication = publication;
      for (const member of this.#members) {
        if (member.state !== 'serving') continue;
        member.worker.postMessage({ kind: 'publish', publication } satisfies ToIoWorker);
      }
      const isDone = () =>
        this.#members.every((member) => member.state !== 'serving' || this.#isCurrent(member));
      if (await this.#until(isDone, PUBLISH_MS_MAX)) return;
    } finally {
      this.#isPublishing = false;
    }
    throw this.#late('configuration', (member) => !this.#isCurrent(member));
  }

  /** Hands other plugins to every worker, under the same configuration, and waits until each has
   *  taken them. Returns what was refused, with why. Errors: GW_WORKER_STUCK. */
  async switchPlugins(plugins: readonly PublishedPlugin[]): Promise<readonly string[]> {
    await this.#settled();
    this.#isPublishing = true;
    this.#pluginTurn += 1;
    const turn = this.#pluginTurn;
    const isLate = (member: Member) => member.state === 'serving' && member.pluginTurn !== turn;
    const before = this.#publication!;
    try {
      this.#publication = { ...before, plugins };
      for (const member of this.#members) {
        if (member.state !== 'serving') continue;
        member.worker.postMessage({ kind: 'plugins', turn, plugins } satisfies ToIoWorker);
      }
      if (await this.#until(() => !this.#members.some(isLate), PUBLISH_MS_MAX)) {
        const refused = this.#members.map((member) => member.pluginsRefused);
        return [...new Set(refused.flat())];
      }
    } finally {
      this.#isPublishing = false;
    }
    // Whoever starts from now on gets what ran; the watchdog ends the one that is stuck.
    this.#publication = before;
    throw this.#late('plugins', isLate);
  }

  /** Errors: GW_WORKER_STUCK. */
  async #settled(): Promise<void> {
    const isSettled = () => this.#members.every((member) => member.state !== 'starting');
    if (await this.#until(isSettled, START_MS_MAX)) return;
    throw new GatewayError('GW_WORKER_STUCK', 'a worker does not finish starting');
  }

  #late(what: string, isLate: (member: Member) => boolean): GatewayError {
    const late = this.#members.filter(isLate).map(({ index }) => index);
    const detail = `io worker ${late.join(', ')} did not take the ${what} within`;
    return new GatewayError('GW_WORKER_STUCK', `${detail} ${PUBLISH_MS_MAX} ms`);
  }

  /** Posts to every worker, also to one that is starting: it began with what was known before. */
  tellAll(message: FromDesk): void {
    for (const member of this.#members) {
      if (member.state !== 'gone') tell(member, message);
    }
  }

  /** Gives every worker a new port to a db worker. */
  joinAll(join: (post: (workerIndex: number, port: MessagePort) => void) => void): void {
    for (const member of this.#members) {
      if (member.state === 'gone') continue;
      join((dbIndex, port) => postDatabase(member, dbIndex, port));
    }
  }

  /** Indexes of the workers that serve. */
  servingWorkers(): number[] {
    return this.#members
      .filter((member) => member.state === 'serving')
      .map((member) => member.index);
  }

  /** Lets every worker finish what it has begun, for at most `timeoutMs`, and ends them all.
   *  Returns how many exchanges were cut off. */
  async drain(timeoutMs: number): Promise<number> {
    this.#isDraining = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    for (const member of this.#members) {
      if (member.state === 'gone') continue;
      member.worker.postMessage({ kind: 'drain', timeoutMs } satisfies ToIoWorker);
    }
    const isDone = () => this.#members.every((member) => member.state === 'gone');
    if (!(await this.#until(isDone, timeoutMs + PUBLISH_MS_MAX))) {
      throw new GatewayError('GW_WORKER_STUCK', `a worker did not end after ${timeoutMs} ms`);
    }
    return this.#abandoned;
  }

  #isCurrent(member: Member): boolean {
    return member.state === 'serving' && member.generation === this.#publication?.generation;
  }

  #startMember(index: number, restarts = 0): Promise<void> {
    const workerData: IoWorkerData = {
      image: this.#options.image,
      workerIndex: index,
      servesNodeListeners: index === 0,
      publication: this.#publication!,
      ports: this.#ports,
      shared: this.#options.shared,
      channels: this.#options.channels(),
    };
    const generation = workerData.publication.generation;
    const worker = startWorker('io-worker', { workerData, name: `io-${index}` });
    const member: Member = {
      index,
      worker,
      state: 'starting',
      generation,
      pluginTurn: this.#pluginTurn,
      pluginsRefused: [],
      restarts,
      readyMs: 0,
    };
    this.#members[index] = member;
    this.#options.join((dbIndex, port) => postDatabase(member, dbIndex, port));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        // It may still hold its place in the shared memory, so nobody may follow it there.
        const error = new GatewayError('GW_WORKER_STUCK', `io worker ${index} did not start`);
        reject(error);
        if (restarts > 0) this.#options.onFatal(error);
      }, START_MS_MAX);
      worker.on('message', (message: FromIoWorker) => {
        if (message.kind === 'ready') {
          clearTimeout(timer);
          this.#ports = message.ports;
          this.#onReady(member);
          resolve();
        } else if (message.kind === 'failed' && member.state === 'starting') {
          reject(new GatewayError(message.code, message.detail));
        } else this.#onMessage(member, message);
      });
      worker.on('error', (error) =>
        this.#options.log.error(`io worker ${index}: ${error.message}`),
      );
      worker.on('exit', (code) => {
        clearTimeout(timer);
        reject(new GatewayError('GW_WORKER_DIED', `io worker ${index} ended with code ${code}`));
        this.#onExit(member, code);
      });
    });
  }

  #onReady(member: Member): void {
    member.state = 'serving';
    member.readyMs = this.#options.clock.nowMs();
    this.#watchdog.watch(member.index);
    this.#options.onServing();
    this.#wake();
  }

  #onMessage(member: Member, message: FromIoWorker): void {
    switch (message.kind) {
      case 'published':
        member.generation = message.generation;
        break;
      case 'drained':
        this.#abandoned += message.abandoned;
        break;
      case 'log':
        this.#options.log.write(message.record);
        break;
      case 'plugins':
        member.pluginTurn = message.turn;
        member.pluginsRefused = message.refused;
        break;
      case 'plugin-report':
        this.#options.onPluginReport(member.index, message.reports);
        return;
      case 'released':
        this.#options.onReleased(member.index, message.generation);
        break;
      case 'distribution':
        this.#options.onDistribution(message.message, (answer) => tell(member, answer));
        return;
      case 'failed': {
        const error = new GatewayError(message.code, message.detail);
        this.#options.log.error(`io worker ${member.index}: ${error.message}`);
        if (message.code === 'GW_WORKER_STUCK') this.#options.onFatal(error);
        break;
      }
    }
    this.#wake();
  }

  #onExit(member: Member, code: number): void {
    const wasServing = member.state === 'serving';
    member.state = 'gone';
    this.#watchdog.forget(member.index);
    this.#options.onGone(member.index);
    this.#wake();
    if (this.#isDraining || !wasServing) return;
    if (this.#options.clock.nowMs() - member.readyMs > SETTLED_MS) member.restarts = 0;
    const delayMs = restartDelayMs(member);
    this.#options.log.error(
      `io worker ${member.index} ended with code ${code}; a new one starts in ${delayMs} ms`,
    );
    setTimeout(() => this.#restart(member), delayMs);
  }

  #restart(member: Member): void {
    if (this.#isDraining) return;
    if (this.#isPublishing) {
      setTimeout(() => this.#restart(member), RESTART_MS_FIRST);
      return;
    }
    this.#startMember(member.index, member.restarts + 1).catch((error: Error) => {
      this.#options.log.error(`io worker ${member.index} does not start again: ${error.message}`);
      const failed = this.#members[member.index]!;
      setTimeout(() => this.#restart(failed), restartDelayMs(failed));
    });
  }

  #lookForStuck(): void {
    const [first] = this.#watchdog.stuck();
    if (first === undefined) return;
    const silentSeconds = Math.round(first.silentMs / 1000);
    const detail = `io worker ${first.workerIndex} has been silent for ${silentSeconds} s`;
    this.#options.onFatal(new GatewayError('GW_WORKER_STUCK', detail));
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #until(isDone: () => boolean, timeoutMs: number): Promise<boolean> {
    if (isDone()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (outcome: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(outcome);
      };
      const look = () => {
        if (isDone()) finish(true);
      };
      const timer = setTimeout(() => finish(false), timeoutMs);
      this.#waiting.add(look);
    });
  }
}

function tell({ worker }: Member, message: FromDesk): void {
  worker.postMessage({ kind: 'distribution', message } satisfies ToIoWorker);
}

function postDatabase({ worker }: Member, workerIndex: number, port: MessagePort): void {
  worker.postMessage({ kind: 'database', workerIndex, port } satisfies ToIoWorker, [port]);
}

function restartDelayMs(member: Member): number {
  return Math.min(RESTART_MS_FIRST * 2 ** member.restarts, WORKER_RESTART_MS_MAX);
}
