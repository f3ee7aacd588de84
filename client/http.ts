// One bounded HTTP request: a deadline for the head, one between pieces, a least rate, and a
// cap on the decoded body. `content-length` is never believed.

import type { LoaderClock, LoaderLimits } from './api.ts';
import { concat } from './bytes.ts';
import { abortError, anySignal } from './clock.ts';
import { LoaderError, toLoaderError } from './errors.ts';
import type { Bytes } from './model.ts';

export interface HttpRequest {
  readonly url: string;
  /** A JSON body makes it a POST. */
  readonly body?: string;
  /** Of the body after its content encoding is taken off. */
  readonly sizeBytesMax: number;
  readonly signal: AbortSignal;
  /** Passes the browser's HTTP cache by. */
  readonly cache?: 'no-store';
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Empty unless the status is 200. */
  readonly bytes: Bytes;
}

export interface HttpTools {
  readonly fetch: typeof globalThis.fetch;
  readonly clock: LoaderClock;
  readonly limits: LoaderLimits;
}

/** Errors: LOADER_NETWORK, LOADER_HASH for a body over its cap, LOADER_ABORTED. */
export async function requestBytes(request: HttpRequest, tools: HttpTools): Promise<HttpAnswer> {
  const { controller, release } = anySignal([request.signal]);
  const watch = new Watch(tools, controller);
  try {
    watch.expect('an answer', tools.limits.requestTimeoutMs);
    const response = await tools.fetch(request.url, init(request, controller.signal));
    const contentType = response.headers.get('content-type') ?? '';
    if (response.status !== 200) {
      await response.body?.cancel().catch(() => {});
      return { status: response.status, contentType, bytes: new Uint8Array(0) };
    }
    const bytes = await readBody(response, request.sizeBytesMax, watch, tools);
    return { status: 200, contentType, bytes };
  } catch (error) {
    if (request.signal.aborted) throw abortError();
    if (watch.late !== null) throw new LoaderError('LOADER_NETWORK', watch.late);
    throw toLoaderError(error, 'LOADER_NETWORK');
  } finally {
    watch.end();
    release();
    controller.abort();
  }
}

function init(request: HttpRequest, signal: AbortSignal): RequestInit {
  const base: RequestInit = { signal, credentials: 'omit', referrerPolicy: 'no-referrer' };
  if (request.cache !== undefined) base.cache = request.cache;
  if (request.body === undefined) return base;
  // What the device says of itself goes to nobody it was not meant for. The body is plain text to
  // the browser: JSON would cost a preflight with every origin but the page's own.
  return { ...base, method: 'POST', body: request.body, redirect: 'error' };
}

async function readBody(
  response: Response,
  sizeBytesMax: number,
  watch: Watch,
  { limits }: HttpTools,
): Promise<Bytes> {
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  watch.measure(() => sizeBytes);
  for (;;) {
    watch.expect('more of the body', limits.stallTimeoutMs);
    const { done, value } = await reader.read();
    if (done) return concat(parts);
    sizeBytes += value.length;
    if (sizeBytes > sizeBytesMax) {
      await reader.cancel().catch(() => {});
      const detail = `a body of more than ${sizeBytesMax} bytes`;
      throw new LoaderError('LOADER_HASH', detail);
    }
    parts.push(value);
  }
}

/** Aborts a request that keeps nobody's time. */
class Watch {
  readonly #clock: LoaderClock;
  readonly #limits: LoaderLimits;
  readonly #controller: AbortController;
  #cancelStep = (): void => {};
  #cancelWhole = (): void => {};
  /** What did not come in time. */
  late: string | null = null;

  constructor({ clock, limits }: HttpTools, controller: AbortController) {
    this.#clock = clock;
    this.#limits = limits;
    this.#controller = controller;
  }

  expect(what: string, ms: number): void {
    this.#cancelStep();
    const late = `${what} did not come within ${ms} ms`;
    this.#cancelStep = this.#clock.after(ms, () => this.#expire(late));
  }

  /** Looks now and then whether enough has come since the last look: a body that trickles is as
   *  good as none, however long it may be. */
  measure(received: () => number): void {
    const { requestTimeoutMs, bytesPerSecondMin } = this.#limits;
    const least = Math.ceil((requestTimeoutMs * bytesPerSecondMin) / 1_000);
    const before = received();
    const look = (): void => {
      if (received() - before < least) {
        this.#expire(`less than ${least} bytes came within ${requestTimeoutMs} ms`);
      } else {
        this.measure(received);
      }
    };
    this.#cancelWhole = this.#clock.after(requestTimeoutMs, look);
  }

  end(): void {
    this.#cancelStep();
    this.#cancelWhole();
  }

  #expire(late: string): void {
    this.late ??= late;
    this.#controller.abort();
  }
}
