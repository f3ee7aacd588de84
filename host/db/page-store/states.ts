// Which folded states can be read, and who keeps them: readers of this thread for as long as they
// run, durable pins until they are taken away, and the retention by time. No pages here.
//
// The retention keeps few states, with a spacing between them, for each costs a version of every
// page that has changed since: the log leads from one to whatever lies before the next.

import { GatewayError } from '../../core/index.ts';
import type { Lsn } from '../contract.ts';
import type { DurablePin, FoldedState } from './meta.ts';

export interface Retention {
  /** How long a state stays readable after the next one. */
  readonly retentionMs: number;
  /** The least time between states that are kept for that; 0 keeps all. */
  readonly spacingMs: number;
}

export class StateBook {
  /** Old ones that are kept, oldest first. */
  #old: readonly FoldedState[] = [];
  #newest: FoldedState = { lsn: 0, untilLsn: null, pageCount: 0, foldedAtMs: 0 };
  #durable: readonly DurablePin[] = [];
  readonly #live = new Map<Lsn, number>();
  readonly #retention: Retention;

  constructor(retention: Retention) {
    this.#retention = retention;
  }

  set(newest: FoldedState, old: readonly FoldedState[], durable: readonly DurablePin[]): void {
    this.#newest = newest;
    this.#old = old;
    this.#durable = durable;
  }

  get newest(): FoldedState {
    return this.#newest;
  }

  get old(): readonly FoldedState[] {
    return this.#old;
  }

  get durable(): readonly DurablePin[] {
    return this.#durable;
  }

  /** All that can be read, oldest first. */
  get all(): readonly FoldedState[] {
    return [...this.#old, this.#newest];
  }

  /** The state that a reader at an LSN sees. Errors: DB_NO_STATE. */
  at(lsn: Lsn): FoldedState {
    if (lsn >= this.#newest.lsn) return this.#newest;
    const found = this.#old.find(
      (state) => state.lsn <= lsn && lsn < (state.untilLsn ?? Number.POSITIVE_INFINITY),
    );
    if (found !== undefined) return found;
    throw new GatewayError('DB_NO_STATE', `lsn ${lsn}; kept are ${this.#shown()}`);
  }

  /** The newest state that is not newer than an LSN: where a replay of the log to it begins.
   *  Errors: DB_NO_STATE. */
  atOrBefore(lsn: Lsn): FoldedState {
    const found = this.all.findLast((state) => state.lsn <= lsn);
    if (found !== undefined) return found;
    throw new GatewayError('DB_NO_STATE', `none up to lsn ${lsn}; kept are ${this.#shown()}`);
  }

  keepLive(lsn: Lsn): void {
    this.#live.set(lsn, (this.#live.get(lsn) ?? 0) + 1);
  }

  releaseLive(lsn: Lsn): void {
    const count = (this.#live.get(lsn) ?? 0) - 1;
    if (count > 0) this.#live.set(lsn, count);
    else this.#live.delete(lsn);
  }

  /** The states that a fold or a collection at this time leaves, the newest as an old one where
   *  `nextLsn` comes after it. */
  keptAt(nowMs: number, nextLsn: Lsn | null): FoldedState[] {
    const states =
      nextLsn === null ? this.#old : [...this.#old, { ...this.#newest, untilLsn: nextLsn }];
    let lastMs = Number.NEGATIVE_INFINITY;
    return states.filter((state, index) => {
      // It was the state of the database until the next one was folded.
      const next = states[index + 1] ?? (nextLsn === null ? this.#newest : null);
      const isSpaced = state.foldedAtMs - lastMs >= this.#retention.spacingMs;
      if (isSpaced && this.#isRetained(nowMs, next?.foldedAtMs ?? nowMs)) {
        lastMs = state.foldedAtMs;
        return true;
      }
      return this.isHeld(state.lsn);
    });
  }

  /** Whether a reader or a durable pin keeps a state. */
  isHeld(lsn: Lsn): boolean {
    return this.#live.has(lsn) || this.#durable.some((pin) => pin.lsn === lsn);
  }

  /** The oldest state that the retention keeps: the log has to lead on from there. Pins keep their
   *  own state and nothing after it. */
  retainedLsn(nowMs: number): Lsn {
    const found = this.#old.find((_, index) => {
      const next = this.#old[index + 1] ?? this.#newest;
      return this.#isRetained(nowMs, next.foldedAtMs);
    });
    return found?.lsn ?? this.#newest.lsn;
  }

  /** A clock that was set back makes a state no younger than new. */
  #isRetained(nowMs: number, untilMs: number): boolean {
    return Math.max(0, nowMs - untilMs) < this.#retention.retentionMs;
  }

  #shown(): string {
    const lsns = this.all.map(({ lsn }) => String(lsn));
    return lsns.length <= 20 ? lsns.join(', ') : `${lsns.slice(0, 20).join(', ')}…`;
  }
}
