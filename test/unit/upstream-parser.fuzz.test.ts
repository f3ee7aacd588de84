// A differential fuzz: mutated responses go to our parser and to Node's own client. Whenever ours
// accepts, Node accepts with the same status, headers and body. We may be stricter; never laxer.
//
// Allowed differences, each on purpose:
// - identical repeated content-length headers are one (RFC 9110 section 8.6); Node refuses them;
// - bytes behind a response make Node refuse it; ours delivers it and then closes the connection;
// - hop-by-hop headers and content-length are taken out of ours.
//
// Nor does it make a difference whether ours has met the same head before, or one much like it.

import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { KnownHeads } from '../../host/mesh/upstream/known-heads.ts';
import {
  EXPECT_BODYLESS,
  EXPECT_RESPONSE,
  ResponseParser,
} from '../../host/mesh/upstream/response-parser.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

interface Seen {
  readonly status: number;
  /** Lower-case names, values as latin1 bytes. */
  readonly headers: string[];
  readonly body: string;
  /** Whether bytes lay behind the response. */
  readonly hasLeftover: boolean;
}

const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['proxy-connection', 'content-length'],
]);

/** The first response, or null where it is refused or not complete when the connection ends. */
function readOurs(
  bytes: Buffer,
  method: string,
  random: SeededRandom,
  known: { readonly heads: KnownHeads; foundCount: number },
): Seen | null {
  let status = 0;
  let headers: string[] = [];
  let body = '';
  let isComplete = false;
  let hasLeftover = false;
  const parser = new ResponseParser(
    {
      onHead: (code, list, _size, kept) => {
        status = code;
        headers = list;
        if (kept !== null) known.foundCount += 1;
      },
      onBody: (chunk) => {
        body += Buffer.from(chunk).toString('latin1');
      },
      onComplete: (leftoverSizeBytes) => {
        hasLeftover = leftoverSizeBytes > 0;
        isComplete = true;
        parser.stop();
      },
    },
    known.heads,
  );
  parser.expect(method === 'HEAD' ? EXPECT_BODYLESS : EXPECT_RESPONSE);
  let offset = 0;
  while (offset < bytes.length && !isComplete) {
    const size = random.unit() < 0.5 ? bytes.length - offset : 1 + (random.uint32() % 40);
    const read = Buffer.from(bytes.subarray(offset, offset + size));
    if (!parser.execute(read, read.length)) return null;
    offset += size;
  }
  if (!isComplete && !parser.finish()) return null;
  return { status, headers, body, hasLeftover: hasLeftover || offset < bytes.length };
}

/** A socket that has already been told everything. */
class ScriptedSocket extends Duplex {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    super();
    this.#bytes = bytes;
  }

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    if (!this.readableEnded) {
      this.push(this.#bytes);
      this.push(null);
    }
    done();
  }

  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

type NodeSeen = Omit<Seen, 'hasLeftover'>;

async function readNode(bytes: Buffer, method: string): Promise<NodeSeen | null> {
  return new Promise((resolve) => {
    const socket = new ScriptedSocket(bytes);
    const sent = httpRequest({
      method,
      host: 'test',
      createConnection: () => socket as never,
      maxHeaderSize: 1_000_000,
    });
    sent.on('error', () => resolve(null));
    sent.on('upgrade', () => resolve(null));
    let hasResponse = false;
    sent.on('response', (response) => {
      hasResponse = true;
      collect(response, resolve);
    });
    sent.on('close', () => {
      if (!hasResponse) resolve(null);
    });
    sent.end();
  });
}

function collect(response: IncomingMessage, resolve: (seen: NodeSeen | null) => void): void {
  let body = '';
  response.setEncoding('latin1');
  response.on('data', (text: string) => {
    body += text;
  });
  response.on('error', () => resolve(null));
  response.on('close', () => resolve(null));
  response.on('end', () => {
    const headers = response.rawHeaders.map((text, index) =>
      index % 2 === 0 ? text.toLowerCase() : text,
    );
    resolve({ status: response.statusCode ?? 0, headers, body });
  });
}

/** Node's headers without those that ours leave out. */
function endToEnd(headers: readonly string[]): string[] {
  const removed = new Set(HOP_BY_HOP);
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== 'connection') continue;
    for (const option of headers[index + 1]!.toLowerCase().split(',')) removed.add(option.trim());
  }
  const kept: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    if (removed.has(headers[index]!)) continue;
    kept.push(headers[index]!, headers[index + 1]!);
  }
  return kept;
}

const HEADS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5\r\nhello\r\n6;x=y' +
    '\r\n world\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\nA\r\n0123456789\r\n' +
    '0;q="w"\r\nA: b\r\nC: d\r\n\r\n',
  'HTTP/1.1 200 OK\r\nServer: x\r\n\r\nuntil the very end',
  'HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nold',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 5\r\n\r\n',
  'HTTP/1.1 204 No Content\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\n' +
    'Set-Cookie: c=d\r\n\r\n',
  'HTTP/1.1 302 \r\nLocation: /\xc3\xa9\r\nContent-Length: 3\r\nKeep-Alive: timeout=5\r\n\r\nabc',
];

const PIECES = [
  ...['\r', '\n', '\r\n', '\r\n\r\n', '\0', ' ', '\t', ':', ';', ',', '"', '\\', '\x7f', '\xff'],
  ...['0', '1', 'a', 'F', '0x', '-1', '+1', '99999999999999999999', '1e3', '00', '=', '\x0b'],
  ...['Content-Length: 5\r\n', 'content-length: 11\r\n', 'Transfer-Encoding: chunked\r\n'],
  ...['Transfer-Encoding: gzip\r\n', 'Transfer-Encoding: identity\r\n', 'chunked', 'gzip, '],
  ...[
    'Connection: close\r\n',
    'Connection: upgrade\r\nUpgrade: h2c\r\n',
    ' folded\r\n',
    'HTTP/1.1',
  ],
  ...['HTTP/1.0', 'HTTP/2.0', '200', '101', '204', '0\r\n\r\n', '5\r\nhello\r\n', ';a="b', ';a=b'],
];

function pick<Item>(items: readonly Item[], random: SeededRandom): Item {
  return items[random.uint32() % items.length]!;
}

/** One to three small changes: bytes removed, doubled, replaced, or a piece put in. */
function mutate(text: string, random: SeededRandom): string {
  let mutated = text;
  for (let count = 1 + (random.uint32() % 3); count > 0; count--) {
    const at = random.uint32() % (mutated.length + 1);
    const size = random.uint32() % 4;
    const kind = random.uint32() % 5;
    const before = mutated.slice(0, at);
    if (kind === 0) mutated = before + mutated.slice(at + size);
    else if (kind === 1) mutated = before + mutated.slice(at, at + size) + mutated.slice(at);
    else if (kind === 2) {
      mutated = before + String.fromCharCode(random.uint32() % 256) + mutated.slice(at + 1);
    } else if (kind === 3) mutated = before + pick(PIECES, random) + mutated.slice(at);
    else {
      // At the beginning of a line, where a whole header or chunk makes most sense.
      const line = mutated.indexOf('\r\n', at) + 2;
      if (line >= 2) mutated = mutated.slice(0, line) + pick(PIECES, random) + mutated.slice(line);
    }
  }
  return mutated;
}

/** Whether a head repeats content-length alike, which Node refuses and we do not. */
function repeatsContentLength(text: string): boolean {
  return (text.match(/\r\ncontent-length:/gi)?.length ?? 0) > 1;
}

describe('the response parser against Node', () => {
  it('is never laxer', async () => {
    const seed = testSeed('upstream-parser.fuzz');
    const random = new SeededRandom(seed);
    const endMs = Date.now() + FUZZ_TIME_MS;
    const known = { heads: new KnownHeads(), foundCount: 0 };
    const counts = { both: 0, ours: 0, node: 0, neither: 0 };
    while (Date.now() < endMs) {
      const text = mutate(pick(HEADS, random), random);
      const method = random.unit() < 0.1 ? 'HEAD' : 'GET';
      const bytes = Buffer.from(text, 'latin1');
      const ours = readOurs(bytes, method, random, { heads: new KnownHeads(), foundCount: 0 });
      for (let turn = 0; turn < 3; turn++) {
        const again = readOurs(bytes, method, random, known);
        assert.deepEqual(again, ours, `SEED=${seed}: turn ${turn} of ${JSON.stringify(text)}`);
      }
      const node = await readNode(bytes, method);
      if (ours === null) counts[node === null ? 'neither' : 'node'] += 1;
      else if (node === null) {
        const isAllowed = ours.hasLeftover || repeatsContentLength(text);
        assert.ok(isAllowed, `SEED=${seed}: only ours accepts ${method} ${JSON.stringify(text)}`);
        counts.ours += 1;
      } else {
        const expected = { ...ours, ...node, headers: endToEnd(node.headers) };
        assert.deepEqual(ours, expected, `SEED=${seed}: ${method} ${JSON.stringify(text)}`);
        counts.both += 1;
      }
    }
    console.log(`# ${JSON.stringify(counts)}`);
    assert.ok(counts.both > 100 && counts.neither > 100, JSON.stringify(counts));
    assert.ok(known.foundCount > 50, `${known.foundCount} heads were known`);
  });
});
