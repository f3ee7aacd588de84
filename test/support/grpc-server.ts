// A gRPC service for tests on node's own HTTP/2 server, which frames messages by itself: nothing of
// the host's framing is used. Each stream is handed to the test with what it needs to answer well
// or badly.

import { once } from 'node:events';
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { endAtLast } from './leftovers.ts';

/** A message on the wire. `sizeBytes`: what it says about its size, where that is a lie. */
export function grpcFrame(message: string | Buffer, flag = 0, sizeBytes = -1): Buffer {
  const bytes = Buffer.from(message);
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(sizeBytes < 0 ? bytes.length : sizeBytes, 1);
  return Buffer.concat([prefix, bytes]);
}

/** The messages in what a client has sent; what is left over is given as `rest`. */
export function grpcMessages(bytes: Buffer): { messages: Buffer[]; rest: Buffer } {
  const messages: Buffer[] = [];
  let rest = bytes;
  while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
    const end = 5 + rest.readUInt32BE(1);
    messages.push(rest.subarray(5, end));
    rest = rest.subarray(end);
  }
  return { messages, rest };
}

export class GrpcExchange {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly messages: string[] = [];
  hasEnded = false;
  /** Code of the reset, or -1 while the stream is open. */
  closedWith = -1;
  onMessage: (message: string) => void = () => {};
  onEnd: () => void = () => {};
  #received: Buffer = Buffer.alloc(0);

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.stream = stream;
    this.headers = headers;
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => {
      const { messages, rest } = grpcMessages(Buffer.concat([this.#received, chunk]));
      this.#received = rest;
      for (const message of messages) {
        this.messages.push(message.toString('latin1'));
        this.onMessage(message.toString('latin1'));
      }
    });
    stream.on('end', () => {
      this.hasEnded = true;
      this.onEnd();
    });
    stream.on('close', () => {
      this.closedWith = stream.rstCode;
    });
  }

  head(more: Record<string, string> = {}): void {
    const head = { ':status': 200, 'content-type': 'application/grpc+proto', ...more };
    this.stream.respond(head, { waitForTrailers: true });
  }

  /** Ends with trailers, behind a head that was sent. */
  end(status: string, more: Record<string, string> = {}): void {
    const { stream } = this;
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, ...more }));
    stream.end();
  }

  /** All of a good answer to a call. */
  answer(message: string | Buffer, trailers: Record<string, string> = {}): void {
    this.head();
    this.stream.write(grpcFrame(message));
    this.end('0', trailers);
  }
}

export interface GrpcServer {
  readonly port: number;
  readonly exchanges: GrpcExchange[];
  readonly sessions: Set<ServerHttp2Session>;
  /** How many sessions there have been. */
  sessionsCount: number;
  stop(): Promise<void>;
}

export interface GrpcServerOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Streams of one connection at a time. */
  readonly streamsMax?: number;
  /** Any, unless it is given. */
  readonly port?: number;
}

export async function startGrpcServer(
  onExchange: (exchange: GrpcExchange) => void,
  { tls, streamsMax = 100, port = 0 }: GrpcServerOptions = {},
): Promise<GrpcServer> {
  const settings = { maxConcurrentStreams: streamsMax };
  const server: Http2Server =
    tls === undefined ? createServer({ settings }) : createSecureServer({ ...tls, settings });
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    started.sessionsCount += 1;
    sessions.add(session);
    session.on('error', () => {});
    session.once('close', () => sessions.delete(session));
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const exchange = new GrpcExchange(stream, headers);
    started.exchanges.push(exchange);
    onExchange(exchange);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const end = () => {
    server.close();
    for (const session of sessions) session.destroy();
  };
  endAtLast(end);
  const started: GrpcServer = {
    port: (server.address() as AddressInfo).port,
    exchanges: [],
    sessions,
    sessionsCount: 0,
    async stop() {
      const closed = server.listening ? once(server, 'close') : Promise.resolve();
      end();
      await closed;
    },
  };
  return started;
}
