// Sluice as the database under test: one io worker and one db worker, a folder of its own on the
// same disk as the rival's, and load from the client of this folder.

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bundleProgram } from '../contenders.ts';
import { type StartedProcess, startPinned, waitForPort } from '../process-tree.ts';
import { programPath } from '../programs.ts';
import type { ClientOrder, ClientOutcome } from './client.ts';
import { type Job, NOTE_SQL, ROWS_COUNT, SCHEMA, type Transport } from './jobs.ts';

const execute = promisify(execFile);
/** Of rows in one transaction when the tables are filled. */
const FILL_ROWS_COUNT = 10_000;
const GRACE_MS = 60_000;

export interface Gateway {
  readonly process: StartedProcess;
  readonly url: string;
  readonly adminPort: number;
}

export interface GatewayPorts {
  readonly listen: number;
  readonly admin: number;
}

/** Starts sluice on a core, with the databases that the folder has. Errors: what it says. */
export async function launchGateway(
  folder: string,
  ports: GatewayPorts,
  core: number,
  sluiceCommand: readonly string[],
): Promise<Gateway> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'sluice.yaml');
  writeFileSync(path, configuration(folder, ports));
  const process = startPinned('sluice', core, [...sluiceCommand, 'serve', '-c', path]);
  await waitForPort(process, ports.listen);
  const url = `http://127.0.0.1:${ports.listen}/db/bench/`;
  return { process, url, adminPort: ports.admin };
}

/** Starts sluice on a core and fills a database. Errors: what it says. */
export async function startGateway(
  folder: string,
  ports: GatewayPorts,
  core: number,
  sluiceCommand: readonly string[],
): Promise<Gateway> {
  const gateway = await launchGateway(folder, ports, core, sluiceCommand);
  const { url } = gateway;
  await runSql(url, SCHEMA);
  for (let first = 1; first <= ROWS_COUNT; first += FILL_ROWS_COUNT) {
    const last = first + FILL_ROWS_COUNT - 1;
    await runSql(url, [
      `INSERT INTO items WITH RECURSIVE n(i) AS (VALUES (${first}) UNION ALL SELECT i + 1 FROM n ` +
        `WHERE i < ${last}) SELECT i, i, ${NOTE_SQL} FROM n`,
    ]);
  }
  return gateway;
}

function configuration(folder: string, ports: GatewayPorts): string {
  return [
    `listen: [{ port: ${ports.listen}, address: 127.0.0.1 }]`,
    `admin: { port: ${ports.admin}, address: 127.0.0.1 }`,
    'workers: { io: 1, db: 1, compute: 1 }',
    `db: { dir: ${JSON.stringify(join(folder, 'databases'))}, create: on-first-use }`,
    'routes: [{ match: { path: "/db/{database}/*" }, db: {} }]',
    'log: { access: off, level: warn }',
    '',
  ].join('\n');
}

/** Runs statements over HTTP; the first value of the last result. Errors: what the server says. */
export async function runSql(url: string, statements: readonly string[]): Promise<string> {
  const requests: object[] = statements.map((sql) => ({ type: 'execute', stmt: { sql } }));
  requests.push({ type: 'close' });
  const response = await fetch(new URL('v2/pipeline', url), {
    method: 'POST',
    body: JSON.stringify({ baton: null, requests }),
  });
  const text = await response.text();
  if (!response.ok || text.includes('"type":"error"')) throw new Error(`sluice: ${text}`);
  const { results } = JSON.parse(text) as {
    results: { response: { result?: { rows: { value?: string }[][] } } }[];
  };
  return results.at(-2)?.response.result?.rows[0]?.[0]?.value ?? '';
}

export async function loadGateway(
  gateway: Gateway,
  job: Job,
  load: {
    readonly clients: number;
    readonly durationMs: number;
    readonly core: number;
    readonly transport: Transport;
  },
): Promise<ClientOutcome> {
  const order: ClientOrder = {
    url: gateway.url,
    transport: load.transport,
    sql: job.sql,
    rowsCount: job.drawsRow ? ROWS_COUNT : 0,
    clients: load.clients,
    durationMs: load.durationMs,
  };
  const { stdout, stderr } = await execute(
    programPath('taskset'),
    [
      '-c',
      String(load.core),
      process.execPath,
      bundleProgram('database/client'),
      JSON.stringify(order),
    ],
    { timeout: load.durationMs + GRACE_MS, maxBuffer: 1 << 20 },
  );
  const outcome = JSON.parse(stdout) as ClientOutcome;
  if (outcome.errorCount > 0) {
    throw new Error(`${job.name}: ${outcome.errorCount} errors, the first: ${stderr.trim()}`);
  }
  return outcome;
}
