// What a page store is opened with, and what it tells of itself.

import type { Clock } from '../../core/index.ts';
import type { Lsn } from '../contract.ts';
import type { BranchBase, FoldedState } from './meta.ts';
import type { LmdbPageStore } from './store.ts';

export interface PageStoreOptions {
  readonly folder: string;
  /** codec.wasm, compiled. */
  readonly codecModule: WebAssembly.Module;
  readonly clock: Clock;
  /** What the records may take. Units: bytes. */
  readonly sizeBytesMax: number;
  /** How long a folded state stays readable after the next one. */
  readonly retentionMs: number;
  /** For a store that is not there yet and is a copy of another's database, with its id and
   *  epoch. */
  readonly copyOf?: { readonly id: string; readonly epoch: number };
  /** The least time between states that are kept for that; 0, the default, keeps all. */
  readonly stateSpacingMs?: number;
  /** For a store that is not there yet and is a branch. */
  readonly base?: BranchBase;
  /** The opened parent of a branch; closed by who opened it, after the branch. */
  readonly parent?: LmdbPageStore;
}

export interface PageStoreStats {
  readonly lsn: Lsn;
  readonly pageCount: number;
  readonly epoch: number;
  readonly recordsSizeBytes: number;
  readonly sizeBytesMax: number;
  readonly fileSizeBytes: number;
  readonly currentCount: number;
  readonly historyCount: number;
  readonly states: readonly FoldedState[];
  readonly base: BranchBase | null;
}
