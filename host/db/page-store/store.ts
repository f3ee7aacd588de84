// The page store of a database: pages folded out of the log, by number and LSN, each LZ4 where that
// is smaller and checksummed always. One thread folds; others may have the same folder open to read
// (and call `refresh`). It knows no SQL and no log, and keeps no page in memory.

import { GatewayError, isGatewayError, secretBytes } from '../../core/index.ts';
import { PageCodec } from '../../kernels/index.ts';
import {
  DB_PAGE_SIZE_BYTES,
  type FoldedPage,
  type Lsn,
  type PagePin,
  type PageStore,
} from '../contract.ts';
import { checkStore, type StoreReport } from './check.ts';
import { collectHistory } from './collect.ts';
import { Environment } from './environment.ts';
import {
  BATCH_RECORDS_COUNT,
  BRANCH_DEPTH_MAX,
  DURABLE_PINS_COUNT_MAX,
  FOLD_SLICE_PAGES_COUNT,
  PAGE_NUMBER_MAX,
} from './limits.ts';
import { type BranchBase, type FoldedState, MetaTable, type StoreMeta } from './meta.ts';
import type { PageStoreOptions, PageStoreStats } from './options.ts';
import {
  decodeRecord,
  encodeRecord,
  lsnOfRecord,
  PAGE_KEY_SIZE_BYTES,
  placeOfKey,
  versionKey,
  writePageKey,
} from './record.ts';
import { StateBook } from './states.ts';

/** As the log counts them. */
const EPOCH_FIRST = 1;
const ID_SIZE_BYTES = 16;

/** Old versions put aside that make a collection due, as a share of all records. */
const COLLECTION_SHARE = 8;

interface PreparedPage {
  readonly pageNumber: number;
  readonly record: Buffer;
}

export class LmdbPageStore implements PageStore {
  readonly #environment: Environment;
  readonly #codec: PageCodec;
  readonly #table: MetaTable;
  readonly #states: StateBook;
  readonly #options: PageStoreOptions;
  readonly #parent: LmdbPageStore | null;
  readonly #key = Buffer.alloc(PAGE_KEY_SIZE_BYTES);
  #meta: StoreMeta;
  /** Put aside since the last collection. */
  #asideSizeBytes = 0;
  #jobs: Promise<unknown> = Promise.resolve();

  private constructor(options: PageStoreOptions, environment: Environment) {
    this.#options = options;
    this.#codec = new PageCodec(options.codecModule);
    this.#parent = options.parent ?? null;
    const { retentionMs, stateSpacingMs: spacingMs = 0 } = options;
    this.#states = new StateBook({ retentionMs, spacingMs });
    this.#environment = environment;
    this.#table = new MetaTable(this.#environment, this.#codec);
    this.#meta = this.#table.readStore() ?? this.#make();
    this.#readStates();
    if ((this.#meta.base === null) !== (this.#parent === null) || this.depth > BRANCH_DEPTH_MAX) {
      const where = `${options.folder}: a branch needs its parent`;
      const detail = `${where}, ${BRANCH_DEPTH_MAX} deep at most`;
      throw new GatewayError('DB_FORMAT', detail);
    }
  }

  /** Opens a store, or makes it, with what was durable. Errors: DB_FORMAT; DB_STORE_FULL. */
  static async open(options: PageStoreOptions): Promise<LmdbPageStore> {
    return new LmdbPageStore(options, await Environment.open(options));
  }

  /** What a store is a branch of, before its parent is opened. Errors: DB_FORMAT. */
  static async baseOf(options: PageStoreOptions): Promise<BranchBase | null> {
    const environment = await Environment.open(options);
    const table = new MetaTable(environment, new PageCodec(options.codecModule));
    try {
      return table.readStore()?.base ?? null;
    } finally {
      await environment.close();
    }
  }

  get lsn(): Lsn {
    return this.#meta.lsn;
  }

  get pageCount(): number {
    return this.#meta.pageCount;
  }

  get epoch(): number {
    return this.#meta.epoch;
  }

  /** Thirty-two hexadecimal digits: the same in every copy of the database, and in no other. */
  get id(): string {
    return this.#meta.id;
  }

  get base(): BranchBase | null {
    return this.#meta.base;
  }

  /** How many branches lie between this store and one that is none. */
  get depth(): number {
    return this.#parent === null ? 0 : this.#parent.depth + 1;
  }

  /** Errors: DB_PAGE_CORRUPT. Cost: a look-up and 1 to 4 µs of decoding; where it is not the newest
   *  version, a seek and the decoding once more; in a branch the same in the parent. */
  readPage(pageNumber: number, atLsn: Lsn, into: Uint8Array): boolean {
    const record = this.#environment.current.getBinaryFast(writePageKey(this.#key, pageNumber));
    if (record !== undefined) {
      const lsn = lsnOfRecord(record);
      const isThere = decodeRecord(this.#codec, { pageNumber, lsn }, record, into);
      if (lsn <= atLsn) return isThere;
      // Its LSN has been checked: one that only seems too new would hide the page.
      const older = this.#readOlder(pageNumber, atLsn, into);
      if (older !== null) return older;
    }
    const { base } = this.#meta;
    if (this.#parent === null || base === null) return false;
    return this.#parent.readPage(pageNumber, Math.min(atLsn, base.lsn), into);
  }

  /** Fills an empty store, batch by batch, and makes `lsn` its state with the last: until then it
   *  is empty to everybody. A load that ended half-way is never gone on with: remove the folder.
   *  Errors: as for fold. */
  load(lsn: Lsn, pageCount: number, batches: AsyncIterable<readonly FoldedPage[]>): Promise<void> {
    return this.#queue(async () => {
      if (this.lsn !== 0 || this.#environment.current.getKeysCount({ limit: 1 }) > 0) {
        throw new RangeError(`a load into a store at lsn ${this.lsn}`);
      }
      const nowMs = this.#options.clock.wallMs();
      const write = (state: { readonly lsn: Lsn; readonly pageCount: number }) => {
        const prepared = waiting.splice(0);
        this.#environment.write(() => this.#writeFold({ ...state, prepared, kept: [], nowMs }));
        this.#readMeta();
      };
      const waiting: PreparedPage[] = [];
      for await (const pages of batches) {
        waiting.push(...(await this.#prepare(lsn, pageCount, pages)));
        // Each transaction is synced: few of them, whatever the size of a batch.
        if (waiting.length >= BATCH_RECORDS_COUNT) write({ lsn: 0, pageCount: 0 });
      }
      write({ lsn, pageCount });
    });
  }

  /** Compresses in slices, so that the thread can do other work, and then writes all in one
   *  transaction, which holds the thread until it is on the disk. Old versions stay that a kept
   *  state needs. Errors: DB_STORE_FULL, and then nothing has changed; RangeError for an LSN that
   *  is not newer, a page beyond the count or of another size. */
  fold(lsn: Lsn, pageCount: number, pages: Iterable<FoldedPage>): Promise<void> {
    return this.#queue(async () => {
      if (!(Number.isSafeInteger(lsn) && lsn > this.lsn)) {
        throw new RangeError(`a fold at lsn ${lsn}, the store is at ${this.lsn}`);
      }
      const prepared = await this.#prepare(lsn, pageCount, pages);
      const write = () => {
        const nowMs = this.#options.clock.wallMs();
        const kept = this.#states.keptAt(nowMs, lsn);
        const dropped = this.#droppedBy(kept);
        this.#environment.write(() => this.#writeFold({ lsn, pageCount, prepared, kept, nowMs }));
        this.#readMeta();
        return dropped;
      };
      let dropped: readonly FoldedState[];
      try {
        dropped = write();
      } catch (error) {
        // What the past takes is given up before a commit of now is refused.
        const isFull = isGatewayError(error) && error.code === 'DB_STORE_FULL';
        if (!isFull || !(await this.#forgetPast())) throw error;
        dropped = write();
      }
      if (this.#isCollectionDue(dropped)) await this.#collectHistory();
    });
  }

  pin(atLsn: Lsn): PagePin {
    const { lsn, pageCount } = this.#states.at(atLsn);
    this.#states.keepLive(lsn);
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#states.releaseLive(lsn);
      isHeld = false;
    };
    return { lsn, pageCount, release };
  }

  /** The oldest state that the retention keeps: the log has to lead on from there. */
  get retainedLsn(): Lsn {
    return this.#states.retainedLsn(this.#options.clock.wallMs());
  }

  /** The states that can be read, oldest first. */
  get states(): readonly FoldedState[] {
    return this.#states.all;
  }

  /** The newest state up to an LSN, for a replay of the log from there. Errors: DB_NO_STATE. */
  stateBefore(lsn: Lsn): FoldedState {
    return this.#states.atOrBefore(lsn);
  }

  /** Keeps the state at an LSN until the name is taken away, also over restarts. Returns its LSN.
   *  Errors: DB_NO_STATE; DB_EXISTS for another pin's name; DB_STORE_FULL. */
  pinDurably(name: string, atLsn: Lsn): Lsn {
    const { lsn } = this.#states.at(atLsn);
    const pins = this.#states.durable;
    if (pins.some((pin) => pin.name === name)) throw new GatewayError('DB_EXISTS', `pin ${name}`);
    if (pins.length >= DURABLE_PINS_COUNT_MAX) {
      throw new GatewayError('DB_STORE_FULL', `${pins.length} pins, the limit is as many`);
    }
    this.#environment.write(() => this.#table.writePin({ name, lsn }));
    this.#readStates();
    return lsn;
  }

  unpinDurably(name: string): void {
    this.#environment.write(() => this.#table.removePin(name));
    this.#readStates();
  }

  get durablePins(): readonly { readonly name: string; readonly lsn: Lsn }[] {
    return this.#states.durable;
  }

  /** Makes a later epoch durable. */
  advanceEpoch(epoch: number): void {
    if (epoch < this.epoch) throw new RangeError(`epoch ${epoch}, the store has ${this.epoch}`);
    this.#environment.write(() => this.#table.writeStore({ ...this.#meta, epoch }));
    this.#readMeta();
  }

  /** Forgets states that nobody keeps any more, and frees the versions that only they needed. */
  collect(): Promise<void> {
    return this.#queue(async () => {
      const kept = this.#states.keptAt(this.#options.clock.wallMs(), null);
      const gone = this.#states.old.filter(({ lsn }) => kept.every((state) => state.lsn !== lsn));
      if (gone.length > 0) {
        this.#environment.write(() => {
          for (const { lsn } of gone) this.#table.removeState(lsn);
        });
        this.#readStates();
      }
      await this.#collectHistory();
    });
  }

  /** Sees what another thread has folded. */
  refresh(): void {
    this.#environment.refresh();
    this.#readMeta();
  }

  stats(): PageStoreStats {
    const { lsn, pageCount, epoch, recordsSizeBytes, base } = this.#meta;
    return {
      lsn,
      pageCount,
      epoch,
      recordsSizeBytes,
      sizeBytesMax: this.#options.sizeBytesMax,
      fileSizeBytes: this.#environment.fileSizeBytes,
      currentCount: this.#environment.current.getKeysCount({}),
      historyCount: this.#environment.history.getKeysCount({}),
      states: this.states,
      base,
    };
  }

  /** Reads every record and names what is wrong. */
  check(): Promise<StoreReport> {
    return this.#queue(() => checkStore(this.#environment, this.#codec, this.#meta));
  }

  async close(): Promise<void> {
    await this.#jobs.catch(() => {});
    await this.#environment.close();
  }

  #make(): StoreMeta {
    const { base = null, parent, clock, copyOf } = this.#options;
    const pageCount = base === null ? 0 : parent!.#states.at(base.lsn).pageCount;
    this.#environment.write(() =>
      this.#table.writeStore({
        lsn: base?.lsn ?? 0,
        pageCount,
        epoch: copyOf?.epoch ?? parent?.epoch ?? EPOCH_FIRST,
        recordsSizeBytes: 0,
        foldedAtMs: clock.wallMs(),
        base,
        id: copyOf?.id ?? Buffer.from(secretBytes(ID_SIZE_BYTES)).toString('hex'),
      }),
    );
    return this.#table.readStore()!;
  }

  #readMeta(): void {
    this.#meta = this.#table.readStore()!;
    this.#readStates();
  }

  #readStates(): void {
    const { lsn, pageCount, foldedAtMs } = this.#meta;
    const newest = { lsn, pageCount, foldedAtMs, untilLsn: null };
    this.#states.set(newest, this.#table.readStates(), this.#table.readPins());
  }

  /** Null: no version of the page here is so old. */
  #readOlder(pageNumber: number, atLsn: Lsn, into: Uint8Array): boolean | null {
    const { history } = this.#environment;
    const [found] = history.getKeys({
      start: versionKey({ pageNumber, lsn: atLsn }),
      end: versionKey({ pageNumber, lsn: 0 }),
      inclusiveEnd: true,
      reverse: true,
      limit: 1,
    });
    if (found === undefined) return null;
    const place = placeOfKey(found);
    return decodeRecord(this.#codec, place, history.getBinary(found)!, into);
  }

  async #prepare(
    lsn: Lsn,
    pageCount: number,
    pages: Iterable<FoldedPage>,
  ): Promise<PreparedPage[]> {
    const prepared: PreparedPage[] = [];
    for (const { pageNumber, bytes } of pages) {
      const isNumber = Number.isInteger(pageNumber) && pageNumber >= 1;
      if (!isNumber || pageNumber > Math.min(pageCount, PAGE_NUMBER_MAX)) {
        throw new RangeError(`page ${pageNumber} of ${pageCount}`);
      }
      if (bytes.length !== DB_PAGE_SIZE_BYTES) {
        throw new RangeError(`page ${pageNumber} has ${bytes.length} bytes`);
      }
      const record = encodeRecord(this.#codec, { pageNumber, lsn }, bytes);
      // A copy of its size: the rest of its buffer would be kept with it.
      prepared.push({ pageNumber, record: Buffer.from(record) });
      if (prepared.length % FOLD_SLICE_PAGES_COUNT === 0) await nextTurn();
    }
    return prepared;
  }

  #droppedBy(kept: readonly FoldedState[]): FoldedState[] {
    return this.#states.old.filter(({ lsn }) => kept.every((state) => state.lsn !== lsn));
  }

  /** A collection looks at all of the history. Where the past is kept, that is much for the few
   *  versions that one checkpoint's reader has left: it waits until they are some share of it. */
  #isCollectionDue(dropped: readonly FoldedState[]): boolean {
    const { stateSpacingMs = 0, retentionMs, clock } = this.#options;
    if (dropped.length === 0) return false;
    if (stateSpacingMs === 0) return true;
    if (this.#asideSizeBytes * COLLECTION_SHARE >= this.#meta.recordsSizeBytes) return true;
    return dropped.some(({ foldedAtMs }) => clock.wallMs() - foldedAtMs >= retentionMs);
  }

  /** Forgets what only the retention keeps. Returns whether there was any. */
  async #forgetPast(): Promise<boolean> {
    const gone = this.#states.old.filter(({ lsn }) => !this.#states.isHeld(lsn));
    if (gone.length === 0) return false;
    this.#environment.write(() => {
      for (const { lsn } of gone) this.#table.removeState(lsn);
    });
    await this.#collectHistory();
    return true;
  }

  #writeFold(fold: {
    readonly lsn: Lsn;
    readonly pageCount: number;
    readonly prepared: readonly PreparedPage[];
    readonly kept: readonly FoldedState[];
    readonly nowMs: number;
  }): void {
    const { lsn, pageCount, prepared, kept, nowMs } = fold;
    const newestKept = kept.at(-1)?.lsn ?? -1;
    let sizeBytes = this.#meta.recordsSizeBytes;
    for (const { pageNumber, record } of prepared) {
      sizeBytes += this.#replace(pageNumber, record, newestKept);
    }
    for (const pageNumber of this.#pagesBeyond(pageCount)) {
      const record = encodeRecord(this.#codec, { pageNumber, lsn }, null);
      sizeBytes += this.#replace(pageNumber, record, newestKept);
    }
    const { sizeBytesMax } = this.#options;
    if (sizeBytes > sizeBytesMax) {
      const detail = `lsn ${lsn} would make it ${sizeBytes} bytes, the limit is ${sizeBytesMax}`;
      throw new GatewayError('DB_STORE_FULL', detail);
    }
    for (const state of this.#states.old) {
      if (kept.every((other) => other.lsn !== state.lsn)) this.#table.removeState(state.lsn);
    }
    for (const state of kept) this.#table.writeState(state);
    this.#table.writeStore({
      ...this.#meta,
      lsn,
      pageCount,
      recordsSizeBytes: sizeBytes,
      foldedAtMs: nowMs,
    });
  }

  /** Puts a page's newest version, and its former one aside where a kept state needs it. Returns
   *  by how much the records have grown. */
  #replace(pageNumber: number, record: Buffer, newestKept: Lsn): number {
    const { current, history } = this.#environment;
    const key = writePageKey(Buffer.allocUnsafe(PAGE_KEY_SIZE_BYTES), pageNumber);
    const former = current.getBinary(key);
    let grown = record.length;
    if (former !== undefined) {
      const lsn = lsnOfRecord(former);
      if (lsn <= newestKept) {
        history.putSync(versionKey({ pageNumber, lsn }), former);
        this.#asideSizeBytes += former.length;
      } else grown -= former.length;
    }
    current.putSync(key, record);
    return grown;
  }

  /** Pages that there were and that a smaller count leaves out; in a branch also those of the
   *  parent, which it must not see again. */
  #pagesBeyond(pageCount: number): number[] {
    if (pageCount >= this.#meta.pageCount) return [];
    const count = this.#meta.pageCount - pageCount;
    if (this.#parent !== null) {
      return Array.from({ length: count }, (_, index) => pageCount + 1 + index);
    }
    const start = writePageKey(Buffer.alloc(PAGE_KEY_SIZE_BYTES), pageCount + 1);
    const end = writePageKey(Buffer.alloc(PAGE_KEY_SIZE_BYTES), this.#meta.pageCount + 1);
    return [...this.#environment.current.getKeys({ start, end })].map((key) => key.readUInt32BE());
  }

  async #collectHistory(): Promise<void> {
    this.#readStates();
    this.#asideSizeBytes = 0;
    const kept = this.#states.old.map(({ lsn }) => lsn);
    await collectHistory(this.#environment, kept, (freedBytes) => {
      const recordsSizeBytes = this.#meta.recordsSizeBytes - freedBytes;
      this.#meta = { ...this.#meta, recordsSizeBytes };
      this.#table.writeStore(this.#meta);
    });
    this.#readMeta();
  }

  #queue<T>(job: () => Promise<T>): Promise<T> {
    const done = this.#jobs.then(job, job);
    this.#jobs = done.catch(() => {});
    return done;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
