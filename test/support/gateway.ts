// A real gateway process for tests: the built dist/sluice.js on free ports with a configuration in
// a temporary folder, stopped by its process id.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endAtLast } from './leftovers.ts';

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 20_000;

export interface GatewayProcess {
  /** Of the first listener, and of each. */
  readonly port: number;
  readonly ports: readonly number[];
  readonly adminPort: number;
  readonly url: string;
  readonly adminUrl: string;
  readonly configPath: string;
  readonly child: ChildProcess;
  /** What it has said on stderr, and on stdout. */
  log(): string;
  output(): string;
  /** Replaces the configuration file; the gateway sees the change by itself. */
  writeConfig(config: object): void;
  /** Asks for a reload and returns the answer's body. */
  reload(config: object): Promise<ReloadAnswer>;
  metrics(): Promise<string>;
  rssBytes(): number;
  /** Stops it with SIGTERM and returns the exit code. */
  stop(): Promise<number | null>;
}

/** What POST /reload answers. */
export interface ReloadAnswer {
  readonly taken: boolean;
  readonly generation: number;
  readonly issues: readonly {
    readonly code: string;
    readonly line: number;
    readonly column: number;
    readonly path: string;
    readonly message: string;
  }[];
}

export interface GatewayStart {
  /** The configuration; `listen` and `admin` are filled in when absent. */
  readonly config: object;
  /** What the filled-in listener says beside port and address: `engine`, `tls`. */
  readonly listener?: object;
  readonly flags?: readonly string[];
  /** `fixed` for a test that writes the port into a configuration of its own; else the gateway
   *  takes any free one and says which. Supervised ones are fixed, for they start again. */
  readonly ports?: 'any' | 'fixed';
  readonly nodeFlags?: readonly string[];
  /** The program and its first arguments, instead of `node dist/sluice.js`. */
  readonly command?: readonly string[];
  /** The folder and the environment it starts in, instead of the test's own. */
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Linux takes the ports of outgoing connections, and those for port 0, from above here. */
const EPHEMERAL_PORT_FIRST = 32_768;
const FREE_PORT_FIRST = 10_240;

/** A port that nobody listens on, and that nobody is given who does not ask for it by number. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FREE_PORT_FIRST + randomInt(EPHEMERAL_PORT_FIRST - FREE_PORT_FIRST);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Starts a gateway and waits until it is ready. */
export async function startGateway(start: GatewayStart): Promise<GatewayProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'));
  const configPath = join(folder, 'sluice.yaml');
  const isFixed = start.ports === 'fixed' || start.flags?.includes('--supervise') === true;
  const [port, adminPort] = isFixed ? [await freePort(), await freePort()] : [0, 0];
  const whole = (config: object) =>
    JSON.stringify({
      listen: [{ port, address: '127.0.0.1', ...start.listener }],
      admin: { port: adminPort, address: '127.0.0.1' },
      workers: { io: 2 },
      log: { access: 'off' },
      ...config,
    });
  writeFileSync(configPath, whole(start.config));
  const program = start.command ?? [process.execPath, ...(start.nodeFlags ?? []), 'dist/sluice.js'];
  const child = spawn(
    program[0]!,
    [...program.slice(1), 'serve', '-c', configPath, ...(start.flags ?? [])],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: start.cwd ?? process.cwd(),
      env: start.env ?? process.env,
    },
  );
  let log = '';
  let output = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  child.stdout!.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  endAtLast(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const gateway: GatewayProcess = {
    get port() {
      return this.ports[0]!;
    },
    get ports() {
      return portsIn(log, 'listening');
    },
    get adminPort() {
      return portsIn(log, 'admin API listening').at(-1)!;
    },
    get url() {
      return `http://127.0.0.1:${this.port}`;
    },
    get adminUrl() {
      return `http://127.0.0.1:${this.adminPort}`;
    },
    configPath,
    child,
    log: () => log,
    output: () => output,
    writeConfig: (config) => writeFileSync(configPath, whole(config)),
    reload: async (config) => {
      writeFileSync(configPath, whole(config));
      const response = await fetch(`${gateway.adminUrl}/reload`, { method: 'POST' });
      return (await response.json()) as ReloadAnswer;
    },
    metrics: async () => (await fetch(`${gateway.adminUrl}/metrics`)).text(),
    rssBytes: () => residentSizeBytes(child.pid!),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      await exited;
      clearTimeout(timer);
      rmSync(folder, { recursive: true, force: true });
      return child.exitCode;
    },
  };
  try {
    const { admin } = JSON.parse(whole(start.config)) as { admin: { token?: string } };
    await untilReady(gateway, admin.token ?? '');
  } catch (error) {
    await gateway.stop();
    throw error;
  }
  return gateway;
}

/** The ports that a gateway says it has. */
function portsIn(log: string, message: string): number[] {
  const lines = log.split('\n').slice(0, -1);
  const said = lines.filter((line) => line.includes(`"message":"${message}"`));
  return said.map((line) => (JSON.parse(line) as { port: number }).port);
}

async function untilReady(gateway: GatewayProcess, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const deadline = AbortSignal.timeout(READY_MS_MAX);
  while (!deadline.aborted) {
    if (gateway.child.exitCode !== null || gateway.child.signalCode !== null) break;
    try {
      const isSaid = gateway.adminPort !== undefined && gateway.port !== undefined;
      if (isSaid && (await fetch(`${gateway.adminUrl}/readyz`, { headers })).ok) return;
    } catch {
      // It does not listen yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`the gateway does not get ready:\n${gateway.log()}`);
}

/** Resident memory of a process. Source: proc(5), /proc/[pid]/status. */
export function residentSizeBytes(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) * 1024;
}
