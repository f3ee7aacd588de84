// What the process says about itself, as JSON lines through pino, behind one small interface.
// Workers do not write: they post records to the main thread, at a bounded rate, so that lines
// stay whole and a fault that repeats with each request cannot flood the channel.

import { pino } from 'pino';
import type { Clock } from '../core/index.ts';
import { boundWritten } from './written-text.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogValue = string | number | boolean | null | undefined | Error | readonly string[];
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** What a worker posts. Shape: `{ level, message, fields, wallMs, workerIndex }`, cloneable. */
export interface LogRecord {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly wallMs: number;
  readonly workerIndex: number;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
/** Records that a worker may post in a second; the rest are counted and named once. */
export const LOG_RECORDS_PER_SECOND_MAX = 100;
/** What a message takes in its line: a plugin's may be 8 KiB long, of whatever characters. */
const MESSAGE_SIZE_BYTES_MAX = 8_192;

export interface ProcessLog extends Log {
  /** Writes a record that a worker posted. */
  write(record: LogRecord): void;
  /** Says nothing below this level from now on: the configuration's is known only later. */
  setLevel(level: LogLevel): void;
  /** Writes what is buffered, before the process ends. */
  flush(): void;
}

export interface ProcessLogOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
  /** A file descriptor; 2 in production. */
  readonly fd: number;
}

/** The log of the main thread. It writes synchronously: its lines are few, and the last ones
 *  before an end are the ones that matter. */
export function createProcessLog(options: ProcessLogOptions): ProcessLog {
  const { clock } = options;
  const sink = pino.destination({ dest: options.fd, sync: true });
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: false,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
  const put = (level: LogLevel, message: string, wallMs: number, fields: object) => {
    if (!logger.isLevelEnabled(level)) return;
    const time = new Date(wallMs).toISOString();
    logger[level]({ time, ...fields }, boundWritten(message, MESSAGE_SIZE_BYTES_MAX));
  };
  const say = (level: LogLevel) => (message: string, fields?: LogFields) =>
    put(level, message, clock.wallMs(), cloneableFields(fields));
  return {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    write: ({ level, message, fields, wallMs, workerIndex }) =>
      put(level, message, wallMs, { worker: workerIndex, ...fields }),
    setLevel: (level) => {
      logger.level = level;
    },
    flush: () => sink.flushSync(),
  };
}

export interface PostedLogOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
  readonly workerIndex: number;
  readonly post: (record: LogRecord) => void;
}

/** The log of a worker. */
export function createPostedLog(options: PostedLogOptions): Log {
  const { clock, post, workerIndex } = options;
  const lowest = LEVELS.indexOf(options.level);
  let secondStartMs = Number.NEGATIVE_INFINITY;
  let posted = 0;
  let suppressed = 0;
  const say = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(level) < lowest) return;
    const wallMs = clock.wallMs();
    const nowMs = clock.nowMs();
    if (nowMs - secondStartMs >= 1000) {
      if (suppressed > 0) {
        const fields = { suppressed, limit: LOG_RECORDS_PER_SECOND_MAX };
        post({ level: 'warn', message: 'log records suppressed', fields, wallMs, workerIndex });
      }
      secondStartMs = nowMs;
      posted = 0;
      suppressed = 0;
    }
    if (posted === LOG_RECORDS_PER_SECOND_MAX) {
      suppressed += 1;
      return;
    }
    posted += 1;
    const short = boundWritten(message, MESSAGE_SIZE_BYTES_MAX);
    post({ level, message: short, fields: cloneableFields(fields), wallMs, workerIndex });
  };
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
}

/** Errors lose their code and their class when a thread clones them: they become plain objects. */
function cloneableFields(fields: LogFields | undefined): Record<string, unknown> {
  const cloneable: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields ?? {})) {
    cloneable[name] = value instanceof Error ? plainError(value) : value;
  }
  return cloneable;
}

function plainError(error: Error): Record<string, unknown> {
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {};
  return { message: error.message, ...code, ...cause, stack: error.stack ?? '' };
}
