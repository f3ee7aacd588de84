// The parts of one loader, wired, and what they share: which release of each channel is open.

import type { LoaderDevice } from './api.ts';
import { ContentStore } from './content.ts';
import type { Decoder } from './dcz.ts';
import { LoaderError, toLoaderError } from './errors.ts';
import { memoryStorage } from './memory-storage.ts';
import { Network } from './network.ts';
import { Notes } from './notes.ts';
import type { LoaderSettings } from './options.ts';
import { Origins } from './origins.ts';
import { Outcomes } from './outcomes.ts';
import { type BuiltInRelease, infoOf, type OpenRelease, openBuiltIn } from './release.ts';
import { Scheduler } from './scheduler.ts';
import { openBest } from './start.ts';
import { StateKeeper } from './state.ts';
import { Supply } from './supply.ts';
import { Trust } from './trust.ts';

export class Session {
  readonly settings: LoaderSettings;
  readonly notes: Notes;
  readonly keeper: StateKeeper;
  readonly content: ContentStore;
  readonly network: Network;
  readonly trust: Trust;
  readonly outcomes: Outcomes;
  readonly supply: Supply;
  readonly open = new Map<string, OpenRelease>();
  readonly builtIns = new Map<string, BuiltInRelease>();
  /** By channel, the release that was open before: somebody may be in the middle of it. */
  readonly left = new Map<string, OpenRelease>();
  readonly #closing = new AbortController();
  readonly #background = new Set<Promise<void>>();
  #madeUpId: string | null = null;

  constructor(settings: LoaderSettings) {
    this.settings = settings;
    const { storage, levels, limits, clock, fetch, trustRoot } = settings;
    const notes = new Notes(clock);
    // Without the disk nothing outlives the process: not the counters either.
    const keeper = new StateKeeper(levels.disk ? storage : memoryStorage());
    const { memorySizeBytesMax } = limits;
    const content = new ContentStore({ storage, levels, memorySizeBytesMax, notes });
    const origins = new Origins(settings.origins, { clock, limits, notes });
    const decoder = once(settings.decoder);
    const network = new Network({ fetch, clock, limits, origins, levels, notes, decoder });
    const signal = this.#closing.signal;
    this.notes = notes;
    this.keeper = keeper;
    this.content = content;
    this.network = network;
    this.trust = new Trust({ shipped: trustRoot, keeper, notes, clock });
    const deviceId = (): string => this.device.id!;
    this.outcomes = new Outcomes({ keeper, network, notes, clock, limits, signal, deviceId });
    this.supply = new Supply({
      content,
      network,
      scheduler: new Scheduler(limits.concurrency),
      notes,
      builtIns: this.builtIns,
      present: (channel) => this.present(channel),
    });
  }

  get lifetime(): AbortSignal {
    return this.#closing.signal;
  }

  /** What the origins may know, with an id in any case. */
  get device(): LoaderDevice {
    const id = this.settings.device.id ?? this.keeper.state.deviceId ?? this.#makeUpId();
    return { ...this.settings.device, id };
  }

  /** Errors: LOADER_DOCUMENT and LOADER_SIGNATURE when the app's own trust root is no good. */
  async start(): Promise<OpenRelease[]> {
    await this.#noting('state', () => this.keeper.load());
    await this.#openTrust();
    if (this.settings.device.id === undefined && this.keeper.state.deviceId === null) {
      const deviceId = this.#makeUpId();
      await this.#noting('state', () => this.keeper.change((state) => ({ ...state, deviceId })));
    }
    for (const channel of this.settings.channels) await this.#openChannel(channel);
    if (this.keeper.state.outcomes.length > 0) this.outcomes.send();
    return [...this.open.values()];
  }

  /** Releases that files are read from. */
  reading(): OpenRelease[] {
    return [...this.open.values(), ...this.left.values()];
  }

  /** Releases of a channel that are here, newest first. */
  present(channel: string): OpenRelease[] {
    const all = [this.open, this.left, this.builtIns].map((releases) => releases.get(channel));
    return [...new Set(all.filter((one) => one !== undefined))];
  }

  /** One assignment: who asks before gets the old release whole, who asks after the new one. */
  swap(release: OpenRelease): void {
    const before = this.open.get(release.manifest.channel);
    if (before !== undefined) this.left.set(release.manifest.channel, before);
    this.open.set(release.manifest.channel, release);
    this.notes.emit('opened', infoOf(release));
  }

  /** Errors: LOADER_DISK. */
  async confirm(): Promise<void> {
    for (const [channel, { installed, source }] of this.open) {
      const { sequence } = installed;
      if (source !== 'builtIn' && this.#mustConfirm(channel, sequence)) {
        await this.keeper.changeChannel(channel, (record) => {
          const isCurrent = record.current?.sequence === sequence;
          return isCurrent ? { ...record, lastGood: record.current, starts: 0 } : record;
        });
        this.outcomes.add({ channel, sequence, outcome: 'opened' });
      }
    }
  }

  /** Runs behind the app's back; a failure is in the trail. */
  background(work: () => Promise<void>): void {
    const running = work().finally(() => this.#background.delete(running));
    this.#background.add(running);
  }

  async idle(): Promise<void> {
    while (this.#background.size > 0) await Promise.allSettled(this.#background);
    await this.outcomes.idle();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.idle();
    await this.outcomes.keep();
  }

  #mustConfirm(channel: string, sequence: number): boolean {
    const { current, lastGood } = this.keeper.channel(channel);
    return current?.sequence === sequence && lastGood?.sequence !== sequence;
  }

  async #openTrust(): Promise<void> {
    try {
      await this.trust.open();
    } catch (error) {
      const known = toLoaderError(error, 'LOADER_CRYPTO');
      if (known.code !== 'LOADER_CRYPTO') throw known;
      this.notes.fallback(known, known.code, {
        level: 'root',
        channel: null,
        what: 'the trust root',
      });
    }
  }

  async #openChannel(channel: string): Promise<void> {
    const { builtIn, levels, limits } = this.settings;
    const given = Object.hasOwn(builtIn, channel) ? builtIn[channel] : undefined;
    if (given !== undefined) {
      try {
        this.builtIns.set(channel, await openBuiltIn(channel, given, this));
      } catch (error) {
        const place = { level: 'builtIn', channel, what: 'the built-in release' } as const;
        this.notes.fallback(error, 'LOADER_DISK', place);
      }
    }
    const release = await openBest(channel, {
      ...{ content: this.content, trust: this.trust, notes: this.notes, keeper: this.keeper },
      ...{ outcomes: this.outcomes, levels, startsMax: limits.startsMax },
      builtIn: this.builtIns.get(channel) ?? null,
    });
    if (release === null) return;
    this.open.set(channel, release);
    this.notes.emit('opened', infoOf(release));
  }

  async #noting(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.notes.fallback(error, 'LOADER_DISK', { level: 'disk', channel: null, what });
    }
  }

  /** Random, and nothing of the device. */
  #makeUpId(): string {
    this.#madeUpId ??= Array.from(globalThis.crypto.getRandomValues(new Uint8Array(16)), (byte) => {
      return byte.toString(16).padStart(2, '0');
    }).join('');
    return this.#madeUpId;
  }
}

/** Loads at the first call; a failure is the answer to all calls. */
function once(load: () => Promise<Decoder>): () => Promise<Decoder> {
  let loading: Promise<Decoder> | null = null;
  return async () => {
    loading ??= load();
    try {
      return await loading;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new LoaderError('LOADER_DELTA', `no decoder here: ${why}`, { cause: error });
    }
  };
}
