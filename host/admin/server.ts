// The admin server: node:http on the main thread, for people, scrapers and probes. It bounds every
// size, time and count, answers every fault with a problem, and never throws into the process. It
// speaks no TLS: on any address but loopback it asks for a token and belongs behind a tunnel.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import {
  ADMIN_CONNECTIONS_COUNT_MAX,
  ADMIN_DATABASE_CHANGES_COUNT_MAX,
  ADMIN_STREAMS_COUNT_MAX,
  type ErrorCode,
  GatewayError,
  HEADERS_SIZE_BYTES_MAX,
  isGatewayError,
  problemResponse,
} from '../core/index.ts';
import type { AdminDeps } from './deps.ts';
import { isLoopbackAddress, refusalOf } from './guard.ts';
import { type Question, RESOURCES, type Reply, type Resource } from './resources.ts';

export interface AdminServer {
  /** Resolves with the port. Errors: GW_LISTEN. */
  listen(port: number, address: string): Promise<number>;
  /** Cuts what is open and resolves when all is closed. */
  close(): Promise<void>;
}

const HEADERS_TIMEOUT_MS = 5_000;
/** A whole request: a database of some GB on a slow way. Bodies of text have a bound of their own,
 *  and one that stands still is cut after IDLE_TIMEOUT_MS. */
const REQUEST_TIMEOUT_MS = 3_600_000;
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
/** A reader that takes nothing for so long is cut. */
const IDLE_TIMEOUT_MS = 30_000;
const REQUESTS_PER_CONNECTION_MAX = 1_000;
const TIMEOUTS_CHECK_INTERVAL_MS = 1_000;
/** How long a refused socket may take to read why. */
const REFUSAL_TIMEOUT_MS = 1_000;

const SECURITY_HEADERS: readonly (readonly [string, string])[] = [
  ['cache-control', 'no-store'],
  [
    'content-security-policy',
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  ],
  ['referrer-policy', 'no-referrer'],
  ['x-content-type-options', 'nosniff'],
];

export function createAdminServer(deps: AdminDeps): AdminServer {
  const traffic = new AdminTraffic(deps);
  const server = createServer(
    {
      connectionsCheckingInterval: TIMEOUTS_CHECK_INTERVAL_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      maxHeaderSize: HEADERS_SIZE_BYTES_MAX,
      requestTimeout: REQUEST_TIMEOUT_MS,
    },
    (request, response) => void traffic.serve(request, response),
  );
  server.maxConnections = ADMIN_CONNECTIONS_COUNT_MAX;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  server.setTimeout(IDLE_TIMEOUT_MS);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) =>
    refuseSocket(error, socket),
  );
  return {
    listen: (port, address) => listen(server, { port, address, hasToken: deps.token !== '' }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(
  server: Server,
  { address, hasToken, port }: { port: number; address: string; hasToken: boolean },
): Promise<number> {
  if (!hasToken && !isLoopbackAddress(address)) {
    const detail = `admin address ${address} is not loopback, so admin.token must be set`;
    return Promise.reject(new GatewayError('GW_LISTEN', detail));
  }
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(new GatewayError('GW_LISTEN', `admin ${address}:${port}: ${cause.message}`, cause));
    server.once('error', failed);
    server.listen(port, address, () => {
      server.off('error', failed);
      server.on('error', () => {});
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** What is no HTTP, or no whole head in time, is answered on the bare socket. It is destroyed, and
 *  not only ended: a client that keeps its half open would keep its place among the connections. */
function refuseSocket(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const isLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const code = isLarge ? 'GW_PROTOCOL_HEADERS_TOO_LARGE' : 'GW_ADMIN_BAD_REQUEST';
  const { body, headers, status } = problemResponse(code, '');
  let head = `HTTP/1.1 ${status} Refused\r\nconnection: close\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () =>
    socket.destroy(),
  );
  // Answers that the client has not read may stand before this one.
  const timer = setTimeout(() => socket.destroy(), REFUSAL_TIMEOUT_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

class AdminTraffic {
  readonly #deps: AdminDeps;
  #streams = 0;
  #isBusy = false;
  #databaseChanges = 0;

  constructor(deps: AdminDeps) {
    this.#deps = deps;
  }

  /** Answers one request; it neither throws nor rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    request.on('error', () => {});
    try {
      const reply = await this.#answer(request, response);
      await this.#send(response, reply);
    } catch (error) {
      this.#fail(request, response, error);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Reply> {
    const method = request.method ?? '';
    const refusal = refusalOf(
      {
        method,
        headers: request.headers,
        hosts: request.headersDistinct.host ?? [],
        localAddress: request.socket.localAddress ?? '',
      },
      this.#deps.token,
    );
    if (refusal !== null) throw new GatewayError(refusal.code, refusal.detail);
    const { question, resource } = resolve(request);
    const answer = resource.methods[method === 'HEAD' ? 'GET' : method];
    if (answer === undefined) {
      const allowed = Object.keys(resource.methods).join(', ');
      response.setHeader('allow', allowed === 'GET' ? 'GET, HEAD' : allowed);
      throw new GatewayError('GW_ADMIN_METHOD', `${method} on ${resource.path}, use ${allowed}`);
    }
    if (method === 'GET' || method === 'HEAD') return answer(this.#deps, question);
    if (resource.lane === 'databases') return this.#few(() => answer(this.#deps, question));
    return this.#alone(() => answer(this.#deps, question));
  }

  /** Changes of databases: the db workers bring them into an order. */
  async #few(answer: () => Reply | Promise<Reply>): Promise<Reply> {
    if (this.#databaseChanges >= ADMIN_DATABASE_CHANGES_COUNT_MAX) {
      const most = `the limit is ${ADMIN_DATABASE_CHANGES_COUNT_MAX}`;
      const detail = `${this.#databaseChanges} changes of databases are under way, ${most}`;
      throw new GatewayError('GW_ADMIN_BUSY', detail);
    }
    this.#databaseChanges += 1;
    try {
      return await answer();
    } finally {
      this.#databaseChanges -= 1;
    }
  }

  /** One change or check at a time: a check may hold 32 MiB and the main thread for a second. */
  async #alone(answer: () => Reply | Promise<Reply>): Promise<Reply> {
    if (this.#isBusy) throw new GatewayError('GW_ADMIN_BUSY', 'another change is under way');
    this.#isBusy = true;
    try {
      return await answer();
    } finally {
      this.#isBusy = false;
    }
  }

  async #send(response: ServerResponse, reply: Reply): Promise<void> {
    const { body } = reply;
    if (typeof body !== 'string' && this.#streams >= ADMIN_STREAMS_COUNT_MAX) {
      // It may keep something until it has been read.
      await body[Symbol.asyncIterator]().return?.();
      const detail = `${this.#streams} answers stream, the limit is ${ADMIN_STREAMS_COUNT_MAX}`;
      throw new GatewayError('GW_ADMIN_BUSY', detail);
    }
    for (const [name, value] of SECURITY_HEADERS) response.setHeader(name, value);
    response.setHeader('content-type', reply.contentType);
    for (const [name, value] of Object.entries(reply.headers ?? {})) {
      response.setHeader(name, value);
    }
    if (typeof body === 'string') {
      response.setHeader('content-length', Buffer.byteLength(body));
      response.writeHead(reply.status).end(body);
      return;
    }
    response.writeHead(reply.status);
    this.#streams += 1;
    try {
      if (response.req.method !== 'HEAD') await stream(response, body);
      response.end();
    } finally {
      this.#streams -= 1;
    }
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const isKnown = isGatewayError(error);
    if (!isKnown) {
      const cause = error instanceof Error ? error : new Error(String(error));
      const path = (request.url ?? '').slice(0, 200);
      this.#deps.log.error('an admin request failed', { path, error: cause });
    }
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const code: ErrorCode = isKnown ? error.code : 'GW_INTERNAL';
    const { body, headers, status } = problemResponse(code, isKnown ? error.detail : '');
    for (const [name, value] of SECURITY_HEADERS) response.setHeader(name, value);
    for (let index = 0; index < headers.length; index += 2) {
      response.setHeader(headers[index]!, headers[index + 1]!);
    }
    if (code === 'GW_ADMIN_TOKEN') response.setHeader('www-authenticate', 'Bearer');
    response.setHeader('content-length', Buffer.byteLength(body));
    response.writeHead(status).end(body);
  }
}

function resolve(request: IncomingMessage): { resource: Resource; question: Question } {
  const target = request.url ?? '';
  // A target that begins otherwise is a proxy request or `*`; with the base, `//x` stays a path.
  const absolute = `http://admin${target}`;
  if (!target.startsWith('/') || !URL.canParse(absolute)) {
    const detail = `target ${JSON.stringify(target.slice(0, 200))}`;
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', detail);
  }
  const url = new URL(absolute);
  const path = url.pathname;
  const resource = RESOURCES.find((candidate) =>
    candidate.path.length > 1 && candidate.path.endsWith('/')
      ? path.startsWith(candidate.path) && path.length > candidate.path.length
      : path === candidate.path,
  );
  if (resource === undefined) {
    throw new GatewayError('GW_ADMIN_NOT_FOUND', JSON.stringify(path.slice(0, 200)));
  }
  return { resource, question: { request, url, rest: path.slice(resource.path.length) } };
}

/** Writes piece by piece, no faster than the client reads. */
async function stream(
  response: ServerResponse,
  pieces: AsyncIterable<string | Uint8Array>,
): Promise<void> {
  for await (const piece of pieces) {
    if (response.destroyed) return;
    if (response.write(piece)) continue;
    await new Promise<void>((resolve) => {
      const done = () => {
        response.off('drain', done);
        response.off('close', done);
        resolve();
      };
      response.once('drain', done);
      response.once('close', done);
    });
  }
}
