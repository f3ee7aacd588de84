// A program that publishes once, in one thread, for whoever wants to kill it.
// Usage: publisher STORE TREE VERSION KEYS

import { systemClock } from '../../host/core/index.ts';
import {
  ContentWriter,
  newestRoot,
  publish,
  type Store,
  signersIn,
  treeSource,
} from '../../host/distribution/index.ts';
import { FormJobsHere } from '../support/form-jobs.ts';
import { storeAt } from '../support/store-scene.ts';

const [dir, tree, version, keys] = process.argv.slice(2) as [string, string, string, string];
const store: Store = storeAt(dir);
const writer = await ContentWriter.open({ store, diskBytesMax: 1e12, clock: systemClock });
const root = await newestRoot(dir);
await publish({
  writer,
  jobs: new FormJobsHere(),
  clock: systemClock,
  channel: 'app',
  version,
  source: await treeSource({ dir: tree, emptyFiles: 'refused', entryPoints: [] }),
  isPacked: null,
  isBuiltIn: false,
  rollbackOf: null,
  rule: { state: 'active', rollout: 10_000, schedule: [], targeting: null, halt: null },
  root,
  signing: { kind: 'signers', signers: await signersIn(keys, 'release', root) },
  deltas: { askedCountMax: 2, latestCountMax: 2 },
  effort: 3,
  onProgress: () => {},
});
