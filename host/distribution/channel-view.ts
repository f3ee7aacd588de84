// What workers and the main thread say to each other about distribution. The main thread alone
// reads channel files, signs and writes; workers hold views that are replaced as a whole.

import type { ReleaseEntry } from './model.ts';
import type { ArtefactRef } from './store-paths.ts';

/** A channel as workers see it. */
export interface ChannelView {
  readonly channel: string;
  readonly generation: number;
  readonly isPacked: boolean;
  /** Newest first. */
  readonly releases: readonly ReleaseEntry[];
  /** By sequence: the envelope of the head that offers the release, as JSON text. */
  readonly heads: ReadonlyMap<number, string>;
}

/** What a worker wants to have made; it is no promise. */
export type Wanted = Exclude<ArtefactRef, { readonly kind: 'object' }>;

/** What devices reported, of one channel and release. */
export interface OutcomeReport {
  readonly deviceId: string;
  readonly channel: string;
  readonly sequence: number;
  readonly outcome: Outcome;
  /** Null but for a failure. */
  readonly cause: FailureCause | null;
}

export type Outcome = 'delivered' | 'applied' | 'opened' | 'failed';

export const OUTCOMES: readonly Outcome[] = ['delivered', 'applied', 'opened', 'failed'];

export const FAILURE_CAUSES = [
  'network',
  'signature',
  'expired',
  'older',
  'hash',
  'delta',
  'disk',
  'crash',
  'other',
] as const;

export type FailureCause = (typeof FAILURE_CAUSES)[number];

/** How often bases were named, by channel and then by SHA-256. */
export type BaseReport = ReadonlyMap<string, ReadonlyMap<string, number>>;

export type ToDesk =
  /** `manifest`: of a release of the channel, by its SHA-256. */
  | { readonly kind: 'index'; readonly channel: string; readonly manifest: string }
  | { readonly kind: 'want'; readonly wanted: Wanted }
  | {
      readonly kind: 'report';
      readonly bases: BaseReport;
      readonly outcomes: readonly OutcomeReport[];
      /** Reports that were not taken because there were too many in this second. */
      readonly droppedCount: number;
      /** What was sent, by resource and form: see response-forms.ts. */
      readonly responses: readonly number[];
    };

export type FromDesk =
  /** All channels there are. */
  | { readonly kind: 'channels'; readonly views: readonly ChannelView[] }
  | {
      readonly kind: 'index';
      readonly manifest: string;
      /** Null when the manifest cannot be had. */
      readonly index: SharedArrayBuffer | null;
    }
  /** What somebody wanted has been made. */
  | { readonly kind: 'made'; readonly wanted: Wanted }
  /** It cannot be made, or is not worth its room: nobody needs to ask again soon. */
  | { readonly kind: 'refused'; readonly wanted: Wanted };
