// The thread that owns databases: those whose names fall to it. It has no socket; what clients ask
// comes through ports from the io workers, and goes back the same way when it is durable.

import { parentPort, workerData } from 'node:worker_threads';
import { isGatewayError, systemClock } from '../core/index.ts';
import {
  type DatabaseCommand,
  DatabaseService,
  type FollowingEvent,
  ownerOf,
  SESSION_LIMITS,
  Standing,
} from '../db/index.ts';
import { createPostedLog } from '../telemetry/index.ts';
import type { DbWorkerData, FromDbWorker, ToDbWorker } from './messages.ts';
import { beat } from './watchdog.ts';

const STATS_INTERVAL_MS = 1_000;

const data = workerData as DbWorkerData;
const port = parentPort!;

function tell(message: FromDbWorker): void {
  port.postMessage(message);
}

const log = createPostedLog({
  level: data.logLevel,
  clock: systemClock,
  workerIndex: data.workerIndex,
  post: (record) => tell({ kind: 'log', record }),
});

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function startService(): Promise<DatabaseService> {
  const { config, sqlite, codec } = data;
  const { limits } = config;
  return DatabaseService.start({
    folder: config.dir,
    sqlite,
    codec,
    clock: systemClock,
    creates: config.create,
    publicKey: config.publicKey,
    sessionLimits: {
      ...SESSION_LIMITS,
      streamsCountMax: limits.streamsCountMax,
      statementMsMax: limits.statementMsMax,
      idleMsMax: limits.idleMsMax,
      replySizeBytesMax: limits.resultSizeBytesMax,
    },
    databaseLimits: {
      writersWaitingCountMax: limits.queueCountMax,
      transactionMs: limits.transactionMsMax,
      logSizeBytesMax: limits.logSizeBytesMax,
    },
    engineLimits: {
      resultSizeBytesMax: limits.resultSizeBytesMax,
      databaseSizeBytesMax: limits.databaseSizeBytesMax,
    },
    openCountMax: limits.openCountMax,
    storeSizeBytesMax: limits.databaseSizeBytesMax * STORE_SHARE,
    retentionMs: config.retentionMs,
    stateSpacingMs: config.retentionMs / RETAINED_STATES_COUNT,
    report: (database, event) => {
      const { kind } = event;
      if (kind === 'checkpoint') return;
      const error = 'error' in event ? { error: asError(event.error) } : {};
      if (kind === 'log-reopened') log.info('the log is open again', { database });
      else log.error(`a database has a fault: ${kind}`, { database, ...error });
    },
    onStatement: () => beat(data.heartbeats, data.workerIndex),
    replication: {
      standing: new Standing({
        folder: config.dir,
        words: data.standing,
        follow: config.follow,
      }),
      ...config.replication,
    },
    owns: (name) => ownerOf(name, data.heartbeats.length) === data.workerIndex,
    onFollowing: tellOfFollowing,
    onFenced: () => log.error('fenced: another gateway is the primary; nothing is written here'),
    onError: (error) => log.error('a request for a database failed', { error: asError(error) }),
  });
}

function tellOfFollowing(event: FollowingEvent): void {
  const { kind, database } = event;
  switch (kind) {
    case 'fault':
      log.error('following has a fault', { database, error: asError(event.error) });
      return;
    case 'snapshot':
      log.info('a snapshot of the database is fetched', { database, why: event.why });
      return;
    case 'following':
      log.info('the database follows its primary', { database });
      return;
    case 'removed':
      log.info('the primary has no such database any more', { database });
      return;
  }
}

async function turn(service: DatabaseService, id: number): Promise<void> {
  try {
    await service.turn();
    tell({ kind: 'outcome', id, outcome: null });
  } catch (error) {
    log.error('the new standing is not in force', { error: asError(error) });
    tell({ kind: 'refused', id, code: 'GW_INTERNAL', detail: asError(error).message });
  }
}

async function runCommand(
  service: DatabaseService,
  id: number,
  command: DatabaseCommand,
): Promise<void> {
  try {
    const outcome = await service.commands.run(command);
    // Bytes are given away; everything else is copied.
    const given = outcome instanceof Uint8Array ? [outcome.buffer] : [];
    port.postMessage({ kind: 'outcome', id, outcome } satisfies FromDbWorker, given);
  } catch (error) {
    if (isGatewayError(error)) {
      tell({ kind: 'refused', id, code: error.code, detail: error.detail });
      return;
    }
    const { kind, name } = command;
    log.error(`the command ${kind} failed`, { database: name, error: asError(error) });
    tell({ kind: 'refused', id, code: 'GW_INTERNAL', detail: asError(error).message });
  }
}

/** States that the retention keeps, or one more: a page that has changed has a version for each. */
const RETAINED_STATES_COUNT = 4;
/** Old versions of pages beside the newest ones. */
const STORE_SHARE = 2;

async function main(): Promise<void> {
  const service = await startService();
  const interval = setInterval(() => {
    beat(data.heartbeats, data.workerIndex);
    service.sweep();
    tell({ kind: 'stats', stats: service.stats() });
  }, STATS_INTERVAL_MS);
  port.on('message', (message: ToDbWorker) => {
    if (message.kind === 'port') {
      service.attach(message.port);
      return;
    }
    if (message.kind === 'command') {
      void runCommand(service, message.id, message.command);
      return;
    }
    if (message.kind === 'turn') {
      void turn(service, message.id);
      return;
    }
    clearInterval(interval);
    service
      .close()
      .catch((error: unknown) => log.error('databases did not close', { error: asError(error) }))
      .then(() => {
        tell({ kind: 'drained' });
        process.exit(0);
      });
  });
  tell({ kind: 'ready' });
}

void main();
