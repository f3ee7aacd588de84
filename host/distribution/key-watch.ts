// Whether the keys that a gateway is given are those that clients believe: what the newest trust
// root of the store names. A rotation changes the root, often by the next publishing, and a gateway
// that goes on with the old key signs heads that nobody takes; its operator is who must be told.

import { readKeyFile } from './key-files.ts';
import type { Role, TrustRoot } from './model.ts';
import { readFolder } from './store.ts';
import { readRootChain, rootFolder } from './trust-root-chain.ts';

export interface GivenKeys {
  /** The store's folder. */
  readonly dir: string;
  /** Files of keys; `signingKey` is `''` where there is none. */
  readonly headKey: string;
  readonly signingKey: string;
}

/** What is wrong with the keys, in words; nothing for a store without a trust root, which is empty
 *  yet. Errors: GW_DIST_KEY for a key that cannot be used; those of reading the roots. */
export async function keyFaults({ dir, headKey, signingKey }: GivenKeys): Promise<string[]> {
  const chain = (await readRootChain(dir)).map(({ root }) => root);
  const given: [Role, string, string][] = [
    ['head', headKey, 'no client takes a head that is signed with it'],
  ];
  if (signingKey !== '') {
    given.push(['release', signingKey, 'a rollback by the admin API cannot be signed']);
  }
  const faults: string[] = [];
  for (const [role, file, harm] of given) {
    const { keyId } = await readKeyFile(file);
    const why = faultOf(chain, role, keyId);
    if (why !== null) faults.push(`${role} key ${keyId} (${file}) ${why}: ${harm}`);
  }
  return faults;
}

function faultOf(chain: readonly TrustRoot[], role: Role, keyId: string): string | null {
  const newest = chain.at(-1);
  if (newest === undefined) return null;
  const { keyIds, threshold } = newest.roles[role];
  if (!keyIds.includes(keyId)) {
    const wasNamed = chain.some((root) => root.roles[role].keyIds.includes(keyId));
    return wasNamed
      ? `was replaced in trust root ${newest.version}`
      : `is not named by trust root ${newest.version}`;
  }
  if (threshold === 1) return null;
  return `is one of ${threshold} that trust root ${newest.version} asks for`;
}

export interface KeyWatchDeps extends GivenKeys {
  /** Told all faults there are, when the trust roots have changed; none: all is well again. */
  readonly onFaults: (faults: readonly string[]) => void;
  /** The keys or the roots cannot be read. */
  readonly onError: (error: unknown) => void;
}

/** Looks again when there is another trust root. */
export class KeyWatch {
  readonly #deps: KeyWatchDeps;
  #seen = '';
  #hadFaults = false;

  constructor(deps: KeyWatchDeps) {
    this.#deps = deps;
  }

  /** Never rejects. Cost: one reading of a folder where nothing has changed. */
  async look(): Promise<void> {
    try {
      const entries = await readFolder(rootFolder(this.#deps.dir));
      const seen = entries
        .map(({ name }) => name)
        .sort()
        .join();
      if (seen === this.#seen) return;
      const faults = await keyFaults(this.#deps);
      this.#seen = seen;
      if (faults.length > 0 || this.#hadFaults) this.#deps.onFaults(faults);
      this.#hadFaults = faults.length > 0;
    } catch (error) {
      this.#deps.onError(error);
    }
  }
}
