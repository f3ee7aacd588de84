// Which file of a release that is here lies in the place of a new one, although builds put hashes
// and numbers into names: the base that publishing made its delta from. The rule is that of
// host/distribution/path-form.ts; docs/distribution.md has it in words, and a test holds the two
// together.

import type { ReleaseFile } from './model.ts';

/** A base may be longer than its target by this factor, or shorter, when names only resemble. */
const RESEMBLING_SIZE_FACTOR = 4;
/** A hash of eight characters is what most builds write, and base64url ones hold separators. */
const HASH_OF_EIGHT = /^(.*[-_])([\w-]{8})$/;
const HASH_AT_END = /^(.*[-_])([A-Za-z0-9]{4,})$/;

/** A path with `*` for each hash and number. Shape: `assets/main.3f2a1b9c.js` and
 *  `assets/main.91bc.js` are `assets/main.*.js`, `lib-1.2.3.js` is `lib-*.*.*.js`. */
export function formOf(path: string): string {
  return path
    .split('/')
    .map((segment) => {
      const parts = segment.split('.');
      const starred = parts.map((part, index) => {
        return index === parts.length - 1 ? part : withoutHash(part, index);
      });
      return starred.join('.').replace(/\d+/g, '*').replace(/\*+/g, '*');
    })
    .join('/');
}

/** A part of a name between dots. The first one is a name by itself, unless it is all hash. */
function withoutHash(part: string, index: number): string {
  if (index === 0 && /^[0-9a-f]{8,}$/.test(part)) return '*';
  if (index > 0 && part.length === 8 && isHash(part)) return '*';
  for (const pattern of [HASH_OF_EIGHT, HASH_AT_END]) {
    const [, before, hash] = pattern.exec(part) ?? [];
    if (hash !== undefined && isHash(hash)) return `${before}*`;
  }
  return index > 0 && isHash(part) ? '*' : part;
}

/** Four characters with a digit, six of both cases that are no capitalised word, or eight of
 *  base32. */
function isHash(text: string): boolean {
  if (!/^[\w-]{4,}$/.test(text)) return false;
  if (/\d/.test(text) || /^[A-Z2-7]{8}$/.test(text)) return true;
  return text.length >= 6 && /[a-z]/.test(text) && /[A-Z]/.test(text.slice(1));
}

/** Finds what an old release has in the place of a file of a new one. */
export class BaseFinder {
  readonly #byPath: ReadonlyMap<string, ReleaseFile>;
  readonly #byForm = new Map<string, ReleaseFile[]>();

  /** `files`: of the old release, sorted by path; `newPaths`: of the new one. */
  constructor(files: readonly ReleaseFile[], newPaths: { has(path: string): boolean }) {
    this.#byPath = new Map(files.map((file) => [file.path, file]));
    // A file whose path goes on has its successor already.
    for (const file of files) {
      if (newPaths.has(file.path)) continue;
      const form = formOf(file.path);
      const alike = this.#byForm.get(form);
      if (alike === undefined) this.#byForm.set(form, [file]);
      else alike.push(file);
    }
  }

  /** The file of the same path; else the one of nearest size among those that are gone and have
   *  the same form, the first of equals. */
  find({ path, sizeBytes }: Pick<ReleaseFile, 'path' | 'sizeBytes'>): ReleaseFile | null {
    const same = this.#byPath.get(path);
    if (same !== undefined) return same;
    let nearest: ReleaseFile | null = null;
    for (const one of this.#byForm.get(formOf(path)) ?? []) {
      const factor = (one.sizeBytes + 1) / (sizeBytes + 1);
      if (factor > RESEMBLING_SIZE_FACTOR || factor * RESEMBLING_SIZE_FACTOR < 1) continue;
      const distance = Math.abs(one.sizeBytes - sizeBytes);
      if (nearest === null || distance < Math.abs(nearest.sizeBytes - sizeBytes)) nearest = one;
    }
    return nearest;
  }
}
