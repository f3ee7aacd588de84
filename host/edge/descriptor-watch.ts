// Watches whether the process has file descriptors left, for uWS: a listening socket that cannot
// accept stays ready, and its loop would spin on it. It refuses to count what is open, which would
// cost more the more there is; it tries.

import { closeSync, openSync } from 'node:fs';

const LOOK_MS = 1_000;
/** Fewer than this are none: a request needs one towards its upstream too. */
const SPARE_COUNT_MIN = 4;
/** So many must be free before connections are accepted again. */
const SPARE_COUNT_ENOUGH = 16;

export interface DescriptorOwner {
  /** There are none left. */
  onExhausted(): void;
  /** There are enough again. False: it is to be told again. */
  onRecovered(): boolean;
}

export class DescriptorWatch {
  readonly #owner: DescriptorOwner;
  readonly #timer = setInterval(() => this.#look(), LOOK_MS).unref();
  #isExhausted = false;

  constructor(owner: DescriptorOwner) {
    this.#owner = owner;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (!this.#isExhausted) {
      if (canOpen(SPARE_COUNT_MIN)) return;
      this.#isExhausted = true;
      this.#owner.onExhausted();
    } else if (canOpen(SPARE_COUNT_ENOUGH)) {
      this.#isExhausted = !this.#owner.onRecovered();
    }
  }
}

/** Cost: two system calls a file, about 2 us each. */
function canOpen(count: number): boolean {
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openSync('/dev/null', 'r'));
    return true;
  } catch {
    return false;
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}
