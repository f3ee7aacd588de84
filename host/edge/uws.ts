// The uWS listener, the default engine. uWS parses fast and carelessly: every head is checked again
// here, and docs/uws-limits.md lists each trap with what closes it. It serves HTTP/1.1 only, and
// cannot show a client's certificate.

import {
  GatewayError,
  type HeaderList,
  WEBSOCKET_IDLE_TIMEOUT_MS,
  WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
  WEBSOCKET_SEND_SIZE_BYTES_MAX,
} from '../core/index.ts';
import { DescriptorWatch } from './descriptor-watch.ts';
import { type Listener, type ListenerOptions, listenError } from './listener.ts';
import { inspectRequest, refuseChunked } from './request-checks.ts';
import { SolePeer } from './sole-peer.ts';
import { UploadWatch } from './upload-watch.ts';
import { createApp, loadUws, type uWS } from './uws-app.ts';
import { openForeignCork } from './uws-cork.ts';
import { UwsExchange } from './uws-exchange.ts';
import type { UwsHost } from './uws-native.ts';
import type { UwsChannel, UwsSocket } from './uws-websocket.ts';

/** Serves one port with uWS, shared with the other threads of this process (SO_REUSEPORT).
 *  Errors: GW_LISTEN; GW_CONFIG_FILE and GW_CONFIG_BAD_VALUE for certificates; GW_CONFIG_CONFLICT
 *  for client certificates; GW_INTERNAL when uWS was loaded without its environment. */
export async function listenUws(options: ListenerOptions): Promise<Listener> {
  const native = await loadUws();
  const listener = new UwsListener(native, options, await openForeignCork(native));
  listener.listen();
  return listener;
}

/** An app with its connections. One whose certificates are superseded serves those that it has. */
interface Served {
  readonly app: uWS.TemplatedApp;
  connections: number;
  isRetired: boolean;
}

class UwsListener implements Listener {
  readonly #native: typeof uWS;
  readonly #options: ListenerOptions;
  readonly #host: UwsHost;
  readonly #served = new Set<Served>();
  readonly #upgradeCork: Awaited<ReturnType<typeof openForeignCork>>;
  #current: Served | null = null;
  #socket: uWS.us_listen_socket | null = null;
  #descriptors: DescriptorWatch | null = null;
  #accepted = 0;
  #isClosed = false;

  constructor(
    native: typeof uWS,
    options: ListenerOptions,
    upgradeCork: Awaited<ReturnType<typeof openForeignCork>>,
  ) {
    this.#native = native;
    this.#options = options;
    this.#upgradeCork = upgradeCork;
    this.#host = {
      scheme: options.tls === null ? 'http' : 'https',
      clock: options.clock,
      uploads: new UploadWatch(),
      uploadBudget: options.uploadBudget,
      progress: options.progress,
      port: options.port,
      active: 0,
      connections: 0,
      peers: new SolePeer(),
      isDraining: false,
      upgradeCork,
      onError: (error) => options.onError(error),
    };
  }

  get port(): number {
    return this.#host.port;
  }

  listen(): void {
    const { port } = this.#options;
    try {
      const { app } = this.#open();
      this.#socket =
        port === 0 ? bindAny(this.#native, app, this.#options) : bind(app, this.#options, port);
    } catch (error) {
      void this.close();
      throw error;
    }
    this.#host.port = this.#native.us_socket_local_port(this.#socket);
    this.#descriptors = this.#watchDescriptors();
  }

  activeCount(): number {
    return this.#host.active;
  }

  connectionCount(): number {
    return this.#host.connections;
  }

  acceptedCount(): number {
    return this.#accepted;
  }

  /** uWS cannot change an app's own certificate, so another app takes the port, shared for a
   *  moment. What the old socket has accepted stays with the old app. */
  renewCertificates(): void {
    if (this.#isClosed || this.#host.isDraining) return;
    const before = this.#current!;
    const next = this.#open();
    const old = this.#socket;
    // Without a socket there is no descriptor left; the watch binds the new app when there is.
    if (old !== null) {
      try {
        this.#socket = bind(next.app, this.#options, this.#host.port);
      } catch (error) {
        this.#current = before;
        this.#close(next);
        throw error;
      }
      this.#native.us_listen_socket_close(old);
    }
    before.isRetired = true;
    this.#closeIfDone(before);
  }

  stopAccepting(): void {
    this.#host.isDraining = true;
    this.#descriptors?.stop();
    this.#closeSocket();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.stopAccepting();
    this.#host.uploads.stop();
    this.#upgradeCork.close();
    for (const served of this.#served) this.#close(served);
  }

  /** Makes the app that is bound next. */
  #open(): Served {
    const { tls } = this.#options;
    const app = createApp(this.#native, tls, (domain) =>
      addRoutes(domain, this.#host, this.#options),
    );
    const served: Served = { app, connections: 0, isRetired: false };
    app.filter((res, change) => this.#countConnection(served, res as uWS.HttpResponse, change));
    this.#served.add(served);
    this.#current = served;
    return served;
  }

  #countConnection(served: Served, res: uWS.HttpResponse, change: number): void {
    this.#host.connections += change;
    served.connections += change;
    if (change > 0) {
      this.#accepted += change;
      this.#host.peers.opened(res);
      return;
    }
    if (this.#host.connections === 0) this.#host.peers.closedAll();
    if (served.isRetired) this.#closeIfDone(served);
  }

  /** Not at once: uWS is still busy with the connection that ended. */
  #closeIfDone(served: Served): void {
    setImmediate(() => {
      if (served.connections === 0) this.#close(served);
    });
  }

  #close(served: Served): void {
    if (this.#served.delete(served)) served.app.close();
  }

  #closeSocket(): void {
    if (this.#socket !== null) this.#native.us_listen_socket_close(this.#socket);
    this.#socket = null;
  }

  #watchDescriptors(): DescriptorWatch {
    const { onError } = this.#options;
    return new DescriptorWatch({
      onExhausted: () => {
        this.#closeSocket();
        const detail = 'no file descriptor is left; raise its limit. No connection is accepted';
        onError(new GatewayError('GW_OVERLOADED', `${detail} until some are free`));
      },
      onRecovered: () => {
        try {
          this.#socket = bind(this.#current!.app, this.#options, this.#host.port);
          return true;
        } catch (error) {
          onError(error);
          return false;
        }
      },
    });
  }
}

function bind(
  app: uWS.TemplatedApp,
  { address }: ListenerOptions,
  port: number,
): uWS.us_listen_socket {
  let bound: uWS.us_listen_socket | false = false;
  // uWS calls back before it returns.
  app.listen(address, port, (socket) => {
    bound = socket;
  });
  if (bound === false) throw listenError(port, address, undefined);
  return bound;
}

/** Another program may take a port that was just learnt; so many in a row do not happen. */
const ANY_PORT_ATTEMPTS_MAX = 16;

/** Binds a port that the kernel chooses. uWS sets SO_REUSEPORT only for a port that it is told, so
 *  one socket learns the number and another, which other threads may join, takes it. */
function bindAny(
  native: typeof uWS,
  app: uWS.TemplatedApp,
  options: ListenerOptions,
): uWS.us_listen_socket {
  for (let attempt = 1; ; attempt++) {
    const probe = bind(app, options, 0);
    const port = native.us_socket_local_port(probe);
    native.us_listen_socket_close(probe);
    try {
      return bind(app, options, port);
    } catch (error) {
      if (attempt === ANY_PORT_ATTEMPTS_MAX) throw error;
    }
  }
}

/** Where the headers of the request at hand go: one function for all of them, as a closure for each
 *  request would cost on the hottest path. */
let collected: HeaderList = [];
const collect = (name: string, value: string): void => {
  collected.push(name, value);
};

function addRoutes(app: uWS.TemplatedApp, host: UwsHost, options: ListenerOptions): void {
  // uWS tells GET apart, in this very case, so that its name need not be asked for.
  app.get('/*', (res, req) => serve(res, req, null, host, options, 'GET'));
  app.any('/*', (res, req) => serve(res, req, null, host, options, req.getCaseSensitiveMethod()));
  app.ws<{ channel: UwsChannel }>('/*', {
    maxPayloadLength: WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
    maxBackpressure: WEBSOCKET_SEND_SIZE_BYTES_MAX,
    closeOnBackpressureLimit: true,
    compression: 0,
    idleTimeout: WEBSOCKET_IDLE_TIMEOUT_MS / 1000,
    sendPingsAutomatically: true,
    upgrade: (res, req, context) => serve(res, req, context, host, options, 'GET'),
    open: (socket) => socket.getUserData().channel.attach(socket as UwsSocket),
    message: (socket, data, isBinary) => socket.getUserData().channel.onMessage(data, isBinary),
    drain: (socket) => socket.getUserData().channel.onDrain(),
    close: (socket, code, message) => socket.getUserData().channel.onClose(code, message),
  });
}

/** No error may leave this function: uWS would end the process. */
function serve(
  res: uWS.HttpResponse,
  req: uWS.HttpRequest,
  context: uWS.us_socket_context_t | null,
  host: UwsHost,
  options: ListenerOptions,
  method: string,
): void {
  host.progress.noteArrival();
  const headers: HeaderList = [];
  collected = headers;
  req.forEach(collect);
  const query: string | undefined = req.getQuery();
  const facts = inspectRequest(method, req.getUrl(), query ?? '', headers, 'utf8');
  if (options.chunked === 'refuse') refuseChunked();
  const { refusal, detail } = facts;
  const exchange = new UwsExchange(res, host, { method, headers, context }, facts);
  try {
    if (refusal === null) {
      options.handler(exchange);
    } else {
      exchange.fail(refusal, detail);
      options.onRefused(refusal, detail);
    }
  } catch (error) {
    exchange.failInternally(error);
  }
  exchange.isInHandler = false;
  if (exchange.isPending) res.onAborted(() => exchange.onNativeAbort());
}
