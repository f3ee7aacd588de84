// A distribution store for tests: keys, releases of a few files, and their forms, made by the zstd
// program so that nothing here depends on the encoder under test.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../host/core/index.ts';
import { sha256Of } from '../../host/distribution/artefact-file.ts';
import { ContentWriter } from '../../host/distribution/content-writer.ts';
import { makeDelta, makeVariant, type ZstdTools } from '../../host/distribution/delta.ts';
import type { Signer } from '../../host/distribution/envelope.ts';
import { signersIn } from '../../host/distribution/key-files.ts';
import { initKeys } from '../../host/distribution/keys.ts';
import type { ReleaseRule, TrustRoot } from '../../host/distribution/model.ts';
import { publish } from '../../host/distribution/publish.ts';
import { Store } from '../../host/distribution/store.ts';
import { installRoots } from '../../host/distribution/trust-root-chain.ts';
import { compileCodec, ZstdDecoder } from '../../host/kernels/index.ts';
import { needDebian } from './debian.ts';
import { codec, codecModuleBytes } from './wasm.ts';

export interface TestRelease {
  readonly channel?: string;
  readonly version: string;
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  readonly rule?: Partial<ReleaseRule>;
  readonly isPacked?: boolean;
  /** Whether variants and deltas are made; they are by default. */
  readonly forms?: 'made' | 'none';
}

const EVERYBODY = {
  state: 'active',
  rollout: 10_000,
  schedule: [],
  targeting: null,
  halt: null,
} as const;
const TRUSTED_MS = 10 * 365 * 86_400_000;

export class TestStore {
  readonly dir: string;
  readonly keysDir: string;
  readonly store: Store;
  readonly tools = zstdProgramTools();
  readonly clock: Clock;
  root!: TrustRoot;
  headSigners!: Signer[];

  private constructor(clock: Clock) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-dist-'));
    this.dir = join(folder, 'store');
    this.keysDir = join(folder, 'keys');
    this.store = new Store(this.dir, codec());
    this.clock = clock;
  }

  static async create(clock: Clock = systemClock): Promise<TestStore> {
    const made = new TestStore(clock);
    made.root = await initKeys(made.keysDir, clock.wallMs() + TRUSTED_MS);
    made.headSigners = await signersIn(made.keysDir, 'head', made.root);
    await installRoots(made.keysDir, made.dir);
    return made;
  }

  async publish(release: TestRelease): Promise<void> {
    const contents = new Map(
      Object.entries(release.files).map(([path, bytes]) => [path, Buffer.from(bytes)]),
    );
    const files = [...contents]
      .map(([path, bytes]) => {
        const sha256 = sha256Of(bytes);
        return { path, sha256, sizeBytes: bytes.length, priority: 'normal' as const };
      })
      .sort((left, right) => (left.path < right.path ? -1 : 1));
    const none = { outcome: 'useless', sizeBytes: 0, addedBytes: 0 } as const;
    const isMade = release.forms !== 'none';
    await publish({
      writer: await ContentWriter.open({
        store: this.store,
        diskBytesMax: 2 ** 40,
        clock: this.clock,
      }),
      jobs: {
        makeVariant: async (task) => (isMade ? makeVariant(this.store, this.tools, task) : none),
        makeDelta: async (task) => (isMade ? makeDelta(this.store, this.tools, task) : none),
      },
      clock: this.clock,
      channel: release.channel ?? 'app',
      version: release.version,
      source: { files, entryPoints: [], read: async ({ path }) => contents.get(path)! },
      isPacked: release.isPacked ?? null,
      isBuiltIn: false,
      rollbackOf: null,
      rule: { ...EVERYBODY, ...release.rule },
      root: this.root,
      signing: {
        kind: 'signers',
        signers: await signersIn(this.keysDir, 'release', this.root),
      },
      deltas: { askedCountMax: 16, latestCountMax: 3 },
      effort: 1,
      onProgress: () => {},
    });
  }

  /** Makes a delta, as a publisher does. */
  async makeDelta(target: string, base: string): Promise<void> {
    const task = { dir: this.dir, target, base, effort: 1, roomBytes: 2 ** 40 } as const;
    const { outcome } = await makeDelta(this.store, this.tools, task);
    if (outcome !== 'made') throw new Error(`the delta is ${outcome}`);
  }

  /** The file of the private key of a role. */
  keyFile(role: 'head' | 'release'): string {
    const name = readdirSync(this.keysDir).find((one) => one.startsWith(`${role}-`));
    return join(this.keysDir, name!);
  }

  remove(): void {
    rmSync(join(this.dir, '..'), { recursive: true, force: true });
  }
}

/** Text that changes a little from version to version. */
export function script(version: number, lines = 2_000): string {
  let text = `export const version = ${version};\n`;
  for (let line = 0; line < lines; ++line) {
    const word = Math.imul(line + 1, 2_654_435_761) >>> 0;
    text += `export function f${line}(x) { return x * ${word} + ${line % 97}; }\n`;
  }
  return text;
}

function zstdProgramTools(): ZstdTools {
  needDebian('zstd', 'zstd');
  return {
    encoder: {
      encode(content, { dictionary }) {
        const folder = mkdtempSync(join(tmpdir(), 'sluice-zstd-'));
        try {
          writeFileSync(join(folder, 'content'), content);
          const flags = ['-q', '-c', '-9', '--check'];
          if (dictionary !== undefined) {
            writeFileSync(join(folder, 'base'), dictionary);
            flags.push(`--patch-from=${join(folder, 'base')}`);
          }
          const { status, stdout, stderr } = spawnSync(
            '/usr/bin/zstd',
            [...flags, join(folder, 'content')],
            { maxBuffer: 2 ** 28 },
          );
          if (status !== 0) throw new Error(`zstd: ${stderr}`);
          return stdout;
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
    },
    decoder: new ZstdDecoder(compileCodec(codecModuleBytes())),
  };
}
