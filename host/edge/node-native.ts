// The native objects of node's two HTTP servers, and how to tell them apart. A version in the
// request line says nothing: node's HTTP/1 parser passes `GET / HTTP/2.0` on as it stands.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Http2ServerRequest, type Http2ServerResponse } from 'node:http2';

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Whether a request came as an HTTP/2 stream. */
export function isHttp2(req: NodeRequest): req is Http2ServerRequest {
  return req instanceof Http2ServerRequest;
}
