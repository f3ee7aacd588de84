// What the main thread and the io workers say to each other. Requests never cross a thread; only
// configurations, orders and their outcomes do, and what the distribution plane has to say.

import type { MessagePort } from 'node:worker_threads';
import type { DbConfig } from '../config/index.ts';
import type { ErrorCode } from '../core/index.ts';
import type { DatabaseCommand, ServiceStats } from '../db/index.ts';
import type { FromDesk, ToDesk } from '../distribution/index.ts';
import type { EdgeImage } from '../kernels/index.ts';
import type { PluginReport } from '../proxywasm/index.ts';
import type { LogRecord } from '../telemetry/index.ts';
import type { PublishedPlugin } from './plugins/published.ts';

/** One published configuration, as every io worker gets it: nothing in it is copied. */
export interface Publication {
  readonly generation: number;
  /** The FlatBuffer snapshot. */
  readonly snapshot: SharedArrayBuffer;
  readonly slots: PublishedSlots;
  /** Indexes of listeners whose certificates have changed on disk. A worker that starts reads all
   *  of them anyway. */
  readonly renewed: readonly number[];
  /** Modules are shared, not copied. */
  readonly plugins: readonly PublishedPlugin[];
}

/** Where each route, service and endpoint counts: series slots by their index. Endpoints are
 *  numbered through all services in order. On shared memory. */
export interface PublishedSlots {
  readonly routes: Int32Array;
  readonly services: Int32Array;
  readonly endpoints: Int32Array;
}

export interface IoWorkerData {
  readonly image: EdgeImage;
  readonly workerIndex: number;
  /** The one worker that serves `node` listeners, which cannot share a port. */
  readonly servesNodeListeners: boolean;
  readonly publication: Publication;
  /** The port of each listener: as configured, or what the first worker got for port 0. */
  readonly ports: readonly number[];
  /** What plugins of all io workers share. */
  readonly shared: SharedArrayBuffer;
  /** The channels there are; null where nothing is distributed. */
  readonly channels: FromDesk | null;
}

export type ToIoWorker =
  | { readonly kind: 'publish'; readonly publication: Publication }
  /** Other plugins under the same configuration. `turn`: which change of them it is. */
  | {
      readonly kind: 'plugins';
      readonly turn: number;
      readonly plugins: readonly PublishedPlugin[];
    }
  | { readonly kind: 'drain'; readonly timeoutMs: number }
  | { readonly kind: 'distribution'; readonly message: FromDesk }
  /** The way to a db worker, or to the successor of one. */
  | { readonly kind: 'database'; readonly workerIndex: number; readonly port: MessagePort };

export type FromIoWorker =
  /** `ports`: where each of its listeners is; of one that it does not serve, as it was told. */
  | { readonly kind: 'ready'; readonly ports: readonly number[] }
  | { readonly kind: 'published'; readonly generation: number }
  /** `refused`: what was not installed, with why. */
  | { readonly kind: 'plugins'; readonly turn: number; readonly refused: readonly string[] }
  | { readonly kind: 'plugin-report'; readonly reports: readonly PluginReport[] }
  /** No exchange of this generation is in flight any more. */
  | { readonly kind: 'released'; readonly generation: number }
  | { readonly kind: 'drained'; readonly abandoned: number }
  /** The worker ends itself, its listeners closed. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly detail: string }
  | { readonly kind: 'log'; readonly record: LogRecord }
  | { readonly kind: 'distribution'; readonly message: ToDesk };

export interface DbWorkerData {
  readonly config: DbConfig;
  readonly workerIndex: number;
  readonly logLevel: LogLevel;
  /** SQLite and codec.wasm, compiled. */
  readonly sqlite: WebAssembly.Module;
  readonly codec: WebAssembly.Module;
  /** One word for each db worker. Shared. */
  readonly heartbeats: Int32Array;
  /** What the gateway is to those that have the same databases. Shared. */
  readonly standing: Int32Array;
}

type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type ToDbWorker =
  /** An io worker's end of the way is at the other end of it. */
  | { readonly kind: 'port'; readonly port: MessagePort }
  | { readonly kind: 'command'; readonly id: number; readonly command: DatabaseCommand }
  /** The standing has changed. Answered with an outcome. */
  | { readonly kind: 'turn'; readonly id: number }
  | { readonly kind: 'drain' };

export type FromDbWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'stats'; readonly stats: ServiceStats }
  /** What became of a command: it is done, or refused. */
  | { readonly kind: 'outcome'; readonly id: number; readonly outcome: unknown }
  | {
      readonly kind: 'refused';
      readonly id: number;
      readonly code: ErrorCode;
      readonly detail: string;
    }
  | { readonly kind: 'log'; readonly record: LogRecord }
  | { readonly kind: 'drained' };
