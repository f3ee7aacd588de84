// What one worker gathers for the main thread and hands over each second: outcomes of devices, and
// the bases that were named. Bounded: what is more than a second may bring is counted and dropped.

import type { OutcomeReport, ToDesk } from './channel-view.ts';
import { noResponses } from './response-forms.ts';

/** Outcomes of one second and worker: the main thread takes some 10 µs for each. */
const OUTCOMES_COUNT_MAX = 16_384;
/** Different bases of one second and worker. */
const BASES_COUNT_MAX = 1_024;

export class ReportIntake {
  #outcomes: OutcomeReport[] = [];
  #bases = new Map<string, Map<string, number>>();
  #basesCount = 0;
  #droppedCount = 0;
  #responses = noResponses();
  #hasResponses = false;

  /** Cost: one addition. */
  addResponse(countKey: number): void {
    this.#responses[countKey]! += 1;
    this.#hasResponses = true;
  }

  addOutcome(report: OutcomeReport): void {
    if (this.#outcomes.length < OUTCOMES_COUNT_MAX) this.#outcomes.push(report);
    else this.#droppedCount += 1;
  }

  addBase(channel: string, base: string): void {
    let counts = this.#bases.get(channel);
    if (counts === undefined) {
      counts = new Map();
      this.#bases.set(channel, counts);
    }
    const count = counts.get(base);
    if (count === undefined) {
      if (this.#basesCount >= BASES_COUNT_MAX) return;
      this.#basesCount += 1;
    }
    counts.set(base, (count ?? 0) + 1);
  }

  /** What has been gathered since the last time; null for nothing. */
  take(): ToDesk | null {
    const hasReports = this.#outcomes.length > 0 || this.#basesCount > 0 || this.#droppedCount > 0;
    if (!hasReports && !this.#hasResponses) return null;
    const report: ToDesk = {
      kind: 'report',
      bases: this.#bases,
      outcomes: this.#outcomes,
      droppedCount: this.#droppedCount,
      responses: this.#responses,
    };
    if (this.#hasResponses) this.#responses = noResponses();
    this.#hasResponses = false;
    this.#outcomes = [];
    this.#bases = new Map();
    this.#basesCount = 0;
    this.#droppedCount = 0;
    return report;
  }
}
