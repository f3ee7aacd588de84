// The pages that are newer than the page source, in as many versions as snapshots need: snapshot
// isolation by LSN. Knows nothing of SQLite.
//
//   newest of page 7:  lsn 41 ─older─► lsn 38 ─older─► lsn 30      source: everything as of its lsn
//                                        ▲
//                      a snapshot pinned at 38, 39 or 40 reads this one; with no pin it is freed

import { DB_PAGE_SIZE_BYTES, type FoldedPage, type Lsn, type PageSource } from '../contract.ts';
import { PageCache } from './page-cache.ts';
import { PageMemory, type PageVersion } from './page-memory.ts';
import { Pins } from './pins.ts';

/** A state of the database that stays readable until it is unpinned. */
export interface Snapshot {
  lsn: Lsn;
  pageCount: number;
}

/** From `lsn` on, pages above `pageCount` are gone until written again. */
interface Truncation {
  readonly lsn: Lsn;
  readonly pageCount: number;
}

/** A state of the source that snapshots older than its present one still read. */
interface OldBase {
  readonly lsn: Lsn;
  readonly release: () => void;
}

const ZERO_PAGE = new Uint8Array(DB_PAGE_SIZE_BYTES);
/** Each freed pin may look at so many pages with old versions, so that the work of finding what it
 *  freed stays in proportion. */
const SWEEP_CREDIT = 256;
/** Fewer truncations than this are not worth merging: each read looks at all of them. */
const TRUNCATIONS_COUNT_MIN = 8;

export class Overlay {
  readonly memory = new PageMemory();
  readonly #source: PageSource;
  /** Pages of the source's present state. */
  readonly #cache: PageCache;
  readonly #newest = new Map<number, PageVersion>();
  readonly #pins = new Pins();
  /** Pages that have more than one version, or one that only an old snapshot needs. */
  readonly #layered = new Set<number>();
  #truncations: Truncation[] = [];
  #oldBases: OldBase[] = [];
  #baseLsn: Lsn;
  #sweepCredit = 0;
  #lsn: Lsn;
  #pageCount: number;

  constructor(source: PageSource, cacheSizeBytesMax: number) {
    this.#source = source;
    this.#cache = new PageCache(cacheSizeBytesMax);
    this.#baseLsn = source.lsn;
    this.#lsn = source.lsn;
    this.#pageCount = source.pageCount;
  }

  /** The newest commit. */
  get lsn(): Lsn {
    return this.#lsn;
  }

  get pageCount(): number {
    return this.#pageCount;
  }

  /** What the source holds; `advance` moves it. */
  get baseLsn(): Lsn {
    return this.#baseLsn;
  }

  /** Pages that have a version here. */
  get pagesCount(): number {
    return this.#newest.size;
  }

  /** Holds the newest state for `snapshot`, which is filled in. */
  pin(snapshot: Snapshot): void {
    snapshot.lsn = this.#lsn;
    snapshot.pageCount = this.#pageCount;
    this.#pins.add(this.#lsn);
  }

  /** Pins a state once more that is pinned already. */
  repin(snapshot: Snapshot): Snapshot {
    this.#pins.add(snapshot.lsn);
    return { ...snapshot };
  }

  unpin(snapshot: Snapshot): void {
    if (!this.#pins.remove(snapshot.lsn) || snapshot.lsn === this.#lsn) return;
    this.#releaseBases();
    this.#sweepCredit += SWEEP_CREDIT;
    if (this.#sweepCredit < this.#layered.size) return;
    this.#sweepCredit = 0;
    for (const pageNumber of this.#layered) this.#tidy(pageNumber);
  }

  /** What a snapshot sees of a page: a version here, null where it is the source's, undefined
   *  where there is no such page. The version's bytes stay while the snapshot is pinned. */
  find(pageNumber: number, snapshotLsn: Lsn): PageVersion | null | undefined {
    let version = this.#newest.get(pageNumber) ?? null;
    while (version !== null && version.lsn > snapshotLsn) version = version.older;
    const base = this.#baseFor(snapshotLsn);
    if (version !== null && version.lsn <= base) version = null;
    if (this.#truncations.length === 0) return version;
    const since = version === null ? base : version.lsn;
    return this.#isCutBetween(pageNumber, since, snapshotLsn) ? undefined : version;
  }

  /** Copies a page as a snapshot sees it. False, and zeros, where it has no such page.
   *  Errors: what the source throws. */
  read(pageNumber: number, snapshot: Snapshot, into: Uint8Array): boolean {
    if (pageNumber <= snapshot.pageCount) {
      const version = this.find(pageNumber, snapshot.lsn);
      if (version) {
        into.set(version.bytes);
        return true;
      }
      if (version === null && this.#readBase(pageNumber, snapshot.lsn, into)) return true;
    }
    into.fill(0);
    return false;
  }

  #readBase(pageNumber: number, snapshotLsn: Lsn, into: Uint8Array): boolean {
    const base = this.#baseFor(snapshotLsn);
    if (base !== this.#baseLsn) return this.#source.readPage(pageNumber, base, into);
    if (this.#cache.read(pageNumber, into)) return true;
    const isThere = this.#source.readPage(pageNumber, base, into);
    if (isThere) this.#cache.keep(pageNumber, into);
    return isThere;
  }

  /** Makes pages the newest state. Takes the versions over. */
  install(lsn: Lsn, pageCount: number, versions: Iterable<PageVersion>): void {
    if (lsn !== this.#lsn + 1) throw new RangeError(`LSN ${lsn} does not follow ${this.#lsn}`);
    if (pageCount < this.#pageCount) this.#cut(lsn, pageCount);
    this.#lsn = lsn;
    this.#pageCount = pageCount;
    for (const version of versions) {
      const pageNumber = version.pageNumber;
      version.lsn = lsn;
      version.older = this.#newest.get(pageNumber) ?? null;
      this.#newest.set(pageNumber, version);
      if (version.older === null) continue;
      this.#prune(version);
      if (version.older !== null) this.#layered.add(pageNumber);
    }
  }

  /** The pages by which a pinned state differs from the source, for a fold. */
  *changedPages(snapshot: Snapshot): Generator<FoldedPage> {
    for (const pageNumber of this.#newest.keys()) {
      if (pageNumber > snapshot.pageCount) continue;
      const version = this.find(pageNumber, snapshot.lsn);
      if (version) yield { pageNumber, bytes: version.bytes };
    }
    yield* this.#zeroedPages(snapshot);
  }

  /** Pages that were cut off and came back without being written: the source must forget what it
   *  has of them. */
  *#zeroedPages(snapshot: Snapshot): Generator<FoldedPage> {
    const cuts = this.#truncations.filter((cut) => cut.lsn <= snapshot.lsn);
    const lowest = Math.min(...cuts.map((cut) => cut.pageCount));
    for (let pageNumber = lowest + 1; pageNumber <= snapshot.pageCount; pageNumber++) {
      if (this.find(pageNumber, snapshot.lsn) === undefined) yield { pageNumber, bytes: ZERO_PAGE };
    }
  }

  /** Forgets what the source now holds. `snapshot` is what was folded, and still pinned; the
   *  source's former state is released when no snapshot needs it any more. */
  advance(snapshot: Snapshot, releaseFormer: () => void): void {
    if (this.#source.lsn !== snapshot.lsn) {
      throw new RangeError(`the source stands at ${this.#source.lsn}, not at ${snapshot.lsn}`);
    }
    const formerLsn = this.#baseLsn;
    this.#oldBases.push({ lsn: formerLsn, release: releaseFormer });
    this.#baseLsn = snapshot.lsn;
    this.#refreshCache(formerLsn);
    for (const pageNumber of this.#newest.keys()) this.#tidy(pageNumber);
    this.#releaseBases();
  }

  /** What the source has just taken over leaves memory here, and is about as warm as ever. */
  #refreshCache(formerLsn: Lsn): void {
    if (this.#truncations.length > 0) {
      this.#cache.clear();
      return;
    }
    for (const [pageNumber, { lsn, bytes }] of this.#newest) {
      if (lsn > this.#baseLsn) this.#cache.forget(pageNumber);
      // An older one stands here for old snapshots, or has not been tidied away.
      else if (lsn > formerLsn) this.#cache.keep(pageNumber, bytes);
    }
  }

  /** Forgets what is newer than a pinned state. Nothing newer may be pinned. */
  dropTo(snapshot: Snapshot): void {
    for (const [pageNumber, newest] of this.#newest) {
      let version: PageVersion | null = newest;
      while (version !== null && version.lsn > snapshot.lsn) {
        const older: PageVersion | null = version.older;
        this.memory.giveBack(version);
        version = older;
      }
      if (version === newest) continue;
      if (version === null) {
        this.#newest.delete(pageNumber);
        this.#layered.delete(pageNumber);
      } else {
        this.#newest.set(pageNumber, version);
      }
    }
    this.#truncations = this.#truncations.filter((cut) => cut.lsn <= snapshot.lsn);
    this.#lsn = snapshot.lsn;
    this.#pageCount = snapshot.pageCount;
  }

  /** The state of the source that holds what a snapshot does not find here. */
  #baseFor(snapshotLsn: Lsn): Lsn {
    if (snapshotLsn >= this.#baseLsn) return this.#baseLsn;
    for (let index = this.#oldBases.length - 1; index >= 0; index--) {
      const base = this.#oldBases[index]!;
      if (base.lsn <= snapshotLsn) return base.lsn;
    }
    throw new RangeError(`LSN ${snapshotLsn} is not readable any more`);
  }

  #isCutBetween(pageNumber: number, from: Lsn, to: Lsn): boolean {
    for (const cut of this.#truncations) {
      if (cut.pageCount < pageNumber && cut.lsn > from && cut.lsn <= to) return true;
    }
    return false;
  }

  #cut(lsn: Lsn, pageCount: number): void {
    this.#truncations.push({ lsn, pageCount });
    if (this.#truncations.length > TRUNCATIONS_COUNT_MIN) this.#mergeTruncations();
    // Their versions are old ones now: found and freed as such.
    for (const pageNumber of this.#newest.keys()) {
      if (pageNumber > pageCount) this.#layered.add(pageNumber);
    }
  }

  /** Forgets truncations that a later, deeper one covers for every snapshot there is. */
  #mergeTruncations(): void {
    const kept: Truncation[] = [];
    for (const cut of this.#truncations.toReversed()) {
      const later = kept.at(-1);
      const isCovered = later !== undefined && later.pageCount <= cut.pageCount;
      if (!isCovered || this.#pins.hasIn(cut.lsn, later.lsn)) kept.push(cut);
    }
    this.#truncations = kept.reverse();
  }

  /** Since when a version is not the newest state any more. */
  #replacedLsn(newest: PageVersion): Lsn {
    let lsn = newest.lsn <= this.#baseLsn ? this.#baseLsn : Number.POSITIVE_INFINITY;
    for (const cut of this.#truncations) {
      if (cut.pageCount < newest.pageNumber && cut.lsn > newest.lsn) lsn = Math.min(lsn, cut.lsn);
    }
    return lsn;
  }

  /** Frees the versions below `newest` that no snapshot sees. */
  #prune(newest: PageVersion): void {
    let kept = newest;
    let version = newest.older;
    while (version !== null) {
      const older: PageVersion | null = version.older;
      if (this.#isSeen(version.lsn, kept.lsn)) {
        kept.older = version;
        kept = version;
      } else {
        this.memory.giveBack(version);
      }
      version = older;
    }
    kept.older = null;
  }

  /** Whether a snapshot sees a version that was replaced at `replacedLsn`. Snapshots from the
   *  source's LSN on read the source instead. */
  #isSeen(lsn: Lsn, replacedLsn: Lsn): boolean {
    const to = lsn <= this.#baseLsn ? Math.min(replacedLsn, this.#baseLsn) : replacedLsn;
    return this.#pins.hasIn(lsn, to);
  }

  #tidy(pageNumber: number): void {
    const newest = this.#newest.get(pageNumber);
    if (newest === undefined) {
      this.#layered.delete(pageNumber);
      return;
    }
    this.#prune(newest);
    const replacedLsn = this.#replacedLsn(newest);
    const isReplaced = replacedLsn <= this.#lsn;
    if (isReplaced && !this.#isSeen(newest.lsn, replacedLsn)) {
      const older = newest.older;
      this.memory.giveBack(newest);
      if (older === null) {
        this.#newest.delete(pageNumber);
        this.#layered.delete(pageNumber);
        return;
      }
      this.#newest.set(pageNumber, older);
      this.#layered.add(pageNumber);
      return;
    }
    if (isReplaced || newest.older !== null) this.#layered.add(pageNumber);
    else this.#layered.delete(pageNumber);
  }

  #releaseBases(): void {
    const oldest = this.#pins.oldest;
    while (this.#oldBases.length > 0) {
      const next = this.#oldBases[1]?.lsn ?? this.#baseLsn;
      if (oldest < next) break;
      this.#oldBases.shift()!.release();
    }
    if (this.#truncations.length > 0 && this.#oldBases.length === 0) {
      this.#truncations = this.#truncations.filter((cut) => cut.lsn > this.#baseLsn);
    }
  }
}
