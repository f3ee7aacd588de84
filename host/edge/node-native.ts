// The native objects of node's two HTTP servers, and how to tell them apart. A version in the
// request line says nothing: node's HTTP/1 parser passes `GET / HTTP/2.0` on as it stands.

import { IncomingMessage, type ServerResponse } from 'node:http';
import { Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { listHolds } from './request-checks.ts';

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Whether a request came as an HTTP/2 stream. */
export function isHttp2(req: NodeRequest): req is Http2ServerRequest {
  return req instanceof Http2ServerRequest;
}

/** A request that node hands over as an upgrade for a WebSocket only (and for CONNECT): any other
 *  is ignored (RFC 9110 section 7.8) and served with its body, like a request without `Upgrade`.
 *  Node reads `upgrade` once it has the whole head, and offers no other way to choose (Node 20). */
export class UpgradeFilter extends IncomingMessage {
  /** What node's parser said; null until it has. Not private: the base class sets it first. */
  isUpgradeAsked: boolean | null = null;

  get upgrade(): boolean | null {
    if (!this.isUpgradeAsked || this.method === 'CONNECT') return this.isUpgradeAsked;
    return listHolds(this.headers.upgrade ?? '', 'websocket');
  }

  set upgrade(isAsked: boolean | null) {
    this.isUpgradeAsked = isAsked;
  }
}

/** Whether an upgrade was asked for and ignored. Node's parser then drops what is pipelined behind
 *  the request in the same read, so that its connection must not go on. */
export function hasIgnoredUpgrade(req: NodeRequest): boolean {
  return req instanceof UpgradeFilter && req.isUpgradeAsked === true && req.upgrade !== true;
}
