// Checks a history of transactions over lists: each appends values that nobody else appends, and
// reads whole lists, so that a list says in which order it was written. Finds what no order of the
// transactions, one after the other and each between its beginning and its end, can explain.
//
// Source: the anomalies are those of Adya, Liskov, O'Neil, "Generalized Isolation Level
// Definitions" (2000); to infer them from lists is the idea of Kingsbury, Alvaro, "Elle" (2020).

import { DependencyGraph, type Edge, type EdgeKind } from './dependency-graph.ts';

export type Micro =
  | { readonly kind: 'append'; readonly key: number; readonly value: number }
  | { readonly kind: 'read'; readonly key: number; readonly values: readonly number[] };

export interface Transaction {
  readonly micros: readonly Micro[];
  /** `unknown`: no answer came to what may have committed it. */
  readonly outcome: 'committed' | 'aborted' | 'unknown';
  /** Moments of one clock: before it was sent, after it was answered. */
  readonly beganAt: number;
  readonly endedAt: number;
}

export type AnomalyKind =
  /** A read shows a value that nobody appended, or one twice. */
  | 'garbage'
  /** A transaction does not see its own appends, or sees a list change under it. */
  | 'internal'
  /** Two reads of a list, neither of which continues the other. */
  | 'incompatible-order'
  | 'G0'
  /** Aborted read. */
  | 'G1a'
  /** Intermediate read. */
  | 'G1b'
  | 'G1c'
  | 'lost-update'
  | 'G-single'
  | 'G2'
  /** Serializable, but not in the order in which things happened: stale reads, lost commits. */
  | 'real-time';

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly detail: string;
}

interface Writer {
  readonly transaction: number;
  /** The last value that the transaction appended to this list. */
  readonly isFinal: boolean;
}

interface List {
  readonly writers: Map<number, Writer>;
  /** The longest that was read. */
  order: readonly number[];
  /** Transactions by how much of the list they saw before they appended to it. */
  readonly readers: { readonly transaction: number; readonly length: number }[];
}

/** Finds what is wrong with a history; an empty list where it is strictly serializable. Cost:
 *  O(values read). */
export function checkHistory(history: readonly Transaction[]): Anomaly[] {
  return new Checker(history).check();
}

class Checker {
  readonly #history: readonly Transaction[];
  readonly #lists = new Map<number, List>();
  readonly #found: Anomaly[] = [];
  /** Those of unknown outcome whose appends were seen have committed. */
  readonly #committed: boolean[];

  constructor(history: readonly Transaction[]) {
    this.#history = history;
    this.#committed = history.map(({ outcome }) => outcome === 'committed');
  }

  check(): Anomaly[] {
    for (const [index, { micros }] of this.#history.entries()) this.#takeAppends(index, micros);
    for (const [index, { outcome, micros }] of this.#history.entries()) {
      // What a transaction read that did not commit binds nobody, but must be true all the same.
      this.#takeReads(index, micros, outcome);
    }
    for (const [key, list] of this.#lists) this.#checkOrder(key, list);
    for (const list of this.#lists.values()) {
      for (const value of list.order) {
        const writer = list.writers.get(value);
        if (writer === undefined) continue;
        const { outcome } = this.#history[writer.transaction]!;
        if (outcome === 'unknown') this.#committed[writer.transaction] = true;
      }
    }
    if (this.#found.length > 0) return this.#found;
    this.#checkUpdates();
    this.#checkCycles();
    return this.#found;
  }

  #say(kind: AnomalyKind, detail: string): void {
    this.#found.push({ kind, detail });
  }

  #list(key: number): List {
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = { writers: new Map(), order: [], readers: [] };
      this.#lists.set(key, list);
    }
    return list;
  }

  #takeAppends(transaction: number, micros: readonly Micro[]): void {
    const finals = new Map<number, number>();
    for (const micro of micros) if (micro.kind === 'append') finals.set(micro.key, micro.value);
    for (const micro of micros) {
      if (micro.kind !== 'append') continue;
      const { key, value } = micro;
      const { writers } = this.#list(key);
      if (writers.has(value)) throw new Error(`the value ${value} is appended twice`);
      writers.set(value, { transaction, isFinal: finals.get(key) === value });
    }
  }

  #takeReads(transaction: number, micros: readonly Micro[], outcome: Transaction['outcome']): void {
    /** What the transaction must see of each list that it has read, its own appends too. */
    const seen = new Map<number, number[]>();
    const own = new Map<number, number[]>();
    for (const micro of micros) {
      const { key } = micro;
      if (micro.kind === 'append') {
        seen.get(key)?.push(micro.value);
        own.set(key, [...(own.get(key) ?? []), micro.value]);
        continue;
      }
      const { values } = micro;
      const expected = seen.get(key);
      const mine = own.get(key) ?? [];
      const others = values.slice(0, values.length - mine.length);
      const isOwnThere = mine.every((value, at) => values[others.length + at] === value);
      if (!isOwnThere || (expected !== undefined && !isSame(expected, values))) {
        const wanted = expected ?? ['…', ...mine];
        this.#say('internal', `T${transaction} reads ${key} as [${values}], expected [${wanted}]`);
      } else if (expected === undefined) {
        seen.set(key, [...values]);
        this.#takeRead(transaction, { key, values: others }, outcome);
      }
    }
  }

  #takeRead(
    transaction: number,
    { key, values }: { key: number; values: readonly number[] },
    outcome: Transaction['outcome'],
  ): void {
    const list = this.#list(key);
    if (new Set(values).size !== values.length) {
      this.#say('garbage', `T${transaction} reads ${key} with a value twice: [${values}]`);
    }
    for (const value of values) {
      const writer = list.writers.get(value);
      if (writer === undefined) {
        this.#say('garbage', `T${transaction} reads ${value} in ${key}: nobody appended it`);
      } else if (this.#history[writer.transaction]!.outcome === 'aborted') {
        this.#say('G1a', `T${transaction} reads ${value} in ${key} of T${writer.transaction}`);
      }
    }
    const last = list.writers.get(values.at(-1) ?? Number.NaN);
    if (last !== undefined && !last.isFinal && last.transaction !== transaction) {
      this.#say('G1b', `T${transaction} reads ${key} in the middle of T${last.transaction}`);
    }
    const [short, long] =
      values.length < list.order.length ? [values, list.order] : [list.order, values];
    if (!short.every((value, at) => long[at] === value)) {
      this.#say('incompatible-order', `${key} is read as [${values}] and as [${list.order}]`);
    }
    list.order = long;
    if (outcome === 'committed') list.readers.push({ transaction, length: values.length });
  }

  /** Nobody's appends may stand between those of one transaction. */
  #checkOrder(key: number, { order, writers }: List): void {
    for (const [at, value] of order.entries()) {
      const writer = writers.get(value);
      const next = order[at + 1];
      if (writer === undefined || writer.isFinal || next === undefined) continue;
      if (writers.get(next)?.transaction !== writer.transaction) {
        this.#say('G0', `in ${key}, ${next} stands within the appends of T${writer.transaction}`);
      }
    }
  }

  /** Two that read the same state of a list and appended to it: one did not know of the other. */
  #checkUpdates(): void {
    for (const [key, list] of this.#lists) {
      const appenders = new Set<number>();
      for (const { transaction } of list.writers.values()) appenders.add(transaction);
      const byLength = new Map<number, number>();
      for (const { transaction, length } of list.readers) {
        if (!appenders.has(transaction)) continue;
        const other = byLength.get(length);
        if (other !== undefined && other !== transaction) {
          this.#say('lost-update', `T${other} and T${transaction} append to ${key} at ${length}`);
        }
        byLength.set(length, transaction);
      }
    }
  }

  #checkCycles(): void {
    const graph = new DependencyGraph();
    for (let index = 0; index < this.#history.length; index++) graph.addNode();
    for (const list of this.#lists.values()) this.#addDependencies(graph, list);
    this.#addRealTime(graph);
    const steps: readonly [AnomalyKind, () => Edge[][]][] = [
      ['G0', () => graph.cycles(new Set(['ww']))],
      ['G1c', () => graph.cycles(new Set(['ww', 'wr']))],
      ['G-single', () => one(graph.cycleWithOne('rw', new Set(['ww', 'wr'])))],
      ['G2', () => graph.cycles(new Set(['ww', 'wr', 'rw']))],
      ['real-time', () => graph.cycles(new Set<EdgeKind>(['ww', 'wr', 'rw', 'rt']))],
    ];
    for (const [kind, find] of steps) {
      const cycles = find();
      for (const cycle of cycles) this.#say(kind, this.#shown(cycle));
      // A weaker name for the same cycle says nothing new.
      if (cycles.length > 0) return;
    }
  }

  #addDependencies(graph: DependencyGraph, { order, writers, readers }: List): void {
    const writerOf = (value: number) => writers.get(value)!.transaction;
    for (let at = 1; at < order.length; at++) {
      graph.add(writerOf(order[at - 1]!), writerOf(order[at]!), 'ww');
    }
    // Values that nobody has read come after all that were.
    const shown = new Set(order);
    const unread: number[] = [];
    for (const [value, { transaction }] of writers) {
      if (!shown.has(value) && this.#committed[transaction]) unread.push(transaction);
    }
    const last = order.at(-1);
    if (last !== undefined) for (const to of unread) graph.add(writerOf(last), to, 'ww');
    for (const { transaction, length } of readers) {
      if (length > 0) graph.add(writerOf(order[length - 1]!), transaction, 'wr');
      if (length < order.length) graph.add(transaction, writerOf(order[length]!), 'rw');
      else for (const to of unread) graph.add(transaction, to, 'rw');
    }
  }

  /** Every end is a node behind the ends before it, and every beginning comes behind the last end:
   *  as many edges as transactions, not their square. */
  #addRealTime(graph: DependencyGraph): void {
    const moments = this.#history.flatMap(({ beganAt, endedAt, outcome }, index) => [
      { at: beganAt, index, isEnd: false },
      // What has no answer may happen whenever it likes.
      ...(outcome === 'committed' ? [{ at: endedAt, index, isEnd: true }] : []),
    ]);
    moments.sort((one, other) => one.at - other.at);
    let last = -1;
    for (const { index, isEnd } of moments) {
      if (!this.#committed[index]) continue;
      if (!isEnd) {
        if (last >= 0) graph.add(last, index, 'rt');
        continue;
      }
      const node = graph.addNode();
      graph.add(index, node, 'rt');
      if (last >= 0) graph.add(last, node, 'rt');
      last = node;
    }
  }

  #shown(cycle: readonly Edge[]): string {
    const name = (node: number) => (node < this.#history.length ? `T${node}` : '·');
    const nodes = cycle.filter(({ from }) => from < this.#history.length).slice(0, 4);
    const way = cycle.map(({ from, kind }) => `${name(from)} -${kind}→`).join(' ');
    const texts = nodes.map(({ from }) => `T${from}: ${JSON.stringify(this.#history[from])}`);
    return `${way} ${name(cycle[0]!.from)}\n${texts.join('\n').slice(0, 4_000)}`;
  }
}

function one(cycle: Edge[] | null): Edge[][] {
  return cycle === null ? [] : [cycle];
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((value, at) => other[at] === value);
}
