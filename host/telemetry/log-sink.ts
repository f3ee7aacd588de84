// Where batches of log lines go, without ever blocking a thread. Files go through sonic-boom. Pipes
// do not: a write to a pipe that nobody reads holds one of the four threads that all workers share
// for files and names, and four such writes would stop the process. A pipe is opened once more in
// non-blocking mode, which leaves the descriptor that others write to as it was.

import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import sonicBoom, { type SonicBoom } from 'sonic-boom';
import { GatewayError } from '../core/index.ts';

export interface LogSink {
  /** A batch larger than this may be torn by other writers. */
  readonly batchSizeBytes: number;
  /** Takes a batch of ASCII lines. Throws when there is nowhere to write to. */
  write(batch: string): void;
  /** Opens a file again after it was rotated away. */
  reopen(): void;
  /** Writes what it holds and calls back; never when the reader has stopped. */
  end(done: () => void): void;
  destroy(): void;
}

export interface LogSinkEvents {
  onWritten(sizeBytes: number): void;
  /** A batch that was taken and could not be written. */
  onLost(batch: string): void;
  onError(error: Error): void;
}

/** Pipes keep writes of up to PIPE_BUF whole, and workers share one pipe. */
const PIPE_BATCH_SIZE_BYTES = 4_096;
const FILE_BATCH_SIZE_BYTES = 65_536;
/** Descriptors that outlive every log: stdin, stdout, stderr. */
const STANDARD_FD_MAX = 2;

/** The sink of a file's path or of a descriptor. Errors: GW_CONFIG_FILE. */
export function openLogSink(destination: number | string, events: LogSinkEvents): LogSink {
  if (typeof destination === 'string') {
    // The stream would report this later, to nobody.
    closeSync(openOrRefuse(destination));
    return new StreamSink(destination, FILE_BATCH_SIZE_BYTES, events);
  }
  const kind = kindOf(destination);
  if (kind === 'pipe') {
    const fd = openNonBlocking(destination);
    if (fd !== null) return new PipeSink(destination, fd, events);
  }
  const batchSizeBytes = kind === 'file' ? FILE_BATCH_SIZE_BYTES : PIPE_BATCH_SIZE_BYTES;
  return new StreamSink(destination, batchSizeBytes, events);
}

class StreamSink implements LogSink {
  readonly batchSizeBytes: number;
  readonly #stream: SonicBoom;

  constructor(destination: number | string, batchSizeBytes: number, events: LogSinkEvents) {
    this.batchSizeBytes = batchSizeBytes;
    this.#stream = new sonicBoom.SonicBoom({
      dest: destination,
      sync: false,
      maxWrite: batchSizeBytes,
    });
    this.#stream.on('write', (sizeBytes: number) => events.onWritten(sizeBytes));
    this.#stream.on('error', (error: Error) => events.onError(error));
  }

  write(batch: string): void {
    this.#stream.write(batch);
  }

  reopen(): void {
    this.#stream.reopen();
  }

  end(done: () => void): void {
    this.#stream.once('close', done);
    this.#stream.once('error', () => {
      this.#stream.destroy();
      done();
    });
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

class PipeSink implements LogSink {
  readonly batchSizeBytes = PIPE_BATCH_SIZE_BYTES;
  readonly #originalFd: number;
  readonly #events: LogSinkEvents;
  readonly #queue: string[] = [];
  #socket: Socket | null;
  #isWriting = false;
  #done: (() => void) | null = null;
  #isDestroyed = false;

  constructor(originalFd: number, fd: number, events: LogSinkEvents) {
    this.#originalFd = originalFd;
    this.#events = events;
    this.#socket = this.#wrap(fd);
  }

  write(batch: string): void {
    if (this.#socket === null) {
      // A named pipe may have found a new reader.
      const fd = openNonBlocking(this.#originalFd);
      if (fd === null) throw new GatewayError('GW_CONFIG_FILE', 'nobody reads the access log');
      this.#socket = this.#wrap(fd);
    }
    this.#queue.push(batch);
    this.#pump();
  }

  reopen(): void {}

  end(done: () => void): void {
    this.#done = done;
    this.#pump();
  }

  destroy(): void {
    // Destroying the socket ends its write, which ends the sink: once is enough.
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#done = null;
    this.#socket?.destroy();
    this.#socket = null;
    this.#forget();
    if (this.#originalFd > STANDARD_FD_MAX) closeSync(this.#originalFd);
  }

  #wrap(fd: number): Socket {
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.unref();
    socket.on('error', (error) => this.#events.onError(error));
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#isWriting = false;
      this.#forget();
      this.#pump();
    });
    return socket;
  }

  /** One write at a time: two at once would be joined to one that is no longer whole. */
  #pump(): void {
    if (this.#isWriting) return;
    const batch = this.#queue.shift();
    if (batch !== undefined && this.#socket !== null) {
      this.#isWriting = true;
      this.#socket.write(batch, 'latin1', (error) => {
        if (error != null) {
          // The socket closes next, and that goes on from here.
          this.#events.onLost(batch);
          return;
        }
        this.#events.onWritten(batch.length);
        this.#isWriting = false;
        this.#pump();
      });
      return;
    }
    const done = this.#done;
    if (done === null) return;
    this.#done = null;
    this.destroy();
    done();
  }

  #forget(): void {
    for (const batch of this.#queue) this.#events.onLost(batch);
    this.#queue.length = 0;
  }
}

function kindOf(fd: number): 'file' | 'pipe' | 'other' {
  try {
    const stats = fstatSync(fd);
    if (stats.isFIFO()) return 'pipe';
    return stats.isFile() ? 'file' : 'other';
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_FILE', `access log descriptor ${fd}: ${cause}`, cause);
  }
}

/** A second opening of a pipe, with a mode of its own. Null without a reader or without /proc. */
function openNonBlocking(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}

function openOrRefuse(path: string): number {
  try {
    return openSync(path, 'a');
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_FILE', `access log ${path}: ${cause}`, cause);
  }
}
