// A follower's questions over HTTP: one connection kept for each question that is under way. An
// answer that is read whole is bounded, one that streams is read as fast as it is taken.

import { Agent, request as askHttp, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as askHttps, Agent as TlsAgent } from 'node:https';
import { type ErrorCode, GatewayError } from '../../core/index.ts';
import { ANSWER_SIZE_BYTES_MAX, SILENCE_MS_MAX } from './limits.ts';
import { REPLICATION_SEGMENT, type ReplicationAction } from './protocol.ts';

/** What a primary refuses with that means something to a follower. */
const KNOWN_CODES: readonly ErrorCode[] = [
  'DB_LOG_TRIMMED',
  'DB_LOG_DIVERGED',
  'DB_REPLICA_OTHER',
  'DB_NOT_FOUND',
  'DB_NO_STATE',
  'DB_STANDING',
];
const ERROR_SIZE_BYTES_MAX = 4_096;

export class PrimaryClient {
  readonly #url: string;
  readonly #token: string;
  readonly #agent: Agent | TlsAgent;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
    const options = { keepAlive: true, maxFreeSockets: 4 };
    this.#agent = url.startsWith('https:') ? new TlsAgent(options) : new Agent(options);
  }

  /** Asks, and gives the answer as it comes. Errors: DB_FEED_REFUSED, or what the primary says;
   *  DB_UNAVAILABLE where it does not answer. */
  async open(
    action: ReplicationAction,
    name: string,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#ask(action, name, body, signal);
    if (response.statusCode === 200) return pieces(response);
    const text = await readAll(response, ERROR_SIZE_BYTES_MAX).catch(() => new Uint8Array());
    throw refusalOf(response.statusCode ?? 0, Buffer.from(text).toString('utf8'));
  }

  /** As open, read to its end. */
  async read(
    action: ReplicationAction,
    name: string,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    return readAll(await this.open(action, name, body, signal), ANSWER_SIZE_BYTES_MAX);
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(
    action: ReplicationAction,
    name: string,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const path = name === '' ? action : `${action}/${name}`;
    const url = `${this.#url}/${REPLICATION_SEGMENT}/${path}`;
    const options = {
      method: 'POST',
      agent: this.#agent,
      signal,
      timeout: SILENCE_MS_MAX,
      headers: {
        authorization: `Bearer ${this.#token}`,
        'content-type': 'application/octet-stream',
        'content-length': body.length,
      },
    };
    return new Promise((resolve, reject) => {
      const ask = url.startsWith('https:') ? askHttps : askHttp;
      const request: ClientRequest = ask(url, options, resolve);
      request.on('timeout', () => request.destroy(silent()));
      request.on('error', (error) => reject(unreachable(error)));
      request.end(body);
    });
  }
}

async function* pieces(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of response) yield piece as Uint8Array;
  } catch (error) {
    throw unreachable(error as Error);
  }
}

async function readAll(source: AsyncIterable<Uint8Array>, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > most) {
      throw new GatewayError('DB_FEED_CORRUPT', `an answer of more than ${most} bytes, the limit`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function refusalOf(status: number, text: string): GatewayError {
  let answer: { readonly code?: unknown; readonly message?: unknown } = {};
  try {
    answer = JSON.parse(text) ?? {};
  } catch {
    // Whoever answered is no gateway: its status says enough.
  }
  const code = KNOWN_CODES.find((known) => known === answer.code);
  const message = typeof answer.message === 'string' ? answer.message : `status ${status}`;
  return new GatewayError(code ?? 'DB_FEED_REFUSED', message);
}

function unreachable(error: Error): Error {
  if (error instanceof GatewayError) return error;
  return new GatewayError('DB_UNAVAILABLE', `the primary does not answer: ${error.message}`, error);
}

function silent(): GatewayError {
  const detail = `the primary was silent for ${SILENCE_MS_MAX / 1_000} s`;
  return new GatewayError('DB_UNAVAILABLE', detail);
}
