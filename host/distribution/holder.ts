// A process that holds something in the store, a lock or a lease, told so that others can see
// whether it lives. Processes of another machine cannot be seen; they are taken to live.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { errorCode } from './durable-file.ts';

export interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Of the machine's start: a process id means nothing after the next. */
  readonly bootId: string;
  /** Of the process: ids are given again. */
  readonly startedTicks: string;
  readonly token: string;
}

/** Null for what no holder wrote. */
export function holderOf(text: string): Holder | null {
  try {
    const value: Holder = JSON.parse(text);
    return Number.isSafeInteger(value?.pid) && value.pid > 0 ? value : null;
  } catch {
    return null;
  }
}

/** This process, under a token of the thing that it holds. */
export async function ownHolder(token: string): Promise<Holder> {
  return {
    pid: process.pid,
    host: hostname(),
    bootId: await bootId(),
    startedTicks: await startedTicksOf(process.pid),
    token,
  };
}

export function isOfThisMachine({ host }: Holder): boolean {
  return host === hostname();
}

/** Whether the holder may still be at work. */
export async function mayLive(holder: Holder): Promise<boolean> {
  if (!isOfThisMachine(holder)) return true;
  if (holder.bootId !== (await bootId()) || !isProcess(holder.pid)) return false;
  return holder.startedTicks === (await startedTicksOf(holder.pid));
}

/** Whether a process of this machine has the id. */
export function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** Empty where the system does not say. */
async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
}

/** Field 22 of proc_pid_stat(5); the name in field 2 may hold spaces. Empty where there is none. */
async function startedTicksOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
