// What became of a gRPC call, out of what HTTP/2 and our own client say about it.

import { constants } from 'node:http2';
import {
  type ErrorCode,
  GRPC_STATUS,
  GRPC_STATUS_MESSAGE_SIZE_BYTES_MAX,
  type HeaderList,
  headerValue,
} from '../../core/index.ts';
import type { GrpcFault } from './message-decoder.ts';

/** Source: gRPC, doc/http-grpc-status-mapping.md. */
const OF_HTTP: Readonly<Record<number, number>> = {
  400: GRPC_STATUS.internal,
  401: GRPC_STATUS.unauthenticated,
  403: GRPC_STATUS.permissionDenied,
  404: GRPC_STATUS.unimplemented,
  429: GRPC_STATUS.unavailable,
  502: GRPC_STATUS.unavailable,
  503: GRPC_STATUS.unavailable,
  504: GRPC_STATUS.unavailable,
};

/** Source: gRPC, doc/PROTOCOL-HTTP2.md, "Errors". */
const OF_RESET: Readonly<Record<number, number>> = {
  [constants.NGHTTP2_REFUSED_STREAM]: GRPC_STATUS.unavailable,
  [constants.NGHTTP2_CANCEL]: GRPC_STATUS.cancelled,
  [constants.NGHTTP2_ENHANCE_YOUR_CALM]: GRPC_STATUS.resourceExhausted,
  [constants.NGHTTP2_INADEQUATE_SECURITY]: GRPC_STATUS.permissionDenied,
};

/** What a gRPC client takes a status of HTTP for, where there is none of gRPC's. */
export function statusOfHttp(status: number): GrpcFault {
  return {
    status: OF_HTTP[status] ?? GRPC_STATUS.unknown,
    message: `the service answered with HTTP status ${status}`,
  };
}

/** What a stream that was reset ended with. */
export function statusOfReset(code: number): GrpcFault {
  return {
    status: OF_RESET[code] ?? GRPC_STATUS.internal,
    message: `the service reset the stream with HTTP/2 error ${code}`,
  };
}

/** Why there was no stream at all. */
export function statusOfNoStream(code: ErrorCode, detail: string): GrpcFault {
  const isOurs = code === 'GW_INTERNAL';
  return {
    status: isOurs ? GRPC_STATUS.internal : GRPC_STATUS.unavailable,
    message: `${code}: ${detail}`,
  };
}

/** The status in trailers, or in a head that is all of the answer. Null for none. */
export function statusOfTrailers(trailers: HeaderList): GrpcFault | null {
  const text = headerValue(trailers, 'grpc-status');
  if (text === undefined) return null;
  const message = decodedMessage(headerValue(trailers, 'grpc-message') ?? '');
  if (!/^\d{1,9}$/.test(text)) {
    return { status: GRPC_STATUS.unknown, message: `grpc-status ${text.slice(0, 32)}` };
  }
  return { status: Number(text), message };
}

/** Percent-decoded into a byte string. What is no escape stays as it is, as gRPC asks.
 *  Source: gRPC, doc/PROTOCOL-HTTP2.md, "Responses". */
export function decodedMessage(text: string): string {
  return text
    .slice(0, 3 * GRPC_STATUS_MESSAGE_SIZE_BYTES_MAX)
    .replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    )
    .slice(0, GRPC_STATUS_MESSAGE_SIZE_BYTES_MAX);
}
