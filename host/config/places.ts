// The way from a key to its line and column, shared by the readers: each says how to step from one
// value to a part of it, this file says which of the offsets on the way an issue is about.

import type { IssueFocus, PathPart } from './issue.ts';

/** A place in the text; `depth` says how many parts of the path to show: a short form like
 *  `to: wallet` has no `to[0].service`. Line and column are 1-based. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
  readonly depth: number;
}

/** One part of a value, as it stands in the text. Units: offsets in UTF-16 code units. */
export interface PlacedPart<N> {
  readonly key: PathPart;
  readonly keyAt: number;
  readonly valueAt: number;
  readonly kind: 'scalar' | 'container' | 'nothing';
  readonly node: N;
}

/** Walks a path down. `step` gives a part of a node, or null where it has none. */
export function walkPath<N>(
  root: PlacedPart<N>,
  target: { readonly path: readonly PathPart[]; readonly focus: IssueFocus },
  step: (node: N, part: PathPart) => PlacedPart<N> | null,
): { readonly offset: number; readonly depth: number } {
  const { path, focus } = target;
  let part = root;
  let offset = root.valueAt;
  let depth = 0;
  for (const name of path) {
    const next = step(part.node, name);
    if (next === null) {
      // Below a scalar is its long form; below a map, a key that has its default.
      if (part.kind === 'container') depth = path.length;
      break;
    }
    part = next;
    depth += 1;
    const isKeyWanted = (focus === 'key' && depth === path.length) || part.kind === 'nothing';
    const isMissingHere = focus === 'missing' && depth === path.length - 1;
    offset = isKeyWanted || isMissingHere ? part.keyAt : part.valueAt;
  }
  return { offset, depth };
}

/** The part of a map that a path names: headers are in lower case in paths, not in files. */
export function findPart<P>(
  parts: readonly P[],
  name: PathPart,
  keyOf: (part: P) => PathPart | null,
): P | undefined {
  const exact = parts.find((part) => keyOf(part) === name);
  return exact ?? parts.find((part) => String(keyOf(part)).toLowerCase() === name);
}

/** Where the parts of maps and lists stand, noted by the fast readers when a place is asked for. */
export class PlaceNotes {
  readonly #parts = new Map<object, PlacedPart<object | null>[]>();

  begin(container: object): void {
    this.#parts.set(container, []);
  }

  note(container: object, part: PlacedPart<object | null>): void {
    this.#parts.get(container)!.push(part);
  }

  /** Looks a place up in `text`, whose outermost map is `root` at offset `rootAt`. */
  locate(
    text: string,
    root: { readonly node: object; readonly at: number },
    target: { readonly path: readonly PathPart[]; readonly focus: IssueFocus },
  ): TextPlace {
    const whole = { key: '', keyAt: root.at, valueAt: root.at, kind: 'container' as const };
    const found = walkPath<object | null>({ ...whole, node: root.node }, target, (node, name) => {
      const parts = node === null ? undefined : this.#parts.get(node);
      return (parts && findPart(parts, name, ({ key }) => key)) ?? null;
    });
    return { ...lineOf(text, found.offset), depth: found.depth };
  }
}

function lineOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  let line = 1;
  let start = 0;
  for (;;) {
    const end = text.indexOf('\n', start);
    if (end === -1 || end >= offset) return { line, column: offset - start + 1 };
    line += 1;
    start = end + 1;
  }
}
