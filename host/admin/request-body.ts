// A request's body as text, bounded in size; time is bounded by the server's request timeout.

import type { IncomingMessage } from 'node:http';
import { ADMIN_BODY_SIZE_BYTES_MAX, GatewayError } from '../core/index.ts';

/** Errors: GW_PROTOCOL_BODY_TOO_LARGE, GW_ADMIN_BAD_REQUEST when it is not UTF-8,
 *  GW_CLIENT_CLOSED. */
export function readBodyText(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const tooLarge = (sizeBytes: number) =>
      new GatewayError(
        'GW_PROTOCOL_BODY_TOO_LARGE',
        `${sizeBytes} bytes or more, the limit is ${ADMIN_BODY_SIZE_BYTES_MAX}`,
      );
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > ADMIN_BODY_SIZE_BYTES_MAX) {
      reject(tooLarge(announced));
      return;
    }
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= ADMIN_BODY_SIZE_BYTES_MAX) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      reject(tooLarge(sizeBytes));
    });
    request.on('end', () => {
      try {
        resolve(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
      } catch {
        reject(new GatewayError('GW_ADMIN_BAD_REQUEST', 'the body is not UTF-8'));
      }
    });
    const left = () => reject(new GatewayError('GW_CLIENT_CLOSED', 'before its body ended'));
    request.on('error', left);
    request.on('close', left);
  });
}
