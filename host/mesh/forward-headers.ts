// The header list of a proxied request, in one pass over the client's. What concerns one hop is
// left out, claims about the client are believed only from a trusted proxy, and the gateway's own
// are put behind. `content-length` and `connection` are the upstream client's to write; a body's
// framing is never copied, because a difference of opinion about it is request smuggling.
//
// X-Forwarded-For, -Host and -Proto are always sent. `Forwarded` (RFC 7239) is continued where a
// trusted proxy sent it and removed otherwise: sending both would double the cost for upstreams
// that read the first. No `Via`: nginx and others stop compressing when they see one.
// `x-request-id` passes; the id that the gateway makes is the trace id.

import type { Exchange, HeaderList } from '../core/index.ts';
import type { ClientAddress } from './client-address.ts';
import {
  HEADER_CLAIM,
  HEADER_CONNECTION,
  HEADER_COOKIE,
  HEADER_FORWARDED,
  HEADER_FORWARDED_FOR,
  HEADER_FORWARDED_HOST,
  HEADER_FORWARDED_PROTO,
  HEADER_LOOP,
  HEADER_PASS,
  HEADER_TRACEPARENT,
  HEADER_TRACESTATE,
  headerKind,
  removeListed,
} from './header-kinds.ts';
import { HOP, nextHop } from './loop-guard.ts';
import { isTraceparent, type TraceparentSource } from './trace-context.ts';

const CONNECTION_PLAIN = /^(?:keep-alive|close)$/i;

export class ForwardHeaders {
  readonly #clientAddress: ClientAddress;
  readonly #traceparents: TraceparentSource;
  // Collected by a pass and read at its end; fields of one object that is reused, because an
  // object for each request would be an allocation.
  #connection = '';
  #forwarded = '';
  #forwardedFor = '';
  #forwardedHost = '';
  #forwardedProto = '';
  #traceparent = '';
  #tracestate = '';
  #loop = '';
  /** The end of a head as buildLines() made it last, and what it was made of. */
  #ownLines = '';
  #ownPeer = '';
  #ownAuthority = '';
  #ownScheme = '';
  /** Of the last request: what the upstream is told, or would have been; `''` for a refused one
   *  that brought none. Untouched by a buildLines() that returns `''`. */
  traceparent = '';

  constructor(clientAddress: ClientAddress, traceparents: TraceparentSource) {
    this.#clientAddress = clientAddress;
    this.#traceparents = traceparents;
  }

  /** Builds the list for an upstream, or null for a request that goes in circles. `host`: the Host
   *  header to send.
   *  Cost: one array and the trace id's text; about 5 ns a header and 80 ns for the rest. */
  build(exchange: Exchange, host: string): HeaderList | null {
    const headers = exchange.headers;
    const peer = exchange.remoteAddress;
    const isTrusted = this.#clientAddress.isTrusted(peer);
    const target: HeaderList = ['host', host];
    let cookie = '';
    let isPlain = true;
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!;
      const kind = headerKind(name);
      if (kind === HEADER_PASS || (kind === HEADER_CLAIM && isTrusted)) {
        target.push(name, headers[index + 1]!);
      } else if (kind === HEADER_COOKIE) {
        // Source: RFC 9113 section 8.2.3.
        cookie = joinedCookie(cookie, headers[index + 1]!);
      } else if (kind >= HEADER_CONNECTION) {
        if (isPlain) this.#forget();
        isPlain = false;
        this.#collect(kind, headers[index + 1]!);
      }
    }
    if (isPlain) this.#forget();
    if (this.#connection !== '') removeListed(target, this.#connection);
    if (cookie !== '') target.push('cookie', cookie);
    if (isTrusted) this.#pushContinued(target, exchange, peer);
    else {
      target.push('x-forwarded-for', peer);
      target.push('x-forwarded-host', exchange.authority);
      target.push('x-forwarded-proto', exchange.scheme);
    }
    const loop = this.#loop === '' ? HOP : nextHop(this.#loop);
    if (loop === null) {
      this.traceparent = isTraceparent(this.#traceparent) ? this.#traceparent : '';
      return null;
    }
    target.push('cdn-loop', loop);
    this.#pushTrace(target);
    return target;
  }

  /** The same headers as the lines they go on the wire as, for the request that nearly all are;
   *  `''` for any other, which build() has to look at: from a trusted proxy, with a trace context,
   *  with a Connection header that lists something, or through a gateway like this one before. Nor
   *  for one whose headers are not known to be ASCII: the client checks a list, but no lines.
   *  Shape: `host: h\r\nx-a: 1\r\n`.
   *  Cost: two thirds of build() and of joining its list, as the end is mostly the last one's. */
  buildLines(exchange: Exchange, host: string): string {
    const headers = exchange.headers;
    const peer = exchange.remoteAddress;
    if (!exchange.isAscii || this.#clientAddress.isTrusted(peer)) return '';
    let lines = `host: ${host}\r\n`;
    let cookie = '';
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!;
      const kind = headerKind(name);
      if (kind === HEADER_PASS) lines += `${name}: ${headers[index + 1]}\r\n`;
      else if (kind === HEADER_COOKIE) {
        cookie = joinedCookie(cookie, headers[index + 1]!);
      } else if (kind === HEADER_CONNECTION) {
        if (!isPlainConnection(headers[index + 1]!)) return '';
      } else if (
        kind === HEADER_TRACEPARENT ||
        kind === HEADER_TRACESTATE ||
        kind === HEADER_LOOP
      ) {
        return '';
      }
    }
    if (cookie !== '') lines += `cookie: ${cookie}\r\n`;
    this.traceparent = this.#traceparents.next();
    return `${lines}${this.#ownLinesOf(exchange, peer)}${this.traceparent}\r\n`;
  }

  /** The lines that the gateway adds, up to the value of `traceparent`. */
  #ownLinesOf(exchange: Exchange, peer: string): string {
    const { authority, scheme } = exchange;
    if (
      peer !== this.#ownPeer ||
      authority !== this.#ownAuthority ||
      scheme !== this.#ownScheme ||
      this.#ownLines === ''
    ) {
      this.#ownPeer = peer;
      this.#ownAuthority = authority;
      this.#ownScheme = scheme;
      this.#ownLines =
        `x-forwarded-for: ${peer}\r\nx-forwarded-host: ${authority}\r\n` +
        `x-forwarded-proto: ${scheme}\r\ncdn-loop: ${HOP}\r\ntraceparent: `;
    }
    return this.#ownLines;
  }

  #forget(): void {
    this.#connection = '';
    this.#forwarded = '';
    this.#forwardedFor = '';
    this.#forwardedHost = '';
    this.#forwardedProto = '';
    this.#traceparent = '';
    this.#tracestate = '';
    this.#loop = '';
  }

  #collect(kind: number, value: string): void {
    switch (kind) {
      case HEADER_CONNECTION:
        if (!isPlainConnection(value)) {
          this.#connection = joined(this.#connection, value);
        }
        break;
      case HEADER_TRACEPARENT:
        // Two of them are none: nobody can tell which one is meant.
        this.#traceparent = this.#traceparent === '' ? value : 'repeated';
        break;
      case HEADER_TRACESTATE:
        this.#tracestate = joined(this.#tracestate, value);
        break;
      case HEADER_FORWARDED:
        this.#forwarded = joined(this.#forwarded, value);
        break;
      case HEADER_FORWARDED_FOR:
        this.#forwardedFor = joined(this.#forwardedFor, value);
        break;
      case HEADER_FORWARDED_HOST:
        if (this.#forwardedHost === '') this.#forwardedHost = value;
        break;
      case HEADER_FORWARDED_PROTO:
        if (this.#forwardedProto === '') this.#forwardedProto = value;
        break;
      case HEADER_LOOP:
        this.#loop = joined(this.#loop, value);
        break;
    }
  }

  /** Continues what a trusted proxy has written. */
  #pushContinued(target: HeaderList, exchange: Exchange, peer: string): void {
    const proto = this.#forwardedProto;
    const isProto = proto === 'http' || proto === 'https';
    target.push(
      'x-forwarded-for',
      joined(this.#forwardedFor, peer),
      'x-forwarded-host',
      this.#forwardedHost === '' ? exchange.authority : this.#forwardedHost,
      'x-forwarded-proto',
      isProto ? proto : exchange.scheme,
    );
    if (this.#forwarded === '') return;
    target.push('forwarded', `${this.#forwarded}, ${forwardedElement(exchange, peer)}`);
  }

  #pushTrace(target: HeaderList): void {
    if (this.#traceparent === '' || !isTraceparent(this.#traceparent)) {
      this.traceparent = this.#traceparents.next();
      target.push('traceparent', this.traceparent);
      return;
    }
    this.traceparent = this.#traceparent;
    target.push('traceparent', this.#traceparent);
    if (this.#tracestate !== '') target.push('tracestate', this.#tracestate);
  }
}

/** One hop of RFC 7239. Shape: `for="[2001:db8::1]";host="example.com:8080";proto=https`. */
function forwardedElement(exchange: Exchange, peer: string): string {
  const node = peer.includes(':') ? `"[${peer}]"` : peer;
  const host = exchange.authority.replace(/["\\]/g, '\\$&');
  return `for=${node};host="${host}";proto=${exchange.scheme}`;
}

/** Whether a Connection header takes no other header away. */
function isPlainConnection(value: string): boolean {
  return value === 'keep-alive' || CONNECTION_PLAIN.test(value);
}

/** An empty line adds nothing, not even a separator. */
function joinedCookie(before: string, value: string): string {
  if (before === '' || value === '') return before + value;
  return `${before}; ${value}`;
}

function joined(before: string, value: string): string {
  return before === '' ? value : `${before}, ${value}`;
}
