// Loads and runs the kernel benchmarks, bench/kernels/*.bench.ts. Each file exports
// `run(report, sizeFactor)` and reports operations per second by name; it may export `bars`, the
// ratios between two of its names that the design demands.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface KernelBar {
  /** Names reported by the same file: the first over the second must be at least the factor. */
  readonly over: string;
  readonly under: string;
  readonly atLeast: number;
}

export interface KernelFigure {
  readonly name: string;
  readonly opsPerSecond: number;
}

export interface KernelResult {
  readonly file: string;
  readonly figures: readonly KernelFigure[];
  readonly bars: readonly (KernelBar & { readonly ratio: number; readonly isMet: boolean })[];
}

interface KernelModule {
  readonly run: (
    report: (name: string, opsPerSecond: number) => void,
    sizeFactor: number,
  ) => Promise<void>;
  readonly bars?: readonly KernelBar[];
}

/** The files of a folder, in order. */
export function kernelFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.bench.ts'))
    .sort();
}

/** Runs one file. Errors: it has no `run`, reports nothing, no number, or lacks a name of a bar. */
export async function runKernel(
  folder: string,
  file: string,
  sizeFactor: number,
): Promise<KernelResult> {
  const module = (await import(pathToFileURL(join(folder, file)).href)) as Partial<KernelModule>;
  if (typeof module.run !== 'function') throw new Error(`${file} exports no function run`);
  const figures: KernelFigure[] = [];
  await module.run((name, opsPerSecond) => {
    if (!(opsPerSecond > 0)) throw new Error(`${file} reports ${opsPerSecond} for ${name}`);
    figures.push({ name, opsPerSecond });
  }, sizeFactor);
  if (figures.length === 0) throw new Error(`${file} reported nothing`);
  const bars = (module.bars ?? []).map((bar) => {
    const ratio = figureOf(file, figures, bar.over) / figureOf(file, figures, bar.under);
    return { ...bar, ratio, isMet: ratio >= bar.atLeast };
  });
  return { file, figures, bars };
}

function figureOf(file: string, figures: readonly KernelFigure[], name: string): number {
  const found = figures.find((figure) => figure.name === name);
  if (found === undefined) throw new Error(`${file} has a bar on ${name}, which it did not report`);
  return found.opsPerSecond;
}

/** A table with the ratio of each figure to the last one of its file. */
export function kernelText(result: KernelResult): string {
  const base = result.figures.at(-1)!;
  const width = Math.max(...result.figures.map(({ name }) => name.length));
  const lines = [`${result.file} (ratio to ${base.name})`];
  for (const { name, opsPerSecond } of result.figures) {
    const ratio = (opsPerSecond / base.opsPerSecond).toFixed(2);
    lines.push(`  ${name.padEnd(width)}  ${formatOps(opsPerSecond).padStart(12)}  ${ratio}x`);
  }
  for (const { over, under, ratio, atLeast, isMet } of result.bars) {
    const verdict = isMet ? 'pass' : 'MISS';
    lines.push(`  bar: ${over} / ${under} = ${ratio.toFixed(2)}, at least ${atLeast}: ${verdict}`);
  }
  return lines.join('\n');
}

export function formatOps(opsPerSecond: number): string {
  return `${Math.round(opsPerSecond).toLocaleString('en')}/s`;
}
