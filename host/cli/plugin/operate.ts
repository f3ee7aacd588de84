// `sluice plugin push`, `list`, `rollback` and `canary`: the plugins of a running gateway, over its
// admin API.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { PluginView } from '../../admin/index.ts';
import { GatewayError, parsePercentage } from '../../core/index.ts';
import type { AdminClient } from './admin-client.ts';

/** Hashes are shown this long; the whole of one is in `--json`. */
const HASH_LENGTH = 12;
const HEADS = [
  'NAME',
  'VERSION',
  'SOURCE',
  'ABI',
  'STATE',
  'SINCE',
  'INSTANCES',
  'REQUESTS',
  'FAILURES',
  'TRAPS',
];

export interface PushOrder {
  readonly file: string;
  /** Of the configuration; null for the file's own without `.wasm`. */
  readonly name: string | null;
  /** Such as `5%`; null for all requests. */
  readonly canary: string | null;
}

/** Yields what is printed. Errors: GW_PLUGIN_FILE, GW_FLAG_BAD_VALUE, what the gateway answers. */
export async function push(
  client: AdminClient,
  { file, name, canary }: PushOrder,
): Promise<string> {
  if (canary !== null) checkShare('--canary', canary);
  const plugin = name ?? basename(file).replace(/\.wasm$/, '');
  const { isUnchanged, previous, sha256, switchMs } = await client.push(plugin, read(file), {
    canary,
  });
  if (isUnchanged) return `${plugin}: ${short(sha256)} runs already`;
  if (canary === null && previous === sha256) {
    return `${plugin}: ${short(sha256)} runs already; from now on because it was pushed`;
  }
  const took = `switched in ${switchMs.toFixed(1)} ms`;
  if (canary === null) return `${plugin}: ${short(previous)} -> ${short(sha256)}, ${took}`;
  const next = `then: sluice plugin canary ${plugin} promote, abort, or another share`;
  const beside = `beside ${short(previous)}`;
  return `${plugin}: ${short(sha256)} gets ${canary} of requests ${beside}, ${took}\n${next}`;
}

export async function list(client: AdminClient, form: 'text' | 'json'): Promise<string> {
  const plugins = await client.plugins();
  if (form === 'json') return JSON.stringify(plugins, null, 2);
  if (plugins.length === 0) return 'no plugins are configured';
  const rows = [HEADS, ...plugins.map(cells)];
  const widths = HEADS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return [...lines, ...plugins.flatMap(notes)].join('\n');
}

export async function rollback(client: AdminClient, plugin: string): Promise<string> {
  const { sha256, source, switchMs } = await client.change(plugin, 'rollback');
  const from = source === 'pushed' ? '' : `, of the configuration's ${source}`;
  return `${plugin}: back to ${short(sha256)}${from}, switched in ${switchMs.toFixed(1)} ms`;
}

/** `order`: `promote`, `abort`, or a share such as `5%`. */
export async function canary(client: AdminClient, plugin: string, order: string): Promise<string> {
  if (order === 'promote' || order === 'abort') {
    const { sha256, switchMs } = await client.change(plugin, order);
    const took = `switched in ${switchMs.toFixed(1)} ms`;
    return `${plugin}: ${short(sha256)} gets all requests, ${took}`;
  }
  checkShare('the share', order);
  const { canary: running } = await client.change(plugin, 'canary', { share: order });
  return `${plugin}: ${short(running!.sha256)} gets ${order} of requests`;
}

function checkShare(what: string, text: string): void {
  const share = parsePercentage(text);
  if (share !== null && share > 0 && share < 1) return;
  const expected = 'expected a share above 0% and below 100%, such as 5%';
  throw new GatewayError(
    'GW_FLAG_BAD_VALUE',
    `${what}: found ${JSON.stringify(text)}, ${expected}`,
  );
}

function read(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new GatewayError('GW_PLUGIN_FILE', `${file}: ${(error as Error).message}`, error);
  }
}

function cells(view: PluginView): string[] {
  const { name, sha256, source, abi, state, since, instances, requests, failures, traps } = view;
  const counts = [instances, requests, failures, traps].map(String);
  return [name, short(sha256), source, abi, state, since, ...counts];
}

function notes({ name, canary: running, endedCanaries, pushed, warnings }: PluginView): string[] {
  const lines = warnings.map((warning) => `${name}: WARNING: ${warning}`);
  if (running !== null) {
    const { sha256, share, failures, requests, failuresBeside, requestsBeside } = running;
    const own = `${failures} of ${requests} requests failed`;
    const beside = `beside it ${failuresBeside} of ${requestsBeside}`;
    lines.push(`${name}: canary ${short(sha256)} gets ${percent(share)}; ${own}, ${beside}`);
  }
  for (const { sha256, outcome, why, at } of endedCanaries) {
    const because = why === '' ? '' : `: ${why}`;
    lines.push(`${name}: canary ${short(sha256)} was ${outcome} at ${at}${because}`);
  }
  for (const [index, version] of pushed.entries()) {
    const rank = index === 0 ? 'last' : 'before';
    lines.push(
      `${name}: pushed ${rank}: ${short(version.sha256)} at ${version.at}${harm(version)}`,
    );
  }
  return lines;
}

/** What went wrong with a version since the gateway began. */
function harm({ failures, requests, traps, lastTrap }: PluginView['pushed'][number]): string {
  if (failures === 0 && traps === 0) return '';
  const where = lastTrap === '' ? '' : `, the last in ${lastTrap}`;
  const died = `${traps} ${traps === 1 ? 'trap' : 'traps'}${where}`;
  return `; ${failures} of ${requests} requests failed, ${died}`;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(4))}%`;
}

function short(sha256: string): string {
  return sha256.slice(0, HASH_LENGTH);
}
