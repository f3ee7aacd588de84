// Ends this process with SIGKILL at a chosen call: before it, in the middle of it or after it. The
// calls are those of node:fs that change files, and the transactions of LMDB, so that no code of
// the product needs a hook. A point is named by its stage, its call and what the call is about.
//
//   recovery write segment      service fold        service trim keep
//      │       │      └ of which file     └ a transaction, by who asked for it
//      │       └ of node:fs
//      └ `recovery` until the process has said what it found, then `service`, then `closing`

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Environment } from '../../host/db/page-store/environment.ts';

export type KillStage = 'recovery' | 'service' | 'closing';
export type KillPhase = 'before' | 'within' | 'after';

export interface KillPlan {
  readonly point: string;
  readonly phase: KillPhase;
  /** The how-manieth call at the point. */
  readonly nth: number;
  /** How late within a call that another thread cuts short. Units: µs. */
  readonly delayUs: number;
}

// biome-ignore lint/suspicious/noExplicitAny: whatever a call of node:fs takes is passed on
type Call = (...values: any[]) => unknown;
type Done = (error: Error | null, value?: unknown) => void;

/** How often each point was passed, by its name. */
export const passed = new Map<string, number>();
let stage: KillStage = 'recovery';
let plan: KillPlan | null = null;
const paths = new Map<number, string>();

export function enterStage(next: KillStage): void {
  stage = next;
}

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** Counts a call; returns in which phase of it the process shall end, if at all. */
function pass(name: string): KillPhase | null {
  const point = `${stage} ${name}`;
  const count = 1 + (passed.get(point) ?? 0);
  passed.set(point, count);
  if (plan?.point !== point || plan.nth !== count) return null;
  if (plan.phase === 'before') end();
  return plan.phase;
}

/** What a file is to its log or its catalog; `made`: of a database that is not there yet. */
function kindOf(path: string): string {
  const made = isMade(path) ? 'made ' : '';
  const name = basename(path);
  if (/^state/.test(name)) return `${made}state`;
  if (/\.segment$/.test(name)) return `${made}segment`;
  if (/\.spare$/.test(name)) return `${made}spare`;
  if (name === 'next.temporary') return `${made}fresh segment`;
  return `${made}folder`;
}

function isMade(path: string): boolean {
  return path.includes('/.temporary/');
}

/** A call with a callback: `half` is what is done of it when the process ends within. */
function answered(name: string, call: Call, half: Call | null = null): Call {
  return (...values) => {
    const phase = pass(name);
    if (phase === null) return call(...values);
    if (phase === 'within') {
      (half ?? call)(...values);
      // While another thread is at it.
      return end();
    }
    const done = values.at(-1) as Done;
    const late: Done = (error, value) => {
      end();
      done(error, value);
    };
    return call(...values.slice(0, -1), late);
  };
}

function patchFiles(): void {
  const real = { ...fs };
  const patched = fs as unknown as Record<string, Call>;
  const about = (name: string, path: string): string => `${name} ${kindOf(path)}`;

  patched.open = (path: string, flags: number | string, mode: number, done: Done) => {
    const opened: Done = (error, fd) => {
      if (error === null) paths.set(fd as number, path);
      done(error, fd);
    };
    const isMaking = typeof flags === 'number' && (flags & fs.constants.O_CREAT) !== 0;
    const call = real.open as Call;
    const making = isMaking ? answered(about('create', path), call) : call;
    return making(path, flags, mode, opened);
  };
  patched.writeSync = (fd: number, bytes: Uint8Array, at: number, count: number, place: number) => {
    const write = real.writeSync as Call;
    const path = paths.get(fd);
    const phase = path === undefined ? null : pass(about('write', path));
    const part = phase === 'within' ? count >> 1 : count;
    const written = write(fd, bytes, at, part, place);
    if (phase !== null) end();
    return written;
  };
  patched.write = (fd: number, bytes: Uint8Array, ...rest: unknown[]) => {
    const [, count, place] = rest as number[];
    const half = () => real.writeSync(fd, bytes, 0, count! >> 1, place!);
    const write = answered(about('write', paths.get(fd) ?? ''), real.write as Call, half);
    return write(fd, bytes, ...rest);
  };
  patched.fdatasync = (fd: number, done: Done) => {
    const sync = answered(about('sync', paths.get(fd) ?? ''), real.fdatasync as Call);
    return sync(fd, done);
  };
  patched.rename = (from: string, to: string, done: Done) => {
    const isTrim = /\.spare$/.test(to) && !isMade(to);
    const name = isTrim ? 'trim keep' : about('rename', to);
    return answered(name, real.rename as Call)(from, to, done);
  };
  // A path within a folder that is removed comes as bytes.
  patched.unlink = (path: string | Buffer, done: Done) => {
    const text = String(path);
    const isTrim = /\.segment$/.test(text) && !isMade(text);
    const name = isTrim ? 'trim drop' : about('unlink', text);
    return answered(name, real.unlink as Call)(path, done);
  };
  patchCatalog();
  syncBuiltinESMExports();
}

/** What the catalog asks for when databases and branches are made and deleted. */
function patchCatalog(): void {
  const promises = fs.promises as unknown as Record<string, Call>;
  for (const name of ['mkdir', 'rename', 'rm']) {
    const original = promises[name]!;
    promises[name] = async (...values) => {
      const phase = pass(`catalog ${name}`);
      const running = original(...values);
      if (phase === 'within') end();
      const result = await running;
      if (phase === 'after') end();
      return result;
    };
  }
}

/** Who asked for a transaction of a page store, by the names on the stack: a fold, where nobody
 *  else did. */
function transactionName(): string {
  const stack = new Error().stack ?? '';
  if (/collectHistory/.test(stack)) return 'collect';
  if (/pinDurably/i.test(stack)) return 'pin';
  return /new LmdbPageStore/.test(stack) ? 'make store' : 'fold';
}

const TRANSACTION = /(fold|collect|pin|make store)$/;

/** Waits on another thread for the word to end the process: a commit of LMDB is one native call. */
const KILLER = `
  const { workerData } = require('node:worker_threads');
  const { word, delayUs } = workerData;
  Atomics.wait(word, 0, 0);
  const until = performance.now() + delayUs / 1000;
  while (performance.now() < until);
  process.kill(process.pid, 'SIGKILL');`;

async function patchTransactions(): Promise<void> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  if (plan?.phase === 'within' && TRANSACTION.test(plan.point)) {
    const workerData = { word, delayUs: plan.delayUs };
    const killer = new Worker(KILLER, { eval: true, workerData });
    await new Promise((resolve) => killer.once('online', resolve));
    killer.unref();
  }
  const original = Environment.prototype.write;
  Environment.prototype.write = function <T>(this: Environment, work: () => T): T {
    const phase = pass(transactionName());
    const result = original.call(this, () => {
      const worked = work();
      if (phase === 'within') {
        // All is written to memory; what follows is the commit.
        Atomics.store(word, 0, 1);
        Atomics.notify(word, 0);
      }
      return worked;
    }) as T;
    if (phase !== null) end();
    return result;
  };
}

/** Makes the calls count, and ends the process where a plan says. */
export async function installKillPoints(wanted: KillPlan | null): Promise<void> {
  plan = wanted;
  await patchTransactions();
  patchFiles();
}
