// Things kept by key as long as there is room; what was used least recently goes first. The room is
// counted in whatever unit the owner counts, bytes or pieces.

interface Kept<V> {
  readonly value: V;
  readonly size: number;
}

export class BoundedCache<V> {
  readonly #sizeMax: number;
  /** In order of use: a Map keeps the order of insertion, and a use inserts again. */
  readonly #kept = new Map<string, Kept<V>>();
  #size = 0;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get size(): number {
    return this.#size;
  }

  /** Cost: two steps of a Map. */
  get(key: string): V | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.value;
  }

  /** Keeps a value in place of what has its key; one that is larger than all room is not kept. */
  set(key: string, value: V, size: number): void {
    this.delete(key);
    if (size > this.#sizeMax) return;
    this.#kept.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#kept.keys()) {
      if (this.#size <= this.#sizeMax) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#size -= kept.size;
  }

  clear(): void {
    this.#kept.clear();
    this.#size = 0;
  }
}
