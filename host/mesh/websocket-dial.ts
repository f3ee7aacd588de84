// The handshake with a WebSocket upstream: one attempt, three ends (open, refused by an answer,
// failed). It offers what the client offers and never an extension: compressing towards an upstream
// in the same house costs more than it saves.

import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { EndpointConfig } from '../config/index.ts';
import {
  type ErrorCode,
  GatewayError,
  type HeaderList,
  isByteString,
  RESPONSE_HEADERS_SIZE_BYTES_MAX,
  WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
  WEBSOCKET_REFUSAL_SIZE_BYTES_MAX,
} from '../core/index.ts';

/** How long an upstream may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 5_000;

export interface WebSocketDialOptions {
  readonly endpoint: Pick<EndpointConfig, 'protocol' | 'host' | 'port'>;
  /** PEM text of the authorities to trust, and the name to check; `''` for the usual. */
  readonly tls: { readonly caPem: string; readonly serverName: string };
  /** Path and query as they go on the wire: a byte string. */
  readonly target: string;
  /** With `host`, without what concerns one hop, values as byte strings; `sec-websocket-*` in it
   *  is ignored. */
  readonly headers: HeaderList;
  /** For the connection, TLS included. */
  readonly connectMs: number;
  /** From there to the end of the upstream's answer. */
  readonly requestMs: number;
}

export interface WebSocketDialHandler {
  /** `socket`: what `upstream` writes to. `protocol`: what the upstream chose, or `''`. */
  onOpen(upstream: WebSocket, socket: Socket, protocol: string): void;
  /** The upstream answered something else than 101. Headers are ready for `Exchange.respond`. */
  onRefused(status: number, headers: HeaderList, body: Uint8Array): void;
  onFailed(code: ErrorCode, detail: string): void;
}

export class WebSocketDial {
  readonly #options: WebSocketDialOptions;
  readonly #handler: WebSocketDialHandler;
  readonly #upstream: WebSocket;
  #phase: 'connecting' | 'asking' | 'done' = 'connecting';
  #protocol = '';
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** Starts the handshake. Errors: GW_INTERNAL for a target or a value that is no byte string; a
   *  TypeError or SyntaxError for other options that cannot be sent. */
  constructor(
    options: WebSocketDialOptions,
    protocols: readonly string[],
    handler: WebSocketDialHandler,
  ) {
    const { endpoint, tls } = options;
    requireByteStrings(options);
    const scheme = endpoint.protocol === 'https' ? 'wss' : 'ws';
    const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
    this.#options = options;
    this.#handler = handler;
    this.#upstream = new WebSocket(`${scheme}://${host}:${endpoint.port}/`, [...protocols], {
      headers: headerRecord(options.headers),
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
      maxHeaderSize: RESPONSE_HEADERS_SIZE_BYTES_MAX,
      closeTimeout: CLOSE_TIMEOUT_MS,
      ...(tls.caPem === '' ? {} : { ca: tls.caPem }),
      ...(tls.serverName === '' ? {} : { servername: tls.serverName }),
      finishRequest: (request: ClientRequest) => this.#sendRequest(request),
    } as WebSocket.ClientOptions);
    this.#upstream.on('upgrade', (response) => this.#choose(response, protocols));
    this.#upstream.on('unexpected-response', (_, response) => this.#refused(response));
    this.#upstream.on('error', (error) => this.#failed(error));
    this.#upstream.on('open', () => this.#opened());
    this.#arm(options.connectMs, 'GW_TIMEOUT_CONNECT');
  }

  /** Gives the attempt up: no callback comes afterwards. */
  cancel(): void {
    if (this.#settle()) this.#upstream.terminate();
  }

  #sendRequest(request: ClientRequest): void {
    // As it stands: a URL parser would tidy up what the client wrote.
    request.path = this.#options.target;
    const connected = this.#options.endpoint.protocol === 'https' ? 'secureConnect' : 'connect';
    request.once('socket', (socket) => {
      socket.once(connected, () => {
        if (this.#phase !== 'connecting') return;
        this.#phase = 'asking';
        this.#arm(this.#options.requestMs, 'GW_TIMEOUT_REQUEST');
      });
    });
    request.end();
  }

  /** An upstream may choose no subprotocol although some were offered; `ws` takes that for an
   *  error. The choice is noted first and then made to look like the first offer. */
  #choose(response: IncomingMessage, protocols: readonly string[]): void {
    this.#socket = response.socket;
    const chosen = response.headers['sec-websocket-protocol'];
    this.#protocol = chosen ?? '';
    if (chosen === undefined && protocols.length > 0) {
      response.headers['sec-websocket-protocol'] = protocols[0]!;
    }
  }

  #opened(): void {
    if (!this.#settle()) return;
    // The socket's later life is the handler's.
    this.#upstream.removeAllListeners();
    this.#handler.onOpen(this.#upstream, this.#socket!, this.#protocol);
  }

  #refused(response: IncomingMessage): void {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    response.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= WEBSOCKET_REFUSAL_SIZE_BYTES_MAX) chunks.push(chunk);
      else this.#fail('GW_UPSTREAM_BAD_RESPONSE', refusalTooLarge());
    });
    response.on('error', (error) => this.#failed(error));
    response.on('end', () => {
      const status = response.statusCode ?? 0;
      if (status < 200 || status > 599) {
        this.#fail('GW_UPSTREAM_BAD_RESPONSE', `status ${status} to a WebSocket handshake`);
      } else if (this.#settle()) {
        this.#upstream.terminate();
        this.#handler.onRefused(status, responseHeaders(response), Buffer.concat(chunks));
      }
    });
  }

  #failed(error: NodeJS.ErrnoException): void {
    const isTls = this.#options.endpoint.protocol === 'https';
    const phase = this.#phase === 'connecting' ? 'connecting' : 'asking';
    this.#fail(codeOf(error, phase, isTls ? 'tls' : 'plain'), error.message);
  }

  #fail(code: ErrorCode, detail: string): void {
    if (!this.#settle()) return;
    this.#upstream.terminate();
    this.#handler.onFailed(code, detail);
  }

  #arm(timeoutMs: number, code: 'GW_TIMEOUT_CONNECT' | 'GW_TIMEOUT_REQUEST'): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(code, `after ${timeoutMs} ms`), timeoutMs);
  }

  /** Whether this call is the one that ends the attempt. */
  #settle(): boolean {
    if (this.#phase === 'done') return false;
    this.#phase = 'done';
    if (this.#timer !== null) clearTimeout(this.#timer);
    return true;
  }
}

function codeOf(
  error: NodeJS.ErrnoException,
  phase: 'connecting' | 'asking',
  transport: 'tls' | 'plain',
): ErrorCode {
  const code = error.code ?? '';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'GW_UPSTREAM_DNS';
  const isSystem = /^E[A-Z0-9]+$/.test(code) && code !== 'EPROTO';
  if (phase === 'connecting') {
    return isSystem || transport === 'plain' ? 'GW_UPSTREAM_CONNECT' : 'GW_UPSTREAM_TLS';
  }
  return isSystem ? 'GW_UPSTREAM_RESET' : 'GW_UPSTREAM_BAD_RESPONSE';
}

/** `node:http` writes byte strings as they are, and cuts a target's other characters to bytes. */
function requireByteStrings({ target, headers }: WebSocketDialOptions): void {
  if (isByteString(target) && headers.every(isByteString)) return;
  const detail = 'a character above 0xff in the request head for the upstream';
  throw new GatewayError('GW_INTERNAL', detail);
}

/** Headers for `node:http`: repeated names as lists, and without the handshake's own, which `ws`
 *  writes. */
function headerRecord(headers: HeaderList): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = Object.create(null);
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    if (name.startsWith('sec-websocket-')) continue;
    const value = headers[index + 1]!;
    const before = record[name];
    if (before === undefined) record[name] = value;
    else record[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return record;
}

const NOT_FOR_CLIENTS = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers of a refusal as byte strings, without what concerns the upstream's hop. */
function responseHeaders(response: IncomingMessage): HeaderList {
  const listed = (response.headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
  const headers: HeaderList = [];
  for (let index = 0; index < response.rawHeaders.length; index += 2) {
    const name = response.rawHeaders[index]!.toLowerCase();
    if (NOT_FOR_CLIENTS.has(name) || listed.includes(name)) continue;
    headers.push(name, response.rawHeaders[index + 1]!);
  }
  return headers;
}

function refusalTooLarge(): string {
  const limit = `the limit is ${WEBSOCKET_REFUSAL_SIZE_BYTES_MAX} bytes`;
  return `the body that refuses a WebSocket is too large, ${limit}`;
}
