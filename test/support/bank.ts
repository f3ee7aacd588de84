// Clients that move money between accounts of one database, and what must be true of it whenever it
// is looked at: none is made or lost, and what was acknowledged has happened.

import assert from 'node:assert/strict';
import type { SeededRandom } from '../../host/core/index.ts';
import type { Database } from '../../host/db/database.ts';
import type { Connection } from '../../host/db/engine/index.ts';
import { isSqlError } from '../../host/db/sql-error.ts';
import { durable } from './database.ts';
import { rows, run } from './sql.ts';

export const ACCOUNTS_COUNT = 20;
const START_BALANCE = 1_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Whether the accounts have been made. */
export function hasBank(database: Database): boolean {
  const connection = database.connect('read-only');
  const found = rows(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'account'");
  connection.release();
  return found.length > 0;
}

/** Makes the accounts where there are none. */
export async function openBank(database: Database): Promise<void> {
  const isThere = hasBank(database);
  const connection = database.connect('read-write');
  if (!isThere) {
    connection.runSequence(
      `BEGIN;
       CREATE TABLE account(id INTEGER PRIMARY KEY, balance INT NOT NULL CHECK (balance >= 0));
       CREATE TABLE transfer(id INTEGER PRIMARY KEY, source INT, target INT, amount INT, note TEXT);
       CREATE INDEX transfer_source ON transfer(source, amount);
       WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${ACCOUNTS_COUNT})
         INSERT INTO account SELECT i, ${START_BALANCE} FROM n;
       COMMIT;`,
    );
  }
  const { seenLsn } = connection;
  connection.release();
  await durable(database, seenLsn);
}

export interface Transfer {
  readonly id: number;
  readonly random: SeededRandom;
}

/** Moves money; resolves when it is durable. Errors: SqlError where it did not happen, or nobody
 *  knows. */
export async function transfer(database: Database, { id, random }: Transfer): Promise<void> {
  const source = 1 + (random.uint32() % ACCOUNTS_COUNT);
  const target = 1 + ((source + (random.uint32() % (ACCOUNTS_COUNT - 1))) % ACCOUNTS_COUNT);
  const amount = BigInt(1 + (random.uint32() % 20));
  const note = 'x'.repeat(random.unit() < 0.1 ? random.uint32() % 6_000 : random.uint32() % 40);
  const connection = database.connect('read-write');
  try {
    await begin(database, connection);
    // Others see nothing of it while it is under way.
    const pause = random.unit() < 0.2 ? turn : null;
    run(
      connection,
      'UPDATE account SET balance = balance - ? WHERE id = ?',
      amount,
      BigInt(source),
    );
    await pause?.();
    run(
      connection,
      'UPDATE account SET balance = balance + ? WHERE id = ?',
      amount,
      BigInt(target),
    );
    run(
      connection,
      'INSERT INTO transfer VALUES (?, ?, ?, ?, ?)',
      ...[BigInt(id), BigInt(source), BigInt(target), amount, note],
    );
    await pause?.();
    run(connection, 'COMMIT');
    await durable(database, connection.seenLsn);
  } finally {
    connection.release();
  }
}

/** Begins to write, as soon as nobody else does. */
async function begin(database: Database, connection: Connection): Promise<void> {
  while (true) {
    try {
      run(connection, 'BEGIN IMMEDIATE');
      return;
    } catch (error) {
      if (!isSqlError(error) || error.code !== 'DB_BUSY') throw error;
    }
    await new Promise<void>((resolve, reject) => {
      database.whenWriterFree(connection, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** Holds the bank against its rules; returns the transfers that have happened. */
export function auditBank(database: Database): Set<number> {
  const connection = database.connect('read-only');
  const total = BigInt(ACCOUNTS_COUNT * START_BALANCE);
  assert.deepEqual(rows(connection, 'SELECT sum(balance) FROM account'), [[total]]);
  const wrong = rows(
    connection,
    `SELECT id FROM account AS a WHERE balance <> ${START_BALANCE}
       + (SELECT coalesce(sum(amount), 0) FROM transfer WHERE target = a.id)
       - (SELECT coalesce(sum(amount), 0) FROM transfer WHERE source = a.id)`,
  );
  assert.deepEqual(wrong, [], 'accounts that are not what their transfers made');
  assert.deepEqual(rows(connection, 'PRAGMA integrity_check'), [['ok']]);
  const ids = rows(connection, 'SELECT id FROM transfer').map(([id]) => Number(id));
  connection.release();
  return new Set(ids);
}
