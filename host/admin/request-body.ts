// A request's body as text, bounded in size and time.

import type { IncomingMessage } from 'node:http';
import { ADMIN_BODY_SIZE_BYTES_MAX, GatewayError } from '../core/index.ts';

/** A body of text comes within this; that of a database takes what the server allows. */
const BODY_MS_MAX = 30_000;

/** Errors: GW_PROTOCOL_BODY_TOO_LARGE, GW_ADMIN_BAD_REQUEST when it is not UTF-8 or takes too long,
 *  GW_CLIENT_CLOSED. */
export function readBodyText(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const detail = `the body took longer than ${BODY_MS_MAX} ms`;
      reject(new GatewayError('GW_ADMIN_BAD_REQUEST', detail));
      request.destroy();
    }, BODY_MS_MAX);
    request.on('close', () => clearTimeout(timer));
    request.on('end', () => clearTimeout(timer));
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
