// A small body, whole: of a check or a report.

import { BODY_SIZE_UNKNOWN, type Exchange, GatewayError } from '../core/index.ts';

/** Calls back once with the whole body, unless the client leaves. An error is
 *  GW_PROTOCOL_BODY_TOO_LARGE and comes before more than the limit has been held. */
export function readWholeBody(
  exchange: Exchange,
  sizeBytesMax: number,
  done: (body: Uint8Array | GatewayError) => void,
): void {
  const tooLarge = (sizeBytes: number): GatewayError => {
    const detail = `${sizeBytes} bytes, the limit is ${sizeBytesMax}`;
    return new GatewayError('GW_PROTOCOL_BODY_TOO_LARGE', detail);
  };
  if (exchange.bodySizeBytes !== BODY_SIZE_UNKNOWN && exchange.bodySizeBytes > sizeBytesMax) {
    done(tooLarge(exchange.bodySizeBytes));
    return;
  }
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  let isDone = false;
  exchange.readBody({
    onChunk: (chunk, isLast) => {
      if (isDone) return;
      sizeBytes += chunk.length;
      if (sizeBytes > sizeBytesMax) {
        isDone = true;
        done(tooLarge(sizeBytes));
        return;
      }
      // The chunk is the listener's own: valid during this call only.
      if (chunk.length > 0) chunks.push(new Uint8Array(chunk));
      if (!isLast) return;
      isDone = true;
      done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    },
  });
}
