// Streams share connections statement by statement: what a client may ask of its own statements is
// its own all the same, and what it would miss on another connection keeps its connection.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { HranaScene, type SocketScene } from '../support/hrana.ts';

let scene: HranaScene;
let socket: SocketScene;
const STREAMS_COUNT = 150;

beforeEach(async () => {
  scene = await HranaScene.open();
  socket = scene.socket();
  socket.send({ type: 'hello', jwt: null });
  for (let stream = 0; stream < STREAMS_COUNT; stream++) {
    socket.post({ type: 'open_stream', stream_id: stream });
  }
  await run(0, 'CREATE TABLE t(id INTEGER PRIMARY KEY, v)');
});
afterEach(() => scene.close());

/** The rows of a statement on a stream. */
async function run(stream: number, sql: string): Promise<unknown[][]> {
  const answer = await socket.ask({ type: 'execute', stream_id: stream, stmt: { sql } });
  assert.equal(answer.type, 'response_ok', JSON.stringify(answer));
  return answer.response.result.rows.map((row: { value?: unknown }[]) =>
    row.map((value) => value.value ?? null),
  );
}

const counters = (stream: number) =>
  run(stream, 'SELECT changes(), total_changes(), last_insert_rowid()').then((rows) => rows[0]);

describe('streams that share connections', () => {
  it('hold none between statements, however many they are', async () => {
    for (let stream = 0; stream < STREAMS_COUNT; stream++) {
      await run(stream, `INSERT INTO t VALUES (${stream}, 'x')`);
    }
    assert.deepEqual(await run(1, 'SELECT count(*) FROM t'), [[String(STREAMS_COUNT)]]);
    assert.equal(scene.database.stats.connectionsCount, 0);
  });

  it('count their own changes and row ids', async () => {
    await run(1, "INSERT INTO t VALUES (10, 'a'), (11, 'b')");
    await run(2, "INSERT INTO t VALUES (20, 'a')");
    await run(3, 'UPDATE t SET v = 0');
    await run(4, 'SELECT 1');
    assert.deepEqual(await counters(1), ['2', '2', '11']);
    assert.deepEqual(await counters(2), ['1', '1', '20']);
    assert.deepEqual(await counters(3), ['3', '3', '0']);
    assert.deepEqual(await counters(4), ['0', '0', '0']);
    await run(1, "INSERT INTO t VALUES (12, 'c')");
    assert.deepEqual(await counters(1), ['1', '3', '12']);
  });

  it('count as SQLite does what changes no row, and what changes no rows at all', async () => {
    await run(1, "INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    await run(2, 'UPDATE t SET v = 0 WHERE id = 99');
    await run(1, 'CREATE TABLE other(id)');
    await run(2, 'DELETE FROM t WHERE id = 99');
    assert.deepEqual(await counters(1), ['2', '2', '2']);
    assert.deepEqual(await counters(2), ['0', '0', '0']);
    await run(3, 'DELETE FROM t');
    await run(4, 'DELETE FROM t');
    await run(3, 'DROP TABLE other');
    assert.deepEqual(await counters(4), ['0', '0', '0']);
    assert.deepEqual(await counters(3), ['2', '2', '0']);
  });

  it('tell a trigger the changes of its own client', async () => {
    await run(0, 'CREATE TABLE seen(n)');
    await run(
      0,
      'CREATE TRIGGER look AFTER DELETE ON t BEGIN INSERT INTO seen VALUES (changes()); END',
    );
    await run(1, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    await run(2, "INSERT INTO t VALUES (4, 'd')");
    await run(2, 'UPDATE t SET v = 0');
    await run(1, 'DELETE FROM t WHERE id = 1');
    assert.deepEqual(await run(3, 'SELECT n FROM seen'), [['3']]);
  });

  it('compare versions of the data on a connection of their own', async () => {
    const version = (stream: number) => run(stream, 'PRAGMA data_version').then((rows) => rows[0]);
    const first = await version(1);
    assert.deepEqual(await version(1), first);
    await run(1, "INSERT INTO t VALUES (1, 'own')");
    assert.deepEqual(await version(1), first);
    await run(2, "INSERT INTO t VALUES (2, 'of another')");
    assert.notDeepEqual(await version(1), first);
  });

  it('keep temporary tables and settings', async () => {
    await run(1, 'CREATE TEMP TABLE mine(v)');
    await run(1, 'INSERT INTO mine VALUES (7)');
    await run(2, 'PRAGMA foreign_keys = off');
    await run(3, 'SELECT 1');
    assert.deepEqual(await run(1, 'SELECT v FROM mine'), [['7']]);
    assert.deepEqual(await run(2, 'PRAGMA foreign_keys'), [['0']]);
    assert.deepEqual(await run(3, 'PRAGMA foreign_keys'), [['1']]);
    assert.equal(scene.database.stats.connectionsCount, 2);
  });

  it('give a connection back that has waited for the writer in vain', async () => {
    await scene.close();
    scene = await HranaScene.open({ databaseLimits: { writersWaitingCountMax: 0 } });
    socket = scene.socket();
    socket.send({ type: 'hello', jwt: null });
    for (const stream_id of [0, 1]) socket.post({ type: 'open_stream', stream_id });
    await run(0, 'CREATE TABLE t(v)');
    await run(0, 'BEGIN IMMEDIATE');
    const stmt = { sql: 'INSERT INTO t VALUES (1)' };
    const refused = await socket.ask({ type: 'execute', stream_id: 1, stmt });
    assert.equal(refused.error.code, 'TRANSACTION_BUSY');
    assert.equal(scene.database.stats.connectionsCount, 1);
  });
});

describe('answers that wait together', () => {
  it('are each their own, short after long', async () => {
    const long = 'x'.repeat(40_000);
    for (let round = 0; round < 3; round++) {
      const asked: [number, string][] = [];
      for (let stream = 0; stream < STREAMS_COUNT; stream++) {
        const value = stream % 7 === 0 ? `${long}${round}` : `${stream}-${round}`;
        const sql = `REPLACE INTO t VALUES (${stream}, '${value}') RETURNING v`;
        asked.push([socket.post({ type: 'execute', stream_id: stream, stmt: { sql } }), value]);
      }
      for (const [requestId, value] of asked) {
        const { response } = await socket.answer(requestId);
        assert.deepEqual(response.result.rows, [[{ type: 'text', value }]]);
      }
    }
  });
});

// The entries were sent before the commit that they show was durable: the statement had run in the
// request before, and fetching runs none.
describe('the entries of a cursor', () => {
  it('are not told before what they show is durable', async () => {
    const stmt = { sql: "INSERT INTO t VALUES (1, 'new') RETURNING v" };
    const batch = { steps: [{ stmt }] };
    socket.post({ type: 'open_cursor', stream_id: 1, cursor_id: 5, batch });
    const fetching = socket.post({ type: 'fetch_cursor', cursor_id: 5, max_count: 10 });
    const { lsn, durableLsn } = scene.database.stats;
    assert.ok(lsn > durableLsn);
    assert.equal(
      socket.messages.some(({ request_id }) => request_id === fetching),
      false,
    );
    const { response } = await socket.answer(fetching);
    assert.equal(response.entries.length, 3);
    assert.ok(scene.database.durableLsn >= lsn);
  });
});
