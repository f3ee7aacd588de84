// From node's request objects to the flat lists that the shared checks work on: header names to
// lower case, absolute targets split, HTTP/2's pseudo headers and cookie crumbs put together.

import type { Http2ServerRequest } from 'node:http2';
import type { HeaderList } from '../core/index.ts';
import { headerValue, setHeader } from '../core/index.ts';
import { isHttp2, type NodeRequest } from './node-native.ts';
import { inspectRequest, type RequestFacts } from './request-checks.ts';

const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/is;

export interface ReadRequest {
  readonly headers: HeaderList;
  /** Valid until the next request is read. */
  readonly facts: RequestFacts;
}

/** Reads and checks a request's head. */
export function readRequest(req: NodeRequest): ReadRequest {
  const headers = readHeaders(req.rawHeaders);
  let target = req.url ?? '';
  const absolute = ABSOLUTE.exec(target);
  if (absolute !== null) {
    // RFC 9112 section 3.2.2: the target's authority replaces the Host header.
    setHeader(headers, 'host', absolute[1]!);
    target = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]}`;
  }
  if (isHttp2(req)) readHttp2(req, headers);
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark + 1);
  const facts = inspectRequest(req.method ?? '', path, query, headers, 'bytes');
  if (facts.refusal === null) {
    if (isHttp2(req)) {
      sizeHttp2Body(req, headers, facts);
    } else if (req.httpVersion !== '1.1') {
      facts.refusal = 'GW_PROTOCOL_MALFORMED';
      facts.detail = `HTTP/${req.httpVersion} is not served here`;
    }
  }
  return { headers, facts };
}

function readHeaders(rawHeaders: readonly string[]): HeaderList {
  const headers: HeaderList = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.charCodeAt(0) === 0x3a) continue;
    headers.push(name.toLowerCase(), rawHeaders[index + 1]!);
  }
  return headers;
}

/** Source: RFC 9113 sections 8.2.3 (cookies) and 8.3.1 (authority). */
function readHttp2(req: Http2ServerRequest, headers: HeaderList): void {
  const cookies: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === 'cookie') cookies.push(headers[index + 1]!);
  }
  const parts = cookies.filter((cookie) => cookie !== '');
  if (cookies.length > 1) setHeader(headers, 'cookie', parts.join('; '));
  const authority = req.authority as string | undefined;
  if (authority !== undefined && authority !== '') setHeader(headers, 'host', authority);
}

/** An HTTP/2 body needs no length: its end is a flag on a frame. */
function sizeHttp2Body(req: Http2ServerRequest, headers: HeaderList, facts: RequestFacts): void {
  if (req.stream.endAfterHeaders) facts.bodySizeBytes = 0;
  else if (headerValue(headers, 'content-length') === undefined) facts.bodySizeBytes = -1;
}
