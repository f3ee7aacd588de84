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

/** What counts for a halt: devices since a release was last resumed. */
interface SinceResume {
  /** Of the release's rule: which resumption it is. */
  readonly resumeCount: number;
  failedCount: number;
  appliedCount: number;
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
  /** Of releases that were resumed; of others everything counts. */
  readonly #resumed = new Map<string, Map<number, SinceResume>>();
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
    this.#addSinceResume(report);
    if (this.#isRepeated(report, '')) {
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

  /** Takes note that a release has been resumed so often: what came before halts nothing more. */
  resumed(channel: string, sequence: number, resumeCount: number): void {
    const releases = this.#resumed.get(channel) ?? new Map<number, SinceResume>();
    const known = releases.get(sequence)?.resumeCount ?? 0;
    if (known === resumeCount) return;
    releases.set(sequence, { resumeCount, failedCount: 0, appliedCount: 0 });
    this.#resumed.set(channel, releases);
    this.#dirty.add(channel);
  }

  /** Devices that failed, whatever the cause, and that applied a release, since it was last
   *  resumed. */
  sinceResume(channel: string, sequence: number): Omit<SinceResume, 'resumeCount'> {
    const since = this.#resumed.get(channel)?.get(sequence);
    if (since !== undefined) return since;
    const { failed, applied: appliedCount } = this.counts(channel, sequence);
    return { failedCount: Object.values(failed).reduce((sum, one) => sum + one, 0), appliedCount };
  }

  /** Reads what was counted before. Errors: GW_DIST_CORRUPT. */
  async load(dir: string, channel: string): Promise<void> {
    const path = join(channelFolder(channel), OUTCOMES_FILE);
    const content = await readCheckedJson(dir, path);
    if (content === undefined) return;
    const fields = new Fields(content, path, ['counts', 'resumed'], CODE);
    const counts = bySequence(fields.map('counts', RELEASES_COUNT_MAX, readCounts));
    const isResumed = fields.get('resumed') !== undefined;
    const resumed = isResumed ? fields.map('resumed', RELEASES_COUNT_MAX, readSince) : {};
    this.#counts.set(channel, counts);
    this.#resumed.set(channel, bySequence(resumed));
  }

  /** Writes what has changed, of the releases that a channel still knows. Errors: GW_DIST_DISK. */
  async save(dir: string, sequencesOf: (channel: string) => ReadonlySet<number>): Promise<void> {
    for (const channel of [...this.#dirty]) {
      const known = sequencesOf(channel);
      const releases = this.#counts.get(channel) ?? new Map();
      const resumed = this.#resumed.get(channel) ?? new Map();
      for (const map of [releases, resumed]) {
        for (const sequence of map.keys()) if (!known.has(sequence)) map.delete(sequence);
      }
      this.#dirty.delete(channel);
      try {
        const path = join(channelFolder(channel), OUTCOMES_FILE);
        await replaceCheckedJson(dir, path, {
          counts: Object.fromEntries(releases),
          ...(resumed.size === 0 ? {} : { resumed: Object.fromEntries(resumed) }),
        });
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

  /** A device that failed before counts again: whether it still fails is the question. */
  #addSinceResume(report: OutcomeReport): void {
    const { channel, sequence, outcome } = report;
    const since = this.#resumed.get(channel)?.get(sequence);
    if (since === undefined || (outcome !== 'failed' && outcome !== 'applied')) return;
    if (this.#isRepeated(report, ` ${since.resumeCount}`)) return;
    if (outcome === 'failed') since.failedCount += 1;
    else since.appliedCount += 1;
    this.#dirty.add(channel);
  }

  #isRepeated(
    { channel, sequence, outcome, deviceId }: OutcomeReport,
    resumption: string,
  ): boolean {
    const text = `${channel} ${sequence}${resumption} ${outcome} ${deviceId}`;
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

function bySequence<T>(read: Readonly<Record<string, T>>): Map<number, T> {
  return new Map(Object.entries(read).map(([sequence, value]) => [Number(sequence), value]));
}

function readSince(value: unknown, place: string): SinceResume {
  const keys = ['resumeCount', 'failedCount', 'appliedCount'] as const;
  const fields = new Fields(value, place, keys, CODE);
  const [resumeCount, failedCount, appliedCount] = keys.map((key) =>
    fields.integer(key, 0, Number.MAX_SAFE_INTEGER),
  );
  return { resumeCount: resumeCount!, failedCount: failedCount!, appliedCount: appliedCount! };
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
