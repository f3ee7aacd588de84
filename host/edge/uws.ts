// The uWS listener, the default engine, and the only importer of uWebSockets.js. uWS parses fast
// and carelessly: every head is checked again here, and docs/uws-limits.md lists each trap with
// what closes it. It serves HTTP/1.1 only, and cannot show a client's certificate.

import type * as uWS from 'uWebSockets.js';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { isMainThread } from 'node:worker_threads';
import type { ListenerTls } from '../config/index.ts';
import {
  GatewayError,
  type HeaderList,
  WEBSOCKET_IDLE_TIMEOUT_MS,
  WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
  WEBSOCKET_SEND_SIZE_BYTES_MAX,
} from '../core/index.ts';
import { DescriptorWatch } from './descriptor-watch.ts';
import {
  type Listener,
  type ListenerOptions,
  listenError,
  prepareUwsEnvironment,
  UWS_ENVIRONMENT,
} from './listener.ts';
import { inspectRequest } from './request-checks.ts';
import { UploadWatch } from './upload-watch.ts';
import { openForeignCork } from './uws-cork.ts';
import { UwsExchange } from './uws-exchange.ts';
import type { UwsHost } from './uws-native.ts';
import type { UwsChannel, UwsSocket } from './uws-websocket.ts';

/** Serves one port with uWS, shared with the other threads of this process (SO_REUSEPORT).
 *  Errors: GW_LISTEN; GW_CONFIG_FILE and GW_CONFIG_BAD_VALUE for certificates; GW_CONFIG_CONFLICT
 *  for client certificates; GW_INTERNAL when uWS was loaded without its environment. */
export async function listenUws(options: ListenerOptions): Promise<Listener> {
  const native = await loadUws();
  const app = createApp(native, options.tls);
  const upgradeCork = await openForeignCork(native);
  const host: UwsHost = {
    scheme: options.tls === null ? 'http' : 'https',
    clock: options.clock,
    uploads: new UploadWatch(),
    uploadBudget: options.uploadBudget,
    port: options.port,
    active: 0,
    connections: 0,
    isDraining: false,
    upgradeCork,
    onError: (error) => options.onError(error),
  };
  let accepted = 0;
  const countConnection = (_res: unknown, change: number): void => {
    host.connections += change;
    if (change > 0) accepted += change;
  };
  app.filter(countConnection);
  addRoutes(app, host, options);
  for (const { host: name, cert, key } of options.tls?.sni ?? []) {
    checkCertificate(cert, key);
    app.addServerName(name, { cert_file_name: cert, key_file_name: key });
    addRoutes(app.domain(name), host, options);
  }
  let socket: uWS.us_listen_socket | null;
  try {
    socket = options.port === 0 ? bindAny(native, app, options) : bind(app, options, options.port);
  } catch (error) {
    host.uploads.stop();
    upgradeCork.close();
    app.close();
    throw error;
  }
  host.port = native.us_socket_local_port(socket);
  const closeSocket = () => {
    if (socket !== null) native.us_listen_socket_close(socket);
    socket = null;
  };
  const descriptors = new DescriptorWatch({
    onExhausted() {
      closeSocket();
      const detail = 'no file descriptor is left; raise its limit. No connection is accepted until';
      options.onError(new GatewayError('GW_OVERLOADED', `${detail} some are free`));
    },
    onRecovered() {
      try {
        socket = bind(app, options, host.port);
        return true;
      } catch (error) {
        options.onError(error);
        return false;
      }
    },
  });
  const stopAccepting = () => {
    host.isDraining = true;
    descriptors.stop();
    closeSocket();
  };
  let isClosed = false;
  return {
    port: host.port,
    activeCount: () => host.active,
    connectionCount: () => host.connections,
    acceptedCount: () => accepted,
    stopAccepting,
    async close() {
      if (isClosed) return;
      isClosed = true;
      stopAccepting();
      host.uploads.stop();
      upgradeCork.close();
      app.close();
    },
  };
}

/** Loaded on first use, so that a thread that imports this folder does not load it with the wrong
 *  environment: the limits are read once for the process. */
async function loadUws(): Promise<typeof uWS> {
  if (isMainThread) prepareUwsEnvironment();
  for (const [name, value] of Object.entries(UWS_ENVIRONMENT)) {
    if (process.env[name] === value) continue;
    throw new GatewayError('GW_INTERNAL', `${name} must be ${value} before a worker starts`);
  }
  return import('uWebSockets.js');
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

function createApp(native: typeof uWS, tls: ListenerTls | null): uWS.TemplatedApp {
  if (tls === null) return native.App();
  if (tls.clientCa !== '') {
    throw new GatewayError('GW_CONFIG_CONFLICT', 'clientCa needs engine node, uws cannot check it');
  }
  checkCertificate(tls.cert, tls.key);
  return native.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key });
}

/** uWS says nothing of why it refuses a certificate, so node is asked first. */
function checkCertificate(certPath: string, keyPath: string): void {
  const [cert, key] = [certPath, keyPath].map((path) => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new GatewayError('GW_CONFIG_FILE', path, error);
    }
  });
  try {
    createSecureContext({ cert: cert!, key: key! });
  } catch (error) {
    throw new GatewayError('GW_CONFIG_BAD_VALUE', `${certPath} with ${keyPath}`, error);
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
  const headers: HeaderList = [];
  collected = headers;
  req.forEach(collect);
  const query: string | undefined = req.getQuery();
  const facts = inspectRequest(method, req.getUrl(), query ?? '', headers, 'utf8');
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
