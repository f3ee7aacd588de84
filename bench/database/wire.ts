// Connections of the load generator: WebSocket and HTTP/1.1 written and read by hand on plain
// sockets. A library's share of a message is more than the server's, and with it the generator's
// core, not the server's, would be what the benchmark measures.
//
//   frame of a client   | 0x81 | 0x80 + size, or 0xfe and u16 | mask, 4 | payload ^ mask |
//   frame of a server   | 0x81 | size, or 0x7e and u16        | payload                  |
//   Source: RFC 6455, section 5.2.

import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** Answers longer than this are a mistake of whoever asks for them here. */
const ANSWER_SIZE_BYTES_MAX = 65_535;
const READ_SIZE_BYTES = 65_536;
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT_FRAME = 0x81;
const SHORT_SIZE_MAX = 125;
const SIZE_IN_16_BITS = 126;
const MASKED = 0x80;
const CLOSED = 'the server has closed the connection';
const HEAD_END = Buffer.from('\r\n\r\n');

/** Finds one answer at `from`: where it begins, where it ends, or null where more is to come. */
type Split = (
  bytes: Buffer,
  from: number,
) => { readonly start: number; readonly end: number } | null;

/** One connection; one answer to each message. */
export interface Wire {
  send(text: string): void;
  /** Called with each answer, or with why there will be none. */
  onAnswer: (text: string) => void;
  close(): void;
}

class SocketWire implements Wire {
  onAnswer: (text: string) => void = () => {};
  readonly #socket: Socket;
  readonly #encode: (text: string) => Buffer | string;
  #split: Split;
  /** The beginning of an answer whose rest is to come. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(url: URL, encode: (text: string) => Buffer | string, split: Split) {
    this.#encode = encode;
    this.#split = split;
    const buffer = Buffer.allocUnsafe(READ_SIZE_BYTES);
    this.#socket = connect({
      host: url.hostname,
      port: Number(url.port),
      noDelay: true,
      onread: {
        buffer,
        callback: (count) => {
          this.#read(buffer.subarray(0, count));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.onAnswer(error.message));
    this.#socket.on('close', () => this.onAnswer(CLOSED));
  }

  send(text: string): void {
    if (this.#socket.destroyed) setImmediate(() => this.onAnswer(CLOSED));
    else this.#socket.write(this.#encode(text));
  }

  /** As it is, with another way to find the answers to what follows. */
  sendRaw(text: string, split: Split): void {
    this.#split = split;
    this.#socket.write(text);
  }

  splitBy(split: Split): void {
    this.#split = split;
  }

  close(): void {
    this.onAnswer = () => {};
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const found = this.#split(bytes, at);
      if (found === null) break;
      at = found.end;
      this.onAnswer(bytes.toString('latin1', found.start, found.end));
    }
    // A copy: the next read overwrites the chunk.
    this.#rest = Buffer.from(bytes.subarray(at));
  }
}

/** Errors: what the server says instead of taking the connection. */
export function openWebSocketWire(url: URL, protocol: string): Promise<Wire> {
  const mask = randomBytes(4);
  const wire = new SocketWire(url, (text) => clientFrame(text, mask), serverFrame);
  const key = randomBytes(16).toString('base64');
  const accept = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64');
  return new Promise((resolve, reject) => {
    wire.onAnswer = (head) => {
      if (!head.startsWith('HTTP/1.1 101') || !head.includes(accept)) {
        reject(new Error(`no WebSocket: ${head}`));
        return;
      }
      wire.splitBy(serverFrame);
      resolve(wire);
    };
    const head = [
      `GET ${url.pathname} HTTP/1.1`,
      `host: ${url.host}`,
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      `sec-websocket-key: ${key}`,
      `sec-websocket-protocol: ${protocol}`,
    ];
    wire.sendRaw(`${head.join('\r\n')}\r\n\r\n`, headOnly);
  });
}

/** A kept connection; each message is the body of a POST. */
export function openHttpWire(url: URL): Wire {
  const head = [
    `POST ${url.pathname} HTTP/1.1`,
    `host: ${url.host}`,
    'content-type: application/json',
    'content-length: ',
  ].join('\r\n');
  return new SocketWire(url, (text) => `${head}${text.length}\r\n\r\n${text}`, response);
}

function headOnly(bytes: Buffer, from: number): ReturnType<Split> {
  const end = bytes.indexOf(HEAD_END, from);
  return end < 0 ? null : { start: from, end: end + HEAD_END.length };
}

function response(bytes: Buffer, from: number): ReturnType<Split> {
  const end = bytes.indexOf(HEAD_END, from);
  if (end < 0) return null;
  const head = bytes.toString('latin1', from, end);
  const size = Number(/\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
  if (!(size <= ANSWER_SIZE_BYTES_MAX)) throw new Error(`an answer of no known size: ${head}`);
  const start = end + HEAD_END.length;
  return start + size > bytes.length ? null : { start, end: start + size };
}

/** Errors: a frame that is no text of moderate size. */
function serverFrame(bytes: Buffer, from: number): ReturnType<Split> {
  if (from + 4 > bytes.length) return null;
  const short = bytes[from + 1]!;
  if (bytes[from] !== TEXT_FRAME || short > SIZE_IN_16_BITS) {
    const shown = bytes.subarray(from, from + 40).toString('latin1');
    throw new Error(`no text frame of moderate size: ${JSON.stringify(shown)}`);
  }
  const isShort = short <= SHORT_SIZE_MAX;
  const start = from + (isShort ? 2 : 4);
  const end = start + (isShort ? short : bytes.readUInt16BE(from + 2));
  return end > bytes.length ? null : { start, end };
}

/** ASCII text as a masked frame. */
function clientFrame(text: string, mask: Buffer): Buffer {
  const { length } = text;
  if (length > ANSWER_SIZE_BYTES_MAX) throw new RangeError(`a message of ${length} characters`);
  const isShort = length <= SHORT_SIZE_MAX;
  const start = isShort ? 6 : 8;
  const frame = Buffer.allocUnsafe(start + length);
  frame[0] = TEXT_FRAME;
  frame[1] = MASKED | (isShort ? length : SIZE_IN_16_BITS);
  if (!isShort) frame.writeUInt16BE(length, 2);
  frame.set(mask, start - 4);
  for (let index = 0; index < length; index++) {
    frame[start + index] = text.charCodeAt(index) ^ mask[index & 3]!;
  }
  return frame;
}
