// A request's body, bounded in size and time.

import type { IncomingMessage } from 'node:http';
import { ADMIN_BODY_SIZE_BYTES_MAX, GatewayError } from '../core/index.ts';

/** A body that is held in memory comes within this; that of a database takes what the server
 *  allows. */
const BODY_MS_MAX = 30_000;

/** Errors: as for readBodyBytes, and GW_ADMIN_BAD_REQUEST when it is not UTF-8. */
export async function readBodyText(request: IncomingMessage): Promise<string> {
  const bytes = await readBodyBytes(request, ADMIN_BODY_SIZE_BYTES_MAX);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', 'the body is not UTF-8');
  }
}

/** Errors: GW_PROTOCOL_BODY_TOO_LARGE, GW_ADMIN_BAD_REQUEST when it takes too long,
 *  GW_CLIENT_CLOSED. */
export function readBodyBytes(request: IncomingMessage, sizeBytesMax: number): Promise<Buffer> {
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
        `${sizeBytes} bytes or more, the limit is ${sizeBytesMax}`,
      );
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > sizeBytesMax) {
      reject(tooLarge(announced));
      return;
    }
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= sizeBytesMax) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      reject(tooLarge(sizeBytes));
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    const left = () => reject(new GatewayError('GW_CLIENT_CLOSED', 'before its body ended'));
    request.on('error', left);
    request.on('close', left);
  });
}
