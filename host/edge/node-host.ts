// What all exchanges of one node listener share.

import type { Exchange, Progress } from '../core/index.ts';
import type { UploadWatch } from './upload-watch.ts';

export interface NodeHost {
  /** Sockets whose last response said `connection: close`: what is pipelined behind is dropped. */
  readonly closing: WeakSet<object>;
  readonly scheme: Exchange['scheme'];
  readonly uploads: UploadWatch;
  readonly progress: Progress;
  port: number;
  active: number;
  isDraining: boolean;
  onError(error: unknown): void;
}
