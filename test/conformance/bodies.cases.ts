// Bodies in both directions: whole, slow, held back, refused early, and bounded in memory.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import {
  bodyOf,
  type Driver,
  headerOf,
  request,
  sleep,
  statuses,
  until,
} from './listener-driver.ts';

const BIG_SIZE_BYTES = 5_000_000;
const big = Buffer.alloc(BIG_SIZE_BYTES);
for (let index = 0; index < BIG_SIZE_BYTES; index++) big[index] = (index * 7 + (index >> 8)) & 0xff;

function chunked(bytes: Uint8Array, partSizeBytes: number): Buffer {
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; offset += partSizeBytes) {
    const part = bytes.subarray(offset, offset + partSizeBytes);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

/** Size and digest of what a chunked body carries. */
function digestOfChunks(text: string): string {
  const raw = Buffer.from(text, 'latin1');
  const hash = createHash('sha256');
  let totalSizeBytes = 0;
  for (let offset = 0; offset < raw.length; ) {
    const mark = raw.indexOf('\r\n', offset);
    const sizeBytes = Number.parseInt(raw.subarray(offset, mark).toString(), 16);
    if (sizeBytes === 0) break;
    hash.update(raw.subarray(mark + 2, mark + 2 + sizeBytes));
    totalSizeBytes += sizeBytes;
    offset = mark + 2 + sizeBytes + 2;
  }
  return `${totalSizeBytes} ${hash.digest('hex')}`;
}

export function bodyCases(driver: () => Driver): void {
  const length = [`Content-Length: ${BIG_SIZE_BYTES}`];
  const encoding = ['Transfer-Encoding: chunked'];
  const expected = `${BIG_SIZE_BYTES} ${createHash('sha256').update(big).digest('hex')}`;

  // A flood of tiny chunks made one turn of the event loop longer than the watchdog waits for a
  // heartbeat, and the process was ended though nothing was stuck.
  it('tells that it gets on while pieces of a body arrive', async () => {
    const before = (await driver().counts()).progressReports;
    const head = request('POST', '/after-body', ['Transfer-Encoding: chunked']);
    const { text } = await driver().raw([`${head}${'1\r\nx\r\n'.repeat(2_000)}0\r\n\r\n`]);
    assert.deepEqual(statuses(text), [200]);
    assert.ok((await driver().counts()).progressReports >= before + 5);
  });

  it('receives large bodies whole, read at once, late or with pauses', async () => {
    for (const target of ['/sum', '/sum-late', '/sum?pauses=8']) {
      const sized = await driver().raw([request('POST', target, length), big], 2_000);
      assert.equal(bodyOf(sized.text).slice(0, expected.length), expected, target);
      const parts = chunked(big, 60_000);
      const unsized = await driver().raw([request('POST', target, encoding), parts], 2_000);
      assert.equal(bodyOf(unsized.text).slice(0, expected.length), expected, target);
    }
  });

  it('receives a body that comes byte by byte', async () => {
    const steps = [...'hello'].flatMap((byte) => [5, byte]);
    const head = request('POST', '/sum', ['Content-Length: 5']);
    const { text } = await driver().raw([head, ...steps]);
    assert.match(bodyOf(text), /^5 2cf24dba/);
  });

  // Each chunk that nobody read yet was an object of its own: taking the first of 87,000 off a list
  // moved all others, and 64 MiB of them would have been gigabytes.
  it('receives a body of one-byte chunks, however late it is read, and echoes it', async () => {
    const small = big.subarray(0, 200_000);
    const close = [...encoding, 'Connection: close'];
    const sum = `${small.length} ${createHash('sha256').update(small).digest('hex')}`;
    const parts = chunked(small, 1);
    for (const target of ['/sum', '/sum-late', '/sum?pauses=8']) {
      const { text } = await driver().raw([request('POST', target, close), parts], 10_000);
      assert.equal(bodyOf(text).slice(0, sum.length), sum, target);
    }
    const { text } = await driver().raw([request('POST', '/echo', encoding), parts], 2_000);
    assert.equal(digestOfChunks(bodyOf(text)), sum);
  });

  it('echoes a body while it comes, whole', async () => {
    const { text } = await driver().raw([request('POST', '/echo', length), big], 2_000);
    assert.equal(digestOfChunks(bodyOf(text)), expected);
  });

  it('holds a client back while nobody reads its body', async () => {
    await driver().events();
    const socket = await driver().connect();
    socket.write(request('POST', '/hold-body', ['Content-Length: 400000000']));
    const part = Buffer.alloc(1_000_000);
    let sentSizeBytes = 0;
    let isStuck = false;
    while (!isStuck && sentSizeBytes < 400_000_000) {
      sentSizeBytes += part.length;
      if (socket.write(part)) continue;
      const drained = new Promise<boolean>((resolve) => socket.once('drain', () => resolve(true)));
      isStuck = !(await Promise.race([drained, sleep(300).then(() => false)]));
    }
    assert.ok(isStuck, 'the client was never held back');
    assert.ok(sentSizeBytes < 40_000_000, `${sentSizeBytes} bytes were taken`);
    socket.destroy();
    await until('the exchange is aborted', async () => (await driver().counts()).active === 0);
  });

  it('stops a plane when the client does not read, and goes on when it does', async () => {
    for (const mode of ['known', 'chunked']) {
      await driver().events();
      const socket = await driver().connect();
      socket.pause();
      socket.write(request('GET', `/big?size=60000000&mode=${mode}`));
      let stoppedAt = 0;
      await until('the plane is told to stop', async () => {
        const [note] = await driver().texts('note');
        stoppedAt = Number(note?.split(' ').at(-1) ?? 0);
        return note !== undefined;
      });
      assert.ok(stoppedAt < 20_000_000, `${mode}: ${stoppedAt} bytes were accepted`);
      let received = 0;
      socket.on('data', (chunk) => {
        received += chunk.length;
      });
      socket.resume();
      await until(`${mode}: all bytes came`, () => received > 60_000_000, 15_000);
      assert.deepEqual(await driver().texts('note'), ['sent all']);
      socket.destroy();
    }
  });

  it('sends what was written last though nothing follows', async () => {
    // uWS keeps its buffer until the next write where a writable handler is set.
    const { text } = await driver().raw([request('GET', '/one-write')], 500);
    assert.ok(bodyOf(text).length > 30_000_000, `${bodyOf(text).length} bytes came`);
  });

  it('closes after a stream for a client that asked', async () => {
    for (const target of ['/big?size=9000000', '/big?size=9000000&mode=known', '/stream-late']) {
      const bytes = request('GET', target, ['Connection: close']);
      // On uWS, chunks that had to wait for the client are given some seconds to leave.
      const { text, isClosed } = await driver().raw([bytes], 10_000);
      assert.deepEqual(statuses(text), [200]);
      assert.ok(isClosed, target);
    }
  });

  it('sends a large whole response without losing a byte', async () => {
    const { text } = await driver().raw([request('GET', '/big-respond?size=9000000')], 1_000);
    assert.equal(headerOf(text, 'content-length'), '9000000');
    assert.equal(bodyOf(text).length, 9_000_000);
  });

  it('keeps the connection after refusing a small body, closes it for a large one', async () => {
    const small = await driver().raw([
      request('POST', '/now?status=413', ['Content-Length: 1000']),
      40,
      'x'.repeat(1000) + request('GET', '/now'),
    ]);
    assert.deepEqual(statuses(small.text), [413, 200]);
    const large = await driver().raw([
      request('POST', '/now?status=413', ['Content-Length: 10000000']),
    ]);
    assert.deepEqual(statuses(large.text), [413]);
    assert.equal(headerOf(large.text, 'connection')?.toLowerCase(), 'close');
    assert.ok(large.isClosed);
  });

  it('keeps the connection when a small body was held and never read', async () => {
    const { text } = await driver().raw([
      request('POST', '/late-unread', ['Content-Length: 6'], 'abc'),
      60,
      `def${request('GET', '/now')}`,
    ]);
    assert.deepEqual(statuses(text), [200, 200]);
  });

  it('keeps the connection when a stream ends before a small body has come', async () => {
    for (const target of ['/known-now', '/stream-now']) {
      const { text } = await driver().raw([
        request('POST', target, ['Content-Length: 6'], 'abc'),
        60,
        `def${request('GET', '/now')}`,
      ]);
      assert.deepEqual(statuses(text), [200, 200], target);
    }
  });

  it('keeps a slow upload alive', async () => {
    // uWS cuts what brings less than 16 KB/s over 10 s, on a timer with a grain of 4 s.
    const steps = Array.from({ length: 15 }, () => [1_000, 'x']).flat();
    const head = request('POST', '/sum', ['Content-Length: 15']);
    const { text } = await driver().raw([head, ...steps]);
    assert.match(bodyOf(text), /^15 /);
  });

  it('ends the connection of a client that closes its half', async () => {
    const socket = await driver().connect();
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.end(request('GET', '/late'));
    await sleep(120);
    socket.destroy();
    assert.deepEqual(statuses(text), []);
  });

  it('answers Expect: 100-continue', async () => {
    const lines = ['Content-Length: 3', 'Expect: 100-continue'];
    const { text } = await driver().raw([request('POST', '/sum', lines), 60, 'abc']);
    assert.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
    const refused = await driver().raw([request('POST', '/now?status=413', lines)]);
    assert.deepEqual(statuses(refused.text), [413]);
    // Node waits until the body is wanted; uWS has said yes before the handler ran.
    assert.equal(refused.text.includes('100 Continue'), driver().engine === 'uws');
  });
}
