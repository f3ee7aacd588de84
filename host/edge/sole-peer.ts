// The address that all open connections of a listener come from, while it is one: behind a load
// balancer or beside an application it nearly always is. To ask uWS for the peer of a request costs
// a system call and a buffer, 0.6 us in all; a connection is asked once, as it opens. There is
// nothing in uWS to tell by which of several connections a request has come, so where there are
// several addresses each request asks.

import { addressText } from './peer-address.ts';

/** The one call that is made of a connection that has just opened. */
interface OpenedConnection {
  getRemoteAddress(): ArrayBuffer;
}

export class SolePeer {
  #address = '';
  #isMixed = false;

  /** The address of every open connection; `''` when there are several, or none is known. */
  get address(): string {
    return this.#address;
  }

  /** A connection has opened. Must be told of each, before its first request. */
  opened(connection: OpenedConnection): void {
    if (this.#isMixed) return;
    const address = addressText(connection.getRemoteAddress());
    // One that has already left tells no address.
    this.#isMixed = address === '' || (this.#address !== '' && address !== this.#address);
    this.#address = this.#isMixed ? '' : address;
  }

  /** No connection is open any more. Which one closes is never known, so that several addresses
   *  stay several until then. */
  closedAll(): void {
    this.#address = '';
    this.#isMixed = false;
  }
}
