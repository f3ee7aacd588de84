// Keys and a trust root for tests, in memory.

import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { type Signer, sealEnvelope } from '../../host/distribution/envelope.ts';
import type { Role, TrustRoot } from '../../host/distribution/model.ts';
import { keyIdOf } from '../../host/distribution/trust-root.ts';

export interface TestKey {
  readonly signer: Signer;
  readonly publicBase64: string;
}

export const EXPIRES_AT_MS = 4_000_000_000_000;

export function testKey(): TestKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const publicBase64 = der.subarray(-32).toString('base64');
  return { signer: { keyId: keyIdOf(publicBase64), privateKey }, publicBase64 };
}

/** A root that names the keys of each role. */
export function rootOf(
  keys: Readonly<Record<Role, readonly TestKey[]>>,
  more: { readonly version?: number; readonly thresholds?: Partial<Record<Role, number>> } = {},
): TrustRoot {
  const all = [...keys.root, ...keys.release, ...keys.head];
  const role = (name: Role) => ({
    keyIds: keys[name].map(({ signer }) => signer.keyId),
    threshold: more.thresholds?.[name] ?? 1,
  });
  return {
    type: 'root',
    version: more.version ?? 1,
    expiresAtMs: EXPIRES_AT_MS,
    keys: Object.fromEntries(
      all.map(({ signer, publicBase64 }) => {
        return [signer.keyId, { algorithm: 'ed25519' as const, public: publicBase64 }];
      }),
    ),
    roles: { root: role('root'), release: role('release'), head: role('head') },
  };
}

export function sealRoot(root: TrustRoot, keys: readonly TestKey[]): Uint8Array {
  return sealEnvelope(
    'root',
    root,
    keys.map(({ signer }) => signer),
  );
}

/** What went wrong, by its code. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error);
  }
  return 'nothing was thrown';
}

export async function codeOfAsync(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error);
  }
  return 'nothing was thrown';
}
