// How long databases take to be there again, and what memory they take: one of 1 GB, whose gateway
// is killed under load or ended and started on a cold disk; and 1,000 small ones. Not measured: the
// load itself, and a page cache that is warm by chance.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../../host/core/index.ts';
import { freePort, stopProcess } from '../process-tree.ts';
import { requirePrograms } from '../programs.ts';
import { type Spread, spreadOf } from '../statistics.ts';
import { type Gateway, type GatewayPorts, launchGateway, runSql } from './gateway.ts';
import { treeMemoryBytes } from './suite.ts';

export interface RecoveryPlan {
  /** Of the large database. */
  readonly sizeBytes: number;
  readonly smallCount: number;
  readonly rounds: number;
  /** Of load before a kill. */
  readonly loadMs: number;
  readonly sluiceCommand: readonly string[];
  readonly folder: string;
  readonly log: (line: string) => void;
}

/** Units: bytes. */
export interface Memory {
  /** Resident, and how much of it is the process's own: the rest are pages of files, which the
   *  kernel takes back when it needs them. */
  readonly rss: number;
  readonly own: number;
}

export interface RecoveryResult {
  /** Pages of the large database, times their size. */
  readonly sizeBytes: number;
  /** Its folder, logs and all. */
  readonly diskSizeBytes: number;
  readonly fillSeconds: number;
  readonly rounds: number;
  /** From the start of the process to when it listens; from then to the first answer of the
   *  database: a new one, and the large one. Units: ms. */
  readonly listeningMs: Spread;
  readonly emptyMs: Spread;
  readonly coldMs: Spread;
  readonly killedRowsMs: Spread;
  readonly killedHotMs: Spread;
  /** Segments of the log when it was killed. */
  readonly killedLogBytes: Spread;
  /** Memory of the gateway: without a database, after filling the large one, after a scan
   *  of it, and with the small ones. */
  readonly empty: Memory;
  readonly filled: Memory;
  readonly scanned: Memory;
  readonly small: Memory;
  readonly smallCount: number;
  /** Making one, with its first commit. */
  readonly smallMs: Spread;
}

const CORE = 0;
const ROW_SIZE_BYTES = 840;
const FILL_ROWS_COUNT = 8_000;
const PAGE_SIZE_BYTES = 4_096;
const CLIENTS_COUNT = 24;
/** Connections of the client that may be dead when a gateway has started again. */
const CONNECTIONS_STALE_MAX = CLIENTS_COUNT + 1;
const SEED = 42;
const ROW = 'SELECT n FROM filler WHERE id = 1';
const MIB = 1_048_576;

/** Errors: a missing program, an answer that is an error, a lost commit. */
export async function runRecovery(plan: RecoveryPlan): Promise<RecoveryResult> {
  requirePrograms(['taskset']);
  const folder = mkdtempSync(join(plan.folder, 'sluice-bench-recovery-'));
  const bench = new RecoveryBench(plan, folder);
  try {
    return await bench.run();
  } finally {
    await bench.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

class RecoveryBench {
  readonly #plan: RecoveryPlan;
  readonly #folder: string;
  readonly #listeningMs: number[] = [];
  readonly #random = new SeededRandom(SEED);
  #ports: GatewayPorts = { listen: 0, admin: 0 };
  #gateway: Gateway | null = null;
  #rowsCount = 0;

  constructor(plan: RecoveryPlan, folder: string) {
    this.#plan = plan;
    this.#folder = folder;
  }

  async run(): Promise<RecoveryResult> {
    const { plan, log } = { plan: this.#plan, log: this.#plan.log };
    this.#ports = { listen: await freePort(), admin: await freePort() };
    const empty: number[] = [];
    for (let round = 0; round < plan.rounds; round++) {
      empty.push(await this.#startUntil('SELECT 1', 'empty'));
      if (round + 1 < plan.rounds) await this.stop();
    }
    const before = this.#memory();
    const fillSeconds = await this.#fill();
    const filled = this.#memory();
    const pages = Number(await this.#ask('SELECT page_count FROM pragma_page_count()'));
    log(`  filled ${((pages * PAGE_SIZE_BYTES) / MIB).toFixed(0)} MiB in ${fillSeconds} s`);
    await this.#scan();
    const scanned = this.#memory();
    const cold: number[] = [];
    const killed: { readonly [load in 'rows' | 'hot']: number[] } = { rows: [], hot: [] };
    const logBytes: number[] = [];
    for (let round = 0; round < plan.rounds; round++) {
      await this.stop();
      dropCaches(this.#folder);
      cold.push(await this.#startUntil(ROW));
      for (const load of ['rows', 'hot'] as const) {
        const acknowledged = await this.#killUnder(load);
        logBytes.push(folderSizeBytes(join(this.#folder, 'databases', 'bench', 'log')));
        dropCaches(this.#folder);
        killed[load].push(await this.#startUntil(ROW));
        await this.#verify(acknowledged);
      }
      log(`  round ${round + 1}: cold ${cold.at(-1)} ms, killed ${killed.rows.at(-1)} ms`);
    }
    const diskSizeBytes = folderSizeBytes(join(this.#folder, 'databases', 'bench'));
    await this.stop();
    await this.#startUntil('SELECT 1', 'empty');
    const making = await this.#makeSmall();
    return {
      sizeBytes: pages * PAGE_SIZE_BYTES,
      diskSizeBytes,
      fillSeconds,
      rounds: plan.rounds,
      listeningMs: spreadOf(this.#listeningMs),
      emptyMs: spreadOf(empty),
      coldMs: spreadOf(cold),
      killedRowsMs: spreadOf(killed.rows),
      killedHotMs: spreadOf(killed.hot),
      killedLogBytes: spreadOf(logBytes),
      empty: before,
      filled,
      scanned,
      small: this.#memory(),
      smallCount: plan.smallCount,
      smallMs: spreadOf(making),
    };
  }

  async stop(): Promise<void> {
    const gateway = this.#gateway;
    this.#gateway = null;
    if (gateway === null) return;
    gateway.process.child.kill('SIGTERM');
    const { child } = gateway.process;
    if (child.exitCode === null && child.signalCode === null) {
      await Promise.race([once(child, 'exit'), sleep(30_000, null, { ref: false })]);
    }
    await stopProcess(gateway.process);
  }

  /** Starts a gateway and asks. Returns how long the answer took when it listened. Units: ms. */
  async #startUntil(sql: string, database = 'bench'): Promise<number> {
    const beganMs = performance.now();
    const { sluiceCommand } = this.#plan;
    this.#gateway = await launchGateway(this.#folder, this.#ports, CORE, sluiceCommand);
    this.#listeningMs.push(Math.round(performance.now() - beganMs));
    const askedMs = performance.now();
    await this.#ask(sql, database);
    return Math.round(performance.now() - askedMs);
  }

  async #ask(sql: string, database = 'bench'): Promise<string> {
    const url = `http://127.0.0.1:${this.#ports.listen}/db/${database}/`;
    for (let attempt = 1; ; attempt++) {
      try {
        return await runSql(url, [sql]);
      } catch (error) {
        // A connection of the client that the gateway before this one has left.
        const isStale = error instanceof TypeError && attempt < CONNECTIONS_STALE_MAX;
        if (!isStale || this.#gateway === null || sql.startsWith('UPDATE')) throw error;
      }
    }
  }

  async #fill(): Promise<number> {
    const beganMs = performance.now();
    await this.#ask('CREATE TABLE filler(id INTEGER PRIMARY KEY, n INT, note TEXT)');
    await this.#ask('INSERT INTO filler VALUES (1, 0, NULL)');
    this.#rowsCount = Math.ceil(this.#plan.sizeBytes / ROW_SIZE_BYTES);
    for (let first = 2; first <= this.#rowsCount; first += FILL_ROWS_COUNT) {
      const last = Math.min(this.#rowsCount, first + FILL_ROWS_COUNT - 1);
      await this.#ask(
        `INSERT INTO filler WITH RECURSIVE c(i) AS (VALUES (${first}) UNION ALL SELECT i + 1 ` +
          `FROM c WHERE i < ${last}) SELECT i, 0, hex(randomblob(400)) FROM c`,
      );
    }
    return Math.round((performance.now() - beganMs) / 1_000);
  }

  /** Reads every row, some at a time: a statement has a limit. */
  async #scan(): Promise<void> {
    for (let first = 1; first <= this.#rowsCount; first += FILL_ROWS_COUNT) {
      const last = first + FILL_ROWS_COUNT - 1;
      await this.#ask(`SELECT sum(length(note)) FROM filler WHERE id BETWEEN ${first} AND ${last}`);
    }
  }

  /** Kills the gateway under load; how many commits each row had acknowledged. */
  async #killUnder(load: 'rows' | 'hot'): Promise<Map<number, number>> {
    const acknowledged = new Map<number, number>();
    let isOver = false;
    const client = async (): Promise<void> => {
      while (!isOver) {
        const id = load === 'hot' ? 1 : 2 + (this.#random.uint32() % (this.#rowsCount - 1));
        try {
          await this.#ask(`UPDATE filler SET n = n + 1 WHERE id = ${id}`);
        } catch {
          return;
        }
        acknowledged.set(id, (acknowledged.get(id) ?? 0) + 1);
      }
    };
    const before = new Map([[1, Number(await this.#ask(ROW))]]);
    const clients = Array.from({ length: CLIENTS_COUNT }, client);
    await sleep(this.#plan.loadMs);
    const { child } = this.#gateway!.process;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    isOver = true;
    this.#gateway = null;
    await Promise.all(clients);
    const hot = acknowledged.get(1);
    if (hot !== undefined) acknowledged.set(1, hot + before.get(1)!);
    return acknowledged;
  }

  /** A fast start that has lost something must not win. */
  async #verify(acknowledged: ReadonlyMap<number, number>): Promise<void> {
    for (const [id, count] of [...acknowledged].slice(-200)) {
      const found = Number(await this.#ask(`SELECT n FROM filler WHERE id = ${id}`));
      if (found < count) throw new Error(`row ${id} has ${found} commits, ${count} acknowledged`);
    }
  }

  async #makeSmall(): Promise<number[]> {
    const times: number[] = [];
    for (let number = 0; number < this.#plan.smallCount; number++) {
      const beganMs = performance.now();
      await this.#ask('CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)', `small-${number}`);
      times.push(performance.now() - beganMs);
      if (number % 100 === 99) {
        this.#plan.log(`  ${number + 1} small, ${(this.#memory().own / MIB).toFixed(0)} MiB`);
      }
    }
    return times;
  }

  #memory(): Memory {
    const { pid } = this.#gateway!.process;
    return { rss: treeMemoryBytes(pid, 'VmRSS'), own: treeMemoryBytes(pid, 'RssAnon') };
  }
}

function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      return join(parentPath, name);
    });
}

/** What the files take on the disk. */
function folderSizeBytes(folder: string): number {
  return filesIn(folder).reduce((sum, path) => sum + statSync(path).blocks * 512, 0);
}

/** Asks the kernel to forget what it holds of the files. Source: dd(1), `nocache`. */
function dropCaches(folder: string): void {
  for (const path of filesIn(join(folder, 'databases'))) {
    execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
  }
}
