// A graph of transactions and of what makes one come before another; finds cycles in it, by the
// kinds of edges that they are made of.

/** ww: overwrote what the other wrote; wr: read what the other wrote; rw: read what the other then
 *  overwrote; rt: ended before the other began. */
export type EdgeKind = 'ww' | 'wr' | 'rw' | 'rt';

export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly kind: EdgeKind;
}

export class DependencyGraph {
  readonly #edges: Edge[][] = [];
  #nodesCount = 0;

  get nodesCount(): number {
    return this.#nodesCount;
  }

  addNode(): number {
    this.#edges.push([]);
    return this.#nodesCount++;
  }

  add(from: number, to: number, kind: EdgeKind): void {
    if (from !== to) this.#edges[from]!.push({ from, to, kind });
  }

  edges(from: number, kinds: ReadonlySet<EdgeKind>): Edge[] {
    return this.#edges[from]!.filter(({ kind }) => kinds.has(kind));
  }

  /** One cycle of edges of these kinds in each knot of them. Cost: O(nodes + edges) where there is
   *  none. */
  cycles(kinds: ReadonlySet<EdgeKind>): Edge[][] {
    return this.#knots(kinds).map((knot) => {
      const inside = new Set(knot);
      const [start] = knot;
      return this.#way(start!, start!, { kinds, inside })!;
    });
  }

  /** A cycle with just one edge of `kind`, the others of `kinds`; null for none. */
  cycleWithOne(kind: EdgeKind, kinds: ReadonlySet<EdgeKind>): Edge[] | null {
    const both = new Set([...kinds, kind]);
    for (const knot of this.#knots(both)) {
      const inside = new Set(knot);
      for (const node of knot) {
        for (const edge of this.edges(node, new Set([kind]))) {
          if (!inside.has(edge.to)) continue;
          const back = this.#way(edge.to, node, { kinds, inside });
          if (back !== null) return [edge, ...back];
        }
      }
    }
    return null;
  }

  /** The shortest way that has at least one edge. */
  #way(
    from: number,
    to: number,
    { kinds, inside }: { kinds: ReadonlySet<EdgeKind>; inside: ReadonlySet<number> },
  ): Edge[] | null {
    const cameBy = new Map<number, Edge>();
    let front = [from];
    while (front.length > 0 && !cameBy.has(to)) {
      const next: number[] = [];
      for (const node of front) {
        for (const edge of this.edges(node, kinds)) {
          if (!inside.has(edge.to) || cameBy.has(edge.to)) continue;
          cameBy.set(edge.to, edge);
          next.push(edge.to);
        }
      }
      front = next;
    }
    let edge = cameBy.get(to);
    if (edge === undefined) return null;
    const way = [edge];
    while (edge.from !== from) {
      edge = cameBy.get(edge.from)!;
      way.unshift(edge);
    }
    return way;
  }

  /** Strongly connected components of more than one node. Source: Tarjan 1972, with its own stack,
   *  for histories are longer than the stack is deep. */
  #knots(kinds: ReadonlySet<EdgeKind>): number[][] {
    const numbers = new Int32Array(this.#nodesCount);
    const lowest = new Int32Array(this.#nodesCount);
    const isOpen = new Uint8Array(this.#nodesCount);
    const open: number[] = [];
    const found: number[][] = [];
    let last = 0;
    const enter = (node: number) => {
      lowest[node] = numbers[node] = ++last;
      isOpen[node] = 1;
      open.push(node);
      return { node, edges: this.edges(node, kinds), at: 0 };
    };
    for (let root = 0; root < this.#nodesCount; root++) {
      if (numbers[root] !== 0) continue;
      const path = [enter(root)];
      while (path.length > 0) {
        const step = path.at(-1)!;
        const edge = step.edges[step.at++];
        if (edge !== undefined) {
          if (numbers[edge.to] === 0) path.push(enter(edge.to));
          else if (isOpen[edge.to] === 1) {
            lowest[step.node] = Math.min(lowest[step.node]!, numbers[edge.to]!);
          }
          continue;
        }
        path.pop();
        const parent = path.at(-1)?.node;
        if (parent !== undefined) {
          lowest[parent] = Math.min(lowest[parent]!, lowest[step.node]!);
        }
        if (lowest[step.node] !== numbers[step.node]) continue;
        const knot = open.splice(open.lastIndexOf(step.node));
        for (const node of knot) isOpen[node] = 0;
        if (knot.length > 1) found.push(knot);
      }
    }
    return found;
  }
}
