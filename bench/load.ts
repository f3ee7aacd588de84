// The load of the system benchmarks. Saturation: Debian's wrk where it is, since it costs the least
// on the core it shares with the upstream; else our own generator as a closed loop, and the record
// says which. Latency at a fixed rate is always our own open loop: wrk would omit what waits.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bundleProgram } from './contenders.ts';
import { hasProgram, programPath } from './programs.ts';
import { ROUTES_COUNT, type Scenario } from './scenarios.ts';

/** A load tool that takes this much longer than it was told is killed. */
const LOAD_GRACE_MS = 30_000;

const execute = promisify(execFile);

export type LoadTool = 'wrk' | 'sluice bench';

export interface LoadOrder {
  readonly scenario: Scenario;
  readonly tool: LoadTool;
  readonly port: number;
  readonly core: number;
  readonly connections: number;
  readonly durationMs: number;
}

export interface LoadOutcome {
  readonly answeredCount: number;
  readonly ratePerSecond: number;
  /** Answers that are not 2xx. */
  readonly refusedCount: number;
  readonly errorCount: number;
  /** Units: us; 0 where the tool did not measure them from the schedule. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

export function saturationTool(): LoadTool {
  return hasProgram('wrk') ? 'wrk' : 'sluice bench';
}

/** As many requests as the contender can take, over the connections. */
export async function saturate(order: LoadOrder): Promise<LoadOutcome> {
  if (order.tool === 'wrk') return saturateWithWrk(order);
  return runOwn(order, 'max');
}

/** Requests at a fixed rate, latency from the scheduled time. */
export function loadAtRate(order: LoadOrder, ratePerSecond: number): Promise<LoadOutcome> {
  return runOwn(order, String(Math.max(1, Math.round(ratePerSecond))));
}

async function saturateWithWrk(order: LoadOrder): Promise<LoadOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-wrk-'));
  try {
    const script = wrkScript(order.scenario, folder);
    const { stdout } = await execute(
      programPath('taskset'),
      [
        ...['-c', String(order.core), programPath('wrk'), '-t1', '-c', String(order.connections)],
        // wrk takes whole seconds.
        ...['-d', `${Math.max(1, Math.round(order.durationMs / 1000))}s`, ...script],
        ...order.scenario.headers.flatMap((line) => ['-H', line]),
        `http://127.0.0.1:${order.port}${order.scenario.path}`,
      ],
      { timeout: order.durationMs + LOAD_GRACE_MS },
    );
    return parseWrk(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** With many routes the requests walk over all of them in a scattered order. */
function wrkScript(scenario: Scenario, folder: string): readonly string[] {
  if (scenario.name !== 'routes-10k') return [];
  const path = join(folder, 'routes.lua');
  writeFileSync(
    path,
    `local n = 0
function request()
  n = (n + 7919) % ${ROUTES_COUNT}
  return wrk.format(nil, "/service-" .. n .. "/items")
end
`,
  );
  return ['-s', path];
}

/** Reads wrk's own summary. Errors: an Error when it is not one. */
export function parseWrk(text: string): LoadOutcome {
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  if (!/requests in/.test(text)) throw new Error(`wrk said: ${text.trim().slice(0, 400)}`);
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(
    text,
  );
  return {
    answeredCount: number(/(\d+) requests in/),
    ratePerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    refusedCount: number(/Non-2xx or 3xx responses: (\d+)/),
    errorCount: (socketErrors ?? []).slice(1).reduce((total, count) => total + Number(count), 0),
    p50Us: 0,
    p99Us: 0,
    p999Us: 0,
  };
}

async function runOwn(order: LoadOrder, rate: string): Promise<LoadOutcome> {
  const { stdout } = await execute(
    programPath('taskset'),
    [
      ...['-c', String(order.core), process.execPath, bundleProgram('load-child')],
      ...[`http://127.0.0.1:${order.port}${order.scenario.path}`, rate],
      ...[`${order.durationMs}ms`, String(order.connections), ...order.scenario.headers],
    ],
    { timeout: order.durationMs + LOAD_GRACE_MS },
  );
  return JSON.parse(stdout) as LoadOutcome;
}
