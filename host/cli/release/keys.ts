// `sluice keys`: makes and changes the keys that sign. Nothing that is printed is secret.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError, systemClock } from '../../core/index.ts';
import {
  addKey,
  initKeys,
  installRoots,
  newestRoot,
  ROLES,
  type Role,
  type RootOutcome,
  readKeyFile,
  renewRoot,
  rotateKey,
  type Signer,
  signFile,
  type TrustRoot,
} from '../../distribution/index.ts';
import { type FlagSpec, Flags, refused } from './flags.ts';
import { type Output, withReasons } from './session.ts';

const DIR_DEFAULT = 'keys';
const DAYS_DEFAULT = 3650;
const DAYS_MAX = 36_500;
const DAY_MS = 86_400_000;

export const KEYS_FLAGS: Readonly<Record<string, FlagSpec>> = {
  dir: { kind: 'value', what: `<folder> the keys (default: ${DIR_DEFAULT})` },
  role: { kind: 'value', what: `<role> ${ROLES.join(', ')}` },
  days: { kind: 'value', what: `<n> how long the trust root counts (default: ${DAYS_DEFAULT})` },
  replace: {
    kind: 'value',
    what: '<key id> which key a rotation replaces, where there are several',
  },
  threshold: { kind: 'value', what: '<n> keys of the role that must sign, from now on' },
  in: { kind: 'value', what: '<file> the envelope to sign' },
  key: { kind: 'values', what: '<file> a key to sign with; may be repeated' },
  store: { kind: 'value', what: '<folder> a store that takes the trust roots' },
};

type Action = (flags: Flags, output: Output) => Promise<number>;

const ACTIONS: Readonly<Record<string, Action>> = {
  init: async (flags, output) => {
    const dir = dirOf(flags);
    await initKeys(dir, expiresAtMs(flags));
    return show(flags, output);
  },
  show,
  rotate: (flags, output) =>
    changed(flags, output, (dir) =>
      rotateKey(dir, {
        role: roleOf(flags),
        oldKeyId: flags.text('replace'),
        expiresAtMs: expiresAtMs(flags),
      }),
    ),
  add: (flags, output) =>
    changed(flags, output, (dir) =>
      addKey(dir, {
        role: roleOf(flags),
        threshold: flags.count('threshold', 1, 32),
        expiresAtMs: expiresAtMs(flags),
      }),
    ),
  renew: (flags, output) => changed(flags, output, (dir) => renewRoot(dir, expiresAtMs(flags))),
  sign,
  install: async (flags, output) => {
    const store = flags.required('store');
    const root = await installRoots(dirOf(flags), store);
    output.stdout.write(`${store} has trust root ${root.version}\n`);
    return 0;
  },
};

export const KEYS_ACTIONS: readonly string[] = Object.keys(ACTIONS);

export function keysCommand(argv: readonly string[], output: Output = process): Promise<number> {
  return withReasons(output, async () => {
    const flags = new Flags(argv, KEYS_FLAGS, { positionalsMax: 1 });
    const name = flags.positionals[0] ?? '';
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action !== undefined) return action(flags, output);
    const detail = `found "${name}", expected one of ${KEYS_ACTIONS.join(', ')}`;
    throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
  });
}

async function show(flags: Flags, output: Output): Promise<number> {
  const dir = dirOf(flags);
  const root = await newestRoot(dir);
  output.stdout.write(rootText(root, await keyFilesOf(dir)));
  const store = flags.text('store');
  if (store !== null) await installRoots(dir, store);
  return 0;
}

function rootText(root: TrustRoot, files: ReadonlyMap<string, string>): string {
  const until = new Date(root.expiresAtMs).toISOString().slice(0, 10);
  const lines = [`trust root ${root.version}, until ${until}`];
  for (const role of ROLES) {
    const { keyIds, threshold } = root.roles[role];
    lines.push(`  ${role.padEnd(7)}  ${threshold} of ${keyIds.length} must sign`);
    for (const keyId of keyIds) {
      lines.push(`           ${keyId}  ${files.get(keyId) ?? 'not in this folder'}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Key files by key id. */
async function keyFilesOf(dir: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of await readdir(dir)) {
    if (!name.endsWith('.pem')) continue;
    const path = join(dir, name);
    files.set((await readKeyFile(path)).keyId, path);
  }
  return files;
}

async function changed(
  flags: Flags,
  output: Output,
  change: (dir: string) => Promise<RootOutcome>,
): Promise<number> {
  const { root, pendingPath } = await change(dirOf(flags));
  if (pendingPath === null) return show(flags, output);
  output.stdout.write(
    `trust root ${root.version} lacks signatures: ` +
      `sluice keys sign --in ${pendingPath} --key FILE\n`,
  );
  return 0;
}

async function sign(flags: Flags, output: Output): Promise<number> {
  const path = flags.required('in');
  const signers: Signer[] = [];
  for (const key of flags.texts('key')) signers.push(await readKeyFile(key));
  if (signers.length === 0) throw new GatewayError('GW_FLAG_BAD_VALUE', '--key is missing');
  const isTaken = await signFile(path, signers, dirOf(flags));
  const outcome = isTaken ? 'has all signatures and is the trust root now' : 'is signed';
  output.stdout.write(`${path} ${outcome}\n`);
  return 0;
}

function dirOf(flags: Flags): string {
  return flags.text('dir') ?? DIR_DEFAULT;
}

function roleOf(flags: Flags): Role {
  const text = flags.required('role');
  const role = ROLES.find((one) => one === text);
  if (role === undefined) throw refused('role', text, `one of ${ROLES.join(', ')}`);
  return role;
}

function expiresAtMs(flags: Flags): number {
  const days = flags.count('days', DAYS_DEFAULT, DAYS_MAX);
  if (days === 0) throw refused('days', '0', 'at least 1');
  return systemClock.wallMs() + days * DAY_MS;
}
