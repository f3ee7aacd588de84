// Signing heads: which releases a channel offers, for a short time. One counter for each channel
// grows with each signing and is on the disk before any head with it leaves the process, so that it
// never goes back, whatever ends the process. Only the main thread has the key.

import { join } from 'node:path';
import { type Clock, GatewayError } from '../core/index.ts';
import { readCheckedJson, replaceCheckedJson } from './checked-json.ts';
import { type Signer, sealEnvelope } from './envelope.ts';
import { Fields } from './fields.ts';
import type { ChannelHead, ChannelState } from './model.ts';
import { offeredReleases } from './offered-releases.ts';
import { channelFolder } from './store-paths.ts';

const HEADS_FILE = 'heads.json';
const CODE = 'GW_DIST_CORRUPT';

export interface HeadSignerOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** Keys of the head role. */
  readonly signers: readonly Signer[];
  readonly expiryMs: number;
  /** Told when a counter was lost and begins anew, above where it can have been. */
  readonly onLost: (channel: string, error: unknown) => void;
}

export interface SignedHeads {
  readonly counter: number;
  readonly issuedMs: number;
  /** By sequence: the envelope as JSON text. */
  readonly heads: ReadonlyMap<number, string>;
}

export class HeadSigner {
  readonly #options: HeadSignerOptions;
  /** The last counter of each channel that is on the disk. */
  readonly #counters = new Map<string, number>();

  constructor(options: HeadSignerOptions) {
    this.#options = options;
  }

  /** Whether heads have lived for half of their time: then they are signed again, so that a client
   *  always has half of it left. */
  isDue(issuedMs: number): boolean {
    return this.#options.clock.wallMs() - issuedMs >= this.#options.expiryMs / 2;
  }

  /** Signs heads for all releases that a channel offers now, with a counter above all before. Calls
   *  for one channel must not overlap. Errors: GW_DIST_DISK; then no head leaves. */
  async sign(state: ChannelState): Promise<SignedHeads> {
    const { dir, clock, signers, expiryMs } = this.#options;
    const { channel } = state;
    const counter = (await this.#counterOf(channel)) + 1;
    const issuedMs = Math.floor(clock.wallMs());
    const heads = new Map<number, string>();
    for (const { sequence, version, manifest } of offeredReleases(state.releases, issuedMs)) {
      const head: ChannelHead = {
        type: 'head',
        channel,
        counter,
        sequence,
        version,
        manifest,
        issuedAtMs: issuedMs,
        expiresAtMs: issuedMs + expiryMs,
      };
      const envelope = sealEnvelope('head', head, signers);
      heads.set(sequence, Buffer.from(envelope).toString('utf8'));
    }
    const content = { counter, heads: Object.fromEntries(heads) };
    await replaceCheckedJson(dir, pathOf(channel), content);
    this.#counters.set(channel, counter);
    return { counter, issuedMs, heads };
  }

  async #counterOf(channel: string): Promise<number> {
    const known = this.#counters.get(channel);
    if (known !== undefined) return known;
    // Seconds since 1970 are more than any counter that grew by one a second, also than that of a
    // store that was brought back as it was once.
    const floor = Math.floor(this.#options.clock.wallMs() / 1000);
    try {
      return Math.max(floor, (await readCounter(this.#options.dir, channel)) ?? 0);
    } catch (error) {
      this.#options.onLost(channel, error);
      return floor;
    }
  }
}

function pathOf(channel: string): string {
  return join(channelFolder(channel), HEADS_FILE);
}

/** The last counter that was used; null when there is none. Errors: GW_DIST_CORRUPT. */
export async function readCounter(dir: string, channel: string): Promise<number | null> {
  const path = pathOf(channel);
  const content = await readCheckedJson(dir, path);
  if (content === undefined) return null;
  const fields = new Fields(content, path, ['counter', 'heads'], CODE);
  const counter = fields.integer('counter', 1, Number.MAX_SAFE_INTEGER - 1);
  if (typeof fields.get('heads') !== 'object') throw new GatewayError(CODE, `${path}: no heads`);
  return counter;
}
