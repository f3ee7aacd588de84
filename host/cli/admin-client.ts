// A client of the admin API: what a command asks of a gateway that runs. Errors of the gateway come
// back with their own code, so that a command says the same whoever did the work.

import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ERRORS, type ErrorCode, GatewayError } from '../core/index.ts';

export interface AdminAddress {
  readonly url: string;
  /** `''` for none. */
  readonly token: string;
}

export interface AdminRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** From the root of the API, encoded. */
  readonly path: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it comes, in place of `json`. */
  readonly file?: { readonly stream: Readable; readonly sizeBytes: number };
}

/** A gateway that says nothing for so long is not waited for: a check reads all of a database. */
const SILENCE_MS_MAX = 1_800_000;
/** Of an answer that is held in memory. */
const ANSWER_SIZE_BYTES_MAX = 67_108_864;
/** Another change was under way: asked again this often, and after a pause that grows. */
const BUSY_ATTEMPTS_MAX = 12;
const BUSY_PAUSE_MS = 50;

export class AdminClient {
  readonly #base: string;
  readonly #token: string;

  /** Errors: GW_FLAG_BAD_VALUE for what is no address. */
  constructor({ url, token }: AdminAddress) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
      const expected = 'expected a URL such as http://127.0.0.1:9901';
      const detail = `--admin: found ${JSON.stringify(url)}, ${expected}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    this.#base = `${parsed.origin}${parsed.pathname.replace(/\/$/, '')}`;
    this.#token = token;
  }

  /** The answer's JSON. Errors: those of the gateway; GW_ADMIN_UNREACHABLE. */
  async ask(request: AdminRequest): Promise<unknown> {
    for (let attempt = 1; ; ++attempt) {
      try {
        return JSON.parse(await textOf(await this.open(request)));
      } catch (error) {
        const isBusy = error instanceof GatewayError && error.code === 'GW_ADMIN_BUSY';
        // A file that has been sent is gone.
        if (!isBusy || request.file !== undefined || attempt === BUSY_ATTEMPTS_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS * attempt));
      }
    }
  }

  /** The answer, when its head has come and is good. Errors: as for ask. */
  async open(request: AdminRequest): Promise<IncomingMessage> {
    const response = await this.#send(request);
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    throw errorOf(statusCode, await textOf(response));
  }

  #send({ method, path, json, file }: AdminRequest): Promise<IncomingMessage> {
    const url = `${this.#base}${path}`;
    const body = json === undefined ? '' : JSON.stringify(json);
    const headers: Record<string, string | number> = { connection: 'close' };
    if (this.#token !== '') headers.authorization = `Bearer ${this.#token}`;
    if (method !== 'GET') headers['content-length'] = file?.sizeBytes ?? Buffer.byteLength(body);
    return new Promise((resolve, reject) => {
      const send = url.startsWith('https:') ? requestHttps : requestHttp;
      let answer: IncomingMessage | null = null;
      const request = send(url, { method, headers, timeout: SILENCE_MS_MAX }, (response) => {
        answer = response;
        resolve(response);
      });
      const failed = (error: Error): void => {
        const detail = `${this.#base}: ${error.message}`;
        reject(new GatewayError('GW_ADMIN_UNREACHABLE', detail, error));
      };
      request.on('timeout', () => request.destroy(new Error(`silent for ${SILENCE_MS_MAX} ms`)));
      request.on('error', failed);
      if (file === undefined) request.end(body);
      // A gateway that refuses the file answers before it has all of it.
      else pipeline(file.stream, request).catch((error) => answer === null && failed(error));
    });
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    sizeBytes += piece.length;
    if (sizeBytes > ANSWER_SIZE_BYTES_MAX) {
      const detail = `an answer of more than ${ANSWER_SIZE_BYTES_MAX} bytes`;
      throw new GatewayError('GW_ADMIN_UNREACHABLE', detail);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

/** What the gateway refused, by its own code. */
function errorOf(status: number, text: string): GatewayError {
  try {
    const { code, detail } = JSON.parse(text) as { code: unknown; detail: unknown };
    if (typeof code === 'string' && Object.hasOwn(ERRORS, code)) {
      return new GatewayError(code as ErrorCode, typeof detail === 'string' ? detail : '');
    }
  } catch {
    // It is none of our gateways.
  }
  const shown = JSON.stringify(text.slice(0, 100));
  return new GatewayError('GW_ADMIN_UNREACHABLE', `it answered ${status}: ${shown}`);
}
