// One request on its way: the caller's handle, and the state that connection and pool keep about
// it. It moves no bytes itself; while it waits for a connection it holds the body given so far.

import {
  BODY_SIZE_UNKNOWN,
  type ErrorCode,
  heldCost,
  NO_TRAILERS,
  trailerLines,
  type UploadBudget,
} from '../../core/index.ts';
import type { FailureFacts, UpstreamCall, UpstreamHandler, UpstreamRequest } from './contract.ts';
import { isIdempotent, isSafe } from './request-writer.ts';

/** The connection that carries a call. */
export interface CallCarrier {
  writeBody(call: Call, chunk: Uint8Array): boolean;
  endBody(call: Call): void;
  /** Applies `call.isPaused`. */
  updateFlow(call: Call): void;
  /** The call was given up; its handler is gone. */
  abandon(call: Call): void;
  /** The call's own request is wrong: the connection cannot be used any more. */
  abort(call: Call, code: ErrorCode, detail: string): void;
}

/** The pool, as a call sees it. */
export interface CallOwner {
  readonly uploadBudget: UploadBudget;
  /** A call that waits for a connection was given up, or failed. */
  onWithdrawn(call: Call): void;
  /** The call is over, in whatever way. Comes once. */
  onSettled(): void;
}

export class Call implements UpstreamCall {
  readonly request: UpstreamRequest;
  readonly #owner: CallOwner;
  /** Null once the call is over or given up. */
  handler: UpstreamHandler | null;
  carrier: CallCarrier | null = null;
  /** Waiting: when to give up. Carried: when the response head is due. Units: ms of the clock. */
  dueMs = Infinity;
  arrivalMs = 0;
  readonly hasBody: boolean;
  /** Whether it may share a connection with other requests in flight. */
  readonly isShareable: boolean;
  isRequestEnded: boolean;
  isBodySent = false;
  /** What follows a chunked body, as it goes on the wire. */
  trailerLines = '';
  isHeadReceived = false;
  isPaused = false;
  owesDrain = false;
  retriesCount = 0;
  /** Body bytes given before there was a connection. */
  #held: Buffer[] = [];
  #heldSizeBytes = 0;
  #remainingSizeBytes: number;
  #givenSizeBytes = 0;

  constructor(request: UpstreamRequest, handler: UpstreamHandler, owner: CallOwner) {
    this.request = request;
    this.handler = handler;
    this.#owner = owner;
    this.hasBody = request.bodySizeBytes !== 0;
    this.isShareable = !this.hasBody && isSafe(request.method);
    this.isRequestEnded = !this.hasBody;
    this.#remainingSizeBytes =
      request.bodySizeBytes === BODY_SIZE_UNKNOWN ? Infinity : request.bodySizeBytes;
  }

  /** Whether the pool may send it again by itself: nothing of it can have been lost or doubled. */
  get isRepeatable(): boolean {
    return !this.hasBody && this.retriesCount === 0 && isIdempotent(this.request.method);
  }

  write(chunk: Uint8Array): boolean {
    if (this.handler === null || chunk.length === 0) return true;
    if (this.isRequestEnded) return this.#refuse('request body bytes after its end');
    this.#givenSizeBytes += chunk.length;
    this.#remainingSizeBytes -= chunk.length;
    if (this.#remainingSizeBytes < 0) {
      const { bodySizeBytes } = this.request;
      return this.#refuse(
        `request body of ${this.#givenSizeBytes} bytes, announced ${bodySizeBytes}`,
      );
    }
    if (this.carrier !== null) return this.carrier.writeBody(this, chunk);
    return this.#hold(chunk);
  }

  end(trailers: readonly string[] = NO_TRAILERS): void {
    if (this.handler === null || this.isRequestEnded) return;
    if (this.#remainingSizeBytes > 0 && this.#remainingSizeBytes !== Infinity) {
      const { bodySizeBytes } = this.request;
      this.#refuse(`request body of ${this.#givenSizeBytes} bytes, announced ${bodySizeBytes}`);
      return;
    }
    this.isRequestEnded = true;
    this.trailerLines = trailerLines(trailers);
    this.carrier?.endBody(this);
  }

  pause(): void {
    if (this.isPaused || this.handler === null) return;
    this.isPaused = true;
    this.carrier?.updateFlow(this);
  }

  resume(): void {
    if (!this.isPaused || this.handler === null) return;
    this.isPaused = false;
    this.carrier?.updateFlow(this);
  }

  cancel(): void {
    if (this.handler === null) return;
    this.handler = null;
    this.takeHeld();
    this.#owner.onSettled();
    if (this.carrier !== null) this.carrier.abandon(this);
    else this.#owner.onWithdrawn(this);
  }

  /** Hands over the body bytes given before there was a connection. */
  takeHeld(): Buffer[] {
    const held = this.#held;
    this.#held = [];
    this.#owner.uploadBudget.change(-this.#heldSizeBytes);
    this.#heldSizeBytes = 0;
    return held;
  }

  /** Takes the handler for the last callback; null when the call was given up. */
  settle(): UpstreamHandler | null {
    const handler = this.handler;
    if (handler === null) return null;
    this.handler = null;
    this.takeHeld();
    this.#owner.onSettled();
    return handler;
  }

  /** Ends the call with an error, unless it is over already. */
  fail(code: ErrorCode, detail: string, facts: FailureFacts): void {
    this.settle()?.onError(code, detail, facts);
  }

  #hold(chunk: Uint8Array): boolean {
    const { uploadBudget } = this.#owner;
    const cost = heldCost(chunk.length, 1);
    this.#held.push(Buffer.from(chunk));
    this.#heldSizeBytes += cost;
    uploadBudget.change(cost);
    if (uploadBudget.isExceeded) return this.#refuse(uploadBudget.describe(), 'GW_OVERLOADED');
    this.owesDrain = true;
    return false;
  }

  #refuse(detail: string, code: ErrorCode = 'GW_PROTOCOL_MALFORMED'): true {
    if (this.carrier !== null) this.carrier.abort(this, code, detail);
    else {
      this.#owner.onWithdrawn(this);
      this.fail(code, detail, { sent: 'nothing', connection: 'none' });
    }
    return true;
  }
}
