// Frames and verdicts of the zstd command, the reference: many files in one process.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needDebian } from '../support/debian.ts';

const OUTPUT_SIZE_BYTES_MAX = 2 ** 28;

/** A folder of the command's; call `remove` at the end. */
export class ZstdCommand {
  readonly #folder: string;
  #runs = 0;

  constructor() {
    needDebian('zstd', 'zstd');
    this.#folder = mkdtempSync(join(tmpdir(), 'sluice-zstd-'));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** Compresses files by name, all in one process. */
  compress(
    files: ReadonlyMap<string, Uint8Array>,
    options: readonly string[],
    dictionary?: Uint8Array,
  ): Map<string, Uint8Array> {
    const folder = this.#write(files, dictionary);
    const output = join(folder, 'output');
    const dictionaryOptions = dictionary === undefined ? [] : ['-D', join(folder, 'dictionary')];
    const names = [...files.keys()].map((name) => join(folder, 'input', name));
    this.#run([...options, ...dictionaryOptions, '--output-dir-flat', output, ...names]);
    return new Map(
      [...files.keys()].map((name) => [
        name,
        Uint8Array.from(readFileSync(join(output, `${name}.zst`))),
      ]),
    );
  }

  /** Compresses what comes through a pipe, whose length the frame cannot state. */
  compressStream(content: Uint8Array, options: readonly string[]): Uint8Array {
    return this.#run([...options, '-c'], content);
  }

  /** Compresses against an older version. */
  patch(older: Uint8Array, newer: Uint8Array, options: readonly string[]): Uint8Array {
    const folder = this.#write(new Map([['newer', newer]]), older);
    const input = join(folder, 'input', 'newer');
    const patchFrom = `--patch-from=${join(folder, 'dictionary')}`;
    return this.#run([...options, patchFrom, input, '-c']);
  }

  /** What the command decodes a frame to, or undefined if it refuses it. */
  decode(frame: Uint8Array, dictionary?: Uint8Array): Uint8Array | undefined {
    const folder = this.#write(new Map([['frame', frame]]), dictionary);
    const from = dictionary === undefined ? [] : ['-D', join(folder, 'dictionary')];
    const input = join(folder, 'input', 'frame');
    const { status, stdout } = spawnSync('zstd', ['-q', '-d', '-c', '--long=27', ...from, input], {
      maxBuffer: OUTPUT_SIZE_BYTES_MAX,
    });
    rmSync(folder, { recursive: true });
    return status === 0 ? stdout : undefined;
  }

  #write(files: ReadonlyMap<string, Uint8Array>, dictionary: Uint8Array | undefined): string {
    const folder = join(this.#folder, String(++this.#runs));
    mkdirSync(join(folder, 'input'), { recursive: true });
    mkdirSync(join(folder, 'output'));
    for (const [name, bytes] of files) writeFileSync(join(folder, 'input', name), bytes);
    if (dictionary !== undefined) writeFileSync(join(folder, 'dictionary'), dictionary);
    return folder;
  }

  #run(options: readonly string[], input?: Uint8Array): Uint8Array {
    const { status, stdout, stderr } = spawnSync('zstd', ['-q', ...options], {
      ...(input === undefined ? {} : { input }),
      maxBuffer: OUTPUT_SIZE_BYTES_MAX,
    });
    if (status !== 0) throw new Error(`zstd ${options.join(' ')}: ${stderr} ${status}`);
    // Not a Buffer: its slice() is no copy.
    return Uint8Array.from(stdout);
  }
}
