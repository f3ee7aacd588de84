// What request bodies hold in a worker's memory is counted wherever it stands, given back at every
// end, and refused beyond the bound; uploads that flow are not concerned.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  STREAM_BUFFER_SIZE_BYTES_MAX,
  UPLOAD_PIECE_SIZE_BYTES,
  UPLOADS_HELD_SIZE_BYTES_MAX,
  UploadBudget,
} from '../../host/core/index.ts';
import {
  makePool,
  okResponse,
  type RawServer,
  rawServer,
  sendRecorded,
  until,
} from '../support/upstream.ts';

const UPLOAD = { method: 'POST', bodySizeBytes: 1_073_741_824 };
const PIECE = Buffer.alloc(524_288);
const PIECE_COST = PIECE.length + UPLOAD_PIECE_SIZE_BYTES;

function scene(server: RawServer, connectionsMax = 1) {
  const uploadBudget = new UploadBudget();
  const pool = makePool({ port: server.port, connectionsMax, pendingMax: 4_096, uploadBudget });
  const stop = async () => {
    pool.close();
    await server.stop();
  };
  return { uploadBudget, pool, stop };
}

/** One upload on its way to an upstream that has stopped reading; nothing of it is held yet. */
async function stalledUpload() {
  const server = await rawServer(() => {});
  const { uploadBudget, pool, stop } = scene(server);
  const { call, recorder } = sendRecorded(pool, UPLOAD);
  await until(() => server.received[0] !== undefined && server.received[0] !== '');
  server.accepted[0]!.pause();
  assert.equal(uploadBudget.heldSizeBytes, 0);
  return { uploadBudget, call, recorder, server, stop };
}

describe('the bytes that uploads hold', { timeout: 30_000 }, () => {
  it('are counted while they wait for a connection, and given back at the end', async () => {
    const { uploadBudget, pool, stop } = scene(await rawServer(() => {}));
    const calls = Array.from({ length: 8 }, () => sendRecorded(pool, UPLOAD).call);
    for (const call of calls) assert.equal(call.write(PIECE), false);
    assert.equal(uploadBudget.heldSizeBytes, 8 * PIECE_COST);
    for (const call of calls) call.cancel();
    assert.equal(uploadBudget.heldSizeBytes, 0);
    await stop();
  });

  it('are counted in the socket of an upstream that does not read', async () => {
    const { uploadBudget, call, recorder, server, stop } = await stalledUpload();
    while (call.write(PIECE));
    assert.ok(uploadBudget.heldSizeBytes > STREAM_BUFFER_SIZE_BYTES_MAX);
    server.accepted[0]!.resume();
    await until(() => recorder.drainsCount === 1);
    assert.equal(uploadBudget.heldSizeBytes, 0);
    server.accepted[0]!.pause();
    while (call.write(PIECE));
    assert.ok(uploadBudget.heldSizeBytes > 0);
    call.cancel();
    assert.equal(uploadBudget.heldSizeBytes, 0);
    await stop();
  });

  // Nothing bounded them together: each stalled upload held half a MiB and more, and there could be
  // as many as the pools have places.
  it('stay below the bound however many stall, and the excess is refused', async () => {
    const { uploadBudget, pool, stop } = scene(await rawServer(() => {}));
    const calls = Array.from({ length: 400 }, () => sendRecorded(pool, UPLOAD));
    for (const { call } of calls) call.write(PIECE);
    const refused = calls.filter(({ recorder }) => recorder.error !== null);
    const kept = Math.floor(UPLOADS_HELD_SIZE_BYTES_MAX / PIECE_COST);
    assert.equal(calls.length - refused.length, kept);
    assert.ok(uploadBudget.heldSizeBytes <= UPLOADS_HELD_SIZE_BYTES_MAX);
    for (const { recorder } of refused) {
      assert.equal(recorder.error!.code, 'GW_OVERLOADED');
      assert.match(recorder.error!.detail, /wait in this worker, the limit is 134217728$/);
    }
    for (const { call } of calls) call.cancel();
    assert.equal(uploadBudget.heldSizeBytes, 0);
    await stop();
  });

  it('are refused in the socket, too, when the bound is reached elsewhere', async () => {
    const { uploadBudget, call, recorder, stop } = await stalledUpload();
    uploadBudget.change(UPLOADS_HELD_SIZE_BYTES_MAX);
    while (!recorder.isOver) call.write(PIECE);
    assert.equal(recorder.error!.code, 'GW_OVERLOADED');
    assert.equal(uploadBudget.heldSizeBytes, UPLOADS_HELD_SIZE_BYTES_MAX);
    await stop();
  });

  it('do not concern an upload that flows', async () => {
    const server = await rawServer((socket, text) => {
      if (text.endsWith('the end')) socket.write(okResponse('taken'));
    });
    const { uploadBudget, pool, stop } = scene(server);
    uploadBudget.change(UPLOADS_HELD_SIZE_BYTES_MAX + 1);
    const { call, recorder } = sendRecorded(pool, { method: 'POST', bodySizeBytes: 1_007 });
    await until(() => server.received[0] !== undefined && server.received[0] !== '');
    for (let count = 0; count < 100; count++) call.write(Buffer.alloc(10));
    call.write(Buffer.from('the end'));
    call.end();
    assert.equal((await recorder.over).text, 'taken');
    await stop();
  });

  // A client that sends chunks of one byte made the gateway hold a hundred times what was counted.
  it('count what each piece costs, and tiny ones flow on after a stall', async () => {
    const { uploadBudget, call, recorder, server, stop } = await stalledUpload();
    while (call.write(PIECE));
    server.accepted[0]!.resume();
    await until(() => recorder.drainsCount === 1);
    server.accepted[0]!.pause();
    while (call.write(PIECE));
    const before = uploadBudget.heldSizeBytes;
    for (let count = 0; count < 1_000; count++) call.write(Buffer.alloc(1));
    await new Promise((resolve) => setImmediate(resolve));
    // Those of one turn of the event loop are one piece; the kernel may have taken an older one.
    assert.ok(uploadBudget.heldSizeBytes - before <= 1_000 + UPLOAD_PIECE_SIZE_BYTES);
    server.accepted[0]!.resume();
    await until(() => recorder.drainsCount === 2);
    await until(() => uploadBudget.heldSizeBytes === 0);
    call.cancel();
    await stop();
  });
});

describe('a connection that is closed while it takes a request', { timeout: 30_000 }, () => {
  // It was put among the idle ones; the next request was written to a dead socket and never
  // answered.
  it('is not kept for the next', async () => {
    const server = await rawServer((socket) => socket.write(okResponse('fine')));
    const { pool, stop } = scene(server);
    const { call, recorder } = sendRecorded(pool, UPLOAD);
    call.write(Buffer.from('first'));
    recorder.onDrainHook = () => call.cancel();
    await until(() => recorder.drainsCount === 1);
    assert.equal(pool.idleCount, 0);
    assert.equal((await sendRecorded(pool).recorder.over).text, 'fine');
    await stop();
  });
});
