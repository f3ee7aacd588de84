// A plugin as it is published to the io workers: the version for all requests, and perhaps a canary
// for some.

import type { InstalledPlugin } from './plugin-task.ts';

export interface PublishedCanary extends InstalledPlugin {
  /** Of the requests, above 0 and below 1. */
  readonly share: number;
}

export interface PublishedPlugin extends InstalledPlugin {
  readonly canary: PublishedCanary | null;
}
