// What a plugin logs, at a bounded rate and length: a guest that logs in each callback must not
// bury the rest.

import { LOG_LEVELS } from './abi/values.ts';
import type { HostServices, PluginLogLevel } from './contract.ts';
import { LOG_LINE_SIZE_BYTES_MAX, LOG_LINES_PER_SECOND_MAX } from './limits.ts';

const SECOND_MS = 1_000;

export class LogGate {
  droppedCount = 0;
  readonly #plugin: string;
  readonly #services: HostServices;
  readonly #levelMin: number;
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
