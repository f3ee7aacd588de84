// A chunked answer on uWS, with a stand-in that keeps a cork as uWS does: what does not fit it goes
// around it, and is lost when the socket has just no room for what the cork holds.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BODY_SIZE_UNKNOWN } from '../../host/core/index.ts';
import { UploadWatch } from '../../host/edge/upload-watch.ts';
import type { UwsHost, UwsResponse } from '../../host/edge/uws-native.ts';
import { UwsStream } from '../../host/edge/uws-stream.ts';

const CORK_SIZE_BYTES = 16_384;
/** `\r\n`, up to eight digits, `\r\n`. */
const SIZE_LINE_SIZE_BYTES = 12;
/** uWS's mark, date and `transfer-encoding: chunked`. */
const OWN_HEADERS_SIZE_BYTES = 160;

function scene(headLines: string) {
  const pieces: Buffer[] = [];
  let corkedSizeBytes = 0;
  let writes = 0;
  let refusedWrite = -1;
  let onWritable: (offset: number) => boolean = () => true;
  const hold = (sizeBytes: number) => {
    corkedSizeBytes += sizeBytes;
    assert.ok(corkedSizeBytes <= CORK_SIZE_BYTES, `${corkedSizeBytes} bytes in one cork`);
  };
  const res = {
    cork(callback: () => void) {
      corkedSizeBytes = 0;
      callback();
    },
    writeStatus: (head: string | Uint8Array) => hold(head.length + OWN_HEADERS_SIZE_BYTES),
    writeHeader() {},
    write(chunk: Uint8Array) {
      hold(SIZE_LINE_SIZE_BYTES + chunk.length);
      pieces.push(Buffer.from(chunk));
      writes += 1;
      return writes !== refusedWrite;
    },
    end() {},
    onWritable(handler: (offset: number) => boolean) {
      onWritable = handler;
    },
  } as unknown as UwsResponse;
  const host = { uploads: new UploadWatch() } as unknown as UwsHost;
  const owner = {
    onStreamDrain() {},
    onStreamFinish() {},
    onStreamBroken: () => assert.fail('broken'),
    onStreamFull() {},
    onStreamRoom() {},
    onStreamLast() {},
    onStreamError: (error: unknown) => assert.fail(String(error)),
  };
  const head = { status: 200, lines: headLines, isAscii: true, bodySizeBytes: BODY_SIZE_UNKNOWN };
  const manner = { isClosing: false, isHeld: false };
  const stream = new UwsStream({ res, host }, owner, head, manner);
  return {
    stream,
    sent: () => Buffer.concat(pieces),
    refuse: (write: number) => {
      refusedWrite = write;
    },
    drain: () => onWritable(0),
  };
}

const BODY = Buffer.alloc(200_000);
for (let index = 0; index < BODY.length; index++) BODY[index] = (index * 31) % 251;

describe('a chunked answer on uws', () => {
  it('never writes what uWS would send around its cork', () => {
    // A piece of 64 KiB was lost once in some 25 GB: its size line stood there, without its bytes.
    const { stream, sent } = scene('content-type: text/plain\r\n');
    for (let at = 0; at < BODY.length; at += 65_536) stream.write(BODY.subarray(at, at + 65_536));
    stream.end();
    assert.deepEqual(sent(), BODY);
  });

  it('leaves room for a large head', () => {
    const { stream, sent } = scene(`x-large: ${'a'.repeat(15_000)}\r\n`);
    assert.equal(stream.write(BODY), true);
    assert.deepEqual(sent(), BODY);
  });

  it('stops in the middle of a piece when the socket is full, and goes on there', () => {
    const { stream, sent, refuse, drain } = scene('');
    refuse(3);
    const given = Buffer.from(BODY);
    assert.equal(stream.write(given), false);
    given.fill(0);
    assert.ok(sent().length < BODY.length);
    drain();
    assert.deepEqual(sent(), BODY);
  });
});
