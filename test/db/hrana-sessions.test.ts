// The protocol over a real database: pipelines, batons, batches, cursors, WebSocket connections,
// and what each misuse is answered with.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { HranaScene } from '../support/hrana.ts';

let scene: HranaScene;
beforeEach(async () => {
  scene = await HranaScene.open({ databaseLimits: { writersWaitingCountMax: 2 } });
  await scene.pipeline([
    {
      type: 'sequence',
      sql: 'CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 10)',
    },
    { type: 'close' },
  ]);
});
afterEach(() => scene.close());

const close = { type: 'close' };
const text = (value: string) => ({ type: 'text', value });
const integer = (value: string) => ({ type: 'integer', value });
const execute = (sql: string, ...args: object[]) => ({ type: 'execute', stmt: { sql, args } });

describe('pipelines', () => {
  it('gives values as they are', async () => {
    const args = [
      integer('-9223372036854775808'),
      { type: 'float', value: 0.5 },
      text('é"\\\n\u0000x'),
      { type: 'blob', base64: 'AAH/' },
      { type: 'null' },
    ];
    const sql = 'SELECT ?1 AS a, ?2, ?3, ?4, ?5, 9e999';
    const { results, baton } = await scene.pipeline([execute(sql, ...args), close]);
    assert.equal(baton, null);
    const { result } = results[0].response;
    assert.deepEqual(result.rows, [[...args, { type: 'float', value: Number.POSITIVE_INFINITY }]]);
    assert.equal(result.cols[0].name, 'a');
  });

  it('runs every request, though one fails', async () => {
    const { results } = await scene.pipeline([
      'SELECT',
      'SELECT 1',
      'SELECT 1; SELECT 2',
      '',
      close,
    ]);
    assert.deepEqual(
      results.map(
        (result: { type: string; error?: { code: string } }) => result.error?.code ?? 'ok',
      ),
      ['SQLITE_ERROR', 'ok', 'SQL_MANY_STATEMENTS', 'SQL_NO_STATEMENT', 'ok'],
    );
  });

  it('tells rows changed, row ids and declared types', async () => {
    const { results } = await scene.pipeline([
      execute('INSERT INTO t VALUES (7, ?)', text('x')),
      'SELECT id, v FROM t WHERE id = 7',
      close,
    ]);
    assert.equal(results[0].response.result.affected_row_count, 1);
    assert.equal(results[0].response.result.last_insert_rowid, '7');
    assert.deepEqual(results[1].response.result.cols[0], { name: 'id', decltype: 'INTEGER' });
  });

  it('names wrong arguments', async () => {
    const { results } = await scene.pipeline([
      execute('SELECT ?, ?', integer('1')),
      {
        type: 'execute',
        stmt: { sql: 'SELECT :a', named_args: [{ name: 'b', value: { type: 'null' } }] },
      },
      {
        type: 'execute',
        stmt: { sql: 'SELECT :a', named_args: [{ name: 'a', value: text('v') }] },
      },
      close,
    ]);
    assert.equal(results[0].error.code, 'ARGS_INVALID');
    assert.equal(results[1].error.code, 'ARGS_INVALID');
    assert.deepEqual(results[2].response.result.rows, [[text('v')]]);
  });

  it('keeps stored texts for one stream', async () => {
    const { results } = await scene.pipeline([
      { type: 'store_sql', sql_id: 1, sql: 'SELECT 5' },
      { type: 'execute', stmt: { sql_id: 1 } },
      { type: 'store_sql', sql_id: 1, sql: 'SELECT 6' },
      { type: 'close_sql', sql_id: 1 },
      { type: 'execute', stmt: { sql_id: 1 } },
      close,
    ]);
    assert.deepEqual(results[1].response.result.rows, [[integer('5')]]);
    assert.equal(results[2].error.code, 'SQL_EXISTS');
    assert.equal(results[4].error.code, 'SQL_NOT_FOUND');
  });

  it('describes a statement', async () => {
    const { results } = await scene.pipeline([
      { type: 'describe', sql: 'SELECT id FROM t WHERE v = :v' },
      close,
    ]);
    assert.deepEqual(results[0].response.result, {
      params: [{ name: ':v' }],
      cols: [{ name: 'id', decltype: 'INTEGER' }],
      is_explain: false,
      is_readonly: true,
    });
  });

  it('runs the steps of a batch that are due', async () => {
    const steps = [
      { stmt: { sql: 'INSERT INTO t VALUES (2, 0)' } },
      { condition: { type: 'ok', step: 0 }, stmt: { sql: 'INSERT INTO t VALUES (2, 1)' } },
      { condition: { type: 'ok', step: 1 }, stmt: { sql: 'DELETE FROM t' } },
      { condition: { type: 'error', step: 1 }, stmt: { sql: 'SELECT count(*) FROM t' } },
      {
        condition: {
          type: 'and',
          conds: [{ type: 'is_autocommit' }, { type: 'not', cond: { type: 'ok', step: 2 } }],
        },
        stmt: { sql: 'SELECT 1' },
      },
    ];
    const { results } = await scene.pipeline([{ type: 'batch', batch: { steps } }, close]);
    const { step_results: done, step_errors: errors } = results[0].response.result;
    assert.deepEqual(
      done.map((one: unknown) => one !== null),
      [true, false, false, true, true],
    );
    assert.equal(errors[1].code, 'SQLITE_CONSTRAINT');
    assert.deepEqual([errors[0], errors[2], errors[3]], [null, null, null]);
    assert.deepEqual(done[3].rows, [[integer('2')]]);
  });

  it('refuses what is malformed as a whole', async () => {
    for (const body of [{}, { requests: [{ type: 'fly' }] }, { requests: 1 }, []]) {
      const answer = await scene.post('pipeline', body);
      assert.equal(answer.status, 400);
      assert.equal(answer.json.code, 'PROTOCOL_ERROR');
    }
  });

  it('writes nothing for those who may only read', async () => {
    const { results } = await scene.pipeline(
      ['DELETE FROM t', 'SELECT v FROM t', close],
      null,
      'read-only',
    );
    assert.equal(results[0].error.code, 'SQLITE_READONLY');
    assert.equal(results[1].type, 'ok');
    assert.deepEqual(await scene.rows('SELECT count(*) FROM t'), [['1']]);
  });

  it('answers version 1', async () => {
    const one = await scene.post('execute', { stmt: { sql: 'SELECT 3' } });
    assert.deepEqual(one.json.result.rows, [[integer('3')]]);
    const batch = await scene.post('batch', { batch: { steps: [{ stmt: { sql: 'SELECT 4' } }] } });
    assert.deepEqual(batch.json.result.step_results[0].rows, [[integer('4')]]);
    const bad = await scene.post('execute', { stmt: { sql: 'SELEC' } });
    assert.deepEqual([bad.status, bad.json.code], [400, 'SQLITE_ERROR']);
  });
});

describe('batons', () => {
  it('carry a transaction from request to request, a new one each time', async () => {
    const first = await scene.pipeline(['BEGIN IMMEDIATE', 'UPDATE t SET v = 11']);
    assert.notEqual(first.baton, null);
    const second = await scene.pipeline(['SELECT v FROM t'], first.baton);
    assert.notEqual(second.baton, first.baton);
    assert.deepEqual(second.results[0].response.result.rows, [[integer('11')]]);
    assert.deepEqual(await scene.rows('SELECT v FROM t'), [['10']]);
    const third = await scene.pipeline(['COMMIT', close], second.baton);
    assert.equal(third.baton, null);
    assert.deepEqual(await scene.rows('SELECT v FROM t'), [['11']]);
  });

  it('are good once, and the stream goes on', async () => {
    const first = await scene.pipeline(['BEGIN']);
    const second = await scene.pipeline(['SELECT 1'], first.baton);
    const again = await scene.pipeline(['SELECT 1'], first.baton);
    assert.deepEqual([again.status, again.code], [400, 'BATON_REPLAYED']);
    const third = await scene.pipeline(['COMMIT', close], second.baton);
    assert.equal(third.results[0].type, 'ok');
    const late = await scene.pipeline(['SELECT 1'], second.baton);
    assert.equal(late.code, 'STREAM_EXPIRED');
  });

  it('cannot be made up', async () => {
    const { baton } = await scene.pipeline(['BEGIN']);
    const bytes = Buffer.from(baton, 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const forged = Buffer.from(bytes);
      forged[at]! ^= 1;
      const { code } = await scene.pipeline(['SELECT 1'], forged.toString('base64url'));
      assert.equal(code, 'BATON_INVALID');
    }
    assert.equal((await scene.pipeline(['SELECT 1'], 'x')).code, 'BATON_INVALID');
    assert.equal((await scene.pipeline(['COMMIT', close], baton)).status, 200);
  });

  it('are not good for others: a reader cannot take a writer over', async () => {
    const { baton } = await scene.pipeline(['BEGIN']);
    assert.equal((await scene.pipeline(['SELECT 1'], baton, 'read-only')).status, 403);
  });
});

describe('the writer', () => {
  it('is waited for in order, and refused at once when too many wait', async () => {
    const { baton } = await scene.pipeline(['BEGIN IMMEDIATE', 'UPDATE t SET v = v + 1']);
    const waiting = ['A', 'B'].map((name) =>
      scene.pipeline([`UPDATE t SET v = v || '${name}' RETURNING v`, close]),
    );
    const refused = await scene.pipeline(['UPDATE t SET v = 0', 'SELECT 1', close]);
    assert.equal(refused.results[0].error.code, 'TRANSACTION_BUSY');
    assert.equal(refused.results[1].type, 'ok');
    assert.equal(scene.sessions.refusedCount, 1);
    assert.deepEqual(await scene.rows('SELECT v FROM t'), [['10']]);
    await scene.pipeline(['COMMIT', close], baton);
    const answers = await Promise.all(waiting);
    assert.deepEqual(
      answers.map(({ results }) => results[0].response.result.rows[0][0].value),
      ['11A', '11AB'],
    );
  });

  it('is taken from a transaction that keeps others waiting, and its client is told', async () => {
    await scene.close();
    scene = await HranaScene.open({ databaseLimits: { transactionMs: 50 } });
    await scene.pipeline(['CREATE TABLE t(v)', close]);
    const first = await scene.pipeline(['BEGIN IMMEDIATE', 'INSERT INTO t VALUES (1)']);
    const other = await scene.pipeline(['INSERT INTO t VALUES (2)', close]);
    assert.equal(other.results[0].type, 'ok');
    const second = await scene.pipeline(['INSERT INTO t VALUES (3)', 'COMMIT'], first.baton);
    const codes = second.results.map((one: { error: { code: string } }) => one.error.code);
    assert.deepEqual(codes, ['TRANSACTION_TIMEOUT', 'TRANSACTION_TIMEOUT']);
    const third = await scene.pipeline(['SELECT 1', close], second.baton);
    assert.equal(third.results[0].error.code, 'TRANSACTION_TIMEOUT');
    assert.deepEqual(await scene.rows('SELECT v FROM t'), [['2']]);
  });
});

describe('cursors over HTTP', () => {
  it('give a line for each entry', async () => {
    const steps = [
      { stmt: { sql: 'SELECT 1 AS a UNION SELECT 2' } },
      { stmt: { sql: 'SELECT * FROM nothing' } },
      { stmt: { sql: 'SELECT 3', want_rows: false } },
    ];
    const { bytes } = await scene.post('cursor', { baton: null, batch: { steps } });
    const lines = new TextDecoder()
      .decode(bytes)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(typeof lines[0].baton, 'string');
    assert.deepEqual(
      lines.slice(1).map(({ type }) => type),
      ['step_begin', 'row', 'row', 'step_end', 'step_error', 'step_begin', 'step_end'],
    );
    assert.equal(lines[5].step, 1);
    const { status } = await scene.pipeline([close], lines[0].baton);
    assert.equal(status, 200);
  });
});

describe('a WebSocket connection', () => {
  it('begins with a hello', async () => {
    const socket = scene.socket();
    socket.send({ type: 'request', request_id: 1, request: { type: 'open_stream', stream_id: 1 } });
    assert.equal(socket.ended?.code, 1002);
  });

  it('runs streams beside each other', async () => {
    const socket = scene.socket();
    socket.send({ type: 'hello', jwt: null });
    for (const stream_id of [1, 2]) socket.post({ type: 'open_stream', stream_id });
    const run = (stream_id: number, sql: string) => ({ ...execute(sql), stream_id });
    await socket.ask(run(1, 'BEGIN IMMEDIATE'));
    const waits = socket.post(run(2, "UPDATE t SET v = 'second'"));
    const behind = socket.post(run(2, 'SELECT v FROM t'));
    await socket.ask(run(1, "UPDATE t SET v = 'first'"));
    assert.equal(
      socket.messages.some(({ request_id }) => request_id === waits),
      false,
    );
    await socket.ask(run(1, 'COMMIT'));
    assert.equal((await socket.answer(waits)).type, 'response_ok');
    const { response } = await socket.answer(behind);
    assert.deepEqual(response.result.rows, [[text('second')]]);
  });

  it('answers misuse of ids, each by itself', async () => {
    const socket = scene.socket();
    socket.send({ type: 'hello' });
    const code = async (request: object) => (await socket.ask(request)).error?.code;
    assert.equal(await code({ ...execute('SELECT 1'), stream_id: 5 }), 'STREAM_NOT_FOUND');
    assert.equal(await code({ type: 'open_stream', stream_id: -1 }), undefined);
    assert.equal(await code({ type: 'open_stream', stream_id: -1 }), 'STREAM_EXISTS');
    assert.equal(
      await code({ type: 'fetch_cursor', cursor_id: 0, max_count: 1 }),
      'CURSOR_NOT_FOUND',
    );
    assert.equal(await code({ type: 'describe', stream_id: -1, sql_id: 4 }), 'SQL_NOT_FOUND');
    assert.equal(await code({ type: 'close_stream', stream_id: -1 }), undefined);
    assert.equal(await code({ type: 'close_stream', stream_id: -1 }), undefined);
    assert.equal(socket.ended, null);
  });

  it('fetches a cursor in pieces', async () => {
    const socket = scene.socket();
    socket.send({ type: 'hello' });
    socket.post({ type: 'open_stream', stream_id: 0 });
    const sql =
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n';
    socket.post({
      type: 'open_cursor',
      stream_id: 0,
      cursor_id: 9,
      batch: { steps: [{ stmt: { sql } }] },
    });
    const types: string[] = [];
    for (let isDone = false; !isDone; ) {
      const { response } = await socket.ask({ type: 'fetch_cursor', cursor_id: 9, max_count: 3 });
      types.push(...response.entries.map(({ type }: { type: string }) => type));
      isDone = response.done;
    }
    assert.deepEqual(types, ['step_begin', 'row', 'row', 'row', 'row', 'row', 'step_end']);
    assert.equal((await socket.ask({ type: 'close_cursor', cursor_id: 9 })).type, 'response_ok');
  });

  it('gives up its transaction when it closes', async () => {
    const socket = scene.socket();
    socket.send({ type: 'hello' });
    socket.post({ type: 'open_stream', stream_id: 0 });
    await socket.ask({ ...execute('BEGIN IMMEDIATE'), stream_id: 0 });
    const other = scene.socket();
    other.send({ type: 'hello' });
    other.post({ type: 'open_stream', stream_id: 0 });
    // One that waits and leaves is not answered, and holds nobody up.
    other.post({ ...execute('UPDATE t SET v = 99'), stream_id: 0 });
    other.session.close();
    const waits = scene.pipeline(['UPDATE t SET v = 12', close]);
    socket.session.close();
    assert.equal((await waits).results[0].type, 'ok');
    assert.deepEqual(await scene.rows('SELECT v FROM t'), [['12']]);
    assert.equal(scene.sessions.streamCount, 0);
  });

  it('knows which version had what', async () => {
    const first = scene.socket(1);
    first.send({ type: 'hello', jwt: null });
    const { error } = await first.ask({ type: 'describe', stream_id: 0, sql: 'SELECT 1' });
    assert.equal(error.code, 'PROTOCOL_ERROR');
    first.send({ type: 'hello', jwt: null });
    assert.equal(first.ended?.code, 1002);
  });

  it('is closed by what is no message', async () => {
    for (const bytes of [
      '',
      '{',
      '[]',
      '{"type":"x"}',
      '{"type":"request","request_id":1}',
      '\xff',
    ]) {
      const socket = scene.socket();
      socket.send({ type: 'hello' });
      socket.session.message(Buffer.from(bytes, 'latin1'), 'text');
      assert.equal(socket.ended?.code, 1002, bytes);
    }
    const socket = scene.socket();
    socket.session.message(Buffer.from('{}'), 'binary');
    assert.equal(socket.ended?.code, 1003);
    assert.equal(scene.sessions.socketCount, 0);
  });
});
