// Clients of the protocol that mean harm: each is answered, and no other one notices.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../../host/core/index.ts';
import { HranaScene } from '../support/hrana.ts';
import { makeEngine, Rows } from '../support/sql.ts';

const MIB = 1_048_576;

describe('a reply that grows too large', () => {
  const many = (count: number) =>
    `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${count})`;
  let scene: HranaScene;
  beforeEach(async () => {
    scene = await HranaScene.open({ limits: { replySizeBytesMax: 10_000 } });
    await scene.pipeline(['CREATE TABLE t(v)', { type: 'close' }]);
  });
  afterEach(() => scene.close());

  // A row was passed on whole before anyone looked at its size, and SQLite needs no memory for one
  // argument in 1,900 columns: 3 MB of a request became 7 GB of a reply.
  it('by one row is stopped within the row', () => {
    const engine = makeEngine({ limits: { resultSizeBytesMax: 4 * MIB } });
    const db = engine.connect('read-only');
    const sink = new Rows();
    let passedBytes = 0;
    sink.blob = (bytes) => {
      passedBytes += bytes.length;
    };
    const sql = `SELECT ${new Array(1_900).fill('?1').join()}`;
    const statement = { sql, args: [new Uint8Array(MIB)], namedArgs: [], wantRows: true };
    assert.throws(() => db.run(statement, sink), { sqlCode: 'RESPONSE_TOO_LARGE' });
    assert.ok(passedBytes <= 4 * MIB, `${passedBytes} bytes were passed`);
    db.release();
    engine.close();
  });

  // The limit of a result counts values and that of a reply its bytes, which are more: it was
  // looked at when the statement had ended, and so had its commit, of which the client heard an
  // error.
  it('by what JSON makes of it leaves nothing of what RETURNING has written', async () => {
    const insert = `${many(600)} INSERT INTO t SELECT i FROM c RETURNING NULL, NULL`;
    const { results } = await scene.pipeline([insert, 'SELECT 1', { type: 'close' }]);
    assert.equal(results[0].error.code, 'RESPONSE_TOO_LARGE');
    assert.equal(results[1].type, 'ok');
    assert.deepEqual(await scene.rows('SELECT count(*) FROM t'), [['0']]);
  });

  it('ends a cursor with an entry of its own, and no half a row', async () => {
    const steps = [
      { stmt: { sql: 'SELECT 1' } },
      { stmt: { sql: `${many(600)} SELECT i FROM c` } },
    ];
    const { bytes } = await scene.post('cursor', { baton: null, batch: { steps } });
    const entries = new TextDecoder().decode(bytes).trimEnd().split('\n');
    const types = entries.slice(1).map((line) => JSON.parse(line).type);
    assert.deepEqual(types.slice(0, 4), ['step_begin', 'row', 'step_end', 'step_begin']);
    assert.deepEqual(types.slice(-2), ['row', 'error']);
    // Every length leads to the next entry, up to the end.
    const answer = await scene.raw(
      'cursor',
      protobufCursor(`${many(6_000)} SELECT i FROM c`),
      'protobuf',
    );
    const fields: number[] = [];
    for (let at = 0; at < answer.bytes.length; ) {
      const { value, end } = varintAt(answer.bytes, at);
      fields.push(answer.bytes[end]! >> 3);
      at = end + value;
      assert.ok(at <= answer.bytes.length);
    }
    // The head with its baton, the beginning of a step, rows, and an error.
    assert.deepEqual([fields[0], fields[1], fields[2], fields.at(-1)], [1, 1, 4, 5]);
  });
});

describe('a message of very many statements', () => {
  let scene: HranaScene;
  beforeEach(async () => {
    scene = await HranaScene.open();
    await scene.pipeline(['CREATE TABLE t(v)', { type: 'close' }]);
  });
  afterEach(() => scene.close());

  const slow =
    'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) ' +
    'INSERT INTO t SELECT count(*) FROM c';
  const batch = { steps: new Array(200).fill({ stmt: { sql: slow } }) };

  // Each statement has its deadline and 10,000 fit a message, which ran in one turn: 28 hours in
  // which nobody else, with whatever database of the worker, was answered.
  it('lets others have their turn', async () => {
    const order: string[] = [];
    const whole = scene
      .pipeline([{ type: 'batch', batch }, 'SELECT 1', { type: 'close' }])
      .then(({ results }) => {
        order.push('whole');
        const { step_results: steps } = results[0].response.result;
        assert.equal(steps.filter((step: object | null) => step !== null).length, 200);
      });
    const other = scene.pipeline(['SELECT 1', { type: 'close' }]).then(({ results }) => {
      order.push('other');
      assert.equal(results[0].type, 'ok');
    });
    await Promise.all([whole, other]);
    assert.deepEqual(order, ['other', 'whole']);
    assert.deepEqual(await scene.rows('SELECT count(*) FROM t'), [['200']]);
  });

  // It was not heard that the client had gone before the last of them had run.
  it('ends with its client', async () => {
    const socket = scene.socket();
    socket.send({ type: 'hello', jwt: null });
    await socket.ask({ type: 'open_stream', stream_id: 1 });
    socket.post({ type: 'batch', stream_id: 1, batch });
    for (let count = 0; count < 50; count++) {
      socket.post({ type: 'execute', stream_id: 1, stmt: { sql: slow } });
    }
    socket.session.close();
    const [[count]] = (await scene.rows('SELECT count(*) FROM t')) as [[string]];
    assert.ok(Number(count) < 200, `${count} statements ran`);
  });
});

describe('streams that are left open', () => {
  let scene: HranaScene;
  let clock: ManualClock;
  beforeEach(async () => {
    clock = new ManualClock();
    scene = await HranaScene.open({ clock });
    await scene.pipeline(['CREATE TABLE t(v)', { type: 'close' }]);
  });
  afterEach(() => scene.close());

  // A stream kept its place in the order of idleness while it was used by cursors, and the look for
  // idle ones ended at it: one busy client kept the forgotten streams of all others open.
  it('are closed in time, beside one that is used by cursors', async () => {
    const busy = await scene.pipeline(['SELECT 1']);
    const idle = await scene.pipeline(['BEGIN', 'SELECT * FROM t']);
    clock.advance(599_000);
    const steps = [{ stmt: { sql: 'SELECT 1' } }];
    const { bytes } = await scene.post('cursor', { baton: busy.baton, batch: { steps } });
    const [head] = new TextDecoder().decode(bytes).split('\n');
    clock.advance(2_000);
    scene.sessions.sweep();
    assert.equal((await scene.pipeline([], idle.baton)).code, 'STREAM_EXPIRED');
    assert.equal((await scene.pipeline([], JSON.parse(head!).baton)).status, 200);
  });

  // Each holds a connection, of which there are 128: whoever came later was refused for 10 minutes.
  it('in transactions go after 10 s, when others want their connections', async () => {
    const batons: string[] = [];
    for (let count = 0; count < 128; count++) {
      batons.push((await scene.pipeline(['BEGIN', 'SELECT * FROM t'])).baton);
    }
    const refused = await scene.pipeline(['SELECT 1', { type: 'close' }]);
    assert.equal(refused.results[0].error.code, 'SQLITE_BUSY');
    clock.advance(10_001);
    assert.deepEqual(await scene.rows('SELECT 1'), [['1']]);
    assert.equal((await scene.pipeline([], batons[0])).code, 'STREAM_EXPIRED');
    assert.equal((await scene.pipeline([], batons[1])).status, 200);
  });
});

describe('long requests that wait', () => {
  // Their number was bounded, but not their bytes: 1,024 of 16 MiB each fitted one connection.
  it('are refused above a size, and the connection goes on', async () => {
    const scene = await HranaScene.open();
    await scene.pipeline(['CREATE TABLE t(v)', { type: 'close' }]);
    const holder = await scene.pipeline(['BEGIN IMMEDIATE']);
    const socket = scene.socket();
    socket.send({ type: 'hello', jwt: null });
    await socket.ask({ type: 'open_stream', stream_id: 1 });
    const args = [{ type: 'text', value: 'x'.repeat(15 * MIB) }];
    const insert = {
      type: 'execute',
      stream_id: 1,
      stmt: { sql: 'INSERT INTO t VALUES (?)', args },
    };
    const ids = Array.from({ length: 6 }, () => socket.post(insert));
    const codes = () => socket.messages.slice(2).map(({ error }) => error?.code ?? 'ok');
    assert.deepEqual(codes(), ['BLOCKED', 'BLOCKED']);
    await scene.pipeline(['ROLLBACK', { type: 'close' }], holder.baton);
    for (const id of ids) await socket.answer(id);
    assert.deepEqual(codes(), ['BLOCKED', 'BLOCKED', 'ok', 'ok', 'ok', 'ok']);
    assert.equal((await socket.ask(insert)).type, 'response_ok');
    socket.session.close();
    await scene.close();
  });
});

function varintAt(bytes: Uint8Array, from: number): { value: number; end: number } {
  let value = 0;
  let at = from;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, end: at };
  }
}

/** A cursor of one statement. */
function protobufCursor(sql: string): Uint8Array {
  const field = (number: number, content: Uint8Array) =>
    Buffer.concat([
      Buffer.from([(number << 3) | 2, (content.length & 0x7f) | 0x80, content.length >> 7]),
      content,
    ]);
  // CursorReqBody.batch, Batch.steps, BatchStep.stmt, Stmt.sql
  return field(2, field(1, field(2, field(1, Buffer.from(sql)))));
}
