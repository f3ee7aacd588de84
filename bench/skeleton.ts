// The floor of this architecture: a uWS handler and a minimal keep-alive client on node:net, each
// written in the cheapest form that is still safe, with nothing a gateway is for. It refuses every
// answer but one with a content-length and forwards no request body. What sluice costs above it is
// the price of its features; docs/BENCHMARKS.md prints both.
//
// Arguments: LISTEN_PORT UPSTREAM_PORT [PIPELINE_DEPTH [FILE]]: 1, the default, is one request in
// flight on each upstream connection; 0 refuses every request with 429 and asks no upstream. With a
// file, every request is answered with its bytes from memory.

import * as uWS from 'uWebSockets.js';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

const [listenPort, upstreamPort, pipelineDepth = 1] = process.argv.slice(2, 5).map(Number);
const file = process.argv[5];
const fileBytes = file === undefined ? null : readFileSync(file);
if (!Number.isInteger(listenPort) || !Number.isInteger(upstreamPort)) {
  console.error('usage: skeleton LISTEN_PORT UPSTREAM_PORT [PIPELINE_DEPTH]');
  process.exit(1);
}

/** Addresses whose text is kept; past that the cache starts anew. */
const ADDRESSES_COUNT_MAX = 4_096;

/** One client request until it is answered or its client has gone. */
interface Job {
  readonly response: uWS.HttpResponse;
  isAborted: boolean;
}

/** A read is consumed before the next one begins, so every connection reads into one buffer. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);
const idle: Upstream[] = [];

class Upstream {
  readonly #jobs: Job[] = [];
  readonly #socket: Socket;
  #unsent = '';

  constructor() {
    this.#socket = connect({
      host: '127.0.0.1',
      port: upstreamPort!,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (sizeBytes) => {
          this.#read(sizeBytes);
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => stop(`upstream: ${error.message}`));
    this.#socket.on('close', () => stop('the upstream closed a connection'));
  }

  get depth(): number {
    return this.#jobs.length;
  }

  send(head: string, job: Job): void {
    this.#jobs.push(job);
    this.#socket.write(head, 'latin1');
  }

  /** Holds the request until the loop has read every client, so that one write carries them all. */
  enqueue(head: string, job: Job): void {
    if (this.#unsent === '') setImmediate(this.#flush);
    this.#jobs.push(job);
    this.#unsent += head;
  }

  readonly #flush = () => {
    const heads = this.#unsent;
    this.#unsent = '';
    this.#socket.write(heads, 'latin1');
  };

  #read(sizeBytes: number): void {
    const text = readBuffer.toString('latin1', 0, sizeBytes);
    let offset = 0;
    while (offset < sizeBytes) {
      const job = this.#jobs.shift();
      if (job === undefined) stop('an answer that no request asked for');
      else offset = answer(job, text, offset);
      if (pipelineDepth === 1) idle.push(this);
    }
  }
}

/** Translates one answer of `text` and sends it to the client; returns where the next begins. */
function answer(job: Job, text: string, start: number): number {
  const headEnd = text.indexOf('\r\n\r\n', start);
  let lineStart = text.indexOf('\r\n', start) + 2;
  if (headEnd === -1 || !text.startsWith('HTTP/1.1 ', start)) stop('an answer in pieces');
  // uWS writes the status line as it is, so it can carry the headers too: one call, not one each.
  // Neighbouring headers that stay are copied as one range, which begins here.
  let head = '';
  let keptFrom = start + 9;
  let bodySizeBytes = -1;
  while (lineStart < headEnd + 2) {
    const lineEnd = text.indexOf('\r\n', lineStart);
    const colon = text.indexOf(':', lineStart);
    if (isOwnHeader(text, lineStart, colon)) {
      if (colon - lineStart === 14) bodySizeBytes = Number(text.slice(colon + 1, lineEnd));
      head += text.slice(keptFrom, lineStart - 2);
      keptFrom = lineEnd;
    }
    lineStart = lineEnd + 2;
  }
  head += text.slice(keptFrom, headEnd);
  const bodyStart = headEnd + 4;
  if (!(bodySizeBytes >= 0) || bodyStart + bodySizeBytes > text.length) stop('a body in pieces');
  if (!job.isAborted) {
    const body = readBuffer.subarray(bodyStart, bodyStart + bodySizeBytes);
    job.response.cork(() => {
      job.response.writeStatus(head);
      job.response.end(body);
    });
  }
  return bodyStart + bodySizeBytes;
}

/** Whether the header is one this hop writes itself (uWS also writes the date). The length rules
 *  nearly all others out without making a string of the name. */
function isOwnHeader(text: string, start: number, end: number): boolean {
  switch (end - start) {
    case 4:
      return text.slice(start, end).toLowerCase() === 'date';
    case 10:
      return /^(connection|keep-alive)$/i.test(text.slice(start, end));
    case 14:
      return text.slice(start, end).toLowerCase() === 'content-length';
    case 17:
      return text.slice(start, end).toLowerCase() === 'transfer-encoding';
    default:
      return false;
  }
}

function stop(reason: string): never {
  console.error(`skeleton: ${reason}`);
  process.exit(2);
}

const addresses = new Map<number | string, string>();

/** The client's address as text. uWS formats it with snprintf each time; its bytes are a key, and
 *  the four of IPv4 are a number, which needs no hashing. */
function addressText(response: uWS.HttpResponse): string {
  const bytes = response.getRemoteAddress();
  const isShort = bytes.byteLength === 4;
  const key = isShort ? new Uint32Array(bytes)[0]! : Buffer.from(bytes).toString('latin1');
  const known = addresses.get(key);
  if (known !== undefined) return known;
  if (addresses.size === ADDRESSES_COUNT_MAX) addresses.clear();
  const text = Buffer.from(response.getRemoteAddressAsText()).toString('latin1');
  addresses.set(key, text);
  return text;
}

/** The first connection with room: filling one before the next makes each write carry most. */
function nextPipelined(): Upstream {
  for (const upstream of pipelined) if (upstream.depth < pipelineDepth!) return upstream;
  const further = new Upstream();
  pipelined.push(further);
  return further;
}

function refuse(response: uWS.HttpResponse): void {
  response.writeStatus('429 Too Many Requests\r\nretry-after: 1');
  response.end('rate limit exceeded\n');
}

function deliver(response: uWS.HttpResponse, request: uWS.HttpRequest): void {
  let headersCount = 0;
  request.forEach(() => {
    headersCount += 1;
  });
  if (headersCount === 0) stop('a request without a host');
  response.writeStatus('200 OK\r\ncontent-type: text/javascript');
  response.end(fileBytes!);
}

const pipelined: Upstream[] = [];

function handle(response: uWS.HttpResponse, request: uWS.HttpRequest): void {
  const query = request.getQuery();
  let host = '';
  let others = '';
  request.forEach((name, value) => {
    if (name === 'host') host = value;
    else if (name !== 'connection' && name !== 'keep-alive') others += `${name}: ${value}\r\n`;
  });
  const target = query ? `${request.getUrl()}?${query}` : request.getUrl();
  const head =
    `${request.getCaseSensitiveMethod()} ${target} HTTP/1.1\r\nhost: ${host}\r\n` +
    `x-forwarded-for: ${addressText(response)}\r\nx-forwarded-proto: http\r\n` +
    `x-forwarded-host: ${host}\r\n${others}\r\n`;
  const job: Job = { response, isAborted: false };
  response.onAborted(() => {
    job.isAborted = true;
  });
  if (pipelineDepth === 1) (idle.pop() ?? new Upstream()).send(head, job);
  else nextPipelined().enqueue(head, job);
}

function chosenHandler() {
  if (fileBytes !== null) return deliver;
  return pipelineDepth === 0 ? refuse : handle;
}

uWS
  .App()
  .any('/*', chosenHandler())
  .listen('127.0.0.1', listenPort!, (token) => {
    if (!token) stop(`cannot listen on ${listenPort}`);
    console.log('listening');
  });
