// What tests send to a gateway: one request at a time, or a load of keep-alive connections that
// each send a request as soon as the last one is answered, and that forgive nothing.

import assert from 'node:assert/strict';
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { connect } from 'node:net';
import type { Echo } from './origin.ts';

/** No test waits longer for one answer. */
const ANSWER_MS_MAX = 30_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface Ask {
  readonly method?: string;
  /** `path` as it goes on the wire, where a URL would be normalised. */
  readonly path?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  readonly tls?: Pick<RequestOptions, 'ca' | 'servername' | 'rejectUnauthorized'>;
}

/** Sends a request on a connection of its own, unless an agent is given. */
export function ask(url: string, options: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = open(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          body: Buffer.concat(chunks).toString(),
        });
      });
    });
    request.on('error', reject);
    request.end(options.body);
  });
}

/** Begins a request, for tests that write or read it by hand. */
export function open(
  url: string,
  options: Ask,
  onResponse: (response: IncomingMessage) => void,
): ClientRequest {
  const { method = 'GET', headers = {}, agent = false, path, tls } = options;
  const parts = new URL(url);
  const request = (parts.protocol === 'https:' ? httpsRequest : httpRequest)(
    {
      host: parts.hostname,
      port: parts.port,
      path: path ?? parts.pathname + parts.search,
      method,
      headers,
      agent: agent as Agent,
      ...tls,
    },
    onResponse,
  );
  request.setTimeout(ANSWER_MS_MAX, () => request.destroy(new Error('no answer in time')));
  return request;
}

/** Sends a request to an origin that echoes, and returns what the origin received. */
export async function askEcho(url: string, options: Ask = {}): Promise<Echo> {
  const { status, body } = await ask(url, options);
  assert.equal(status, 200, body);
  return JSON.parse(body) as Echo;
}

/** Holds an answer against what a refused client sees. */
export function assertProblem(answer: Answer, status: number, reason: number): void {
  assert.equal(answer.status, status, `${answer.rawHeaders.join(' ')}: ${answer.body}`);
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  assert.equal(answer.headers['x-sluice-reason'], String(reason));
  const problem = JSON.parse(answer.body) as { status: number; reason: number; title: string };
  assert.equal(problem.status, status);
  assert.equal(problem.reason, reason);
  assert.ok(problem.title.length > 0);
}

/** Sends bytes as they are and returns everything that comes back until the connection closes. */
export function askRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error('no end in time')));
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  /** Whether an answer is as it should be; a 200 unless told otherwise. */
  readonly isGood?: (answer: Answer) => boolean;
  readonly headers?: (connection: number, request: number) => OutgoingHttpHeaders;
  /** A connection that cannot be made ends its sender instead of counting as a failure. */
  readonly endsWhenRefused?: true;
}

/** Keep-alive connections at work until stop(). */
export class Load {
  readonly failures: string[] = [];
  answeredCount = 0;
  readonly #options: LoadOptions;
  readonly #senders: Promise<void>[];
  #isStopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#senders = Array.from({ length: options.connections }, (_, index) => this.#send(index));
  }

  /** Waits until `count` more requests have been answered. */
  async untilAnswered(count: number): Promise<void> {
    const goal = this.answeredCount + count;
    while (this.answeredCount < goal && this.failures.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Lets every connection finish its request. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#senders);
  }

  /** Waits until every sender has ended by itself. */
  async ended(): Promise<void> {
    await Promise.all(this.#senders);
  }

  async #send(connection: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { url, isGood = ({ status }) => status === 200, headers } = this.#options;
    let isReused = false;
    for (let count = 0; !this.#isStopping; count++) {
      try {
        const answer = await ask(url, { agent, headers: headers?.(connection, count) ?? {} });
        isReused = answer.headers.connection !== 'close';
        if (isGood(answer)) this.answeredCount += 1;
        else this.failures.push(`status ${answer.status}: ${answer.body.slice(0, 200)}`);
      } catch (error) {
        // The kernel resets what waits in the queue of a listener that closes.
        if (this.#options.endsWhenRefused && !isReused) break;
        this.failures.push(String(error));
        break;
      }
    }
    agent.destroy();
  }
}

/** Waits until something holds; the test's own timeout ends it if it never does. */
export async function untilTrue(
  condition: () => boolean | Promise<boolean>,
  everyMs = 10,
): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, everyMs));
}
