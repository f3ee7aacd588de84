// The head of a gRPC request: what the transport says itself, and around it what the filter said.
// Source: gRPC, doc/PROTOCOL-HTTP2.md, "Requests".

import { type GrpcRequest, isFramingHeader } from '../../core/index.ts';
import type { Http2Head } from '../upstream/http2-pool.ts';

/** A timeout has at most 8 digits, and a unit. */
const TIMEOUT_MAX = 99_999_999;
const MS_PER_SECOND = 1_000;
/** What a filter does not say for the transport. */
const OF_TRANSPORT = new Set([
  'content-type',
  'grpc-accept-encoding',
  'grpc-encoding',
  'grpc-timeout',
  'host',
  'http2-settings',
]);

/** `authority`: where the filter named none. */
export function grpcHead(
  { path, metadata, timeoutMs, authority: asked }: GrpcRequest,
  scheme: 'http' | 'https',
  authority: string,
): Http2Head {
  const head: Record<string, string> = Object.create(null);
  head[':method'] = 'POST';
  head[':scheme'] = scheme;
  head[':path'] = path;
  head[':authority'] = asked === '' ? authority : asked;
  head.te = 'trailers';
  head['content-type'] = 'application/grpc';
  head['grpc-accept-encoding'] = 'identity';
  if (timeoutMs > 0) head['grpc-timeout'] = timeoutText(timeoutMs);
  for (let index = 0; index < metadata.length; index += 2) {
    const name = metadata[index]!;
    if (name.startsWith(':') || isFramingHeader(name) || OF_TRANSPORT.has(name)) continue;
    const before = head[name];
    head[name] = before === undefined ? metadata[index + 1]! : `${before},${metadata[index + 1]}`;
  }
  return head;
}

function timeoutText(timeoutMs: number): string {
  if (timeoutMs <= TIMEOUT_MAX) return `${timeoutMs}m`;
  return `${Math.floor(timeoutMs / MS_PER_SECOND)}S`;
}
