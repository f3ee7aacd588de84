// A response on uWS that does not leave in one call: it streams, it is large, or it must close the
// connection. uWS has two ways to stream: tryEnd() for a known size, which takes what fits, and
// write() for chunks, which takes all and says when to stop. Neither can close at the end: tryEnd()
// has no such argument, and end(_, true) after write() puts its `Connection: close` into the body.
// So a closing response is never finished in uWS's eyes: it announces one byte more than it has, or
// writes the last chunk itself, and then closes the socket. As uWS believes the response pending,
// whatever the client sent meanwhile is not parsed as a request but closes the socket too.

import { BODY_SIZE_UNKNOWN } from '../core/index.ts';
import { type CheckedHead, statusLine } from './response-checks.ts';
import type { UwsHost, UwsResponse } from './uws-native.ts';

/** Of uWS's cork of 16 KiB, what is left beside a size line, a status line and the headers that uWS
 *  adds: what fits it is copied, flushed as one, and kept where the socket does not take it. */
const CORK_ROOM = 16_384 - 512;

/** What a stream tells its exchange. */
export interface StreamOwner {
  onStreamDrain(): void;
  /** All bytes have left; the native response must not be touched any more. */
  onStreamFinish(): void;
  /** The announced size was not kept: the connection must be cut. */
  onStreamBroken(): void;
  /** A write filled the socket; it is being read again, whether it was paused or not. */
  onStreamFull(): void;
  /** There is room again: the socket may be paused. Comes before onStreamDrain. */
  onStreamRoom(): void;
  /** The next call may end the native response, after which it must not be touched. */
  onStreamLast(): void;
  /** uWS threw; the native response must not be touched any more but to close it. */
  onStreamError(error: unknown): void;
}

export interface StreamHead {
  readonly status: number;
  readonly lines: string;
  readonly isAscii: boolean;
  readonly bodySizeBytes: number;
}

/** Copies a checked head, which is valid only until the next check. */
export function keepHead(status: number, head: CheckedHead, bodySizeBytes: number): StreamHead {
  const { lines, isAscii } = head;
  return { status, lines, isAscii, bodySizeBytes };
}

/** Writes status and headers; `connection`: what to say about it, or `''`. uWS writes a status as
 *  it is given, so the lines behind it go in the same call. */
export function writeHead(
  res: UwsResponse,
  status: number,
  head: { readonly lines: string; readonly isAscii: boolean },
  connection: string,
): void {
  const text = statusLine(status) + head.lines;
  res.writeStatus(head.isAscii ? text : Buffer.from(text, 'latin1'));
  if (connection !== '') res.writeHeader('connection', connection);
}

export class UwsStream {
  readonly #res: UwsResponse;
  readonly #host: UwsHost;
  readonly #owner: StreamOwner;
  readonly #head: StreamHead;
  readonly #isClosing: boolean;
  readonly #pending: Uint8Array[] = [];
  #givenSizeBytes = 0;
  #sentOffset = 0;
  #sentSizeBytes = 0;
  #isHeadSent = false;
  #isHeld: boolean;
  #isFull = false;
  #wasFull = false;
  #isEnding = false;
  #isDone = false;

  constructor(
    native: { readonly res: UwsResponse; readonly host: UwsHost },
    owner: StreamOwner,
    head: StreamHead,
    manner: { readonly isClosing: boolean; readonly isHeld: boolean },
  ) {
    this.#res = native.res;
    this.#host = native.host;
    this.#owner = owner;
    this.#head = head;
    this.#isClosing = manner.isClosing;
    this.#isHeld = manner.isHeld;
    this.#res.onWritable(() => this.#onWritable());
  }

  /** Sends or copies; false means that the client reads slowly. */
  write(chunk: Uint8Array): boolean {
    const rest = this.#offer(chunk);
    // The slice() of a Buffer would be a view of the caller's bytes.
    if (rest !== null) this.#pending.push(new Uint8Array(rest));
    return rest === null && !this.#isFull && !this.#isHeld;
  }

  /** Sends or keeps, for bytes that do not change until the end. */
  writeStable(chunk: Uint8Array): void {
    const rest = this.#offer(chunk);
    if (rest !== null) this.#pending.push(rest);
  }

  end(): void {
    if (this.#isDone || this.#isEnding) return;
    const { bodySizeBytes } = this.#head;
    if (bodySizeBytes !== BODY_SIZE_UNKNOWN && this.#givenSizeBytes < bodySizeBytes) {
      this.#break();
      return;
    }
    this.#isEnding = true;
    if (!this.#maySend()) return;
    // This tick may be corked by uWS: what it holds would be lost with the socket.
    if (this.#isClosing) setImmediate(() => this.#flush());
    else this.#finish();
  }

  /** Sends the head if no byte of the body has come with it. */
  flushHead(): void {
    if (this.#isHeadSent || this.#isDone || this.#isHeld || this.#isEnding) return;
    const { bodySizeBytes } = this.#head;
    // With chunks, uWS ends the head by the first chunk's own line break: it has to wait for that.
    if (bodySizeBytes === BODY_SIZE_UNKNOWN || bodySizeBytes === 0) return;
    this.#send(new Uint8Array(0));
  }

  /** Until release(), nothing is sent: the tick belongs to uWS's parser. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    if (!this.#isFull) this.#flush();
  }

  /** The socket is gone. */
  drop(): void {
    this.#isDone = true;
    this.#pending.length = 0;
  }

  /** Where this handler is set, uWS sends nothing that it has buffered by itself: a cork around
   *  nothing makes it try. What it cannot send brings the next call. */
  #onWritable(): boolean {
    if (this.#isDone) return true;
    try {
      this.#res.cork(() => {});
      if (!this.#isFull) return true;
      this.#isFull = false;
      this.#owner.onStreamRoom();
      this.#flush();
    } catch (error) {
      this.#fail(error);
    }
    return !this.#isFull;
  }

  #maySend(): boolean {
    return !this.#isHeld && !this.#isFull && this.#pending.length === 0;
  }

  /** Returns what could not be sent, or null. */
  #offer(chunk: Uint8Array): Uint8Array | null {
    if (this.#isDone || chunk.length === 0) return null;
    this.#givenSizeBytes += chunk.length;
    const { bodySizeBytes } = this.#head;
    if (bodySizeBytes !== BODY_SIZE_UNKNOWN && this.#givenSizeBytes > bodySizeBytes) {
      this.#break();
      return null;
    }
    if (!this.#maySend()) return chunk;
    const sentSizeBytes = this.#send(chunk);
    return sentSizeBytes < chunk.length ? chunk.subarray(sentSizeBytes) : null;
  }

  #flush(): void {
    if (this.#isHeld || this.#isDone || this.#isFull) return;
    while (this.#pending.length > 0 && !this.#isFull) {
      const chunk = this.#pending[0]!;
      const sentSizeBytes = this.#send(chunk);
      if (this.#isDone) return;
      if (sentSizeBytes < chunk.length) this.#pending[0] = chunk.subarray(sentSizeBytes);
      else this.#pending.shift();
    }
    if (this.#isFull) return;
    if (this.#isEnding) this.#finish();
    else this.#owner.onStreamDrain();
  }

  /** How much was sent; all when uWS threw, as nothing is left to be done then. */
  #send(chunk: Uint8Array): number {
    try {
      const isKnown = this.#head.bodySizeBytes !== BODY_SIZE_UNKNOWN;
      return isKnown ? this.#sendKnown(chunk) : this.#sendChunk(chunk);
    } catch (error) {
      this.#fail(error);
      return chunk.length;
    }
  }

  /** In pieces that fit uWS's cork, with what is written before them: a longer one goes around it,
   *  and is lost, its size line left behind, when the socket has just no room for that line. */
  #sendChunk(chunk: Uint8Array): number {
    let sentSizeBytes = 0;
    while (sentSizeBytes < chunk.length && !this.#isFull) {
      const room = this.#isHeadSent ? CORK_ROOM : Math.max(1, CORK_ROOM - this.#head.lines.length);
      const piece = chunk.subarray(sentSizeBytes, sentSizeBytes + room);
      let isAccepted = true;
      this.#res.cork(() => {
        this.#sendHead('close');
        isAccepted = this.#res.write(piece);
      });
      sentSizeBytes += piece.length;
      if (!isAccepted) this.#fill();
    }
    return sentSizeBytes;
  }

  #sendKnown(chunk: Uint8Array): number {
    const { bodySizeBytes } = this.#head;
    const saidSizeBytes = this.#isClosing ? bodySizeBytes + 1 : bodySizeBytes;
    if (!this.#isClosing && this.#sentSizeBytes + chunk.length >= bodySizeBytes) {
      this.#owner.onStreamLast();
    }
    let result: [boolean, boolean] = [true, false];
    this.#res.cork(() => {
      if (!this.#isHeadSent) {
        this.#sendHead('close');
        if (this.#isClosing) this.#res.tryEnd('', bodySizeBytes);
      }
      result = this.#res.tryEnd(chunk, saidSizeBytes);
    });
    const [isAccepted, isComplete] = result;
    if (isComplete) {
      this.#finished();
      return chunk.length;
    }
    // The offset may be of 32 bits in the native interface; its difference is right in any case.
    const offset = this.#res.getWriteOffset();
    const sentSizeBytes = (offset - this.#sentOffset) >>> 0;
    this.#sentOffset = offset;
    this.#sentSizeBytes += sentSizeBytes;
    if (!isAccepted) this.#fill();
    return sentSizeBytes;
  }

  #sendHead(connectionWhenClosing: string): void {
    if (this.#isHeadSent) return;
    this.#isHeadSent = true;
    writeHead(
      this.#res,
      this.#head.status,
      this.#head,
      this.#isClosing ? connectionWhenClosing : '',
    );
  }

  #fill(): void {
    this.#isFull = true;
    this.#wasFull = true;
    this.#owner.onStreamFull();
  }

  #finish(): void {
    if (this.#isDone) return;
    try {
      if (!this.#isHeadSent) this.#finishEmpty();
      else if (this.#head.bodySizeBytes === BODY_SIZE_UNKNOWN) this.#finishChunks();
      else if (this.#isClosing) this.#finishKnown();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** No byte was ever given: here end() can close, and says so itself. */
  #finishEmpty(): void {
    if (!this.#isClosing) this.#owner.onStreamLast();
    this.#res.cork(() => {
      this.#sendHead('');
      this.#res.end('', this.#isClosing);
    });
    this.#finished();
  }

  #finishChunks(): void {
    if (!this.#isClosing) {
      this.#owner.onStreamLast();
      this.#res.cork(() => this.#res.end());
      this.#finished();
      return;
    }
    // The last chunk with a trailer field, as the only raw write there is ends in `: value\r\n`.
    this.#res.cork(() => this.#res.writeHeader('\r\n0\r\nx-sluice-end', '1\r\n'));
    // A client that has read slowly may not have the last bytes in its socket yet.
    if (this.#wasFull) this.#host.uploads.linger(() => this.#close());
    else this.#close();
  }

  /** An empty tryEnd tells whether the socket has taken everything. */
  #finishKnown(): void {
    let hasLeft = false;
    this.#res.cork(() => {
      hasLeft = this.#res.tryEnd('', this.#head.bodySizeBytes + 1)[0];
    });
    if (hasLeft) this.#close();
    else this.#fill();
  }

  #close(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    try {
      this.#res.close();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#owner.onStreamFinish();
  }

  #fail(error: unknown): void {
    this.#isDone = true;
    this.#owner.onStreamError(error);
  }

  #finished(): void {
    this.#isDone = true;
    this.#owner.onStreamFinish();
  }

  #break(): void {
    this.#isDone = true;
    this.#owner.onStreamBroken();
  }
}
