// An origin of releases on loopback, as docs/distribution.md says it, that can be told to fail.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { type ReleaseShelf, sha256, type TestRelease } from './release-shelf.ts';

export interface OriginRequest {
  readonly method: string;
  /** Below `/r`, without the query, decoded. */
  readonly path: string;
  /** As it stood in the request. */
  readonly target: string;
  /** The first that is named. */
  readonly base: string | null;
  readonly bases: readonly string[];
  readonly encodings: string;
  /** The hash of the dictionary that a browser offered, in hex. */
  readonly dictionary: string | null;
}

/** What happens instead of the right answer. */
export type OriginFault =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'redirect'; readonly to: string }
  | { readonly kind: 'endless' }
  /** One byte every 20 ms. */
  | { readonly kind: 'slow' }
  | { readonly kind: 'bytes'; readonly alter: (bytes: Buffer) => Buffer }
  /** The whole length is announced and half of it sent. */
  | { readonly kind: 'cut' };

export interface OriginOptions {
  readonly fault?: (request: OriginRequest) => OriginFault | null;
  /** The bases that there are deltas from; by default all. */
  readonly hasDelta?: (baseSha256: string) => boolean;
  /** Knows one base for a request and no `else=whole`, as gateways once did. */
  readonly isOld?: true;
  /** The answer for a channel; by default the newest release for everybody. */
  readonly answer?: (channel: string, sequence: number) => unknown;
  /** Makes files dictionaries, and answers a browser that has one with what this makes of them. */
  readonly dictionary?: (target: Buffer, baseSha256: string) => Buffer;
  /** Answers what is not below `/r`: an app's pages. */
  readonly page?: (request: IncomingMessage, response: ServerResponse) => void;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly bytes: Buffer;
}

export class ReleaseOrigin {
  readonly requests: OriginRequest[] = [];
  readonly outcomes: unknown[] = [];
  options: OriginOptions;
  readonly #shelf: ReleaseShelf;
  readonly #server: Server;

  private constructor(shelf: ReleaseShelf, options: OriginOptions) {
    this.#shelf = shelf;
    this.options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async open(shelf: ReleaseShelf, options: OriginOptions = {}): Promise<ReleaseOrigin> {
    const origin = new ReleaseOrigin(shelf, options);
    await new Promise<void>((resolve) => origin.#server.listen(0, '127.0.0.1', resolve));
    return origin;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/r`;
  }

  count(pattern: RegExp): number {
    return this.requests.filter(({ path, base }) => {
      return pattern.test(base === null ? path : `${path}?base=${base}`);
    }).length;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://origin');
    if (!url.pathname.startsWith('/r/')) {
      if (this.options.page === undefined) response.writeHead(404).end();
      else this.options.page(request, response);
      return;
    }
    const target = url.pathname.replace(/^\/r/, '');
    const path = decodeURIComponent(target);
    const bases = url.searchParams.getAll('base');
    const base = bases[0] ?? null;
    const takesWhole = url.searchParams.get('else') === 'whole' && !this.options.isOld;
    const encodings = String(request.headers['accept-encoding']);
    const dictionary = dictionaryOf(request);
    const asked = {
      method: request.method ?? '',
      path,
      target,
      base,
      bases,
      encodings,
      dictionary,
    };
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    // Any page may ask: what is served is public.
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-allow-headers', 'content-type');
    if (asked.method === 'OPTIONS') return void response.writeHead(204).end();
    this.requests.push(asked);
    const answer = this.#answer(asked, takesWhole, Buffer.concat(parts));
    const fault = this.options.fault?.(asked) ?? null;
    const encode = this.options.dictionary;
    if (fault !== null) await fail(response, answer, fault);
    else if (encode === undefined || answer.status !== 200 || !/\/v\//.test(path)) {
      send(request, response, answer);
    } else sendByDictionary(asked, response, answer, encode);
  }

  #answer({ path, bases }: OriginRequest, takesWhole: boolean, body: Buffer): Answer {
    const [first, second, ...rest] = path.slice(1).split('/');
    if (first === 'check') return json(this.#check(JSON.parse(body.toString('utf8'))));
    if (first === 'outcomes') {
      this.outcomes.push(...JSON.parse(body.toString('utf8')).outcomes);
      return { status: 204, type: 'text/plain', bytes: Buffer.alloc(0) };
    }
    if (first === 'root') return bytesAnswer(this.#shelf.roots.get(Number(second)));
    const releases = this.#shelf.releases.filter(({ channel }) => channel === first);
    if (second === 'manifest') return bytesAnswer(manifestOf(releases, rest[0]!));
    const release = releases.find(({ version }) => version === rest[0]);
    const found = second === 'pack' ? release?.pack : release?.files.get(rest.slice(1).join('/'));
    if (found === undefined || found === null || bases.length === 0) return bytesAnswer(found);
    const known = this.options.isOld ? bases.slice(0, 1) : bases;
    for (const base of known.filter((one) => this.options.hasDelta?.(one) ?? true)) {
      const delta = this.#shelf.delta(found, base);
      if (delta !== null) return { ...bytesAnswer(delta), type: 'application/vnd.sluice.dcz' };
    }
    return takesWhole ? bytesAnswer(found) : bytesAnswer(null);
  }

  #check({ channels }: { channels: Record<string, { sequence: number }> }): unknown {
    const answers = Object.entries(channels).map(([channel, { sequence }]) => {
      const answer = this.options.answer?.(channel, sequence);
      return [channel, answer ?? answerFor(this.#shelf, channel, sequence)];
    });
    return { nowMs: 0, channels: Object.fromEntries(answers) };
  }
}

export function answerFor(shelf: ReleaseShelf, channel: string, sequence: number): unknown {
  const release = shelf.newest(channel);
  if (release === undefined) return { status: 'none' };
  const status = release.sequence > sequence ? 'update' : 'current';
  return { status, head: shelf.head(release) };
}

function manifestOf(releases: readonly TestRelease[], wanted: string): Uint8Array | undefined {
  return releases.find(({ manifest }) => sha256(manifest) === wanted)?.manifest;
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  response.statusCode = answer.status;
  response.setHeader('content-type', answer.type);
  const accepted = String(request.headers['accept-encoding']);
  const coding = /\b(?:br|gzip)\b/.exec(accepted)?.[0];
  if (coding === undefined || answer.type.includes('dcz')) return void response.end(answer.bytes);
  response.setHeader('content-encoding', coding);
  const encode = coding === 'br' ? quickBrotli : gzipSync;
  response.end(answer.status === 204 ? undefined : encode(answer.bytes));
}

function quickBrotli(bytes: Buffer): Buffer {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } });
}

/** Source: RFC 9842. */
function sendByDictionary(
  { path, dictionary }: OriginRequest,
  response: ServerResponse,
  answer: Answer,
  encode: (target: Buffer, baseSha256: string) => Buffer,
): void {
  response.setHeader('content-type', answer.type);
  response.setHeader('cache-control', 'max-age=3600');
  response.setHeader('vary', 'accept-encoding, available-dictionary');
  response.setHeader('use-as-dictionary', `match="/r/app/v/*/${path.split('/').at(-1)}"`);
  if (dictionary === null) return void response.end(answer.bytes);
  response.setHeader('content-encoding', 'dcz');
  response.end(encode(answer.bytes, dictionary));
}

function dictionaryOf({ headers }: IncomingMessage): string | null {
  const found = /^:(.+):$/.exec(String(headers['available-dictionary'] ?? ''));
  return found === null ? null : Buffer.from(found[1]!, 'base64').toString('hex');
}

async function fail(response: ServerResponse, answer: Answer, fault: OriginFault): Promise<void> {
  response.setHeader('content-type', answer.type);
  switch (fault.kind) {
    case 'status':
      response.writeHead(fault.status).end('no');
      return;
    case 'refuse':
      response.socket?.destroy();
      return;
    case 'hang':
      return;
    case 'redirect':
      response.writeHead(307, { location: fault.to }).end();
      return;
    case 'bytes':
      response.writeHead(answer.status).end(fault.alter(Buffer.from(answer.bytes)));
      return;
    case 'cut':
      response.writeHead(answer.status, { 'content-length': answer.bytes.length });
      response.write(answer.bytes.subarray(0, answer.bytes.length / 2));
      setTimeout(() => response.socket?.destroy(), 20);
      return;
    case 'endless':
      response.writeHead(answer.status);
      while (!response.destroyed) {
        response.write(Buffer.alloc(65_536, 32));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return;
    case 'slow':
      response.writeHead(answer.status);
      for (const byte of answer.bytes) {
        if (response.destroyed) return;
        response.write(Buffer.of(byte));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      response.end();
  }
}

function json(value: unknown): Answer {
  return { status: 200, type: 'application/json', bytes: Buffer.from(JSON.stringify(value)) };
}

function bytesAnswer(bytes: Uint8Array | null | undefined): Answer {
  if (bytes === null || bytes === undefined) {
    return { status: 404, type: 'application/problem+json', bytes: Buffer.from('{}') };
  }
  return { status: 200, type: 'application/octet-stream', bytes: Buffer.from(bytes) };
}
