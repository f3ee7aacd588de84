// `sluice serve --supervise`: runs the gateway as a child process and starts it again when it ends
// on its own. What cannot be survived inside one process, a stuck thread or a heap that is full,
// is survived here.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { systemClock } from '../core/index.ts';
import { isStandalone } from '../workers/index.ts';

const RESTART_MS_FIRST = 100;
const RESTART_MS_MAX = 10_000;
/** A child that has run for this long starts with no back-off again. */
const SETTLED_MS = 60_000;
/** Exit codes that a restart cannot change: a bad configuration at start, a bad flag. */
const FINAL_CODES: ReadonlySet<number | null> = new Set([0, 2]);

/** Runs until the child ends by order or cannot start at all. Returns its exit code. */
export async function supervise(): Promise<number> {
  let delayMs = RESTART_MS_FIRST;
  let isStopping = false;
  let hasServed = false;
  for (;;) {
    // The channel carries nothing: its end tells the child that this process is gone.
    const startedMs = systemClock.nowMs();
    const child = spawn(process.execPath, childArguments(), {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    const forward = (signal: NodeJS.Signals) => {
      if (signal !== 'SIGHUP') isStopping = true;
      child.kill(signal);
    };
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, forward);
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.off(name, forward);
    if (isStopping || FINAL_CODES.has(code)) return code ?? 1;
    const ranMs = systemClock.nowMs() - startedMs;
    if (code === 1 && !hasServed && ranMs < SETTLED_MS) return 1;
    hasServed = true;
    if (ranMs > SETTLED_MS) delayMs = RESTART_MS_FIRST;
    console.error(
      `sluice: the gateway ended by ${endedBy(code, signal)}; restart in ${delayMs} ms`,
    );
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    delayMs = Math.min(delayMs * 2, RESTART_MS_MAX);
  }
}

function childArguments(): string[] {
  const [, script, ...given] = process.argv;
  // In a standalone binary it is no script but the word that the caller typed for the executable.
  const program = isStandalone() || script === undefined ? [] : [script];
  const own = given.filter((argument) => !/^--supervise(=|$)/.test(argument));
  return [...process.execArgv, ...program, ...own];
}

function endedBy(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === null) return `exit code ${code}`;
  if (signal === 'SIGABRT') return 'SIGABRT (out of memory, or a failure in native code)';
  if (signal === 'SIGKILL') return 'SIGKILL (a stuck worker, or the kernel out of memory)';
  return signal;
}
