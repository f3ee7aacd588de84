// The documents of the distribution plane. What is signed travels in an envelope (envelope.ts);
// docs/distribution.md has the same shapes for those who write a client.

/** What a key may sign. */
export type Role = 'root' | 'release' | 'head';

export const ROLES: readonly Role[] = ['root', 'release', 'head'];

/** A public key: 32 bytes of ed25519 in base64. */
export interface TrustKey {
  readonly algorithm: 'ed25519';
  readonly public: string;
}

export interface TrustRole {
  readonly keyIds: readonly string[];
  /** How many different keys of the role must have signed. */
  readonly threshold: number;
}

/** Who may sign what. Signed by the root role, and each version by the one before it as well. */
export interface TrustRoot {
  readonly type: 'root';
  readonly version: number;
  readonly expiresAtMs: number;
  /** By key id: the SHA-256 of the key's 32 bytes, in hex. */
  readonly keys: Readonly<Record<string, TrustKey>>;
  readonly roles: Readonly<Record<Role, TrustRole>>;
}

/** A stored thing and its exact length. */
export interface ContentRef {
  /** In lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** In which order a loader takes the files. */
export type Priority = 'critical' | 'normal' | 'idle';

export const PRIORITIES: readonly Priority[] = ['critical', 'normal', 'idle'];

export interface ReleaseFile extends ContentRef {
  /** Relative, `/` between segments; see resource-path.ts. */
  readonly path: string;
  readonly priority: Priority;
}

/** What a release is. Signed by the release role; never changes. */
export interface ReleaseManifest {
  readonly type: 'release';
  readonly channel: string;
  /** Grows by one with each release of the channel: what a client never goes back behind. */
  readonly sequence: number;
  /** The name that people use. */
  readonly version: string;
  readonly createdAtMs: number;
  /** Paths of files that are loaded first; each is one of `files`. */
  readonly entryPoints: readonly string[];
  /** Sorted by path, in order of UTF-16 code units. */
  readonly files: readonly ReleaseFile[];
  /** All files as one deterministic tar, where the channel is packed. */
  readonly pack: ContentRef | null;
  /** The version whose content this release brings back. */
  readonly rollbackOf: string | null;
}

/** Which release a channel offers, for a short time. Signed by the head role. */
export interface ChannelHead {
  readonly type: 'head';
  readonly channel: string;
  /** Grows with each signing: what a client never goes back behind. */
  readonly counter: number;
  readonly sequence: number;
  readonly version: string;
  /** The envelope of the release's manifest. */
  readonly manifest: ContentRef;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** A release rule: who gets a release. Kept beside it and changed without a new release. */
export interface ReleaseRule {
  readonly sequence: number;
  readonly version: string;
  /** Makes the buckets of this release its own. */
  readonly salt: string;
  /** `paused`: nobody new gets it and who has it keeps it. `halted`: the same, by itself. */
  readonly state: 'active' | 'paused' | 'halted';
  /** Devices of 10,000 that get it, before the schedule. */
  readonly rollout: number;
  /** Later and larger shares, in order. */
  readonly schedule: readonly RolloutStep[];
  readonly targeting: Targeting | null;
  readonly halt: HaltRule | null;
}

export interface RolloutStep {
  readonly atMs: number;
  readonly rollout: number;
}

/** Every part that is given must fit. */
export interface Targeting {
  /** Comparisons that must all hold, such as `>=1.2.0 <2.0.0`. */
  readonly appVersion: string | null;
  readonly platforms: readonly string[] | null;
  readonly regions: readonly string[] | null;
  /** Device ids; these get the release whatever `rollout` says. */
  readonly devices: readonly string[] | null;
  /** An attribute's allowed values, by name. */
  readonly attributes: Readonly<Record<string, readonly string[]>>;
}

/** When a release stops by itself. */
export interface HaltRule {
  /** Failures of all that was tried, as a share from 0 to 1. */
  readonly failureShare: number;
  /** Devices that must have reported before the share counts. */
  readonly minimumCount: number;
}

/** What a device says of itself when it asks. */
export interface Device {
  readonly id: string;
  readonly appVersion: string | null;
  readonly platform: string | null;
  readonly region: string | null;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A release as its channel remembers it. */
export interface ReleaseEntry extends ReleaseRule {
  readonly createdAtMs: number;
  /** The envelope of its manifest, an object of the store. */
  readonly manifest: ContentRef;
  /** Ships inside the app: deltas from it are always made. */
  readonly isBuiltIn: boolean;
  /** How often it was resumed: failures before the last time halt nothing. */
  readonly resumeCount: number;
}

/** `channels/{channel}/state.json`, replaced as a whole. */
export interface ChannelState {
  readonly channel: string;
  /** Grows with each change, so that readers see one. */
  readonly generation: number;
  readonly isPacked: boolean;
  /** Newest first. */
  readonly releases: readonly ReleaseEntry[];
}
