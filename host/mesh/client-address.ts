// `client.ip`: who asks. Without trusted proxies it is the peer; behind them, X-Forwarded-For is
// walked from the right, past every address that is itself a trusted proxy, to the first that is
// not. What stands left of it was written by strangers and is never believed.

import type { Exchange } from '../core/index.ts';
import { formatIp, IpRanges, parseIp } from './ip-address.ts';

/** Trusted proxies in a row; a longer chain is a loop or an attack. */
const HOPS_MAX = 32;
/** Peers whose trust is remembered. Trusted peers are few: a fleet of load balancers. */
const REMEMBERED_PEERS_MAX = 1024;

export class ClientAddress {
  readonly #trusted: IpRanges | null;
  readonly #remembered = new Map<string, boolean>();
  readonly #words = new Uint32Array(4);

  /** Errors: GW_CONFIG_BAD_VALUE for what is not a range. */
  constructor(trustedProxies: readonly string[]) {
    this.#trusted = trustedProxies.length === 0 ? null : new IpRanges(trustedProxies);
  }

  /** Whether a peer is a trusted proxy. `peer`: an address in text. */
  isTrusted(peer: string): boolean {
    if (this.#trusted === null) return false;
    const known = this.#remembered.get(peer);
    if (known !== undefined) return known;
    const isTrusted = parseIp(peer, this.#words) && this.#trusted.includes(this.#words);
    if (this.#remembered.size >= REMEMBERED_PEERS_MAX) this.#remembered.clear();
    this.#remembered.set(peer, isTrusted);
    return isTrusted;
  }

  /** The client's address, in canonical text where it comes from a header. */
  of(exchange: Exchange): string {
    const peer = exchange.remoteAddress;
    if (this.#trusted === null || !this.isTrusted(peer)) return peer;
    return this.#walk(exchange.headers, peer);
  }

  #walk(headers: readonly string[], peer: string): string {
    let client = peer;
    let hops = 0;
    for (let index = headers.length - 2; index >= 0; index -= 2) {
      if (headers[index] !== 'x-forwarded-for') continue;
      const list = headers[index + 1]!;
      let end = list.length;
      while (end >= 0) {
        const comma = end === 0 ? -1 : list.lastIndexOf(',', end - 1);
        const address = addressOf(list, comma + 1, end);
        // A malformed entry hides who stands behind it: the last proxy known is the client.
        if (!parseIp(address, this.#words)) return client;
        client = formatIp(this.#words);
        if (!this.#trusted!.includes(this.#words) || ++hops === HOPS_MAX) return client;
        end = comma;
      }
    }
    return client;
  }
}

/** The address in an entry of X-Forwarded-For, without blanks, port and brackets; `''` where it
 *  has none. Shape: `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`. */
function addressOf(list: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(list.charCodeAt(start))) start++;
  while (end > start && isBlank(list.charCodeAt(end - 1))) end--;
  // The longest is a bracketed IPv6 address with a port.
  if (end - start > 53) return '';
  const entry = list.slice(start, end);
  if (entry.charCodeAt(0) === 91) {
    const bracket = entry.indexOf(']');
    const inside = entry.slice(1, bracket);
    const isV6 = bracket !== -1 && inside.includes(':');
    return isV6 && isPortSuffix(entry, bracket + 1) ? inside : '';
  }
  const colon = entry.indexOf(':');
  if (colon === -1 || entry.indexOf(':', colon + 1) !== -1) return entry;
  return isPortSuffix(entry, colon) ? entry.slice(0, colon) : '';
}

/** Whether nothing, or `:` and a port, stands from `start` on. */
function isPortSuffix(entry: string, start: number): boolean {
  if (start === entry.length) return true;
  if (entry.charCodeAt(start) !== 58) return false;
  const count = entry.length - start - 1;
  if (count < 1 || count > 5) return false;
  let port = 0;
  for (let index = start + 1; index < entry.length; index++) {
    const digit = entry.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65_535;
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}
