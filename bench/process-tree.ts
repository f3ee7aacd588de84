// Child processes of a benchmark: started on one core, asked for their processor time, stopped by
// their own id. Never by name: others on the machine run the same programs.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { programPath } from './programs.ts';

/** The kernel counts processor time in these units, whatever its own tick (proc(5)). */
const TICKS_PER_SECOND = 100;
const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 5_000;
const OUTPUT_SIZE_MAX = 16_384;

/** Ids of the children that run now. */
const alive = new Set<number>();

export interface StartedProcess {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** The end of what it printed. */
  output(): string;
}

/** Starts a program pinned to a core. */
export function startPinned(
  name: string,
  core: number,
  command: readonly string[],
): StartedProcess {
  const child = spawn(programPath('taskset'), ['-c', String(core), ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const keep = (chunk: Buffer) => {
    text = (text + chunk.toString('utf8')).slice(-OUTPUT_SIZE_MAX);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const { pid = 0 } = child;
  if (pid !== 0) alive.add(pid);
  child.on('exit', () => alive.delete(pid));
  child.on('error', (error) => keep(Buffer.from(error.message)));
  // taskset replaces itself by the program, so the child's id is the program's.
  return { name, pid, child, output: () => text };
}

/** Waits until the port takes connections. Errors: the process ended, or took too long. */
export async function waitForPort(process: StartedProcess, port: number): Promise<void> {
  const attempts = READY_MS_MAX / 50;
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (process.child.exitCode !== null || process.pid === 0) {
      throw new Error(`${process.name} ended at once: ${process.output().trim()}`);
    }
    if (await canConnect(port)) return;
    await sleep(50);
  }
  throw new Error(`${process.name} did not listen on ${port} in time: ${process.output().trim()}`);
}

async function canConnect(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Stops a process and waits for its end; kills it when it takes too long. */
export async function stopProcess(process: StartedProcess): Promise<void> {
  const { child } = process;
  if (process.pid === 0 || child.exitCode !== null || child.signalCode !== null) return;
  const descendants = processTree(process.pid).slice(1);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(kill);
  for (const pid of descendants) killIfAlive(pid);
}

/** Ends every process started here and not yet stopped: for a run that is interrupted. */
export function killAllStarted(): void {
  for (const pid of alive) for (const member of processTree(pid)) killIfAlive(member);
}

/** A killed master leaves its workers behind. */
function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Already gone, as it should be.
  }
}

/** The process and all its descendants, itself first. */
export function processTree(pid: number): number[] {
  const found = [pid];
  for (let index = 0; index < found.length; index++) {
    for (const thread of listOrNone(`/proc/${found[index]}/task`)) {
      const children = readOrNone(`/proc/${found[index]}/task/${thread}/children`);
      found.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return found;
}

/** User and system time of the process, all its threads and descendants, those that have ended and
 *  were waited for among them: PostgreSQL has a process for each connection. Units: seconds. */
export function treeCpuSeconds(pid: number): number {
  let ticks = 0;
  for (const member of processTree(pid)) {
    const stat = readOrNone(`/proc/${member}/stat`);
    // The name may hold spaces and brackets: fields are counted from the last bracket (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    for (const field of fields.slice(11, 15)) ticks += Number(field);
  }
  return ticks / TICKS_PER_SECOND;
}

function readOrNone(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function listOrNone(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
