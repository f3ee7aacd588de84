// The switch of a plugin's image under load: a gateway with two io workers answers as many requests
// as it can, while one image after the other is pushed. No answer may be anything but a 200. Once
// it proxies to an upstream behind the header filter, once a filter answers. The gateway has one
// core, the load has the other, which it shares with the upstream.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareUpstream } from '../contenders.ts';
import { type LoadOutcome, saturate, saturationTool } from '../load.ts';
import {
  freePort,
  type StartedProcess,
  startPinned,
  stopProcess,
  waitForPort,
} from '../process-tree.ts';
import { type Spread, spreadOf } from '../statistics.ts';
import { anotherImage, filterBytes } from './modules.ts';

/** Who answers the requests. */
export type Answerer = 'upstream' | 'filter';

export interface SwapResult {
  readonly answerer: Answerer;
  readonly tool: string;
  readonly ratePerSecond: number;
  readonly answeredCount: number;
  /** Answers that are no 200, and connections that broke. */
  readonly failedCount: number;
  readonly swapsCount: number;
  /** From the first worker's switch to the last one's, as the gateway tells it, and the whole push
   *  with its upload, check, compilation and trial. Units: ms. */
  readonly switchMs: Spread;
  readonly pushMs: Spread;
}

const CORE_OF_GATEWAY = 0;
const CORE_OF_LOAD = 1;
const CONNECTIONS_COUNT = 32;
/** Between two pushes, as a share of the load: a push compiles on the gateway's own core, and its
 *  code is fast again a moment later. */
const PUSH_PAUSE_SHARE = 0.08;
const WARM_UP_MS = 1_000;

interface Ports {
  readonly upstream: number;
  readonly listen: number;
  readonly admin: number;
}

export async function measureSwaps(
  answerer: Answerer,
  sluiceCommand: readonly string[],
  durationMs: number,
): Promise<SwapResult> {
  const bytes = await filterBytes(answerer === 'upstream' ? 'header' : 'answer');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-swap-bench-'));
  const [upstream, listen, admin] = [await freePort(), await freePort(), await freePort()];
  const ports = { upstream, listen, admin };
  const started: StartedProcess[] = [];
  writeFileSync(join(folder, 'filter.wasm'), bytes);
  const path = join(folder, 'sluice.yaml');
  writeFileSync(path, configuration(folder, ports));
  try {
    mkdirSync(join(folder, 'upstream'));
    const origin = prepareUpstream(join(folder, 'upstream'), upstream);
    started.push(startPinned('upstream', CORE_OF_LOAD, origin));
    await waitForPort(started[0]!, upstream);
    const command = [...sluiceCommand, 'serve', '-c', path];
    started.push(startPinned('sluice', CORE_OF_GATEWAY, command));
    await waitForPort(started[1]!, listen);
    await load(ports.listen, WARM_UP_MS);
    return { answerer, ...(await swapUnderLoad(bytes, ports, durationMs)) };
  } finally {
    for (const each of started.reverse()) await stopProcess(each);
    rmSync(folder, { recursive: true, force: true });
  }
}

function configuration(folder: string, ports: Ports): string {
  return JSON.stringify({
    listen: [{ port: ports.listen, address: '127.0.0.1' }],
    admin: { port: ports.admin, address: '127.0.0.1' },
    workers: { io: 2 },
    services: { up: { endpoints: [`http://127.0.0.1:${ports.upstream}`] } },
    pluginStore: join(folder, 'store'),
    plugins: [{ name: 'bench', rootId: 'bench', file: join(folder, 'filter.wasm') }],
    routes: [{ name: 'all', match: { path: '/*' }, to: 'up', filters: ['bench'] }],
    log: { access: 'off', level: 'warn' },
  });
}

function load(port: number, durationMs: number): Promise<LoadOutcome> {
  const scenario = {
    name: 'proxy',
    title: '',
    path: '/hello',
    headers: ['user-agent: Mozilla/5.0'],
    expects: 'success',
    barOverNginx: null,
  } as const;
  const tool = saturationTool();
  const connections = CONNECTIONS_COUNT;
  return saturate({ scenario, tool, port, core: CORE_OF_LOAD, connections, durationMs });
}

async function swapUnderLoad(
  bytes: Uint8Array<ArrayBuffer>,
  ports: Ports,
  durationMs: number,
): Promise<Omit<SwapResult, 'answerer'>> {
  let isLoaded = true;
  const loaded = load(ports.listen, durationMs).finally(() => {
    isLoaded = false;
  });
  const switchMs: number[] = [];
  const pushMs: number[] = [];
  try {
    for (let version = 1; isLoaded; version++) {
      await new Promise((resolve) => setTimeout(resolve, durationMs * PUSH_PAUSE_SHARE));
      const startMs = performance.now();
      switchMs.push(await push(ports.admin, anotherImage(bytes, version)));
      pushMs.push(performance.now() - startMs);
    }
  } catch (error) {
    // The load's end is waited for in any case.
    await loaded.catch(() => {});
    throw error;
  }
  const { answeredCount, ratePerSecond, refusedCount, errorCount } = await loaded;
  return {
    tool: saturationTool(),
    ratePerSecond,
    answeredCount,
    failedCount: refusedCount + errorCount,
    swapsCount: switchMs.length,
    switchMs: spreadOf(switchMs),
    pushMs: spreadOf(pushMs),
  };
}

/** Pushes an image. Returns how long the switch took. Errors: what the gateway says. */
async function push(adminPort: number, image: Uint8Array<ArrayBuffer>): Promise<number> {
  const url = `http://127.0.0.1:${adminPort}/plugins/bench`;
  const response = await fetch(url, { method: 'PUT', body: image });
  if (!response.ok) throw new Error(`the push failed: ${await response.text()}`);
  return ((await response.json()) as { switchMs: number }).switchMs;
}
