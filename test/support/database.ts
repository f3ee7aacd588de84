// A database over a log and a page store in memory, which do what they are told: hold a group back,
// fail, forget.

import assert from 'node:assert/strict';
import { GatewayError, ManualClock } from '../../host/core/index.ts';
import { deltaCodec } from '../../host/db/commit-codec.ts';
import type {
  FoldedPage,
  LogGroup,
  LogStore,
  Lsn,
  PagePin,
  PageStore,
} from '../../host/db/contract.ts';
import { Database } from '../../host/db/database.ts';
import type { DatabaseEvent, DatabaseOptions } from '../../host/db/database-options.ts';
import { PageCodec } from '../../host/kernels/index.ts';
import { sqliteModule } from './sql.ts';
import { codecModuleBytes } from './wasm.ts';

export const pageCodec = new PageCodec(new WebAssembly.Module(codecModuleBytes()));

/** What a log leaves behind: the disk. */
export class MemoryDisk {
  groups: LogGroup[] = [];
  baseLsn: Lsn = 0;
  /** Appends wait until this is resolved, where there is one. */
  hold: Promise<void> | null = null;
  /** The next append fails with this. `writes`: it stands on the disk all the same. */
  failure: { readonly error: Error; readonly writes: boolean } | null = null;
  openFailure: Error | null = null;
  openedCount = 0;

  get lastLsn(): Lsn {
    return this.groups.at(-1)?.lastLsn ?? this.baseLsn;
  }

  /** Lets appends through only after the returned call. */
  holdAppends(): () => void {
    let release = (): void => {};
    this.hold = new Promise((resolve) => {
      release = () => {
        this.hold = null;
        resolve();
      };
    });
    return release;
  }
}

export class MemoryLog implements LogStore {
  readonly epoch = 1;
  readonly #disk: MemoryDisk;
  #isAppending = false;
  #isClosed = false;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
    disk.openedCount++;
  }

  get nextLsn(): Lsn {
    return this.#disk.lastLsn + 1;
  }

  get firstLsn(): Lsn {
    return this.#disk.groups[0]?.firstLsn ?? this.nextLsn;
  }

  async append(expectedLsn: Lsn, group: LogGroup): Promise<void> {
    assert.equal(this.#isAppending, false, 'one append at a time');
    assert.equal(this.#isClosed, false);
    assert.equal(expectedLsn, this.nextLsn);
    assert.equal(group.firstLsn, expectedLsn);
    this.#isAppending = true;
    const payload = group.payload.slice();
    await this.#disk.hold;
    await new Promise((resolve) => setImmediate(resolve));
    this.#isAppending = false;
    assert.deepEqual(group.payload, payload, 'the payload changed under the log');
    const { failure } = this.#disk;
    this.#disk.failure = null;
    if (failure === null || failure.writes) this.#disk.groups.push({ ...group, payload });
    if (failure !== null) throw failure.error;
  }

  async *read(fromLsn: Lsn): AsyncGenerator<LogGroup> {
    if (fromLsn < this.firstLsn) throw new GatewayError('DB_LOG_TRIMMED', `lsn ${fromLsn}`);
    for (const group of [...this.#disk.groups]) if (group.lastLsn >= fromLsn) yield group;
  }

  async trim(toLsn: Lsn): Promise<void> {
    const left = this.#disk.groups.filter(({ lastLsn }) => lastLsn > toLsn);
    this.#disk.baseLsn = left.length === 0 ? this.#disk.lastLsn : this.#disk.baseLsn;
    this.#disk.groups = left;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }
}

interface StoredState {
  readonly pageCount: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
  pinsCount: number;
}

export class MemoryPages implements PageStore {
  lsn: Lsn = 0;
  readonly #states = new Map<Lsn, StoredState>([
    [0, { pageCount: 0, pages: new Map(), pinsCount: 0 }],
  ]);
  /** Folds wait until this is resolved, where there is one. */
  hold: Promise<void> | null = null;
  failure: Error | null = null;
  isClosed = false;

  get pageCount(): number {
    return this.#states.get(this.lsn)!.pageCount;
  }

  get statesCount(): number {
    return this.#states.size;
  }

  readPage(pageNumber: number, atLsn: Lsn, into: Uint8Array): boolean {
    const state = this.#states.get(atLsn);
    assert.ok(state !== undefined, `the state at ${atLsn} is not pinned`);
    const bytes = state.pages.get(pageNumber);
    if (bytes !== undefined) into.set(bytes);
    return bytes !== undefined;
  }

  async fold(lsn: Lsn, pageCount: number, changed: Iterable<FoldedPage>): Promise<void> {
    const pages = new Map(this.#states.get(this.lsn)!.pages);
    for (const { pageNumber, bytes } of changed) {
      pages.set(pageNumber, bytes.slice());
      if (pages.size % 16 === 0) await this.hold;
    }
    await this.hold;
    if (this.failure !== null) throw this.failure;
    for (const pageNumber of pages.keys()) if (pageNumber > pageCount) pages.delete(pageNumber);
    const former = this.lsn;
    this.#states.set(lsn, { pageCount, pages, pinsCount: 0 });
    this.lsn = lsn;
    this.#forget(former);
  }

  pin(atLsn: Lsn): PagePin {
    const state = this.#states.get(atLsn)!;
    state.pinsCount++;
    const release = (): void => {
      state.pinsCount--;
      this.#forget(atLsn);
    };
    return { lsn: atLsn, pageCount: state.pageCount, release };
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #forget(lsn: Lsn): void {
    if (lsn !== this.lsn && this.#states.get(lsn)?.pinsCount === 0) this.#states.delete(lsn);
  }
}

export interface DatabaseScene {
  readonly database: Database;
  readonly disk: MemoryDisk;
  readonly pages: MemoryPages;
  readonly clock: ManualClock;
  readonly events: DatabaseEvent[];
}

/** Opens a database on what is there. */
export async function openDatabase(
  parts: Partial<DatabaseOptions> & { disk?: MemoryDisk; pages?: MemoryPages } = {},
): Promise<DatabaseScene> {
  const { disk = new MemoryDisk(), pages = new MemoryPages(), ...options } = parts;
  const clock = new ManualClock();
  const events: DatabaseEvent[] = [];
  const database = await Database.open({
    module: sqliteModule,
    clock,
    codec: deltaCodec(pageCodec),
    pages,
    openLog: async () => {
      if (disk.openFailure !== null) throw disk.openFailure;
      return new MemoryLog(disk);
    },
    report: (event) => events.push(event),
    ...options,
  });
  return { database, disk, pages, clock, events };
}

/** Resolves when a state is durable. Errors: why it never will be. */
export function durable(database: Database, lsn: Lsn): Promise<void> {
  return new Promise((resolve, reject) => {
    database.whenDurable(lsn, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** Resolves when something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let round = 0; round < 3_000; round++) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail('it did not happen within 30 s');
}
