// One HTTP/2 request written frame by frame, for what node's client refuses to send.
// Source: RFC 9113 sections 4.1 and 6, RFC 7541 section 6.2.2.

import { connect } from 'node:tls';

export const HTTP2_PROTOCOL_ERROR = 1;
/** `:status: 200` out of HPACK's static table. */
export const HPACK_STATUS_200 = 0x88;

const FRAME_DATA = 0;
const FRAME_HEADERS = 1;
const FRAME_RST_STREAM = 3;
const FRAME_SETTINGS = 4;
const FRAME_GOAWAY = 7;
const END_STREAM = 1;
const END_HEADERS = 4;
const ANSWER_MS_MAX = 10_000;

export type FrameAnswer =
  /** `first`: the first byte of the header block. */
  | { readonly kind: 'headers'; readonly first: number }
  | { readonly kind: 'reset'; readonly code: number }
  | { readonly kind: 'goaway'; readonly code: number };

/** Sends a GET with these headers and a body, and tells how the stream is answered. `''`: the
 *  stream ends with its head. */
export function askFrames(
  port: number,
  headers: readonly (readonly [string, string])[],
  { path = '/now', body = 'abc' } = {},
): Promise<FrameAnswer> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', servername: 'main.test', ALPNProtocols: ['h2'] };
    const socket = connect({ ...options, rejectUnauthorized: false }, () => {
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      socket.write(frame(FRAME_SETTINGS, 0, 0, Buffer.alloc(0)));
      const flags = body === '' ? END_HEADERS | END_STREAM : END_HEADERS;
      socket.write(frame(FRAME_HEADERS, flags, 1, headerBlock(path, headers)));
      if (body !== '') socket.write(frame(FRAME_DATA, END_STREAM, 1, Buffer.from(body)));
    });
    const finish = (answer: FrameAnswer | Error) => {
      clearTimeout(timer);
      socket.destroy();
      if (answer instanceof Error) reject(answer);
      else resolve(answer);
    };
    const timer = setTimeout(() => finish(new Error('no answer in time')), ANSWER_MS_MAX);
    let received = Buffer.alloc(0);
    socket.on('error', finish);
    socket.on('close', () => finish(new Error('closed without an answer')));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (;;) {
        const sizeBytes = received.length < 9 ? 0 : received.readUIntBE(0, 3);
        if (received.length < 9 + sizeBytes) return;
        const answer = readFrame(received[3]!, received.subarray(9, 9 + sizeBytes));
        if (answer !== null) finish(answer);
        received = received.subarray(9 + sizeBytes);
        if (received.length < 9) return;
      }
    });
  });
}

function readFrame(type: number, payload: Buffer): FrameAnswer | null {
  if (type === FRAME_HEADERS) return { kind: 'headers', first: payload[0]! };
  if (type === FRAME_RST_STREAM) return { kind: 'reset', code: payload.readUInt32BE(0) };
  if (type === FRAME_GOAWAY) return { kind: 'goaway', code: payload.readUInt32BE(4) };
  return null;
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** GET, https and the rest as literals that are not indexed, none longer than 126 bytes. */
function headerBlock(path: string, headers: readonly (readonly [string, string])[]): Buffer {
  const parts = [Buffer.from([0x82, 0x87, 0x04]), text(path), Buffer.from([0x01]), text('a.test')];
  for (const [name, value] of headers) parts.push(Buffer.from([0]), text(name), text(value));
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}
