// A worker's access log: lines gather in memory and leave with asynchronous writes. It never
// blocks and never grows: when the reader of the log is slower than the traffic, lines are dropped
// and counted. pino is not used here, for building a line by hand costs a third of it.

import { type AccessEntry, jsonLine, LineTime, textLine } from './access-line.ts';
import { type LogSink, openLogSink } from './log-sink.ts';

export interface AccessLogOptions {
  readonly format: 'json' | 'text';
  /** A file's path, or a file descriptor: 1 for stdout; any above 2 is closed with the log. */
  readonly destination: number | string;
  /** Told of each new kind of write error, once until a write succeeds again. */
  readonly onError: (error: Error) => void;
}

/** Bytes that wait for a slow reader, per worker: at 250 bytes a line about 16,000 lines. */
export const ACCESS_LOG_BUFFER_SIZE_BYTES_MAX = 4_194_304;
const FLUSH_INTERVAL_MS = 200;
const CLOSE_TIMEOUT_MS = 2_000;

/** The access log of one worker. Errors: GW_CONFIG_FILE when the file cannot be opened. */
export class AccessLog {
  readonly #format: (entry: AccessEntry, time: string) => string;
  readonly #time = new LineTime();
  readonly #sink: LogSink;
  readonly #interval: NodeJS.Timeout;
  #batch = '';
  #batchLines = 0;
  /** Bytes handed to the sink and not yet written. */
  #waitingSizeBytes = 0;
  #linesWritten = 0;
  #linesDropped = 0;
  #lastErrorCode = '';
  #isClosed = false;

  constructor(options: AccessLogOptions) {
    this.#format = options.format === 'json' ? jsonLine : textLine;
    this.#sink = openLogSink(options.destination, {
      onWritten: (sizeBytes) => {
        this.#waitingSizeBytes = Math.max(0, this.#waitingSizeBytes - sizeBytes);
        this.#lastErrorCode = '';
      },
      onLost: (batch) => {
        const lines = batch.split('\n').length - 1;
        this.#waitingSizeBytes = Math.max(0, this.#waitingSizeBytes - batch.length);
        this.#linesWritten -= lines;
        this.#linesDropped += lines;
      },
      onError: (error: NodeJS.ErrnoException) => {
        const code = error.code ?? error.message;
        if (code === this.#lastErrorCode) return;
        this.#lastErrorCode = code;
        options.onError(error);
      },
    });
    this.#interval = setInterval(() => this.flush(), FLUSH_INTERVAL_MS);
    this.#interval.unref();
  }

  /** Takes a line. Cost: under 1 us; no system call. */
  write(entry: AccessEntry): void {
    if (
      this.#isClosed ||
      this.#waitingSizeBytes + this.#batch.length >= ACCESS_LOG_BUFFER_SIZE_BYTES_MAX
    ) {
      this.#linesDropped += 1;
      return;
    }
    // A line is ASCII: its length is its size in bytes.
    const line = this.#format(entry, this.#time.text(entry.wallMs));
    if (this.#batch.length + line.length > this.#sink.batchSizeBytes) this.flush();
    this.#batch += line;
    this.#batchLines += 1;
  }

  /** Hands what has gathered to the sink, without waiting for it. */
  flush(): void {
    if (this.#batch === '') return;
    const batch = this.#batch;
    const lines = this.#batchLines;
    this.#batch = '';
    this.#batchLines = 0;
    try {
      this.#waitingSizeBytes += batch.length;
      this.#sink.write(batch);
      this.#linesWritten += lines;
    } catch {
      // Nobody reads the pipe any more, or the file could not be opened again.
      this.#waitingSizeBytes -= batch.length;
      this.#linesDropped += lines;
    }
  }

  /** Opens the file again, after it was rotated away. */
  reopen(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#sink.reopen();
  }

  /** Lines handed on; those that turn out lost are taken back. */
  get linesWritten(): number {
    return this.#linesWritten;
  }

  get linesDropped(): number {
    return this.#linesDropped;
  }

  /** Writes what is left, for at most two seconds: a reader that has stopped must not hold up the
   *  end of the process. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    clearInterval(this.#interval);
    this.flush();
    this.#isClosed = true;
    return new Promise((resolve) => {
      const timeout = setTimeout(() => {
        this.#sink.destroy();
        resolve();
      }, CLOSE_TIMEOUT_MS);
      this.#sink.end(() => {
        clearTimeout(timeout);
        resolve();
      });
    });
  }
}
