// Deltas between real releases: sizes and processor time of every tool, pair by pair, one tool
// right after the other. Every delta is decoded by its own tool, and ours by zstd too; a wrong one
// ends the run. Processor time, not wall time: other work on the machine counts little.

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DELTA_TOOLS,
  type DeltaFiles,
  type DeltaTool,
  PUBLISHED,
  REFERENCE,
} from './delta-tools.ts';
import { requirePrograms } from './programs.ts';
import { ratioOfPairs, type Spread, spreadOf } from './statistics.ts';

/** Two files of which the newer is made from the older. */
export interface DeltaPair {
  readonly name: string;
  readonly older: string;
  readonly newer: string;
}

export interface DeltaCell {
  readonly tool: string;
  readonly sizeBytes: number;
  readonly encodeMs: number;
  readonly decodeMs: number;
  /** Units: bytes made per second of processor time. */
  readonly decodeWarmBytesPerS: number | null;
}

export interface DeltaRow {
  readonly pair: string;
  readonly newerSizeBytes: number;
  readonly cells: readonly DeltaCell[];
}

/** A tool against the reference over all pairs. */
export interface DeltaRatios {
  readonly tool: string;
  readonly size: Spread;
  readonly encode: Spread;
  readonly decode: Spread;
}

export interface DeltaResult {
  readonly rows: readonly DeltaRow[];
  readonly ratios: readonly DeltaRatios[];
}

/** DESIGN section 6: size and processor time of a published delta over the reference's, and how
 *  fast it is decoded. */
export const DELTA_BARS = { size: 1.1, encode: 1, decodeBytesPerS: 300e6 } as const;

/** Makes every pair's deltas with every tool, which must have the reference among them. Errors: a
 *  missing program, a delta that decodes to something else. */
export function runDeltaTable(
  pairs: readonly DeltaPair[],
  log: (line: string) => void,
  tools: readonly DeltaTool[] = DELTA_TOOLS,
): DeltaResult {
  requirePrograms(tools.flatMap(({ programs }) => programs));
  const folder = mkdtempSync(join(tmpdir(), 'sluice-delta-'));
  try {
    const rows = pairs.map((pair) => {
      log(`  deltas: ${pair.name}`);
      const cells = tools.map((tool) => measure(tool, pair, folder));
      return { pair: pair.name, newerSizeBytes: statSync(pair.newer).size, cells };
    });
    return { rows, ratios: tools.map(({ name }) => ratiosOf(rows, name)) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a result comes to against the bars. */
export function deltaVerdicts({ rows, ratios }: DeltaResult) {
  const { size, encode } = ratios.find(({ tool }) => tool === PUBLISHED)!;
  const over = (what: string, measured: number, bar: number) => ({
    what: `${what}: ${PUBLISHED} over ${REFERENCE}`,
    bar: `<= ${bar}`,
    measured: measured.toFixed(2),
    isMet: measured <= bar,
  });
  const warm = decodeWarmOf(rows, PUBLISHED);
  return [
    over('delta size', size.median, DELTA_BARS.size),
    over('delta encoding, CPU', encode.median, DELTA_BARS.encode),
    {
      what: `delta decoding, in memory, MB/s of processor time: ${PUBLISHED}`,
      bar: `>= ${DELTA_BARS.decodeBytesPerS / 1e6}`,
      measured: (warm.median / 1e6).toFixed(0),
      isMet: warm.median >= DELTA_BARS.decodeBytesPerS,
    },
  ];
}

/** How fast a tool of ours decodes all pairs. Units: bytes per second of processor time. */
export function decodeWarmOf(rows: readonly DeltaRow[], tool: string): Spread {
  return spreadOf(
    rows.map(({ cells }) => cells.find((cell) => cell.tool === tool)?.decodeWarmBytesPerS ?? 0),
  );
}

function measure(tool: DeltaTool, pair: DeltaPair, folder: string): DeltaCell {
  const files = { ...pair, delta: join(folder, 'delta'), decoded: join(folder, 'decoded') };
  const encodeMs = tool.encode(files);
  const { size: sizeBytes } = statSync(files.delta);
  const decodeMs = tool.decode(files);
  const decodeWarmBytesPerS = tool.decodeWarm?.(files) ?? null;
  requireSame(tool.name, pair, files);
  if (tool.programs.length === 0) {
    const zstd = DELTA_TOOLS.find(({ name }) => name === REFERENCE)!;
    zstd.decode(files);
    requireSame(`zstd, of ${tool.name}`, pair, files);
  }
  rmSync(files.delta);
  return { tool: tool.name, sizeBytes, encodeMs, decodeMs, decodeWarmBytesPerS };
}

function requireSame(who: string, pair: DeltaPair, { newer, decoded }: DeltaFiles): void {
  const isSame = readFileSync(newer).equals(readFileSync(decoded));
  rmSync(decoded);
  if (!isSame) throw new Error(`${who}: ${pair.name} decodes to something else`);
}

function ratiosOf(rows: readonly DeltaRow[], tool: string): DeltaRatios {
  const over = (read: (cell: DeltaCell) => number): Spread => {
    const values = (name: string) =>
      rows.map(({ cells }) => read(cells.find((cell) => cell.tool === name)!));
    return ratioOfPairs(values(tool), values(REFERENCE));
  };
  return {
    tool,
    size: over(({ sizeBytes }) => sizeBytes),
    encode: over(({ encodeMs }) => encodeMs),
    decode: over(({ decodeMs }) => decodeMs),
  };
}
