// What outlives the process: counters that never go back, which release is current and which was
// the last good one, roots, and reports that wait. One text, replaced as a whole:
//
//   SHA-256 of what follows, in hex, and a line feed
//   { "deviceId", "roots": [envelope], "channels": { name: ChannelRecord }, "outcomes": [...] }

import type { FailureCause, LoaderStorage } from './api.ts';
import { utf8 } from './bytes.ts';
import { sha256Hex } from './digest.ts';
import { readRef } from './documents.ts';
import { LoaderError, toLoaderError } from './errors.ts';
import { CHANNEL_PATTERN, Fields, parseJson, VERSION_PATTERN } from './fields.ts';
import {
  CRASHED_COUNT_MAX,
  ENVELOPE_SIZE_BYTES_MAX,
  OUTCOMES_WAITING_COUNT_MAX,
  ROOT_SIZE_BYTES_MAX,
  ROOTS_KEPT_COUNT_MAX,
  STATE_SIZE_BYTES_MAX,
} from './limits.ts';
import type { ContentRef } from './model.ts';

/** A release that was installed here. */
export interface InstalledRelease {
  readonly sequence: number;
  readonly version: string;
  readonly manifest: ContentRef;
  /** The pack without its contents, where the release came as one. */
  readonly skeleton: ContentRef | null;
}

export interface ChannelRecord {
  /** The highest counter of a head, and the highest sequence of a manifest, that was taken. */
  readonly counter: number;
  readonly sequence: number;
  readonly current: InstalledRelease | null;
  readonly lastGood: InstalledRelease | null;
  /** Starts of `current` since it came that nobody confirmed. */
  readonly starts: number;
  /** Sequences that were given up because nobody confirmed them. */
  readonly crashed: readonly number[];
}

export interface Outcome {
  readonly channel: string;
  readonly sequence: number;
  readonly outcome: 'delivered' | 'applied' | 'opened' | 'failed';
  readonly cause?: FailureCause;
}

export interface LoaderState {
  readonly deviceId: string | null;
  /** Envelopes of roots after the app's own, in order. */
  readonly roots: readonly string[];
  readonly channels: ReadonlyMap<string, ChannelRecord>;
  readonly outcomes: readonly Outcome[];
}

export const EMPTY_CHANNEL: ChannelRecord = {
  counter: 0,
  sequence: 0,
  current: null,
  lastGood: null,
  starts: 0,
  crashed: [],
};

const EMPTY_STATE: LoaderState = { deviceId: null, roots: [], channels: new Map(), outcomes: [] };
/** Changes take milliseconds; who waits longer waits for a process that hangs. */
const WAIT_MS = 5_000;
const OUTCOMES = ['delivered', 'applied', 'opened', 'failed'] as const;

export class StateKeeper {
  readonly #storage: LoaderStorage;
  #state = EMPTY_STATE;

  constructor(storage: LoaderStorage) {
    this.#storage = storage;
  }

  get state(): LoaderState {
    return this.#state;
  }

  channel(name: string): ChannelRecord {
    return this.#state.channels.get(name) ?? EMPTY_CHANNEL;
  }

  /** Errors: LOADER_DISK when there is a state that cannot be read; it is as if there were none. */
  async load(): Promise<void> {
    try {
      this.#state = await this.#read();
    } catch (error) {
      throw new LoaderError(
        'LOADER_DISK',
        `the state: ${toLoaderError(error, 'LOADER_DISK').message}`,
      );
    }
  }

  /** Changes the newest state, which another process or tab may have written, and keeps it.
   *  Errors: LOADER_DISK: nothing has changed then. */
  async change(alter: (state: LoaderState) => LoaderState): Promise<void> {
    try {
      await this.#storage.exclusive('state', WAIT_MS, async () => {
        const fresh = await this.#read().catch(() => this.#state);
        const next = alter(fresh);
        await this.#storage.writeState(await writeState(next));
        this.#state = next;
      });
    } catch (error) {
      throw toLoaderError(error, 'LOADER_DISK');
    }
  }

  async changeChannel(
    name: string,
    alter: (record: ChannelRecord) => ChannelRecord,
  ): Promise<void> {
    await this.change((state) => {
      const record = alter(state.channels.get(name) ?? EMPTY_CHANNEL);
      return { ...state, channels: new Map(state.channels).set(name, record) };
    });
  }

  async #read(): Promise<LoaderState> {
    const text = await this.#storage.readState();
    // A browser may clear the storage under a running page, which has not forgotten.
    return text === null ? this.#state : await readState(text);
  }
}

export async function writeState(state: LoaderState): Promise<string> {
  const json = JSON.stringify({ ...state, channels: Object.fromEntries(state.channels) });
  return `${await sha256Hex(utf8(json))}\n${json}`;
}

/** Errors: LOADER_DOCUMENT, LOADER_HASH. */
export async function readState(text: string): Promise<LoaderState> {
  if (text.length > STATE_SIZE_BYTES_MAX) {
    throw new LoaderError('LOADER_DOCUMENT', `a state of ${text.length} characters`);
  }
  const json = utf8(text.slice(65));
  if (text[64] !== '\n' || (await sha256Hex(json)) !== text.slice(0, 64)) {
    throw new LoaderError('LOADER_HASH', 'the state is not as it was written');
  }
  const names = ['deviceId', 'roots', 'channels', 'outcomes'];
  const fields = new Fields(parseJson(json, 'the state'), 'state', names);
  return {
    deviceId: fields.nullable('deviceId', () => fields.string('deviceId', 128)),
    roots: fields.list('roots', ROOTS_KEPT_COUNT_MAX, (root, place) => {
      if (typeof root === 'string' && root.length <= ROOT_SIZE_BYTES_MAX) return root;
      throw new LoaderError('LOADER_DOCUMENT', `${place} is no envelope`);
    }),
    channels: fields.map('channels', Number.MAX_SAFE_INTEGER, readRecord),
    outcomes: fields.list('outcomes', OUTCOMES_WAITING_COUNT_MAX, readOutcome),
  };
}

function readRecord(value: unknown, place: string): ChannelRecord {
  const names = ['counter', 'sequence', 'current', 'lastGood', 'starts', 'crashed'];
  const fields = new Fields(value, place, names);
  return {
    counter: fields.integer('counter', 0, Number.MAX_SAFE_INTEGER),
    sequence: fields.integer('sequence', 0, Number.MAX_SAFE_INTEGER),
    current: fields.nullable('current', readInstalled),
    lastGood: fields.nullable('lastGood', readInstalled),
    starts: fields.integer('starts', 0, Number.MAX_SAFE_INTEGER),
    crashed: fields.list('crashed', CRASHED_COUNT_MAX, readSequence),
  };
}

function readSequence(value: unknown, place: string): number {
  if (Number.isSafeInteger(value)) return value as number;
  throw new LoaderError('LOADER_DOCUMENT', `${place} is no sequence`);
}

function readInstalled(value: unknown, place: string): InstalledRelease {
  const fields = new Fields(value, place, ['sequence', 'version', 'manifest', 'skeleton']);
  const ref = (one: unknown, at: string): ContentRef => readRef(one, at, Number.MAX_SAFE_INTEGER);
  return {
    sequence: fields.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
    version: fields.matching('version', VERSION_PATTERN),
    manifest: readRef(fields.get('manifest'), fields.at('manifest'), ENVELOPE_SIZE_BYTES_MAX),
    skeleton: fields.nullable('skeleton', ref),
  };
}

function readOutcome(value: unknown, place: string): Outcome {
  const fields = new Fields(value, place, ['channel', 'sequence', 'outcome', 'cause']);
  const cause = fields.get('cause') === undefined ? {} : { cause: fields.string('cause', 32) };
  return {
    channel: fields.matching('channel', CHANNEL_PATTERN),
    sequence: fields.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
    outcome: fields.literal('outcome', OUTCOMES),
    ...(cause as { cause?: FailureCause }),
  };
}
