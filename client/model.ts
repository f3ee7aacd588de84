// The signed documents as the loader reads them; docs/distribution.md is the contract.

/** Bytes that no other thread can change while they are checked. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What a key may sign. */
export type Role = 'root' | 'release' | 'head';

export interface TrustRole {
  readonly keyIds: readonly string[];
  /** How many different keys of the role must have signed. */
  readonly threshold: number;
}

/** Who may sign what. */
export interface TrustRoot {
  readonly version: number;
  readonly expiresAtMs: number;
  /** By key id, the 32 bytes of an ed25519 public key. */
  readonly keys: ReadonlyMap<string, Bytes>;
  readonly roles: Readonly<Record<Role, TrustRole>>;
}

/** A thing that is known by its content. */
export interface ContentRef {
  /** In lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** In which order the files are taken: `idle` ones after the release has been swapped in. */
export type Priority = 'critical' | 'normal' | 'idle';

export const PRIORITIES: readonly Priority[] = ['critical', 'normal', 'idle'];

export interface ReleaseFile extends ContentRef {
  readonly path: string;
  readonly priority: Priority;
}

export interface ReleaseManifest {
  readonly channel: string;
  readonly sequence: number;
  readonly version: string;
  readonly createdAtMs: number;
  readonly entryPoints: readonly string[];
  /** Sorted by path. */
  readonly files: readonly ReleaseFile[];
  /** All files as one tar, where the channel is packed. */
  readonly pack: ContentRef | null;
  readonly rollbackOf: string | null;
}

export interface ChannelHead {
  readonly channel: string;
  readonly counter: number;
  readonly sequence: number;
  readonly version: string;
  readonly manifest: ContentRef;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}
