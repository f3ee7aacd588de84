// What the admin server asks of the rest of the process: functions that return plain data. The
// server knows nothing of workers, so that it can be tested, and can answer, without any.

import type { Clock, ErrorCode, HeaderList } from '../core/index.ts';
import type { LatencyBucket } from '../kernels/index.ts';
import type { Log } from '../telemetry/index.ts';

export interface AdminDeps {
  /** Bearer token; `''` for none, which is allowed on loopback only. */
  readonly token: string;
  readonly version: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Prometheus text in pieces. */
  metrics(): AsyncIterable<string>;
  readiness(): Readiness;
  /** The normal form of the configuration in use. Secrets are masked by the server. */
  config(): unknown;
  /** Every fault of a YAML text; none when it could be served. */
  checkConfig(yaml: string): Promise<readonly AdminIssue[]>;
  /** Reads the configuration file again; all or nothing. */
  reload(): Promise<ReloadOutcome>;
  /** Errors: a GatewayError says what is wrong with the question, such as a malformed path. */
  explain(method: string, url: string, headers: HeaderList): RouteExplanation;
  services(): readonly ServiceView[];
  /** The latencies of a route by name; null when there is none. */
  latency(route: string): Iterable<LatencyBucket> | null;
  /** Begins to drain; returns at once. */
  drain(): void;
  /** Channels, releases and how far they have come; null where nothing is distributed. */
  distribution(): unknown;
  /** Changes who gets a release. Errors: a GatewayError says what is wrong with the change. */
  changeDistribution(change: DistributionChange): Promise<void>;
  /** What the gateway is to others that have the same databases; null where there are none. */
  replication(): unknown;
  /** Makes a follower the primary. Returns what `replication` gives then. Errors: DB_STANDING,
   *  DB_UNAVAILABLE. */
  promote(): Promise<unknown>;
  /** What can be done with the databases; null where there are none. */
  databases(): AdminDatabases | null;
  /** The plugins of the configuration, in its order. */
  plugins(): readonly PluginView[];
  /** Puts a module in place of what runs, or beside it. Errors: a GatewayError says why it was not
   *  taken; then what ran runs on. */
  pushPlugin(plugin: string, bytes: Uint8Array, options: PluginPushOptions): Promise<PluginPushed>;
  /** Errors: a GatewayError says what is wrong with the change. */
  changePlugin(change: PluginChange): Promise<void>;
}

export interface PluginPushOptions {
  /** Of the requests, above 0 and below 1; null for all. */
  readonly canaryShare: number | null;
  /** What the bytes must be; `''` for any. */
  readonly sha256: string;
}

export type PluginChange = { readonly plugin: string } & (
  | { readonly action: 'rollback' | 'promote' | 'abort' }
  | { readonly action: 'canary'; readonly share: number }
);

export interface PluginPushed {
  readonly plugin: string;
  readonly sha256: string;
  readonly previous: string;
  /** Null without a canary. */
  readonly canaryShare: number | null;
  /** From the order to the last io worker that follows it. */
  readonly switchMs: number;
  /** The same module runs already, and was pushed: nothing was done. */
  readonly isUnchanged: boolean;
}

export interface PluginView {
  readonly name: string;
  readonly sha256: string;
  readonly source: 'file' | 'url' | 'pushed';
  readonly abi: string;
  readonly sdk: string;
  /** `absent`: no instance lives, though one should: it waits for its back-off. */
  readonly state: 'running' | 'canary' | 'absent';
  /** ISO 8601. */
  readonly since: string;
  readonly instances: number;
  readonly streams: number;
  readonly requests: number;
  readonly failures: number;
  readonly traps: number;
  readonly switchMs: number;
  readonly canary: PluginCanaryView | null;
  /** What became of canaries, the newest first. */
  readonly endedCanaries: readonly PluginCanaryEnd[];
  /** What was pushed, the newest first; the first is what runs where the source says so. */
  readonly pushed: readonly PluginPushedView[];
  /** Why something other runs than was pushed or is configured; none where all is as it should. */
  readonly warnings: readonly string[];
}

export interface PluginPushedView {
  readonly sha256: string;
  readonly at: string;
  /** Since the gateway began. */
  readonly requests: number;
  readonly failures: number;
  readonly traps: number;
  /** Where and of what an instance died last; `''` for never. */
  readonly lastTrap: string;
}

export interface PluginCanaryView {
  readonly sha256: string;
  readonly share: number;
  readonly since: string;
  /** Since it began, of itself and of the version beside it. */
  readonly requests: number;
  readonly failures: number;
  readonly requestsBeside: number;
  readonly failuresBeside: number;
}

export interface PluginCanaryEnd {
  readonly sha256: string;
  readonly outcome: string;
  readonly why: string;
  readonly at: string;
}

/** A commit by its number, or the groups of commits that were sealed up to a time. */
export type DatabaseMoment = { readonly lsn: number } | { readonly timeMs: number };

/** Databases while they serve. Errors: GatewayErrors with codes of databases. What is unknown here
 *  is plain data. */
export interface AdminDatabases {
  list(): Promise<readonly unknown[]>;
  overview(name: string): Promise<unknown>;
  create(name: string): Promise<void>;
  /** Of a file of SQLite's, as it comes. */
  importFile(name: string, pieces: AsyncIterable<Uint8Array>): Promise<void>;
  remove(name: string): Promise<void>;
  check(name: string): Promise<unknown>;
  /** Returns the LSN of the state that the branch begins with. `moment`: null for now. */
  branch(
    name: string,
    to: { readonly as: string; readonly moment: DatabaseMoment | null },
  ): Promise<number>;
  /** The pieces have to be read or returned, for a state is kept meanwhile. */
  backup(name: string): Promise<{
    readonly lsn: number;
    readonly sizeBytes: number;
    readonly pieces: AsyncIterable<Uint8Array>;
  }>;
}

/** A change of one channel. `version`: null for its newest release. */
export type DistributionChange = { readonly channel: string; readonly version: string | null } & (
  | { readonly action: 'pause' | 'resume' | 'rollback' }
  /** Devices of 10,000. */
  | { readonly action: 'rollout'; readonly rollout: number }
);

export interface Readiness {
  readonly isReady: boolean;
  /** Why not, such as `worker 1 has no configuration`; `''` when ready. */
  readonly detail: string;
}

/** A fault of a configuration; the shape in which host/config gives it. */
export interface AdminIssue {
  readonly code: ErrorCode;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
}

export interface ReloadOutcome {
  readonly isTaken: boolean;
  /** The generation in use after the reload, taken or not. */
  readonly generation: number;
  readonly issues: readonly AdminIssue[];
}

export interface RouteExplanation {
  /** The route that answers, or null for 404. */
  readonly matched: string | null;
  readonly parameters: Readonly<Record<string, string>>;
  /** In the order in which they are tried. */
  readonly candidates: readonly RouteCandidate[];
  /** Why there is no candidate; `''` where there is one. */
  readonly why: string;
}

export interface RouteCandidate {
  readonly route: string;
  readonly isMatch: boolean;
  /** Why it was passed over, such as `header x-tier is not gold`; `''` for a match. */
  readonly why: string;
}

export interface ServiceView {
  readonly name: string;
  readonly balance: string;
  readonly requests: number;
  readonly errors: number;
  readonly active: number;
  readonly endpoints: readonly EndpointView[];
}

export interface EndpointView {
  readonly authority: string;
  readonly weight: number;
  readonly requests: number;
  readonly errors: number;
  readonly connectFailures: number;
  readonly active: number;
  /** Units: ms; 0 before the first request. */
  readonly durationMeanMs: number;
}
