// Which deltas a new release gets: against what clients really have. They say so when they ask
// (`bases.json`); what an app ships with is always among them, and so are the latest releases,
// which nobody has asked with yet.

import type { BaseCounts } from './channel-state.ts';
import type { ContentRef, ReleaseEntry, ReleaseManifest } from './model.ts';

export interface OldRelease {
  readonly entry: Pick<ReleaseEntry, 'version' | 'isBuiltIn'>;
  readonly manifest: Pick<ReleaseManifest, 'files' | 'pack'>;
}

export interface DeltaPlanOptions {
  /** Bases for one file taken from what clients asked with, most asked first. */
  readonly askedCountMax: number;
  /** The latest releases whose files are bases whatever clients asked with. */
  readonly latestCountMax: number;
}

export interface PlannedDelta {
  /** Of the target's file; null for the pack. */
  readonly path: string | null;
  readonly target: string;
  readonly base: string;
}

interface Target {
  readonly path: string | null;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** A base may be longer than its target by this factor, or shorter, when names only resemble. */
const RESEMBLING_SIZE_FACTOR = 4;

/** Plans deltas to every content of a release. `olds` are newest first.
 *  Cost: O(files × releases). */
export function planDeltas(
  manifest: Pick<ReleaseManifest, 'files' | 'pack'>,
  olds: readonly OldRelease[],
  counts: BaseCounts,
  options: DeltaPlanOptions,
): PlannedDelta[] {
  const targets = targetsOf(manifest);
  const planned = new Map<string, PlannedDelta>();
  const finders = olds.map((old) => new BaseFinder(old.manifest, manifest.pack !== null));
  for (const { path, sha256, sizeBytes } of targets) {
    const bases = finders.map((finder) => finder.find({ path, sha256, sizeBytes }));
    for (const base of choose(bases, olds, counts, options)) {
      if (base !== sha256) planned.set(`${sha256} ${base}`, { path, target: sha256, base });
    }
  }
  return [...planned.values()];
}

/** What is worth a delta: the pack of a packed release, else each file. */
function targetsOf({ files, pack }: Pick<ReleaseManifest, 'files' | 'pack'>): Target[] {
  if (pack !== null) return [{ path: null, ...pack }];
  return files.map(({ path, sha256, sizeBytes }) => ({ path, sha256, sizeBytes }));
}

/** `bases[i]` is what release `i` has in the target's place. */
function choose(
  bases: readonly (string | null)[],
  olds: readonly OldRelease[],
  counts: BaseCounts,
  options: DeltaPlanOptions,
): Set<string> {
  const chosen = new Set<string>();
  bases.forEach((base, index) => {
    const isWanted = index < options.latestCountMax || olds[index]!.entry.isBuiltIn;
    if (base !== null && isWanted) chosen.add(base);
  });
  const asked = [...new Set(bases)].filter((base) => base !== null && countOf(counts, base) > 0);
  asked.sort((left, right) => countOf(counts, right!) - countOf(counts, left!));
  for (const base of asked.slice(0, options.askedCountMax)) chosen.add(base!);
  return chosen;
}

function countOf(counts: BaseCounts, sha256: string): number {
  return Object.hasOwn(counts, sha256) ? counts[sha256]! : 0;
}

/** Finds what an old release has in the place of a new file. */
class BaseFinder {
  readonly #isPacked: boolean;
  readonly #pack: ContentRef | null;
  readonly #byPath = new Map<string, ContentRef>();
  readonly #byForm = new Map<string, ContentRef[]>();

  constructor({ files, pack }: OldRelease['manifest'], isPacked: boolean) {
    this.#isPacked = isPacked;
    this.#pack = pack;
    if (isPacked) return;
    for (const file of files) {
      this.#byPath.set(file.path, file);
      const form = formOf(file.path);
      const alike = this.#byForm.get(form);
      if (alike === undefined) this.#byForm.set(form, [file]);
      else alike.push(file);
    }
  }

  /** The file of the same path; else the one of nearest size among those that are named alike. */
  find({ path, sizeBytes }: Target): string | null {
    if (this.#isPacked) return this.#pack?.sha256 ?? null;
    const same = this.#byPath.get(path!);
    if (same !== undefined) return same.sha256;
    let nearest: ContentRef | null = null;
    for (const one of this.#byForm.get(formOf(path!)) ?? []) {
      const factor = (one.sizeBytes + 1) / (sizeBytes + 1);
      if (factor > RESEMBLING_SIZE_FACTOR || factor * RESEMBLING_SIZE_FACTOR < 1) continue;
      const distance = Math.abs(one.sizeBytes - sizeBytes);
      if (nearest === null || distance < Math.abs(nearest.sizeBytes - sizeBytes)) nearest = one;
    }
    return nearest?.sha256 ?? null;
  }
}

/** A path without what builds put into names: hashes and version numbers.
 *  `assets/main.3f2a1b9c.js`, `assets/main-BX3k9_aQ.js` and `lib-1.2.3.js` become alike. */
export function formOf(path: string): string {
  return path
    .split('/')
    .map((segment) => segment.replace(/[.\-_][^.]*(?=\.)/g, shortened).replace(/\d+/g, '0'))
    .join('/');
}

/** A part of a name, up to the next dot: gone when it looks like a hash, which has a digit or both
 *  cases. */
function shortened(part: string): string {
  return part.replace(/[.\-_](?=[\w-]*(?:\d|[a-z][\w-]*[A-Z]|[A-Z][\w-]*[a-z]))[\w-]{6,}$/, '#');
}
