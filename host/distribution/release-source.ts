// Where the bytes of a release come from: a folder, or an older release that is brought back.

import { GatewayError } from '../core/index.ts';
import { sha256Of } from './artefact-file.ts';
import type { ReleaseManifest } from './model.ts';
import type { ReleaseSource } from './publish.ts';
import { readReleaseOptions, withPriorities } from './release-options.ts';
import { readTreeFile, type ScanOptions, scanTree } from './scan-tree.ts';
import type { Store } from './store.ts';

/** A folder, scanned. `entryPoints` come before those that the folder names itself.
 *  Errors: those of scanning; GW_DIST_REFERENCE. */
export async function treeSource(
  options: ScanOptions & { readonly entryPoints: readonly string[] },
): Promise<ReleaseSource> {
  const { dir } = options;
  const found = await readReleaseOptions(dir);
  const entryPoints = [...new Set([...options.entryPoints, ...found.entryPoints])];
  const { priorities } = found;
  const files = withPriorities(await scanTree(options), { entryPoints, priorities });
  return {
    files,
    entryPoints,
    async read({ path, sha256 }) {
      const bytes = await readTreeFile(dir, path);
      if (sha256Of(bytes) === sha256) return bytes;
      const detail = `${path} changed while it was published; publish what is finished`;
      throw new GatewayError('GW_DIST_TREE', detail);
    },
  };
}

/** The content of a release that the store has. Errors on reading: GW_DIST_CORRUPT. */
export function storedSource(store: Store, manifest: ReleaseManifest): ReleaseSource {
  const { files, entryPoints } = manifest;
  return {
    files,
    entryPoints,
    async read({ path, sha256 }) {
      const bytes = await store.readWhole({ kind: 'object', sha256 });
      if (bytes !== null) return bytes;
      const detail = `${path} of ${manifest.version} is missing: object ${sha256}`;
      throw new GatewayError('GW_DIST_CORRUPT', detail);
    },
  };
}
