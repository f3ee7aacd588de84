// The distribution plane on the main thread, wired to what only this folder has: the io workers,
// the compute pool, the files of keys.

import type { DistributionConfig } from '../config/index.ts';
import { type Clock, GatewayError } from '../core/index.ts';
import {
  DistributionDesk,
  type FromDesk,
  KeyWatch,
  type RuleChange,
  readChannelState,
  readKeyFile,
  Store,
  type ToDesk,
  usedBytesOf,
  type Wanted,
} from '../distribution/index.ts';
import { Codec } from '../kernels/index.ts';
import type { Log } from '../telemetry/index.ts';
import { readWasm } from './assets.ts';
import type { ComputePool } from './compute.ts';
import { rollbackRelease } from './rollback.ts';

export interface DistributionPlaneDeps {
  readonly config: DistributionConfig;
  readonly compute: ComputePool;
  readonly clock: Clock;
  readonly log: Log;
  /** Posts to every io worker. */
  readonly tellAll: (message: FromDesk) => void;
}

/** A change that the admin API asks for. `version`: null for the newest release. */
export type ReleaseChange = { readonly channel: string; readonly version: string | null } & (
  | { readonly action: 'pause' | 'resume' | 'rollback' }
  | { readonly action: 'rollout'; readonly rollout: number }
);

/** A client waits for none of it, but its next request may. */
const EFFORT = 1;
/** How often it is looked whether the trust roots have changed. */
const KEYS_LOOK_MS = 5_000;
/** Of the limit on the disk: who asks can name any content as a base, and what that makes must not
 *  keep a publisher out. */
const ON_DEMAND_SHARE = 3 / 4;
/** How often what the store takes is counted anew: publishers in other processes add to it. */
const COUNT_AGAIN_MS = 600_000;

/** A key that clients do not know is told here, where somebody reads it, and not on a phone. It is
 *  no error: an empty store has no trust root yet. */
function watchKeys({ config, log }: DistributionPlaneDeps): KeyWatch {
  const { dir, headKey, signingKey } = config;
  return new KeyWatch({
    dir,
    headKey,
    signingKey,
    onFaults: (faults) => {
      for (const fault of faults) log.warn('a configured key is not trusted', { fault });
      if (faults.length === 0) log.info('the configured keys are trusted', {});
    },
    onError: (error) => log.error('the trust cannot be looked at', { error: error as Error }),
  });
}

export class DistributionPlane {
  readonly desk: DistributionDesk;
  readonly #deps: DistributionPlaneDeps;
  readonly #store: Store;
  readonly #keys: KeyWatch;
  #keysTimer: NodeJS.Timeout | null = null;
  #usedBytes = 0;
  #countedMs = Number.NEGATIVE_INFINITY;

  private constructor(
    deps: DistributionPlaneDeps,
    store: Store,
    signer: Awaited<ReturnType<typeof readKeyFile>>,
  ) {
    const { config, compute, clock, log, tellAll } = deps;
    this.#deps = deps;
    this.#store = store;
    this.#keys = watchKeys(deps);
    this.desk = new DistributionDesk({
      dir: config.dir,
      clock,
      log,
      headSigners: [signer],
      headExpiryMs: config.headExpiryMs,
      makeLimits: {
        concurrency: config.limits.jobsMax,
        cpuMsPerMinute: config.limits.cpuMsPerMinute,
      },
      memorySizeBytesMax: config.limits.memorySizeBytesMax,
      loadIndex: ({ version, manifest }) =>
        compute.indexRelease({ dir: config.dir, version, manifest }),
      make: (wanted) => this.#make(wanted),
      tellAll,
    });
  }

  /** Reads the key and all channels. Errors: GW_DIST_KEY. */
  static async start(deps: DistributionPlaneDeps): Promise<DistributionPlane> {
    const signer = await readKeyFile(deps.config.headKey);
    const store = new Store(deps.config.dir, Codec.create(readWasm('codec.wasm')));
    const plane = new DistributionPlane(deps, store, signer);
    await plane.#keys.look();
    await plane.desk.start();
    plane.#keysTimer = setInterval(() => void plane.#keys.look(), KEYS_LOOK_MS);
    plane.#keysTimer.unref();
    return plane;
  }

  take(message: ToDesk, reply: (message: FromDesk) => void): void {
    this.desk.take(message, reply);
  }

  /** Errors: GW_DIST_NOT_FOUND, GW_DIST_RULE, GW_DIST_LOCKED, GW_DIST_KEY, GW_DIST_DISK. */
  async change(change: ReleaseChange): Promise<void> {
    const { channel, action } = change;
    const { config, clock, compute, log } = this.#deps;
    if (action === 'rollback') {
      const store = this.#store;
      const named = { channel, version: change.version!, jobs: compute };
      const version = await rollbackRelease({ config, clock, store }, named);
      log.info('a release was rolled back', { channel, to: change.version, version });
      await this.desk.look();
      return;
    }
    const version = change.version ?? (await this.#newest(channel));
    const rule: RuleChange =
      action === 'rollout'
        ? { rollout: change.rollout }
        : { state: action === 'pause' ? 'paused' : 'active' };
    const before = await this.desk.change(channel, version, rule);
    const hasEnded = action === 'rollout' && before.schedule.length > 0;
    const ended = hasEnded ? { endedSteps: before.schedule.length } : {};
    log.info('a release rule was changed', { channel, version, action, ...ended });
  }

  async #newest(channel: string): Promise<string> {
    const state = await readChannelState(this.#deps.config.dir, channel);
    const newest = state?.releases[0];
    if (newest === undefined) throw new GatewayError('GW_DIST_NOT_FOUND', `channel ${channel}`);
    return newest.version;
  }

  stop(): Promise<void> {
    if (this.#keysTimer !== null) clearInterval(this.#keysTimer);
    return this.desk.stop();
  }

  async #make(wanted: Wanted): Promise<boolean> {
    const { compute, config } = this.#deps;
    const target = wanted.kind === 'delta' ? wanted.target : wanted.sha256;
    const sizeBytes = await this.#store.fileSizeOf({ kind: 'object', sha256: target });
    if (sizeBytes === null || sizeBytes > config.limits.deltaSizeBytesMax) return false;
    const roomBytes = await this.#roomBytes();
    if (roomBytes <= 0)
      throw new GatewayError('GW_DIST_DISK', 'the rest of the disk is for publishing');
    const { dir } = config;
    const made = await (wanted.kind === 'delta'
      ? compute.makeDelta({ dir, base: wanted.base, target, effort: EFFORT, roomBytes })
      : compute.makeVariant({ dir, sha256: target, encoding: wanted.encoding, roomBytes }));
    this.#usedBytes += made.addedBytes;
    return made.outcome === 'made' || made.outcome === 'present';
  }

  /** What may still be added on demand. Cost: now and then, one stat for each artefact. */
  async #roomBytes(): Promise<number> {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - this.#countedMs > COUNT_AGAIN_MS) {
      this.#countedMs = nowMs;
      this.#usedBytes = await usedBytesOf(this.#store);
    }
    return this.#deps.config.limits.diskSizeBytesMax * ON_DEMAND_SHARE - this.#usedBytes;
  }
}
