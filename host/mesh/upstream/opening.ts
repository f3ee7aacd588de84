// A connection in the making: at most two addresses are tried, one after the other, so that a host
// whose first address is dead (`localhost` as ::1) still answers. It refuses to race them: a
// gateway opens connections by the hundred, and an upstream would see twice as many.

import type { Socket } from 'node:net';
import type { Clock, ErrorCode } from '../../core/index.ts';
import { type Connector, Inlet } from './connector.ts';
import { Deadline, type DeadlineOwner, type Deadlines } from './deadlines.ts';

export interface OpeningOwner {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Listeners for `error`, `end` and `close` must be on the socket when this returns. */
  onOpened(opening: Opening, socket: Socket): void;
  onOpenFailed(opening: Opening, code: ErrorCode, detail: string): void;
}

export interface OpeningAddresses {
  readonly first: string;
  /** Tried once if the first fails; `''` for none. */
  readonly second: string;
}

export class Opening implements DeadlineOwner {
  readonly #owner: OpeningOwner;
  readonly #connector: Connector;
  readonly #deadline = new Deadline(this);
  readonly #connectMs: number;
  #socket: Socket | null = null;
  #next = '';
  #dueMs = Infinity;
  #isDone = false;
  address = '';
  /** Where reads go; the connection puts itself there. */
  inlet = new Inlet();

  /** `connectMs` is the time for all of it; with two addresses the first has half. */
  constructor(owner: OpeningOwner, connector: Connector, connectMs: number) {
    this.#owner = owner;
    this.#connector = connector;
    this.#connectMs = connectMs;
  }

  begin({ first, second }: OpeningAddresses): void {
    this.#next = second;
    this.#attempt(first, second === '' ? this.#connectMs : this.#connectMs / 2);
  }

  /** Ends without a word. */
  cancel(): void {
    this.#isDone = true;
    this.#owner.deadlines.disarm(this.#deadline);
    this.#socket?.destroy();
    this.#socket = null;
  }

  onDeadline(nowMs: number): number {
    if (nowMs < this.#dueMs) return this.#dueMs;
    this.#failAttempt('GW_TIMEOUT_CONNECT', `not connected within ${this.#connectMs} ms`);
    return this.#isDone ? Infinity : this.#dueMs;
  }

  #attempt(address: string, forMs: number): void {
    this.address = address;
    this.#dueMs = this.#owner.clock.nowMs() + forMs;
    this.#owner.deadlines.arm(this.#deadline, this.#dueMs);
    this.inlet = new Inlet();
    const connector = this.#connector;
    let socket: Socket;
    try {
      socket = connector.open(address, this.inlet);
    } catch (error) {
      this.#failAttempt('GW_UPSTREAM_TLS', error instanceof Error ? error.message : String(error));
      return;
    }
    this.#socket = socket;
    let hasTcp = false;
    socket.once('connect', () => {
      hasTcp = true;
    });
    socket.once(connector.readyEvent, () => {
      if (this.#socket === socket) this.#succeed(socket);
    });
    const onFailure = (detail: string): void => {
      if (this.#socket !== socket) return;
      const isTls = hasTcp && connector.readyEvent === 'secureConnect';
      this.#failAttempt(isTls ? 'GW_UPSTREAM_TLS' : 'GW_UPSTREAM_CONNECT', detail);
    };
    socket.on('error', (error) => onFailure(error.message));
    socket.once('close', () => onFailure('closed while connecting'));
  }

  #succeed(socket: Socket): void {
    this.#isDone = true;
    this.#socket = null;
    this.#owner.deadlines.disarm(this.#deadline);
    this.#owner.onOpened(this, socket);
  }

  #failAttempt(code: ErrorCode, detail: string): void {
    const failed = this.#socket;
    const next = this.#next;
    this.#socket = null;
    this.#next = '';
    failed?.destroy();
    if (this.#isDone) return;
    if (next !== '') {
      this.#attempt(next, this.#connectMs / 2);
      return;
    }
    this.#isDone = true;
    this.#owner.deadlines.disarm(this.#deadline);
    this.#owner.onOpenFailed(this, code, `${this.address}: ${detail}`);
  }
}
