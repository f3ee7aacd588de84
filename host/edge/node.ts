// The node listener, the strict engine: node:http with its strict parser, node:https with client
// certificates, and HTTP/2 over TLS. On Node 20 it cannot share its port with another thread. It
// speaks no HTTP/2 without TLS, and ignores upgrades to anything but a WebSocket.

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { createSecureServer, type ServerHttp2Session } from 'node:http2';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { ListenerTls } from '../config/index.ts';
import {
  type ErrorCode,
  GatewayError,
  HEAD_TIMEOUT_MS,
  HEADERS_SIZE_BYTES_MAX,
  problemResponse,
} from '../core/index.ts';
import { type Listener, type ListenerOptions, listenError } from './listener.ts';
import { NodeExchange, type NodeUpgrade } from './node-exchange.ts';
import type { NodeHost } from './node-host.ts';
import { hasIgnoredUpgrade, isHttp2, UpgradeFilter } from './node-native.ts';
import { readRequest } from './node-request.ts';
import { NodeWebSockets } from './node-websocket.ts';
import { refuseChunked } from './request-checks.ts';
import { statusLine } from './response-checks.ts';
import { UploadWatch } from './upload-watch.ts';

/** Serves one port with node's own servers.
 *  Errors: GW_LISTEN; GW_CONFIG_FILE and GW_CONFIG_BAD_VALUE for certificates. */
export async function listenNode(options: ListenerOptions): Promise<Listener> {
  const listener = new NodeListener(options);
  await listener.listen();
  return listener;
}

/** HTTP/2 streams of one connection at a time: Envoy's default. */
const HTTP2_STREAMS_COUNT_MAX = 100;

const SERVER_OPTIONS = {
  IncomingMessage: UpgradeFilter,
  maxHeaderSize: HEADERS_SIZE_BYTES_MAX,
  insecureHTTPParser: false,
  // The shared checks ask for the Host header, and answer with a reason.
  requireHostHeader: false,
  keepAliveTimeout: HEAD_TIMEOUT_MS,
  headersTimeout: HEAD_TIMEOUT_MS,
  connectionsCheckingInterval: 1_000,
  requestTimeout: 0,
};

class NodeListener implements Listener {
  port = 0;
  readonly #options: ListenerOptions;
  readonly #host: NodeHost;
  readonly #server: Server;
  /** By server name. */
  #contexts: ReadonlyMap<string, SecureContext> = new Map();
  readonly #webSockets: NodeWebSockets;
  readonly #connections = new Set<Duplex>();
  #accepted = 0;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** The exchange that a socket's parser is busy with, for errors in its body. */
  readonly #current = new WeakMap<Duplex, NodeExchange>();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#host = {
      scheme: options.tls === null ? 'http' : 'https',
      uploads: new UploadWatch(),
      progress: options.progress,
      closing: new WeakSet(),
      port: options.port,
      active: 0,
      isDraining: false,
      onError: (error) => options.onError(error),
    };
    this.#webSockets = new NodeWebSockets(this.#host);
    this.#server =
      options.tls === null ? createServer(SERVER_OPTIONS) : this.#createSecure(options.tls);
    this.#server.maxHeadersCount = 0;
    this.#attach(this.#server);
  }

  async listen(): Promise<void> {
    const { port, address } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => {
        this.#stopTimers();
        reject(listenError(port, address, error));
      });
      this.#server.listen({ port, host: address }, () => resolve());
    });
    this.port = (this.#server.address() as AddressInfo).port;
    this.#host.port = this.port;
  }

  activeCount(): number {
    return this.#host.active;
  }

  connectionCount(): number {
    return this.#connections.size;
  }

  acceptedCount(): number {
    return this.#accepted;
  }

  renewCertificates(): void {
    const { tls } = this.#options;
    if (tls === null) return;
    const contexts = contextsOf(tls);
    (this.#server as TlsServer).setSecureContext(certificatesOf(tls));
    this.#contexts = contexts;
  }

  stopAccepting(): void {
    if (this.#host.isDraining) return;
    this.#host.isDraining = true;
    // Not the HTTP server's own close(), which cuts idle connections, and with them requests that
    // are on their way: those are answered and told to close.
    NetServer.prototype.close.call(this.#server);
    for (const session of this.#sessions) session.close();
  }

  async close(): Promise<void> {
    this.stopAccepting();
    this.#stopTimers();
    for (const session of this.#sessions) session.destroy();
    const closed = [...this.#connections].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    for (const socket of this.#connections) socket.destroy();
    await Promise.all(closed);
  }

  #stopTimers(): void {
    this.#webSockets.closeAll();
    this.#host.uploads.stop();
  }

  #attach(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      this.#accepted += 1;
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.on('request', (req, res) => this.#serve(req, res, false));
    server.on('checkContinue', (req, res) => this.#serve(req, res, true));
    server.on('checkExpectation', (req, res) => this.#serve(req, res, false));
    server.on('upgrade', (req, socket, head) => this.#serveUpgrade(req, socket, head));
    server.on('connect', (_req, socket) => {
      this.#refuseRaw(socket, 'GW_PROTOCOL_MALFORMED', 'method "CONNECT" is not served');
    });
    server.on('clientError', (error: Error & { code?: string }, socket) =>
      this.#onClientError(error, socket),
    );
  }

  /** One port for both versions: TLS is ours, and ALPN says which server the socket goes to. */
  #createSecure(tls: ListenerTls): Server {
    this.#contexts = contextsOf(tls);
    const server = createTlsServer({
      ...SERVER_OPTIONS,
      handshakeTimeout: HEAD_TIMEOUT_MS,
      ...certificatesOf(tls),
      ALPNProtocols: ['h2', 'http/1.1'],
      SNICallback: (name, done) => done(null, findContext(this.#contexts, name)),
      ...(tls.clientCa === '' ? {} : { requestCert: true, rejectUnauthorized: true }),
    });
    const http2 = createSecureServer({
      maxHeaderListPairs: 128,
      settings: {
        maxConcurrentStreams: HTTP2_STREAMS_COUNT_MAX,
        maxHeaderListSize: HEADERS_SIZE_BYTES_MAX,
      },
    });
    http2.on('request', (req, res) => this.#serve(req, res, false));
    http2.on('checkContinue', (req, res) => this.#serve(req, res, true));
    http2.on('session', (session) => {
      this.#sessions.add(session);
      session.setTimeout(HEAD_TIMEOUT_MS * 6, () => session.close());
      session.once('close', () => this.#sessions.delete(session));
    });
    http2.on('sessionError', () => {});
    const [http1] = server.listeners('secureConnection');
    server.removeAllListeners('secureConnection');
    server.on('secureConnection', (socket: TLSSocket) => {
      if (socket.alpnProtocol === 'h2') http2.emit('secureConnection', socket);
      else http1?.call(server, socket);
    });
    return server;
  }

  #serve(
    req: Parameters<typeof readRequest>[0],
    res: ConstructorParameters<typeof NodeExchange>[0]['res'],
    isContinueExpected: boolean,
    upgrade: NodeUpgrade | null = null,
  ): void {
    this.#host.progress.noteArrival();
    if (this.#host.closing.has(req.socket)) {
      req.resume();
      return;
    }
    const { headers, facts } = readRequest(req);
    if (this.#options.chunked === 'refuse') refuseChunked();
    const { refusal, detail } = facts;
    const request = { headers, upgrade, isContinueExpected };
    const exchange = new NodeExchange({ req, res }, this.#host, request, facts);
    if (hasIgnoredUpgrade(req)) exchange.closeAfter();
    if (!isHttp2(req)) this.#current.set(req.socket, exchange);
    try {
      if (refusal === null) {
        this.#options.handler(exchange);
      } else {
        exchange.refuse(refusal, detail);
        this.#options.onRefused(refusal, detail);
      }
    } catch (error) {
      exchange.failInternally(error);
    }
  }

  /** Node gives the socket away with the request; an ordinary answer takes it back once. */
  #serveUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { headers, facts } = readRequest(req);
    if (facts.refusal === null && facts.bodySizeBytes !== 0) {
      this.#refuseRaw(socket, 'GW_PROTOCOL_UPGRADE', 'an upgrade with a body');
      return;
    }
    socket.on('error', () => socket.destroy());
    const res = new ServerResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket as Socket);
    res.once('finish', () => {
      res.detachSocket(socket as Socket);
      socket.end();
    });
    socket.once('close', () => res.emit('close'));
    this.#serve(req, res, false, (protocol, peer) => {
      res.detachSocket(socket as Socket);
      res.removeAllListeners();
      return this.#webSockets.upgrade({ req, socket, head }, headers, protocol, peer);
    });
  }

  #onClientError(error: Error & { code?: string }, socket: Duplex): void {
    if (error.code === undefined || !error.code.startsWith('HPE_')) {
      socket.destroy();
      return;
    }
    const detail = error.code.slice(4).toLowerCase().replaceAll('_', ' ');
    const current = this.#current.get(socket);
    if (current?.isReceiving) {
      // The rest of a request that has its answer gets no second one.
      if (!current.isEnded) current.failBody(detail);
      socket.end(() => socket.destroy());
      return;
    }
    if (current !== undefined && !current.isEnded) {
      // Garbage behind a request that is still being served: there is no place for an answer.
      socket.destroy();
      return;
    }
    if (current !== undefined && error.code === 'HPE_CLOSED_CONNECTION') {
      // Behind a request that was the connection's last: it has its answer, and gets no second.
      socket.end(() => socket.destroy());
      return;
    }
    const isTooLarge = error.code === 'HPE_HEADER_OVERFLOW';
    this.#refuseRaw(
      socket,
      isTooLarge ? 'GW_PROTOCOL_HEADERS_TOO_LARGE' : 'GW_PROTOCOL_MALFORMED',
      isTooLarge ? `the limit is ${HEADERS_SIZE_BYTES_MAX} bytes` : detail,
    );
  }

  /** Answers where node made no response object, and closes. */
  #refuseRaw(socket: Duplex, code: ErrorCode, detail: string): void {
    this.#options.onRefused(code, detail);
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const { status, headers, body } = problemResponse(code, detail);
    let head = `HTTP/1.1 ${statusLine(status)}\r\n`;
    for (let index = 0; index < headers.length; index += 2) {
      head += `${headers[index]}: ${headers[index + 1]}\r\n`;
    }
    const date = new Date(this.#options.clock.wallMs()).toUTCString();
    head += `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\ndate: ${date}\r\n`;
    socket.on('error', () => socket.destroy());
    socket.end(`${head}\r\n${body}`, () => socket.destroy());
  }
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new GatewayError('GW_CONFIG_FILE', path, error);
  }
}

/** The default certificate, and who signs those of clients. */
function certificatesOf(tls: ListenerTls): { cert: Buffer; key: Buffer; ca?: Buffer } {
  secureContext(tls);
  const [cert, key] = [readPem(tls.cert), readPem(tls.key)];
  return { cert, key, ...(tls.clientCa === '' ? {} : { ca: readPem(tls.clientCa) }) };
}

function contextsOf({ sni }: ListenerTls): ReadonlyMap<string, SecureContext> {
  return new Map(sni.map((entry) => [entry.host, secureContext(entry)]));
}

function secureContext(files: { readonly cert: string; readonly key: string }): SecureContext {
  const [cert, key] = [readPem(files.cert), readPem(files.key)];
  try {
    return createSecureContext({ cert, key });
  } catch (error) {
    throw new GatewayError('GW_CONFIG_BAD_VALUE', `${files.cert} with ${files.key}`, error);
  }
}

/** The exact name, or the wildcard of its parent; undefined for the default certificate. */
function findContext(
  contexts: ReadonlyMap<string, SecureContext>,
  name: string,
): SecureContext | undefined {
  const lower = name.toLowerCase();
  return contexts.get(lower) ?? contexts.get(`*.${lower.slice(lower.indexOf('.') + 1)}`);
}
