// The distribution plane of the main thread: the only one that signs heads, changes states and
// writes what devices report. Workers get views, and ask for what takes long; requests never come
// here.

import { type Clock, eachAtOnce, GatewayError } from '../core/index.ts';
import type { Log, LogFields } from '../telemetry/index.ts';
import { BaseBook } from './base-book.ts';
import { BoundedCache } from './bounded-cache.ts';
import type { ChannelView, FromDesk, ToDesk, Wanted } from './channel-view.ts';
import { ChannelWatch } from './channel-watch.ts';
import type { Signer } from './envelope.ts';
import { HeadSigner, type SignedHeads } from './heads.ts';
import { type IndexLoader, IndexShelf } from './index-shelf.ts';
import { type MakeCounts, MakeDesk, type MakeLimits } from './make-desk.ts';
import type { ChannelState, ReleaseEntry, RolloutStep } from './model.ts';
import { OutcomeBook, type OutcomeCounts } from './outcome-book.ts';
import { changeRule, type RuleChange } from './release-changes.ts';
import { mustHalt, rolloutAt } from './release-rules.ts';
import { noResponses, type ResponseCount, responseCounts } from './response-forms.ts';
import { changeChannelState } from './state-change.ts';
import { shownArtefact } from './store-paths.ts';
import { entryOf } from './stored-manifest.ts';

export interface DeskDeps {
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Keys of the head role. */
  readonly headSigners: readonly Signer[];
  readonly headExpiryMs: number;
  readonly makeLimits: MakeLimits;
  /** Indexes of releases that are kept for workers that start. Units: bytes. */
  readonly memorySizeBytesMax: number;
  /** Builds the index of a release (release-index.ts), in another thread. */
  readonly loadIndex: IndexLoader;
  /** See MakeDeskDeps. */
  readonly make: (wanted: Wanted) => Promise<boolean>;
  /** Posts to every worker. */
  readonly tellAll: (message: FromDesk) => void;
}

/** A release as the admin API shows it. */
export interface ReleaseReport {
  readonly version: string;
  readonly sequence: number;
  readonly state: ReleaseEntry['state'];
  /** As it was set. */
  readonly rollout: number;
  /** With the steps of the schedule that have come. */
  readonly rolloutInForce: number;
  readonly schedule: readonly RolloutStep[];
  readonly counts: OutcomeCounts;
}

export interface ChannelReport {
  readonly channel: string;
  readonly generation: number;
  /** The counter of the heads that are offered; 0 before the first. */
  readonly headCounter: number;
  readonly headsExpireAtMs: number;
  readonly releases: readonly ReleaseReport[];
  /** The bases asked with most. */
  readonly bases: ReadonlyMap<string, number>;
}

export interface DeskReport {
  readonly channels: readonly ChannelReport[];
  readonly making: MakeCounts;
  readonly outcomesCount: number;
  readonly repeatedOutcomesCount: number;
  readonly droppedOutcomesCount: number;
  readonly responses: readonly ResponseCount[];
}

interface Channel {
  state: ChannelState;
  signed: SignedHeads | null;
}

const LOOK_MS = 500;
/** Looking takes at most one part in so many of the time, however many channels there are. */
const LOOK_SHARE = 10;
const LOOK_MS_MAX = 10_000;
/** Channels that are signed at once: each waits for the disk. */
const CHANNELS_UNDER_WAY_MAX = 16;
/** Counts reach the disk after at most this. */
const SAVE_MS = 5_000;
/** A fault that goes on is logged again after this; of so many different ones it is remembered. */
const TOLD_AGAIN_MS = 60_000;
const TOLD_COUNT_MAX = 1_024;
/** A change waits so long for who holds the lock, for whoever asked waits as well. */
const CHANGE_PATIENCE_MS = 5_000;
/** A halt that found the store locked is tried again after this. */
const HALT_AGAIN_MS = 1_000;

export class DistributionDesk {
  readonly #deps: DeskDeps;
  readonly #watch: ChannelWatch;
  readonly #signer: HeadSigner;
  readonly #maker: MakeDesk;
  readonly #outcomes = new OutcomeBook();
  readonly #bases: BaseBook;
  readonly #channels = new Map<string, Channel>();
  readonly #indexes: IndexShelf;
  readonly #halting = new Set<string>();
  readonly #told = new BoundedCache<number>(TOLD_COUNT_MAX);
  #timer: NodeJS.Timeout | null = null;
  /** One look after the other. */
  #looking: Promise<void> = Promise.resolve();
  #isLooking = false;
  #lookAgainMs = 0;
  #savedMs: number;
  #droppedCount = 0;
  readonly #responses = noResponses();

  constructor(deps: DeskDeps) {
    this.#deps = deps;
    this.#savedMs = deps.clock.nowMs();
    this.#bases = new BaseBook(deps.clock);
    this.#indexes = new IndexShelf(deps.loadIndex, deps.memorySizeBytesMax);
    this.#watch = new ChannelWatch(deps.dir, (channel, error) =>
      this.#report('a channel cannot be read; it stays as it was', { channel }, error),
    );
    this.#signer = new HeadSigner({
      dir: deps.dir,
      clock: deps.clock,
      signers: deps.headSigners,
      expiryMs: deps.headExpiryMs,
      onLost: (channel, error) =>
        this.#report('the head counter was lost; it goes on from the time', { channel }, error),
    });
    this.#maker = new MakeDesk({
      clock: deps.clock,
      limits: deps.makeLimits,
      make: deps.make,
      onMade: (wanted) => deps.tellAll({ kind: 'made', wanted }),
      onRefused: (wanted) => deps.tellAll({ kind: 'refused', wanted }),
      onFault: (wanted, error) =>
        this.#report('cannot be made', { artefact: shownArtefact(wanted) }, error),
    });
  }

  /** Reads all channels and signs their heads; looks again from then on. */
  async start(): Promise<void> {
    await this.look();
    this.#timer = setInterval(() => this.#tick(), LOOK_MS);
    this.#timer.unref();
  }

  /** Begins nothing any more, and writes what was counted. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#maker.stop();
    await this.#looking;
    await this.#save();
  }

  /** What a worker needs first. */
  views(): FromDesk {
    const views: ChannelView[] = [];
    for (const { state, signed } of this.#channels.values()) {
      const { channel, generation, isPacked, releases } = state;
      views.push({ channel, generation, isPacked, releases, heads: signed?.heads ?? new Map() });
    }
    return { kind: 'channels', views };
  }

  /** Takes what a worker says. `reply` posts to that worker. */
  take(message: ToDesk, reply: (message: FromDesk) => void): void {
    switch (message.kind) {
      case 'index': {
        const { channel, manifest } = message;
        void this.#index(channel, manifest).then((index) =>
          reply({ kind: 'index', manifest, index }),
        );
        break;
      }
      case 'want':
        this.#maker.want(message.wanted);
        break;
      case 'report':
        this.#droppedCount += message.droppedCount;
        for (const [key, count] of message.responses.entries()) this.#responses[key]! += count;
        this.#bases.add(message.bases);
        for (const outcome of message.outcomes) this.#outcomes.add(outcome);
        for (const channel of new Set(message.outcomes.map((one) => one.channel))) {
          this.#haltWhatFails(channel);
        }
        break;
    }
  }

  /** Changes who gets a release. Returns what it was before. Errors: GW_DIST_NOT_FOUND,
   *  GW_DIST_RULE, GW_DIST_LOCKED. */
  async change(channel: string, version: string, change: RuleChange): Promise<ReleaseEntry> {
    let before: ReleaseEntry | null = null;
    const changed = (state: ChannelState | null) => {
      before = entryOf(state, version);
      return changeRule(state, version, change, this.#deps.clock.wallMs());
    };
    await changeChannelState(this.#deps.dir, channel, changed, CHANGE_PATIENCE_MS);
    await this.look();
    return before!;
  }

  report(): DeskReport {
    const channels = [...this.#channels.values()].map(({ state, signed }) => ({
      channel: state.channel,
      generation: state.generation,
      headCounter: signed?.counter ?? 0,
      headsExpireAtMs: signed === null ? 0 : signed.issuedMs + this.#deps.headExpiryMs,
      releases: state.releases.map((entry) => this.#releaseReport(state.channel, entry)),
      bases: this.#bases.top(state.channel),
    }));
    return {
      channels,
      making: this.#maker.counts,
      outcomesCount: this.#outcomes.reportsCount,
      repeatedOutcomesCount: this.#outcomes.repeatedCount,
      droppedOutcomesCount: this.#droppedCount,
      responses: responseCounts(this.#responses),
    };
  }

  #releaseReport(channel: string, entry: ReleaseEntry): ReleaseReport {
    const { version, sequence, state, rollout, schedule } = entry;
    return {
      version,
      sequence,
      state,
      rollout,
      rolloutInForce: rolloutAt(entry, this.#deps.clock.wallMs()),
      schedule,
      counts: this.#outcomes.counts(channel, sequence),
    };
  }

  /** Looks for changes now, signs what is due, and tells the workers. Never rejects. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  #tick(): void {
    this.#maker.tick();
    const beganMs = this.#deps.clock.nowMs();
    if (this.#isLooking || beganMs < this.#lookAgainMs) return;
    this.#isLooking = true;
    void this.look().finally(() => {
      this.#isLooking = false;
      const tookMs = this.#deps.clock.nowMs() - beganMs;
      this.#lookAgainMs = beganMs + Math.min(tookMs * LOOK_SHARE, LOOK_MS_MAX);
    });
  }

  async #look(): Promise<void> {
    try {
      const { changed, removed } = await this.#watch.look();
      for (const channel of removed) this.#channels.delete(channel);
      await eachAtOnce(changed, CHANNELS_UNDER_WAY_MAX, (state) => this.#takeState(state));
      let isSigned = false;
      const due = [...this.#channels.values()].filter(({ signed }) => {
        return signed === null || this.#signer.isDue(signed.issuedMs);
      });
      await eachAtOnce(due, CHANNELS_UNDER_WAY_MAX, async (channel) => {
        if (await this.#sign(channel)) isSigned = true;
      });
      if (changed.length + removed.length > 0 || isSigned) this.#deps.tellAll(this.views());
      if (this.#deps.clock.nowMs() - this.#savedMs >= SAVE_MS) await this.#save();
    } catch (error) {
      this.#report('the store cannot be looked at', {}, error);
    }
  }

  async #takeState(state: ChannelState): Promise<void> {
    const { channel } = state;
    const known = this.#channels.get(channel);
    if (known === undefined) await this.#load(channel);
    for (const { sequence, resumeCount } of state.releases) {
      this.#outcomes.resumed(channel, sequence, resumeCount);
    }
    if (known !== undefined) {
      known.state = state;
      // Other releases are offered, so other heads are needed; the old ones stay until then.
      known.signed = (await this.#signed(state)) ?? known.signed;
      return;
    }
    this.#channels.set(channel, { state, signed: null });
  }

  /** Counts of before; a damaged file loses them, and no more. */
  async #load(channel: string): Promise<void> {
    for (const book of [this.#outcomes, this.#bases]) {
      try {
        await book.load(this.#deps.dir, channel);
      } catch (error) {
        this.#report('counts are lost and begin anew', { channel }, error);
      }
    }
  }

  async #sign(channel: Channel): Promise<boolean> {
    const signed = await this.#signed(channel.state);
    if (signed !== null) channel.signed = signed;
    return signed !== null;
  }

  /** Null when it cannot be; the next look tries again. */
  async #signed(state: ChannelState): Promise<SignedHeads | null> {
    try {
      return await this.#signer.sign(state);
    } catch (error) {
      this.#report('heads cannot be signed', { channel: state.channel }, error);
      return null;
    }
  }

  /** Null when it cannot be had. */
  async #index(channel: string, manifest: string): Promise<SharedArrayBuffer | null> {
    const releases = this.#channels.get(channel)?.state.releases ?? [];
    const entry = releases.find((release) => release.manifest.sha256 === manifest);
    if (entry === undefined) return null;
    try {
      return await this.#indexes.get(entry);
    } catch (error) {
      this.#report('a release cannot be served', { channel, version: entry.version }, error);
      return null;
    }
  }

  #haltWhatFails(channel: string): void {
    for (const release of this.#channels.get(channel)?.state.releases ?? []) {
      const counts = this.#outcomes.sinceResume(channel, release.sequence);
      if (mustHalt(release, counts)) void this.#halt(channel, release, counts);
    }
  }

  async #halt(
    channel: string,
    { version }: ReleaseEntry,
    counts: { readonly failedCount: number; readonly appliedCount: number },
  ): Promise<void> {
    const key = `${channel} ${version}`;
    if (this.#halting.has(key)) return;
    this.#halting.add(key);
    try {
      // What somebody paused meanwhile stays paused.
      await changeChannelState(this.#deps.dir, channel, (state) => {
        const entry = state?.releases.find((release) => release.version === version);
        if (entry?.state !== 'active') return null;
        return changeRule(state, version, { state: 'halted' }, this.#deps.clock.wallMs());
      });
      this.#deps.log.warn('a release was halted: too many devices failed', {
        channel,
        version,
        ...counts,
      });
      this.#halting.delete(key);
      await this.look();
    } catch (error) {
      this.#report('a release cannot be halted yet', { channel, version }, error);
      setTimeout(() => {
        this.#halting.delete(key);
        this.#haltWhatFails(channel);
      }, HALT_AGAIN_MS).unref();
    }
  }

  async #save(): Promise<void> {
    this.#savedMs = this.#deps.clock.nowMs();
    const sequencesOf = (channel: string): ReadonlySet<number> => {
      const releases = this.#channels.get(channel)?.state.releases ?? [];
      return new Set(releases.map(({ sequence }) => sequence));
    };
    try {
      await this.#outcomes.save(this.#deps.dir, sequencesOf);
      await this.#bases.save(this.#deps.dir);
    } catch (error) {
      this.#report('counts cannot be written', {}, error);
    }
  }

  /** Logs a fault; one that goes on is told once a minute. */
  #report(message: string, fields: LogFields, error: unknown): void {
    const key = `${message} ${JSON.stringify(fields)}`;
    const nowMs = this.#deps.clock.nowMs();
    const toldMs = this.#told.get(key);
    if (toldMs !== undefined && nowMs - toldMs < TOLD_AGAIN_MS) return;
    this.#told.set(key, nowMs, 1);
    const known = error instanceof Error ? error : new GatewayError('GW_INTERNAL', String(error));
    this.#deps.log.error(message, { ...fields, error: known });
  }
}
