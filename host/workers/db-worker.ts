// The thread that owns databases: those whose names fall to it. It has no socket; what clients ask
// comes through ports from the io workers, and goes back the same way when it is durable.

import { parentPort, workerData } from 'node:worker_threads';
import { isGatewayError, systemClock } from '../core/index.ts';
import { type DatabaseCommand, DatabaseService, SESSION_LIMITS } from '../db/index.ts';
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
    onError: (error) => log.error('a request for a database failed', { error: asError(error) }),
  });
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
