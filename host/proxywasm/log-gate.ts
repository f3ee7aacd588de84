// What a plugin logs, at a bounded rate and length: a guest that logs in each callback must not
// bury the rest.

import { LOG_LEVELS } from './abi/values.ts';
import type { HostServices, PluginLogLevel } from './contract.ts';
import { LOG_LINE_SIZE_BYTES_MAX, LOG_LINES_PER_SECOND_MAX } from './limits.ts';

const SECOND_MS = 1_000;
const LINE_FEED = 0x0a;

export class LogGate {
  droppedCount = 0;
  readonly #plugin: string;
  readonly #services: HostServices;
  readonly #levelMin: number;
  /** What was written to an output and has not ended its line, by level. */
  readonly #begun = new Map<number, Buffer>();
  #secondMs = -SECOND_MS;
  #linesCount = 0;

  constructor(plugin: string, services: HostServices) {
    this.#plugin = plugin;
    this.#services = services;
    this.#levelMin = LOG_LEVELS.indexOf(services.logLevel);
  }

  /** The lowest level that is written, as the ABI numbers it. */
  get level(): number {
    return this.#levelMin;
  }

  /** A line of the guest's: bytes, most often UTF-8. */
  guest(level: number, line: Buffer): void {
    if (level < this.#levelMin || !this.#mayWrite()) return;
    const text = line.toString('utf8', 0, LOG_LINE_SIZE_BYTES_MAX);
    this.#write(LOG_LEVELS[level]!, text.replace(/\n+$/, ''));
  }

  /** A piece of what the guest writes to an output. A line is logged when it ends, since runtimes
   *  write a line's words one by one. */
  output(level: number, piece: Buffer): void {
    const begun = this.#begun.get(level);
    const bytes = begun === undefined ? piece : Buffer.concat([begun, piece]);
    const isFull = bytes.length >= LOG_LINE_SIZE_BYTES_MAX;
    const end = isFull ? bytes.length : bytes.lastIndexOf(LINE_FEED) + 1;
    if (end > 0) this.guest(level, bytes.subarray(0, end));
    if (end < bytes.length) this.#begun.set(level, Buffer.from(bytes.subarray(end)));
    else if (begun !== undefined) this.#begun.delete(level);
  }

  /** The guest's call has ended, and with it the lines that it has begun. */
  endLines(): void {
    if (this.#begun.size === 0) return;
    for (const [level, line] of this.#begun) this.guest(level, line);
    this.#begun.clear();
  }

  /** A line of the host's about the guest. */
  host(level: PluginLogLevel, message: string): void {
    if (this.#mayWrite()) this.#write(level, message);
  }

  #write(level: PluginLogLevel, message: string): void {
    this.#services.log({ plugin: this.#plugin, level, message });
  }

  #mayWrite(): boolean {
    const nowMs = this.#services.clock.nowMs();
    if (nowMs - this.#secondMs >= SECOND_MS) {
      this.#secondMs = nowMs;
      this.#linesCount = 0;
    }
    this.#linesCount += 1;
    if (this.#linesCount <= LOG_LINES_PER_SECOND_MAX) return true;
    this.droppedCount += 1;
    return false;
  }
}
