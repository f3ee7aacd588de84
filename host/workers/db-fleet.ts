// The db workers as the main thread sees them: started before the io workers, replaced when one
// dies or is stuck, and joined to each io worker by a port of their own. What was in flight with
// one that died is answered with an error by the io workers, whose ports close. A db worker has no
// uWebSockets app, so that ending its thread is safe; its databases are opened again from their
// logs when the thread is gone, and with it whatever it still wrote.

import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { DbConfig } from '../config/index.ts';
import { type Clock, GatewayError, WORKER_RESTART_MS_MAX } from '../core/index.ts';
import {
  checkDatabaseName,
  compileSqlite,
  DatabaseCatalog,
  type DatabaseCommand,
  type DatabaseOutcomes,
  decideStanding,
  ownerOf,
  type Role,
  type ServiceStats,
  type Standing,
  standingWords,
  THREAD_STACK_SIZE_MB,
  withOwnPages,
} from '../db/index.ts';
import type { ProcessLog } from '../telemetry/index.ts';
import { readWasm, startWorker } from './assets.ts';
import type { RepageTask } from './compute.ts';
import { CommandDesk, type CommandOf } from './db-commands.ts';
import type { DbWorkerData, FromDbWorker, ToDbWorker } from './messages.ts';
import { HEARTBEAT_SILENCE_MS_MAX, Watchdog } from './watchdog.ts';

export interface DbFleetOptions {
  readonly config: DbConfig;
  readonly count: number;
  readonly clock: Clock;
  readonly log: ProcessLog;
  /** Writes a database file once more with our pages, on a thread that may take its time. */
  readonly repage: (task: RepageTask) => Promise<void>;
  readonly logLevel: DbWorkerData['logLevel'];
  /** Gives every io worker a port to a db worker that has started again. */
  readonly joinAll: (join: JoinIoWorker) => void;
  /** A thread cannot be ended: the process must be. */
  readonly onFatal: (error: GatewayError) => void;
}

export interface ReplicationView {
  readonly role: Role;
  readonly term: number;
  /** The primary's URL; null for a gateway that follows none, as the numbers behind it. */
  readonly follows: string | null;
  /** Of the copy that is furthest behind. */
  readonly lagCommits: number | null;
  /** Null also before all have caught up for the first time. */
  readonly lagMs: number | null;
}

/** Joins one io worker, by what posts to it. */
export type JoinIoWorker = (post: (workerIndex: number, port: MessagePort) => void) => void;

interface Member {
  readonly index: number;
  readonly commands: CommandDesk;
  worker: Worker | null;
  restarts: number;
  readyMs: number;
  stats: ServiceStats | null;
}

const RESTART_MS_FIRST = 250;
/** A worker that has served for this long is not counted as having died young. */
const SETTLED_MS = 60_000;
/** Databases have this long to make durable what is committed, and to fold it. */
const DRAIN_MS_MAX = 15_000;
const LOOK_INTERVAL_MS = 1_000;
/** A thread that is told to end and does not within this is stuck in the kernel or in native code,
 *  and nobody else may open its databases. */
const TERMINATE_MS_MAX = 10_000;

export class DbFleet {
  readonly #options: DbFleetOptions;
  readonly #catalog: DatabaseCatalog;
  readonly #sqlite: WebAssembly.Module;
  readonly #codec: WebAssembly.Module;
  readonly #members: Member[];
  readonly #heartbeats: Int32Array;
  readonly #standing: Standing;
  readonly #standingWords: Int32Array;
  readonly #watchdog: Watchdog;
  #watch: NodeJS.Timeout | null = null;
  /** One at a time: the pool has work of other planes. */
  #repaging: Promise<void> = Promise.resolve();
  #isEnding = false;

  private constructor(
    options: DbFleetOptions,
    catalog: DatabaseCatalog,
    codec: WebAssembly.Module,
    standing: { readonly words: Int32Array; readonly standing: Standing },
  ) {
    this.#options = options;
    this.#standing = standing.standing;
    this.#standingWords = standing.words;
    this.#catalog = catalog;
    this.#codec = codec;
    this.#heartbeats = new Int32Array(new SharedArrayBuffer(4 * options.count));
    // A statement may take its time, and says nothing meanwhile.
    const silenceMsMax = HEARTBEAT_SILENCE_MS_MAX + options.config.limits.statementMsMax;
    this.#watchdog = new Watchdog(this.#heartbeats, options.clock, silenceMsMax);
    this.#sqlite = compileSqlite(readWasm('sqlite3.wasm'));
    this.#members = Array.from({ length: options.count }, (_, index) => ({
      index,
      commands: new CommandDesk(),
      worker: null,
      restarts: 0,
      readyMs: 0,
      stats: null,
    }));
  }

  /** Takes the folder and starts all workers. Errors: DB_STORE_LOCKED, GW_WORKER_DIED. */
  static async start(options: DbFleetOptions): Promise<DbFleet> {
    const codecModule = new WebAssembly.Module(readWasm('codec.wasm'));
    const catalog = await DatabaseCatalog.open({
      folder: options.config.dir,
      codecModule,
      clock: options.clock,
      sizeBytesMax: options.config.limits.databaseSizeBytesMax,
      retentionMs: options.config.retentionMs,
    });
    let fleet: DbFleet;
    try {
      const standing = await standingOf(options.config, catalog);
      fleet = new DbFleet(options, catalog, codecModule, standing);
    } catch (error) {
      await catalog.close();
      throw error;
    }
    try {
      await Promise.all(fleet.#members.map((member) => fleet.#start(member)));
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    fleet.#watch = setInterval(() => fleet.#endStuck(), LOOK_INTERVAL_MS);
    fleet.#watch.unref();
    return fleet;
  }

  /** What each worker last said of itself; null for one that has said nothing yet. */
  stats(): readonly (ServiceStats | null)[] {
    return this.#members.map(({ stats }) => stats);
  }

  /** What the gateway is to those that have the same databases, and how far its copies are. */
  replication(): ReplicationView {
    const { role, term, follow } = this.#standing;
    const stats = this.stats().map((one) => ({
      commits: one?.followerLagCount ?? 0,
      ms: one?.followerLagMs ?? Number.POSITIVE_INFINITY,
    }));
    if (role !== 'follower') return { role, term, follows: null, lagCommits: null, lagMs: null };
    const lagMs = Math.max(...stats.map(({ ms }) => ms));
    return {
      role,
      term,
      follows: follow,
      lagCommits: Math.max(...stats.map(({ commits }) => commits)),
      lagMs: Number.isFinite(lagMs) ? Math.round(lagMs) : null,
    };
  }

  /** Makes a gateway that follows another one the primary, of a new term: what of the former
   *  primary has not come here is not waited for. Resolves when writes are taken. Errors:
   *  DB_STANDING where it follows nobody; DB_UNAVAILABLE where a worker ended meanwhile, which will
   *  obey when it starts again. */
  async promote(): Promise<ReplicationView> {
    const term = this.#standing.promote();
    this.#options.log.warn('promoted: this gateway is the primary now', { term });
    const turns = this.#members.map(({ worker, commands }) =>
      worker === null ? null : commands.turn((message) => worker.postMessage(message)),
    );
    await Promise.all(turns);
    return this.replication();
  }

  /** Names of the databases there are, in order. */
  list(): Promise<string[]> {
    return this.#catalog.list();
  }

  /** Where a file for an import can stand: what is left there is removed at the next start. */
  temporaryPath(): string {
    return this.#catalog.temporaryPath();
  }

  /** Makes a database of a file of SQLite's, whose pages may have any size. Errors: DB_EXISTS,
   *  DB_FORMAT, DB_STORE_FULL, and as for command. */
  async importFile(name: string, path: string): Promise<void> {
    await this.#catalog.assertFree(name);
    const conversion = {
      temporaryPath: () => this.temporaryPath(),
      repage: (source: string, target: string) => this.#repage(source, target),
    };
    await withOwnPages(path, conversion, (file) =>
      this.command<'import'>({ kind: 'import', name, path: file }),
    );
  }

  #repage(source: string, target: string): Promise<void> {
    const sizeBytesMax = this.#options.config.limits.databaseSizeBytesMax;
    const task = { module: this.#sqlite, source, target, sizeBytesMax };
    const done = this.#repaging.then(() => this.#options.repage(task));
    this.#repaging = done.catch(() => {});
    return done;
  }

  /** Tells commands of this machine where the admin API is. */
  announce(adminUrl: string): Promise<void> {
    return this.#catalog.announce(adminUrl);
  }

  /** Has the owner of a database do something with it. Errors: as DatabaseCommands gives them;
   *  DB_NAME; DB_UNAVAILABLE where the owner is not there, or ends meanwhile. */
  async command<K extends DatabaseCommand['kind']>(
    command: CommandOf<K>,
  ): Promise<DatabaseOutcomes[K]> {
    checkDatabaseName(command.name);
    const { worker, index, commands } = this.#members[ownerOf(command.name, this.#members.length)]!;
    if (worker === null || this.#isEnding) {
      throw new GatewayError('DB_UNAVAILABLE', `db worker ${index}, its owner, does not run`);
    }
    return commands.send<K>(command, (message) => worker.postMessage(message));
  }

  /** Joins an io worker to every db worker. */
  join(post: (workerIndex: number, port: MessagePort) => void): void {
    for (const member of this.#members) joinTo(member, post);
  }

  /** Closes all databases; what was committed is durable. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    await Promise.all(this.#members.map((member) => drain(member)));
    await this.#catalog.close();
  }

  #start(member: Member): Promise<void> {
    const { config, logLevel } = this.#options;
    const workerData: DbWorkerData = {
      config,
      workerIndex: member.index,
      logLevel,
      sqlite: this.#sqlite,
      codec: this.#codec,
      heartbeats: this.#heartbeats,
      standing: this.#standingWords,
    };
    const worker = startWorker('db-worker', {
      workerData,
      name: `db-${member.index}`,
      resourceLimits: { stackSizeMb: THREAD_STACK_SIZE_MB },
    });
    member.worker = worker;
    return new Promise((resolve, reject) => {
      let failure: Error | null = null;
      worker.on('message', (message: FromDbWorker) => {
        if (message.kind === 'log') this.#options.log.write(message.record);
        else if (message.kind === 'stats') member.stats = message.stats;
        else if (message.kind === 'outcome' || message.kind === 'refused') {
          member.commands.take(message);
        } else if (message.kind === 'ready') {
          member.readyMs = this.#options.clock.nowMs();
          this.#watchdog.watch(member.index);
          resolve();
        }
      });
      worker.on('error', (error) => {
        failure = error;
        this.#options.log.error(`db worker ${member.index}: ${error.message}`, { error });
      });
      worker.on('exit', (code) => {
        member.worker = null;
        member.commands.fail('DB_UNAVAILABLE', `db worker ${member.index} ended`);
        this.#watchdog.forget(member.index);
        const detail = `db worker ${member.index} ended with code ${code}`;
        reject(new GatewayError('GW_WORKER_DIED', detail, failure));
        if (member.readyMs !== 0) this.#restartLater(member, code);
      });
    });
  }

  #endStuck(): void {
    for (const { workerIndex, silentMs } of this.#watchdog.stuck()) {
      const { worker } = this.#members[workerIndex]!;
      this.#watchdog.forget(workerIndex);
      if (worker === null) continue;
      const silentSeconds = Math.round(silentMs / 1000);
      const detail = `db worker ${workerIndex} has been silent for ${silentSeconds} s`;
      const error = new GatewayError('GW_WORKER_STUCK', detail);
      this.#options.log.error('a db worker is ended', { error });
      const timer = setTimeout(() => this.#options.onFatal(error), TERMINATE_MS_MAX);
      void worker.terminate().finally(() => clearTimeout(timer));
    }
  }

  #restartLater(member: Member, code: number): void {
    if (this.#isEnding) return;
    if (this.#options.clock.nowMs() - member.readyMs > SETTLED_MS) member.restarts = 0;
    const delayMs = Math.min(RESTART_MS_FIRST * 2 ** member.restarts, WORKER_RESTART_MS_MAX);
    member.restarts += 1;
    this.#options.log.error(
      `db worker ${member.index} ended with code ${code}; a new one starts in ${delayMs} ms`,
    );
    setTimeout(() => this.#restart(member), delayMs);
  }

  #restart(member: Member): void {
    if (this.#isEnding) return;
    this.#start(member).catch((error: Error) => this.#options.log.error(error.message));
    this.#options.joinAll((post) => joinTo(member, post));
  }
}

async function standingOf(
  { dir, follow, replication }: DbConfig,
  catalog: DatabaseCatalog,
): Promise<{ readonly words: Int32Array; readonly standing: Standing }> {
  const words = standingWords();
  const standing = decideStanding(
    { folder: dir, words, follow },
    { replicates: replication.token !== '', names: await catalog.list() },
  );
  return { words, standing };
}

function joinTo(member: Member, post: (workerIndex: number, port: MessagePort) => void): void {
  const { worker, index } = member;
  if (worker === null) return;
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ kind: 'port', port: port1 } satisfies ToDbWorker, [port1]);
  post(index, port2);
}

async function drain({ worker }: Member): Promise<void> {
  if (worker === null) return;
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.postMessage({ kind: 'drain' } satisfies ToDbWorker);
  const timer = setTimeout(() => void worker.terminate(), DRAIN_MS_MAX);
  await ended;
  clearTimeout(timer);
}
