// The addresses of one upstream host. A literal address is itself; a name is looked up as the
// system does it (hosts file included) and again every 30 s while in use. A lookup that fails
// leaves the last good answer in place: a name server that is down must not take the upstreams with
// it.

import { lookup } from 'node:dns';
import { isIP } from 'node:net';
import type { Clock } from '../../core/index.ts';
import { Deadline, type DeadlineOwner, type Deadlines } from './deadlines.ts';

export const RESOLVE_EVERY_MS = 30_000;
/** Addresses kept of one answer; the rest would only be tried in a later rotation. */
const ADDRESSES_COUNT_MAX = 64;

/** Looks a name up. An error, or no address, counts as a failure. */
export type Lookup = (
  host: string,
  done: (error: Error | null, addresses: readonly string[]) => void,
) => void;

export interface AddressBookOptions {
  readonly host: string;
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Called with every new answer that differs from the last one. */
  readonly onChange: (addresses: readonly string[]) => void;
}

/** The system's resolver, in the system's order of addresses. */
export const systemLookup: Lookup = (host, done) => {
  lookup(host, { all: true, verbatim: true }, (error, found) => {
    done(error, error === null ? found.map((entry) => entry.address) : []);
  });
};

export class AddressBook implements DeadlineOwner {
  readonly #options: AddressBookOptions;
  readonly #isLiteral: boolean;
  readonly #deadline = new Deadline(this);
  #addresses: readonly string[];
  #turn = 0;
  #isUsed = false;
  #isLooking = false;
  #isClosed = false;
  #waiting: ((error: string) => void)[] = [];

  constructor(options: AddressBookOptions) {
    this.#options = options;
    this.#isLiteral = isIP(options.host) !== 0;
    this.#addresses = this.#isLiteral ? [options.host] : [];
  }

  /** Notes that the host is in use. Cost: two comparisons, while the answer is young. */
  touch(): void {
    if (this.#isUsed) return;
    this.#isUsed = true;
    const isStale = this.#addresses.length > 0 && this.#deadline.wakeMs === Infinity;
    if (isStale && !this.#isLiteral) this.#look();
  }

  /** Calls back with `''` once there are addresses, at once if there are, or with what failed. */
  whenKnown(done: (error: string) => void): void {
    if (this.#addresses.length > 0) {
      done('');
      return;
    }
    this.#waiting.push(done);
    this.#look();
  }

  /** The address whose turn it is, and the one to try if it fails (`''` if there is no other). */
  takeTurn(): { readonly first: string; readonly second: string } {
    const count = this.#addresses.length;
    const at = this.#turn % count;
    this.#turn = at + 1;
    return {
      first: this.#addresses[at]!,
      second: count > 1 ? this.#addresses[(at + 1) % count]! : '',
    };
  }

  /** Stops looking up. */
  close(): void {
    this.#isClosed = true;
    this.#options.deadlines.disarm(this.#deadline);
  }

  onDeadline(): number {
    if (this.#isUsed) this.#look();
    return Infinity;
  }

  #look(): void {
    if (this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    this.#isUsed = false;
    this.#options.lookup(this.#options.host, (error, addresses) => {
      this.#isLooking = false;
      if (this.#isClosed) return this.#answer('the pool is closed');
      const { clock, deadlines } = this.#options;
      deadlines.arm(this.#deadline, clock.nowMs() + RESOLVE_EVERY_MS);
      if (error === null && addresses.length > 0) this.#take(addresses);
      const detail = error === null ? 'no address' : error.message;
      this.#answer(this.#addresses.length > 0 ? '' : `${this.#options.host}: ${detail}`);
    });
  }

  #take(addresses: readonly string[]): void {
    const before = this.#addresses.join();
    this.#addresses = addresses.slice(0, ADDRESSES_COUNT_MAX);
    if (this.#addresses.join() !== before) this.#options.onChange(this.#addresses);
  }

  #answer(error: string): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done(error);
  }
}
