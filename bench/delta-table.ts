// `npx tsx bench/delta-table.ts [part of a pair's name]`: sizes and processor time of our deltas at
// every effort against `zstd -19 --long=27 --patch-from`, pair by pair, one right after the other.
// Every frame of ours is decoded by zstd. Processor time, not wall time: other work on the machine
// counts little. Ours includes compiling the kernel, zstd's starting the process.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileCodec, ZstdEncoder } from '../host/kernels/index.ts';
import { PAIRS, type Pair, pairPaths, readPair } from './pairs.ts';

const EFFORTS = [1, 2, 3] as const;
const OUTPUT_SIZE_BYTES_MAX = 134_217_728;
const folder = mkdtempSync(join(tmpdir(), 'sluice-delta-'));

interface Row {
  readonly sizeBytes: number;
  readonly cpuMs: number;
}

function zstdRow(pair: Pair): Row {
  const { older, newer } = pairPaths(pair);
  const output = join(folder, 'zstd');
  const words = ['-q', '-f', '-19', '--long=27', '--single-thread', `--patch-from=${older}`];
  // The shell's own `times` is the processor time of its children, to a hundredth of a second.
  const script = 'zstd "$@" 2>/dev/null && times';
  const shell = spawnSync('bash', ['-c', script, 'zstd', ...words, newer, '-o', output]);
  const [, minutes, seconds] = /\n(\d+)m([\d.]+)s/.exec(shell.stdout.toString()) ?? [];
  if (minutes === undefined) throw new Error(`zstd: ${shell.stderr}`);
  return {
    sizeBytes: statSync(output).size,
    cpuMs: Number(minutes) * 60_000 + Number(seconds) * 1000,
  };
}

function ourRow(pair: Pair, effort: 1 | 2 | 3): Row {
  const { older, newer } = readPair(pair);
  const before = process.cpuUsage();
  const encoder = new ZstdEncoder(compileCodec(new Uint8Array(readFileSync('build/codec.wasm'))));
  const frame = encoder.encode(newer, { dictionary: older, effort });
  const cpuMs = process.cpuUsage(before).user / 1000;
  const path = join(folder, 'ours');
  writeFileSync(path, frame);
  const words = ['-q', '-d', '-c', '--long=27', `--patch-from=${pairPaths(pair).older}`, path];
  const decoded = execFileSync('zstd', words, { maxBuffer: OUTPUT_SIZE_BYTES_MAX });
  if (!decoded.equals(newer))
    throw new Error(`${pair.name} at ${effort} decodes to something else`);
  return { sizeBytes: frame.length, cpuMs };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1]!;
}

const ratios = new Map(EFFORTS.map((effort) => [effort, [] as number[]]));
console.log('| pair | zstd -19 | effort 1 | effort 2 | effort 3 |\n|---|---|---|---|---|');
for (const pair of PAIRS.filter(({ name }) => name.includes(process.argv[2] ?? ''))) {
  const reference = zstdRow(pair);
  const cells = EFFORTS.map((effort) => {
    const { sizeBytes, cpuMs } = ourRow(pair, effort);
    const ratio = sizeBytes / reference.sizeBytes;
    ratios.get(effort)!.push(ratio);
    return `${sizeBytes} (${ratio.toFixed(3)}x), ${cpuMs.toFixed(0)} ms`;
  });
  console.log(
    `| ${pair.name} | ${reference.sizeBytes}, ${reference.cpuMs} ms | ${cells.join(' | ')} |`,
  );
}
for (const [effort, all] of ratios)
  console.log(`effort ${effort}: median ${median(all).toFixed(3)}x`);
rmSync(folder, { recursive: true });
