// `sluice serve --supervise`: runs the gateway as a child process and starts it again when it ends
// on its own. What cannot be survived inside one process, a stuck thread or a heap that is full,
// is survived here.

import { type ChildProcess, spawn } from 'node:child_process';
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
  const orders = new Orders();
  let delayMs = RESTART_MS_FIRST;
  let hasServed = false;
  for (;;) {
    // The channel carries nothing: its end tells the child that this process is gone.
    const startedMs = systemClock.nowMs();
    const child = spawn(process.execPath, childArguments(), {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    orders.child = child;
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    orders.child = null;
    if (orders.isStopping || FINAL_CODES.has(code)) return code ?? 1;
    const ranMs = systemClock.nowMs() - startedMs;
    if (code === 1 && !hasServed && ranMs < SETTLED_MS) return 1;
    hasServed = true;
    if (ranMs > SETTLED_MS) delayMs = RESTART_MS_FIRST;
    console.error(
      `sluice: the gateway ended by ${endedBy(code, signal)}; restart in ${delayMs} ms`,
    );
    await orders.pause(delayMs);
    if (orders.isStopping) return code ?? 1;
    delayMs = Math.min(delayMs * 2, RESTART_MS_MAX);
  }
}

/** Signals on their way to the child. They are caught for as long as the supervisor lives: between
 *  two children SIGHUP is for the next one, which reads the file anyway. */
class Orders {
  child: ChildProcess | null = null;
  isStopping = false;
  #wake: () => void = () => {};

  constructor() {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.on(name, () => {
        if (name !== 'SIGHUP') this.isStopping = true;
        this.child?.kill(name);
        if (this.isStopping) this.#wake();
      });
    }
  }

  /** Waits, or until an order to stop. */
  async pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
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
