// The public face in types: what an app gives to the loader and gets from it. docs/loader.md tells
// how it is used.

import type { LoaderError, LoaderErrorCode } from './errors.ts';
import type { Bytes, ContentRef, Priority } from './model.ts';

/** Why something failed, in the words of `POST /r/outcomes`. */
export type FailureCause =
  | 'network'
  | 'signature'
  | 'expired'
  | 'older'
  | 'hash'
  | 'delta'
  | 'disk'
  | 'crash'
  | 'other';

/** Where something was looked for. `lastGood` and `builtIn` are whole releases. */
export type Level =
  | 'memory'
  | 'disk'
  | 'delta'
  | 'full'
  | 'check'
  | 'root'
  | 'manifest'
  | 'current'
  | 'lastGood'
  | 'builtIn';

/** Levels that can be switched off. The built-in release cannot. `origins`: all but the first. */
export interface LevelSwitches {
  readonly memory: boolean;
  readonly disk: boolean;
  readonly delta: boolean;
  readonly full: boolean;
  readonly origins: boolean;
  readonly lastGood: boolean;
}

/** One step down: what failed, and where. The loader never goes on without leaving one. */
export interface Fallback {
  readonly atMs: number;
  readonly level: Level;
  readonly code: LoaderErrorCode;
  readonly failure: FailureCause;
  readonly detail: string;
  readonly channel: string | null;
  /** The file's path, or the request. */
  readonly what: string;
  readonly origin: string | null;
}

export interface LoaderLimits {
  /** Requests at a time. */
  readonly concurrency: number;
  readonly memorySizeBytesMax: number;
  readonly storageSizeBytesMax: number;
  readonly packSizeBytesMax: number;
  readonly requestTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly bytesPerSecondMin: number;
  readonly rounds: number;
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  readonly originRestMs: number;
  readonly startsMax: number;
}

export interface LoaderClock {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Calls back once; returns what calls it off. */
  after(ms: number, then: () => void): () => void;
  /** From 0 up to 1: jitter. */
  random(): number;
}

/** Where content and state are kept. Every entry is named by its SHA-256 and checked by the loader
 *  when it is read: a storage is never trusted. */
export interface LoaderStorage {
  readState(): Promise<string | null>;
  /** Replaces the state as a whole: after a crash there is the old one or the new one. */
  writeState(text: string): Promise<void>;
  read(sha256: string): Promise<Bytes | null>;
  /** All or nothing. Durable at the latest with the next `writeState`. */
  write(sha256: string, bytes: Bytes): Promise<void>;
  /** Those of `refs` that are not there, as far as can be told without reading them. */
  missing(refs: readonly ContentRef[]): Promise<ContentRef[]>;
  remove(sha256: string): Promise<void>;
  list(): Promise<string[]>;
  /** Runs `work` while nobody else holds `name`. Errors: LOADER_BUSY after `waitMs`. */
  exclusive<T>(name: string, waitMs: number, work: () => Promise<T>): Promise<T>;
}

/** A release that ships inside the app. */
export interface BuiltIn {
  /** The manifest's envelope, as `sluice publish` wrote it. */
  readonly manifest: EnvelopeSource | (() => Promise<EnvelopeSource>);
  read(path: string): Promise<Uint8Array>;
}

/** An envelope: its text, its bytes, or its parsed JSON. */
export type EnvelopeSource = string | Uint8Array | object;

/** What the gateway may know of the device. Without `id` the loader makes one up and keeps it. */
export interface LoaderDevice {
  readonly id?: string;
  readonly appVersion?: string;
  readonly platform?: string;
  readonly region?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface LoaderOptions {
  /** The first is the one that `get` means when none is named. */
  readonly channels: readonly string[];
  /** Base URLs with the route's prefix, such as `https://releases.example.com/r`; in order. */
  readonly origins: readonly string[];
  readonly trustRoot: EnvelopeSource;
  readonly builtIn?: Readonly<Record<string, BuiltIn>>;
  readonly storage?: LoaderStorage;
  readonly device?: LoaderDevice;
  readonly levels?: Partial<LevelSwitches>;
  readonly limits?: Partial<LoaderLimits>;
  readonly fetch?: typeof globalThis.fetch;
  readonly clock?: LoaderClock;
}

export type ReleaseSource = 'current' | 'lastGood' | 'builtIn';

export interface ReleaseInfo {
  readonly channel: string;
  readonly sequence: number;
  readonly version: string;
  readonly source: ReleaseSource;
  readonly paths: readonly string[];
  readonly entryPoints: readonly string[];
}

export interface ChannelCheck {
  readonly channel: string;
  /** `failed`: `error` says why, and the device keeps what it has. */
  readonly status: 'update' | 'current' | 'none' | 'failed';
  readonly sequence: number | null;
  readonly version: string | null;
  readonly error: LoaderError | null;
}

export interface ChannelUpdate {
  readonly channel: string;
  /** `updated`: swapped in. `ready`: opens at the next start. */
  readonly status: 'updated' | 'ready' | 'current' | 'none' | 'failed';
  readonly version: string | null;
  readonly error: LoaderError | null;
}

export interface UpdateOptions {
  readonly signal?: AbortSignal;
  readonly channels?: readonly string[];
  /** When a release that came begins to be what `get` reads. `now` unless said. */
  readonly apply?: 'now' | 'next-start';
}

export interface GetOptions {
  readonly channel?: string;
  readonly signal?: AbortSignal;
  readonly priority?: Priority;
}

export interface Progress {
  readonly channel: string;
  readonly version: string;
  readonly filesDone: number;
  readonly filesTotal: number;
  /** Of the content; a delta of 1 KB may be 1 MB of it. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** What came over the network. */
  readonly bytesReceived: number;
}

export interface LoaderEvents {
  readonly fallback: Fallback;
  readonly progress: Progress;
  readonly opened: ReleaseInfo;
  readonly checked: ChannelCheck;
  readonly updated: ChannelUpdate;
}

export interface Loader {
  /** Opens the best release that is here, without the network. A channel for which there is none
   *  is not in the answer. Never fails because of what is stored. */
  start(): Promise<ReleaseInfo[]>;
  /** Asks which releases this device gets, for all channels in one request. */
  check(options?: { readonly signal?: AbortSignal }): Promise<ChannelCheck[]>;
  /** Checks, downloads, verifies and swaps. Abort it to pause: what has come is kept. */
  update(options?: UpdateOptions): Promise<ChannelUpdate[]>;
  /** A file of the open release, verified. Errors: LOADER_NO_RELEASE, LOADER_NOT_FOUND,
   *  LOADER_UNAVAILABLE with the trail of what was tried. */
  get(path: string, options?: GetOptions): Promise<Bytes>;
  /** The same as a Response with a content type. */
  getResponse(path: string, options?: GetOptions): Promise<Response>;
  /** Brings files into the storage, and into memory as far as they fit. */
  preload(paths: readonly string[], options?: GetOptions): Promise<void>;
  /** The open releases work: they become the last good ones. */
  confirm(): Promise<void>;
  release(channel?: string): ReleaseInfo | null;
  /** The last fallbacks, oldest first. */
  trail(): readonly Fallback[];
  on<K extends keyof LoaderEvents>(type: K, listener: (event: LoaderEvents[K]) => void): () => void;
  /** Settles when background work, idle files and reports, has ended. */
  idle(): Promise<void>;
  /** Ends all work. Reports that were not sent are kept for the next start. */
  close(): Promise<void>;
}
