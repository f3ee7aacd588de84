// Opens sockets to one endpoint: plain ones read into a buffer that the whole worker shares, TLS
// ones check the certificate's name and resume sessions. It refuses to skip that check.

import { readFileSync } from 'node:fs';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import type { EndpointConfig, UpstreamTls } from '../../config/index.ts';
import { READ_SIZE_BYTES, STREAM_BUFFER_SIZE_BYTES_MAX } from '../../core/index.ts';

/** Where a socket's reads go. What comes while nobody receives is dropped with the socket. */
export class Inlet {
  receiver: ReadReceiver | null = null;
}

export interface ReadReceiver {
  /** Takes one read. Shape: the first `sizeBytes` of `bytes`, valid only during the call. */
  onRead(bytes: Buffer, sizeBytes: number): void;
}

// One read buffer serves every socket of the thread: reads are delivered one after the other and
// consumed before the callback returns, and one buffer stays in the processor's cache.
const readBuffer = Buffer.alloc(READ_SIZE_BYTES);

/** What a connection is opened for. A socket for `h2` is given to node:http2, which reads it. */
export type ConnectorProtocol = 'http/1.1' | 'h2';

export class Connector {
  readonly #endpoint: EndpointConfig;
  readonly #tls: UpstreamTls;
  readonly #protocol: ConnectorProtocol;
  #context: SecureContext | null = null;
  #session: Buffer | null = null;

  constructor(endpoint: EndpointConfig, tls: UpstreamTls, protocol: ConnectorProtocol) {
    this.#endpoint = endpoint;
    this.#tls = tls;
    this.#protocol = protocol;
  }

  /** The event that says that the socket is ready for requests. */
  get readyEvent(): 'connect' | 'secureConnect' {
    return this.#endpoint.protocol === 'https' ? 'secureConnect' : 'connect';
  }

  /** Opens a socket to an address. Errors: throws when the file of authorities cannot be read or
   *  holds no certificate. */
  open(address: string, inlet: Inlet): Socket {
    return this.#endpoint.protocol === 'https'
      ? this.#openTls(address, inlet)
      : this.#openPlain(address, inlet);
  }

  #openPlain(address: string, inlet: Inlet): Socket {
    if (this.#protocol === 'h2') {
      return connectTcp({ host: address, port: this.#endpoint.port, noDelay: true });
    }
    const callback = (sizeBytes: number): boolean => {
      inlet.receiver?.onRead(readBuffer, sizeBytes);
      return true;
    };
    const options = {
      host: address,
      port: this.#endpoint.port,
      noDelay: true,
      // A socket that holds more than this reports back-pressure.
      highWaterMark: STREAM_BUFFER_SIZE_BYTES_MAX,
      onread: { buffer: readBuffer, callback },
    };
    return connectTcp(options);
  }

  #openTls(address: string, inlet: Inlet): Socket {
    const { host, port } = this.#endpoint;
    const name = this.#tls.serverName === '' ? host : this.#tls.serverName;
    this.#context ??= this.#createContext();
    const options = {
      host: address,
      port,
      ALPNProtocols: [this.#protocol],
      secureContext: this.#context,
      highWaterMark: STREAM_BUFFER_SIZE_BYTES_MAX,
      // SNI must not carry an address; then the certificate is checked against the address.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(this.#session === null ? {} : { session: this.#session }),
    };
    const socket = connectTls(options);
    socket.setNoDelay();
    socket.on('session', (session) => {
      this.#session = session;
    });
    if (this.#protocol === 'h2') return socket;
    socket.on('data', (chunk: Buffer) => inlet.receiver?.onRead(chunk, chunk.length));
    return socket;
  }

  #createContext(): SecureContext {
    const { ca } = this.#tls;
    return createSecureContext(ca === '' ? {} : { ca: readFileSync(ca) });
  }
}
