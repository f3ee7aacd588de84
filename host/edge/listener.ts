// What both engines offer to the wiring: options in, a Listener out. A listener refuses malformed
// requests itself, hands all others to one handler and lets no error of that handler escape.

import { createServer } from 'node:net';
import type { ListenerTls } from '../config/index.ts';
import {
  type Clock,
  type ErrorCode,
  type ExchangeHandler,
  GatewayError,
  HEADERS_SIZE_BYTES_MAX,
  type Progress,
  type UploadBudget,
} from '../core/index.ts';

export interface ListenerOptions {
  /** 0 for any free port. */
  readonly port: number;
  readonly address: string;
  readonly tls: ListenerTls | null;
  /** Whether requests with a chunked body are served, or answered with 411 and closed. */
  readonly chunked: 'accept' | 'refuse';
  readonly handler: ExchangeHandler;
  /** A request that the listener answered itself. */
  onRefused(code: ErrorCode, detail: string): void;
  /** A handler threw or gave a bad response; the client got 500 or was cut. Must not throw. */
  onError(error: unknown): void;
  readonly clock: Clock;
  /** One for all listeners and upstreams of a worker. */
  readonly uploadBudget: UploadBudget;
  /** Noted for each request, each piece of a body and each WebSocket message. */
  readonly progress: Progress;
}

export interface Listener {
  readonly port: number;
  /** Exchanges and WebSockets in progress. */
  activeCount(): number;
  /** Open connections, idle ones included. */
  connectionCount(): number;
  /** Connections accepted so far. */
  acceptedCount(): number;
  /** Takes the certificates as they are on disk now; connections that are open keep theirs. Does
   *  nothing without TLS. Errors: as at the start; then nothing has changed. */
  renewCertificates(): void;
  /** Stops accepting. What is in progress goes on; each connection closes after its next response,
   *  and idle ones within 10 s by their timer: a request may be on its way on them. */
  stopAccepting(): void;
  /** Closes every connection; exchanges in progress are aborted. On uWS it must have returned
   *  before the worker exits, or the process is terminated. */
  close(): Promise<void>;
}

/** What uWS reads from the environment when it loads, once for all threads. */
export const UWS_ENVIRONMENT: Readonly<Record<string, string>> = {
  UWS_HTTP_MAX_HEADERS_SIZE: String(HEADERS_SIZE_BYTES_MAX),
};

/** Sets what uWS reads when it loads. The main thread must call it before it starts a worker: a
 *  worker's `process.env` is a copy, which native code does not see. */
export function prepareUwsEnvironment(): void {
  Object.assign(process.env, UWS_ENVIRONMENT);
}

/** Resolves if nobody listens on the address; uWS itself would silently share the port.
 *  Errors: GW_LISTEN naming address and port. */
export async function assertPortFree(port: number, address: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(port, address, error)));
    server.listen({ port, host: address, exclusive: true }, () => resolve());
  });
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** The error of a listen call that failed, with its cause in words. */
export function listenError(port: number, address: string, cause: unknown): GatewayError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'EADDRINUSE';
  return new GatewayError('GW_LISTEN', `${address} port ${port}: ${code}`, cause);
}
