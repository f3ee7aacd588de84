// The part of uWS's response that an exchange uses, and what its listener shares with it. Kept
// apart from `uws.ts` so that only that file names the package.

import type { Clock, Exchange, Progress, UploadBudget } from '../core/index.ts';
import type { SolePeer } from './sole-peer.ts';
import type { UploadWatch } from './upload-watch.ts';
import type { ForeignCork } from './uws-cork.ts';

export interface UwsResponse {
  pause(): void;
  resume(): void;
  writeStatus(status: string | Uint8Array | ArrayBuffer): unknown;
  writeHeader(name: string | Uint8Array, value: string | Uint8Array): unknown;
  write(chunk: Uint8Array): boolean;
  end(body?: Uint8Array | string, closeConnection?: boolean): unknown;
  endWithoutBody(): unknown;
  /** Whether all bytes left, and whether the response is complete. */
  tryEnd(chunk: Uint8Array | string, totalSizeBytes: number): [boolean, boolean];
  close(): unknown;
  getWriteOffset(): number;
  onWritable(handler: (offset: number) => boolean): unknown;
  onAborted(handler: () => void): unknown;
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): unknown;
  getRemoteAddress(): ArrayBuffer;
  cork(callback: () => void): unknown;
  upgrade(
    userData: object,
    key: string,
    protocol: string,
    extensions: string,
    context: unknown,
  ): void;
}

/** What all exchanges of one listener share. */
export interface UwsHost {
  readonly scheme: Exchange['scheme'];
  readonly clock: Clock;
  readonly uploads: UploadWatch;
  readonly uploadBudget: UploadBudget;
  readonly progress: Progress;
  port: number;
  active: number;
  connections: number;
  readonly peers: SolePeer;
  isDraining: boolean;
  /** Where upgrades are made. */
  readonly upgradeCork: ForeignCork;
  onError(error: unknown): void;
}
