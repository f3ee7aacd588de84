// `sluice serve`: runs a gateway until it is told to stop.

import { type AdminServer, createAdminServer } from '../admin/index.ts';
import { formatIssue } from '../config/index.ts';
import { DRAIN_TIMEOUT_MS, isGatewayError, parseDurationMs, systemClock } from '../core/index.ts';
import { createProcessLog, type Log } from '../telemetry/index.ts';
import { ConfigRefused, errorCount, Gateway } from '../workers/index.ts';
import { AdminView } from './admin-view.ts';
import { badFlag } from './flags.ts';
import { supervise } from './supervise.ts';

const STDERR_FD = 2;

export interface ServeFlags {
  readonly config: string;
  readonly supervise: boolean;
  readonly drainTimeout: string;
}

/** Runs until SIGTERM or SIGINT. Returns the exit code: 0 after a drain, 1 when it cannot start. */
export async function serveCommand(flags: ServeFlags): Promise<number> {
  const drainTimeoutMs = parseDurationMs(flags.drainTimeout);
  if (drainTimeoutMs === null) return badFlag('--drain-timeout', flags.drainTimeout, 'such as 30s');
  if (flags.supervise) return supervise();
  const log = createProcessLog({ level: 'info', clock: systemClock, fd: STDERR_FD });
  const stop = new StopRequest();
  const hangUp = new HangUp();
  let gateway: Gateway;
  let admin: AdminServer;
  try {
    const options = { configPath: flags.config, clock: systemClock, log };
    gateway = await Gateway.start({ ...options, onFatal: endNow });
    const onDrain = () => stop.ask('POST /drain');
    admin = await startAdmin(gateway, new AdminView(gateway, { ...options, onDrain }), log);
  } catch (error) {
    reportFailure(error);
    return 1;
  }
  // A refused reload has been logged and changes nothing.
  hangUp.serve(() => void gateway.reloadFromFile('SIGHUP').catch(() => {}));
  const cause = await stop.asked;
  const inFlight = gateway.inFlightCount();
  log.info('draining', { cause, inFlight, drainTimeoutMs });
  stop.hurry((again) => {
    log.warn('a second signal ends the drain', { cause: again });
    gateway.hurry();
  });
  const drainStartedMs = systemClock.nowMs();
  let abandoned = 0;
  try {
    abandoned = await gateway.stop(drainTimeoutMs);
  } catch (error) {
    reportFailure(error);
    endNow();
  }
  await admin.close();
  if (abandoned > 0) log.warn('exchanges were cut off by the end of the drain', { abandoned });
  log.info('stopped', { abandoned, drainedMs: Math.round(systemClock.nowMs() - drainStartedMs) });
  log.flush();
  return 0;
}

/** Serves the admin API; without it the gateway is stopped again, for nobody could watch it. */
async function startAdmin(gateway: Gateway, view: AdminView, log: Log): Promise<AdminServer> {
  const admin = createAdminServer(view.deps());
  const { port, address } = gateway.snapshot.admin;
  try {
    const taken = await admin.listen(port, address);
    log.info('admin API listening', { address, port: taken });
    await gateway.databases?.announce(adminUrlOf(address, taken)).catch((error: Error) => {
      log.warn('commands of this machine do not find the admin API by themselves', { error });
    });
  } catch (error) {
    await gateway.stop(0);
    throw error;
  }
  return admin;
}

/** As it is reached from this machine. */
function adminUrlOf(address: string, port: number): string {
  const anywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const host = anywhere[address] ?? address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export const DRAIN_TIMEOUT_FLAG = `${DRAIN_TIMEOUT_MS / 1000}s`;

/** SIGHUP, caught from the first moment on: without a handler it would end a gateway that is still
 *  starting. */
class HangUp {
  #reload: (() => void) | null = null;
  #isAsked = false;

  constructor() {
    process.on('SIGHUP', () => {
      this.#isAsked = true;
      this.#reload?.();
    });
  }

  /** Reloads from now on, and at once if the signal has come already. */
  serve(reload: () => void): void {
    this.#reload = reload;
    if (this.#isAsked) reload();
  }
}

/** A signal that comes this soon after the first is the same order: Ctrl-C in a terminal reaches
 *  the gateway and whoever started it, and that one passes it on. */
const SAME_ORDER_MS = 1_000;

/** The order to stop: a signal, or the admin API. A second signal means at once. */
class StopRequest {
  readonly asked: Promise<string>;
  #begin: (cause: string) => void = () => {};
  #askedMs: number | null = null;
  #hurry: (cause: string) => void = () => {};

  constructor() {
    this.asked = new Promise((resolve) => {
      this.#begin = resolve;
    });
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => this.#signal(name));
    // A supervisor that was killed could not pass a signal on.
    process.once('disconnect', () => this.ask('the supervisor is gone'));
    process.channel?.unref();
  }

  ask(cause: string): void {
    this.#askedMs ??= systemClock.nowMs();
    this.#begin(cause);
  }

  /** What a second signal does. */
  hurry(hurry: (cause: string) => void): void {
    this.#hurry = hurry;
  }

  #signal(cause: string): void {
    const isSecond = this.#askedMs !== null;
    if (!isSecond) this.ask(cause);
    else if (systemClock.nowMs() - this.#askedMs! > SAME_ORDER_MS) this.#hurry(cause);
  }
}

function reportFailure(error: unknown): void {
  if (error instanceof ConfigRefused) {
    for (const issue of error.issues) console.error(formatIssue(issue));
    console.error(`${errorCount(error.issues)}; nothing was started`);
  } else if (isGatewayError(error)) {
    console.error(`${error.message} (${error.code}, reason ${error.reason})`);
  } else {
    console.error(error);
  }
}

/** Ends the process without unwinding: a stuck thread cannot close its listener, and node's own
 *  exit would wait for it. The reason has been logged; a supervisor starts the process again. */
function endNow(): void {
  process.kill(process.pid, 'SIGKILL');
}
