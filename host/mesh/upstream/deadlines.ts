// A coarse timer wheel: one timer per worker wakes whatever has a deadline. A deadline that moves
// later costs nothing: its owner is woken at the earlier time and says when it wants to be woken
// next. It refuses precision: an owner is woken up to one tick late, never early. Timers of Node,
// one per request, cost more than the whole budget of a proxied request has left.

import type { Clock } from '../../core/index.ts';

export const DEADLINE_TICK_MS = 25;
const SLOTS_COUNT = 512;

export interface DeadlineOwner {
  /** Called at or after the time asked for. Returns the next time wanted, or Infinity. */
  onDeadline(nowMs: number): number;
}

/** One owner's place in the wheel; made once per owner, not per request. */
export class Deadline {
  readonly owner: DeadlineOwner;
  /** When the owner will be woken; Infinity when it stands in no slot. Units: ms. */
  wakeMs = Infinity;
  /** Neighbours in the slot's list; the slot's own sentinel closes the ring. */
  next: Deadline | null = null;
  previous: Deadline | null = null;

  constructor(owner: DeadlineOwner) {
    this.owner = owner;
  }
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #slots: Deadline[] = [];
  #armedCount = 0;
  #lastTick = 0;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    const nobody: DeadlineOwner = { onDeadline: () => Infinity };
    for (let index = 0; index < SLOTS_COUNT; index++) {
      const sentinel = new Deadline(nobody);
      sentinel.next = sentinel;
      sentinel.previous = sentinel;
      this.#slots.push(sentinel);
    }
  }

  /** Owners waiting for a deadline; the wheel ticks only while there are any. */
  get armedCount(): number {
    return this.#armedCount;
  }

  /** Makes sure that the owner is woken at `wakeMs` or, if already so arranged, earlier.
   *  Units: ms of the clock. Cost: O(1); nothing when an earlier waking stands. */
  arm(deadline: Deadline, wakeMs: number): void {
    if (deadline.wakeMs <= wakeMs) return;
    if (deadline.wakeMs !== Infinity) this.disarm(deadline);
    if (this.#armedCount === 0) this.#start();
    this.#armedCount += 1;
    this.#place(deadline, wakeMs);
  }

  /** Takes an owner out of the wheel. Cost: O(1). */
  disarm(deadline: Deadline): void {
    if (deadline.wakeMs === Infinity) return;
    this.#unlink(deadline);
    this.#armedCount -= 1;
    if (this.#armedCount === 0) this.#stop();
  }

  /** Wakes every owner whose time has come. The wheel's own timer calls it; tests may too. */
  tick(): void {
    const nowMs = this.#clock.nowMs();
    const nowTick = Math.floor(nowMs / DEADLINE_TICK_MS);
    // After a long stall one turn of the wheel visits every slot; more would only repeat it.
    const first = Math.max(this.#lastTick + 1, nowTick - SLOTS_COUNT + 1);
    this.#lastTick = nowTick;
    for (let at = first; at <= nowTick; at++) this.#visit(at % SLOTS_COUNT, nowMs);
  }

  #visit(slot: number, nowMs: number): void {
    const sentinel = this.#slots[slot]!;
    const due: Deadline[] = [];
    for (let at = sentinel.next!; at !== sentinel; at = at.next!) {
      if (at.wakeMs <= nowMs) due.push(at);
    }
    for (const deadline of due) {
      // Waking one owner may have disarmed or moved another.
      if (deadline.wakeMs <= nowMs) this.#wake(deadline, nowMs);
    }
  }

  #wake(deadline: Deadline, nowMs: number): void {
    this.#unlink(deadline);
    this.#armedCount -= 1;
    const wakeMs = deadline.owner.onDeadline(nowMs);
    if (wakeMs !== Infinity) this.arm(deadline, wakeMs);
    if (this.#armedCount === 0) this.#stop();
  }

  #place(deadline: Deadline, wakeMs: number): void {
    // Rounded up so that the slot is visited when the time has come, and never into the past.
    const tick = Math.max(Math.ceil(wakeMs / DEADLINE_TICK_MS), this.#lastTick + 1);
    const sentinel = this.#slots[tick % SLOTS_COUNT]!;
    deadline.wakeMs = wakeMs;
    deadline.next = sentinel;
    deadline.previous = sentinel.previous;
    sentinel.previous!.next = deadline;
    sentinel.previous = deadline;
  }

  #unlink(deadline: Deadline): void {
    deadline.previous!.next = deadline.next;
    deadline.next!.previous = deadline.previous;
    deadline.next = null;
    deadline.previous = null;
    deadline.wakeMs = Infinity;
  }

  #start(): void {
    this.#lastTick = Math.floor(this.#clock.nowMs() / DEADLINE_TICK_MS);
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => this.tick(), DEADLINE_TICK_MS);
    this.#timer.unref();
  }

  #stop(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
