// Which deltas a new release gets: against what clients really have. They say so when they ask
// (`bases.json`); what an app ships with is always among them, and so are the latest releases,
// which nobody has asked with yet.

import type { BaseCounts } from './channel-state.ts';
import type { ReleaseEntry, ReleaseManifest } from './model.ts';
import { BaseFinder } from './path-form.ts';

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
  const paths = new Set(manifest.files.map(({ path }) => path));
  const isPacked = manifest.pack !== null;
  const finders = olds.map((old) => new BaseFinder(isPacked ? [] : old.manifest.files, paths));
  for (const { path, sha256, sizeBytes } of targets) {
    const bases = olds.map(({ manifest: { pack } }, index) => {
      const base = path === null ? pack : finders[index]!.find({ path, sizeBytes });
      return base?.sha256 ?? null;
    });
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
