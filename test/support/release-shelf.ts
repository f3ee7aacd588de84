// Releases for tests of the loader: keys, a trust root, signed manifests and heads, tars and
// deltas, made by the host's own writers and by the zstd of Debian.

import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sealEnvelope } from '../../host/distribution/envelope.ts';
import { writePack } from '../../host/distribution/pack.ts';
import { keyIdOf } from '../../host/distribution/trust-root.ts';

export const FAR_MS = 4_000_000_000_000;

export interface TestKey {
  readonly keyId: string;
  readonly public: string;
  readonly privateKey: KeyObject;
}

export function makeKey(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const der = publicKey.export({ format: 'der', type: 'spki' });
  const text = der.subarray(der.length - 32).toString('base64');
  return { keyId: keyIdOf(text), public: text, privateKey };
}

export interface RootKeys {
  readonly root: readonly TestKey[];
  readonly release: readonly TestKey[];
  readonly head: readonly TestKey[];
}

export function makeRootKeys(): RootKeys {
  return { root: [makeKey(), makeKey()], release: [makeKey()], head: [makeKey()] };
}

/** A root's envelope, signed by its own root keys and by `also`. */
export function sealRoot(
  version: number,
  keys: RootKeys,
  more: { readonly also?: readonly TestKey[]; readonly expiresAtMs?: number } = {},
): Uint8Array {
  const all = [...keys.root, ...keys.release, ...keys.head];
  const document = {
    type: 'root',
    version,
    expiresAtMs: more.expiresAtMs ?? FAR_MS,
    keys: Object.fromEntries(
      all.map((key) => [key.keyId, { algorithm: 'ed25519', public: key.public }]),
    ),
    roles: Object.fromEntries(
      Object.entries(keys).map(([role, of]) => {
        return [role, { keyIds: of.map((key: TestKey) => key.keyId), threshold: of.length }];
      }),
    ),
  };
  return sealEnvelope('root', document, [...keys.root, ...(more.also ?? [])]);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function refOf(bytes: Uint8Array) {
  return { sha256: sha256(bytes), sizeBytes: bytes.length };
}

export interface TestFile {
  readonly bytes: Uint8Array;
  readonly priority?: 'critical' | 'normal' | 'idle';
}

export type TestFiles = Readonly<Record<string, Uint8Array | string | TestFile>>;

export interface TestRelease {
  readonly channel: string;
  readonly sequence: number;
  readonly version: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly manifest: Uint8Array;
  readonly pack: Uint8Array | null;
}

/** Everything that was published; origins serve it. */
export class ReleaseShelf {
  keys = makeRootKeys();
  readonly roots = new Map<number, Uint8Array>();
  readonly releases: TestRelease[] = [];
  /** Added to what `head` signs; for old, wrong and foreign heads. */
  counter = 0;
  readonly #deltas = new Map<string, Uint8Array>();

  constructor() {
    this.roots.set(1, sealRoot(1, this.keys));
  }

  get trustRoot(): string {
    return Buffer.from(this.roots.get(1)!).toString('utf8');
  }

  publish(
    channel: string,
    files: TestFiles,
    more: {
      readonly isPacked?: boolean;
      readonly sequence?: number;
      readonly signers?: readonly TestKey[];
      readonly alter?: (document: Record<string, unknown>) => void;
    } = {},
  ): TestRelease {
    const sequence = more.sequence ?? (this.newest(channel)?.sequence ?? 0) + 1;
    const list = Object.entries(files).map(([path, file]) => ({ path, ...fileOf(file) }));
    list.sort((one, other) => (one.path < other.path ? -1 : 1));
    const pack = more.isPacked === true ? writePack(list) : null;
    const document: Record<string, unknown> = {
      type: 'release',
      channel,
      sequence,
      version: `1.${sequence}.0`,
      createdAtMs: 0,
      entryPoints: list.filter(({ path }) => path === 'main.js').map(({ path }) => path),
      files: list.map(({ path, bytes, priority }) => ({ path, ...refOf(bytes), priority })),
      pack: pack === null ? null : refOf(pack),
      rollbackOf: null,
    };
    more.alter?.(document);
    const release: TestRelease = {
      channel,
      sequence,
      version: `1.${sequence}.0`,
      files: new Map(list.map(({ path, bytes }) => [path, bytes])),
      manifest: sealEnvelope('release', document, more.signers ?? this.keys.release),
      pack,
    };
    this.releases.push(release);
    return release;
  }

  newest(channel: string): TestRelease | undefined {
    return this.releases.filter((one) => one.channel === channel).at(-1);
  }

  /** A fresh head, counted up. */
  head(
    release: TestRelease,
    alter: (document: Record<string, unknown>) => void = () => {},
    signers: readonly TestKey[] = this.keys.head,
  ): unknown {
    this.counter += 1;
    const document: Record<string, unknown> = {
      type: 'head',
      channel: release.channel,
      counter: this.counter,
      sequence: release.sequence,
      version: release.version,
      manifest: refOf(release.manifest),
      issuedAtMs: 0,
      expiresAtMs: FAR_MS,
    };
    alter(document);
    return JSON.parse(Buffer.from(sealEnvelope('head', document, signers)).toString('utf8'));
  }

  /** A new root, signed by the last root's keys as well; what follows is signed with its keys. */
  rotate(keys: RootKeys): void {
    const version = this.roots.size + 1;
    this.roots.set(version, sealRoot(version, keys, { also: this.keys.root }));
    this.keys = keys;
  }

  /** The dcz of a content against a base that was published; null when there is no such base. */
  delta(target: Uint8Array, baseSha256: string): Uint8Array | null {
    const base = this.releases
      .flatMap(({ files, pack }) => [...files.values(), ...(pack === null ? [] : [pack])])
      .find((bytes) => sha256(bytes) === baseSha256);
    if (base === undefined) return null;
    const name = `${sha256(target)} ${baseSha256}`;
    const made = this.#deltas.get(name) ?? makeDcz(target, base);
    this.#deltas.set(name, made);
    return made;
  }
}

export function makeDcz(target: Uint8Array, base: Uint8Array): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'loader-delta-'));
  try {
    writeFileSync(join(folder, 'base'), base);
    writeFileSync(join(folder, 'target'), target);
    const args = ['-q', '-19', '--patch-from=base', 'target', '-o', 'frame'];
    const { status, stderr } = spawnSync('/usr/bin/zstd', args, { cwd: folder });
    if (status !== 0) throw new Error(`zstd: ${stderr}`);
    const head = Buffer.from(`5e2a4d1820000000${sha256(base)}`, 'hex');
    return Buffer.concat([head, readFileSync(join(folder, 'frame'))]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A ustar archive; a path over 100 bytes gets a pax header. */
export function makeTar(
  files: readonly { readonly path: string; readonly bytes: Uint8Array }[],
): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (name: string, type: string, bytes: Uint8Array): void => {
    parts.push(tarHeader(name, type, bytes.length), bytes);
    parts.push(Buffer.alloc((512 - (bytes.length % 512)) % 512));
  };
  for (const { path, bytes } of files) {
    if (Buffer.byteLength(path) > 100) add('pax', 'x', paxRecord(path));
    add(path.slice(0, 100), '0', bytes);
  }
  parts.push(Buffer.alloc(1_024));
  return Buffer.concat(parts);
}

export function tarHeader(name: string, type: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0, 100, 'utf8');
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

function paxRecord(path: string): Buffer {
  const rest = Buffer.byteLength(` path=${path}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length += 1;
  return Buffer.from(`${length} path=${path}\n`, 'utf8');
}

function fileOf(file: Uint8Array | string | TestFile) {
  if (typeof file === 'string') return { bytes: Buffer.from(file), priority: 'normal' };
  if (file instanceof Uint8Array) return { bytes: file, priority: 'normal' };
  return { bytes: file.bytes, priority: file.priority ?? 'normal' };
}
