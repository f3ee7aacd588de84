// A place to upgrade WebSockets from. uWS demands that an upgrade is made inside a cork() callback,
// but after the callback of the upgraded response's own cork() it compares pointers to see whether
// the socket has moved; it shrinks in place, so that uWS goes on to read the state of a response
// that is gone, and closes the WebSocket when the bits happen to say so. Inside another response's
// cork() nothing of the kind is read. That other response belongs to a connection of this thread
// with itself, and is never answered.

import { connect } from 'node:net';

/** The parts of uWS that are used here. */
interface NativeModule<ListenSocket> {
  App(): {
    get(pattern: string, handler: (res: NativeResponse) => void): unknown;
    listen(
      address: string,
      port: number,
      callback: (socket: ListenSocket | false) => void,
    ): unknown;
    close(): unknown;
  };
  us_socket_local_port(socket: ListenSocket): number;
  us_listen_socket_close(socket: ListenSocket): void;
}

interface NativeResponse {
  onAborted(handler: () => void): unknown;
  cork(callback: () => void): unknown;
}

export interface ForeignCork {
  /** Calls back inside the cork() of a response that is nobody's. False, and nothing is called,
   *  when there is none any more. */
  run(callback: () => void): boolean;
  close(): void;
}

const LOOPBACK = '127.0.0.1';
const REQUEST = 'GET / HTTP/1.1\r\nhost: cork\r\n\r\n';
/** A connection of a thread with itself that takes longer will not come. */
const OPEN_MS_MAX = 2_000;

/** Opens the connection; its port listens only until then. Where it cannot be made, run() says
 *  false. */
export async function openForeignCork<L>(native: NativeModule<L>): Promise<ForeignCork> {
  const app = native.App();
  let held: NativeResponse | null = null;
  let resolve: () => void = () => {};
  const isOpen = new Promise<void>((done) => {
    resolve = done;
  });
  app.get('/*', (res) => {
    if (held === null) held = res;
    res.onAborted(() => {
      if (held === res) held = null;
    });
    resolve();
  });
  const socket = await new Promise<L | false>((done) => app.listen(LOOPBACK, 0, done));
  if (socket === false) return { run: () => false, close: () => app.close() };
  const client = connect(native.us_socket_local_port(socket), LOOPBACK, () => {
    client.write(REQUEST);
  });
  client.on('error', () => resolve());
  const timer = setTimeout(resolve, OPEN_MS_MAX);
  await isOpen;
  clearTimeout(timer);
  native.us_listen_socket_close(socket);
  return {
    run(callback) {
      if (held === null) return false;
      held.cork(callback);
      return true;
    },
    close() {
      held = null;
      client.destroy();
      app.close();
    },
  };
}
