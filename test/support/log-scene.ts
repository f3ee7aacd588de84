// Logs for tests: groups with content that can be told, and a folder of their own.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isGatewayError, type SeededRandom } from '../../host/core/index.ts';
import type { LogGroup, LogStore } from '../../host/db/contract.ts';
import type { Xxh64 } from '../../host/db/log/group.ts';
import { codec } from './wasm.ts';

/** XXH64 of codec.wasm. */
export function kernelXxh64(): Xxh64 {
  const kernels = codec();
  return (bytes, seed) => kernels.xxh64(bytes, seed);
}

export function temporaryFolder(): { readonly path: string; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  return {
    path: join(root, 'log'),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

export interface GroupShape {
  readonly firstLsn: number;
  readonly commitsCount?: number;
  readonly epoch?: number;
  readonly payload?: Uint8Array;
}

export function groupOf(shape: GroupShape): LogGroup {
  const { firstLsn, commitsCount = 1, epoch = 1 } = shape;
  const payload = shape.payload ?? new TextEncoder().encode(`commit ${firstLsn}`);
  const lastLsn = firstLsn + commitsCount - 1;
  return { epoch, firstLsn, lastLsn, sealedAtMs: 1_700_000_000_000 + firstLsn, payload };
}

export function randomPayload(random: SeededRandom, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; ++at) bytes[at] = random.uint32();
  return bytes;
}

/** Appends groups of one commit each; returns them. */
export async function appendMany(log: LogStore, count: number): Promise<LogGroup[]> {
  const groups: LogGroup[] = [];
  for (let index = 0; index < count; ++index) {
    const group = groupOf({ firstLsn: log.nextLsn, epoch: log.epoch });
    await log.append(group.firstLsn, group);
    groups.push(group);
  }
  return groups;
}

export async function readAll(log: LogStore, fromLsn = log.firstLsn): Promise<LogGroup[]> {
  const groups: LogGroup[] = [];
  for await (const group of log.read(fromLsn)) {
    groups.push({ ...group, payload: group.payload.slice() });
  }
  return groups;
}

/** The code of what a call throws. */
export async function codeOf(call: () => Promise<unknown>): Promise<string> {
  return (await errorOf(call)).split(' ')[0]!;
}

/** Code and detail of what a call throws. */
export async function errorOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    if (isGatewayError(error)) return `${error.code} ${error.detail}`;
    throw error;
  }
  return 'nothing was thrown';
}
