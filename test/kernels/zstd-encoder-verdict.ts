// What the zstd command makes of frames of ours: many in one process.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needDebian } from '../support/debian.ts';

export interface Encoded {
  readonly name: string;
  readonly content: Uint8Array;
  readonly frame: Uint8Array;
}

/** Checks that zstd decodes every frame to its content. The dictionary must not begin like a
 *  trained one, which the command would take it for. */
export function assertDecoded(frames: readonly Encoded[], dictionary: Uint8Array): void {
  needDebian('zstd', 'zstd');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-zstd-encoder-'));
  try {
    const output = join(folder, 'output');
    mkdirSync(output);
    writeFileSync(join(folder, 'dictionary'), dictionary);
    for (const [index, { frame }] of frames.entries()) {
      writeFileSync(join(folder, `${index}.zst`), frame);
    }
    const files = frames.map((_, index) => join(folder, `${index}.zst`));
    const from = dictionary.length === 0 ? [] : ['-D', join(folder, 'dictionary')];
    const words = ['-d', '-q', '--long=27', '--no-progress', ...from];
    execFileSync('zstd', [...words, '--output-dir-flat', output, ...files], { stdio: 'pipe' });
    for (const [index, { name, content }] of frames.entries()) {
      const decoded = readFileSync(join(output, String(index)));
      assert.ok(decoded.equals(content), `${name}: zstd decodes to something else`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
