// Things kept by key as long as there is room; what was not used since it was last looked at goes
// first (the CLOCK algorithm), so that a use costs one look-up and no change of order. The room is
// counted in whatever unit the owner counts, bytes or pieces.

interface Kept<V> {
  readonly value: V;
  readonly size: number;
  isUsed: boolean;
}

export class BoundedCache<V> {
  readonly #sizeMax: number;
  /** The hand of the clock is at the front; what gets another round goes to the back. */
  readonly #kept = new Map<string, Kept<V>>();
  #size = 0;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get size(): number {
    return this.#size;
  }

  /** Cost: one look-up of a Map. */
  get(key: string): V | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    kept.isUsed = true;
    return kept.value;
  }

  /** Keeps a value in place of what has its key; one that is larger than all room is not kept. */
  set(key: string, value: V, size: number): void {
    this.delete(key);
    if (size > this.#sizeMax) return;
    this.#kept.set(key, { value, size, isUsed: false });
    this.#size += size;
    // What is put back is met again by the same loop, without its mark: it comes to an end.
    for (const [oldest, kept] of this.#kept) {
      if (this.#size <= this.#sizeMax) break;
      if (kept.isUsed) {
        kept.isUsed = false;
        this.#kept.delete(oldest);
        this.#kept.set(oldest, kept);
      } else if (oldest !== key) this.delete(oldest);
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
