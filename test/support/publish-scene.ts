// Publishing in tests: a store, keys, and options that a test changes.

import { ManualClock } from '../../host/core/index.ts';
import { ContentWriter } from '../../host/distribution/content-writer.ts';
import {
  type PublishOptions,
  type PublishReport,
  publish,
} from '../../host/distribution/publish.ts';
import { treeSource } from '../../host/distribution/release-source.ts';
import { addRoot } from '../../host/distribution/trust-root-chain.ts';
import { FormJobsHere } from './form-jobs.ts';
import { type StoreScene, storeScene } from './store-scene.ts';
import { rootOf, sealRoot, testKey } from './trust-scene.ts';

export interface PublishScene extends StoreScene {
  readonly trust: ReturnType<typeof rootOf>;
  readonly signing: PublishOptions['signing'];
  /** What `publish` takes for files under a version. */
  options(
    version: string,
    files: Readonly<Record<string, string | Uint8Array>>,
    change: Partial<PublishOptions> & Pick<PublishOptions, 'writer'>,
  ): Promise<PublishOptions>;
  /** Publishes files under a version, with a writer of its own. */
  publish(
    version: string,
    files: Readonly<Record<string, string | Uint8Array>>,
    change?: Partial<PublishOptions>,
    diskBytesMax?: number,
  ): Promise<PublishReport>;
}

const [rootKey, releaseKey, headKey] = [testKey(), testKey(), testKey()];
const trust = rootOf({ root: [rootKey], release: [releaseKey], head: [headKey] });

/** `storeRoot` is where the store's folder is made; by default beside the trees. */
export function publishScene(storeRoot?: string): PublishScene {
  const scene = storeScene();
  const { store } = storeRoot === undefined ? scene : storeScene(storeRoot);
  let treeCount = 0;
  let hasRoot = false;
  const signing = { kind: 'signers', signers: [releaseKey.signer] } as const;
  const options: PublishScene['options'] = async (version, files, change) => {
    treeCount += 1;
    const dir = scene.tree(`tree-${treeCount}`, files);
    return {
      jobs: new FormJobsHere(),
      clock: new ManualClock(),
      channel: 'app',
      version,
      source: await treeSource({ dir, emptyFiles: 'refused', entryPoints: [] }),
      isPacked: null,
      isBuiltIn: false,
      rollbackOf: null,
      rule: { state: 'active', rollout: 10_000, schedule: [], targeting: null, halt: null },
      root: trust,
      signing,
      deltas: { askedCountMax: 2, latestCountMax: 2 },
      effort: 3,
      onProgress: () => {},
      ...change,
    };
  };
  return {
    ...scene,
    store,
    trust,
    signing,
    options,
    publish: async (version, files, change = {}, diskBytesMax = 1e12) => {
      if (!hasRoot) await addRoot(store.dir, sealRoot(trust, [rootKey]));
      hasRoot = true;
      const clock = new ManualClock(0, Date.now());
      const writer = await ContentWriter.open({ store, diskBytesMax, clock });
      return publish(await options(version, files, { ...change, writer }));
    },
  };
}
