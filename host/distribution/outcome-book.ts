// What devices report, counted by release: on the main thread, from all workers.
//
// What is guaranteed: a device's report of one outcome of one release is counted once as long as
// fewer than REMEMBERED_COUNT_MAX other reports came in between and the process was not started
// again. Device ids are what devices say: whoever can make up ids can make up counts, so a public
// route belongs behind a rate limit, and a halt is a pause and no harm.

import { hash } from 'node:crypto';
import { join } from 'node:path';
import { FAILURE_CAUSES, type FailureCause, type OutcomeReport } from './channel-view.ts';
import { readCheckedJson, replaceCheckedJson } from './checked-json.ts';
import { Fields } from './fields.ts';
import { channelFolder } from './store-paths.ts';

/** Devices by what became of a release. */
export interface OutcomeCounts {
  delivered: number;
  applied: number;
  opened: number;
  /** By cause; a device that failed several times counts with its first cause. */
  readonly failed: Record<FailureCause, number>;
}

const OUTCOMES_FILE = 'outcomes.json';
const CODE = 'GW_DIST_CORRUPT';
/** Reports remembered to tell a repetition; twice as many at most, of about 100 bytes each. */
const REMEMBERED_COUNT_MAX = 65_536;
const RELEASES_COUNT_MAX = 1_024;
/** Of a report's hash: a collision among a million has a chance of one in 10^17. */
const DIGEST_SIZE_CHARS = 20;

export class OutcomeBook {
  readonly #counts = new Map<string, Map<number, OutcomeCounts>>();
  readonly #dirty = new Set<string>();
  #recent = new Set<string>();
  #older = new Set<string>();
  #reportsCount = 0;
  #repeatedCount = 0;

  get reportsCount(): number {
    return this.#reportsCount;
  }

  /** Reports that were told before. */
  get repeatedCount(): number {
    return this.#repeatedCount;
  }

  /** Counts a report. Whether it was new. */
  add(report: OutcomeReport): boolean {
    this.#reportsCount += 1;
    if (this.#isRepeated(report)) {
      this.#repeatedCount += 1;
      return false;
    }
    const counts = this.#countsOf(report.channel, report.sequence);
    if (report.outcome === 'failed') counts.failed[report.cause ?? 'other'] += 1;
    else counts[report.outcome] += 1;
    this.#dirty.add(report.channel);
    return true;
  }

  /** Zeroes when nothing was reported. */
  counts(channel: string, sequence: number): OutcomeCounts {
    return this.#counts.get(channel)?.get(sequence) ?? noCounts();
  }

  /** Devices that failed, whatever the cause. */
  failedCount(channel: string, sequence: number): number {
    return Object.values(this.counts(channel, sequence).failed).reduce((sum, one) => sum + one, 0);
  }

  /** Reads what was counted before. Errors: GW_DIST_CORRUPT. */
  async load(dir: string, channel: string): Promise<void> {
    const path = join(channelFolder(channel), OUTCOMES_FILE);
    const content = await readCheckedJson(dir, path);
    if (content === undefined) return;
    const fields = new Fields(content, path, ['counts'], CODE);
    const read = fields.map('counts', RELEASES_COUNT_MAX, (value, place) =>
      readCounts(value, place),
    );
    const entries = Object.entries(read).map(([sequence, counts]) => {
      return [Number(sequence), counts] as const;
    });
    this.#counts.set(channel, new Map(entries));
  }

  /** Writes what has changed, of the releases that a channel still knows. Errors: GW_DIST_DISK. */
  async save(dir: string, sequencesOf: (channel: string) => ReadonlySet<number>): Promise<void> {
    for (const channel of [...this.#dirty]) {
      const known = sequencesOf(channel);
      const releases = this.#counts.get(channel) ?? new Map();
      for (const sequence of releases.keys()) if (!known.has(sequence)) releases.delete(sequence);
      this.#dirty.delete(channel);
      try {
        const path = join(channelFolder(channel), OUTCOMES_FILE);
        await replaceCheckedJson(dir, path, { counts: Object.fromEntries(releases) });
      } catch (error) {
        this.#dirty.add(channel);
        throw error;
      }
    }
  }

  #countsOf(channel: string, sequence: number): OutcomeCounts {
    let releases = this.#counts.get(channel);
    if (releases === undefined) {
      releases = new Map();
      this.#counts.set(channel, releases);
    }
    let counts = releases.get(sequence);
    if (counts === undefined) {
      counts = noCounts();
      releases.set(sequence, counts);
    }
    return counts;
  }

  #isRepeated({ channel, sequence, outcome, deviceId }: OutcomeReport): boolean {
    const text = `${channel} ${sequence} ${outcome} ${deviceId}`;
    const digest = hash('sha256', text, 'base64').slice(0, DIGEST_SIZE_CHARS);
    if (this.#recent.has(digest) || this.#older.has(digest)) return true;
    this.#recent.add(digest);
    if (this.#recent.size >= REMEMBERED_COUNT_MAX) {
      this.#older = this.#recent;
      this.#recent = new Set();
    }
    return false;
  }
}

function noCounts(): OutcomeCounts {
  const failed = Object.fromEntries(FAILURE_CAUSES.map((cause) => [cause, 0]));
  return { delivered: 0, applied: 0, opened: 0, failed: failed as Record<FailureCause, number> };
}

function readCounts(value: unknown, place: string): OutcomeCounts {
  const fields = new Fields(value, place, ['delivered', 'applied', 'opened', 'failed'], CODE);
  const failed = new Fields(fields.get('failed'), `${place}.failed`, FAILURE_CAUSES, CODE);
  const count = (from: Fields, key: string): number =>
    from.integer(key, 0, Number.MAX_SAFE_INTEGER);
  const counts = noCounts();
  for (const key of ['delivered', 'applied', 'opened'] as const) counts[key] = count(fields, key);
  for (const cause of FAILURE_CAUSES) counts.failed[cause] = count(failed, cause);
  return counts;
}
