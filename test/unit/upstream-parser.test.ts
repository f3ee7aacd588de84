// The response parser alone: what it accepts, what it refuses, and that it makes no difference how
// the bytes were cut into reads.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BODY_SIZE_UNKNOWN } from '../../host/core/index.ts';
import { KnownHeads } from '../../host/mesh/upstream/known-heads.ts';
import {
  EXPECT_BODYLESS,
  EXPECT_RESPONSE,
  ResponseParser,
} from '../../host/mesh/upstream/response-parser.ts';

interface Outcome {
  events: string[];
  detail: string;
  shouldClose: boolean;
}

interface Options {
  readonly expects?: number[];
  readonly isEnded?: boolean;
  readonly sizes?: readonly number[];
  /** What the parser has met before; nothing by default. */
  readonly known?: KnownHeads;
}

/** Parses a text cut into reads of the given sizes; body bytes are joined in the events. */
function parse(text: string, options: Options = {}): Outcome {
  const expects = [...(options.expects ?? [EXPECT_RESPONSE])];
  const events: string[] = [];
  let body = '';
  const parser = new ResponseParser(
    {
      onHead: (status, headers, size) => events.push(`head ${status} ${size} ${headers.join('|')}`),
      onBody: (chunk) => {
        body += Buffer.from(chunk).toString('latin1');
      },
      onTrailers: (trailers) => events.push(`trailers ${trailers.join('|')}`),
      onComplete: () => {
        events.push(`end ${body}`);
        body = '';
        const next = expects.shift();
        if (next !== undefined) parser.expect(next);
      },
    },
    options.known ?? new KnownHeads(),
  );
  parser.expect(expects.shift()!);
  const bytes = Buffer.from(text, 'latin1');
  const sizes = [...(options.sizes ?? [])];
  let offset = 0;
  let isGood = true;
  while (offset < bytes.length && isGood) {
    const size = Math.min(sizes.shift() ?? bytes.length, bytes.length - offset);
    // Each read has a buffer of its own, as the parser may write to it.
    const read = Buffer.alloc(size + 3, 'x');
    bytes.copy(read, 0, offset, offset + size);
    isGood = parser.execute(read, size);
    read.fill('?');
    offset += size;
  }
  if (isGood && options.isEnded === true && !parser.finish()) events.push('truncated');
  if (body !== '') events.push(`part ${body}`);
  return { events, detail: isGood ? '' : parser.detail, shouldClose: parser.shouldClose };
}

const GOOD: Readonly<Record<string, [string, string[], Options?]>> = {
  'a body by content-length': [
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello',
    ['head 200 5 content-type|text/plain', 'end hello'],
  ],
  'no reason, and spaces around values': [
    'HTTP/1.1 200\r\nA: \t b c \t\r\nE:\r\ncontent-length:0\r\n\r\n',
    ['head 200 0 a|b c|e|', 'end '],
  ],
  'content-length said twice alike': [
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi',
    ['head 200 2 ', 'end hi'],
  ],
  'a chunked body': [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n' +
      '00006\r\n world\r\n0\r\n\r\n',
    [`head 200 ${BODY_SIZE_UNKNOWN} `, 'end hello world'],
  ],
  'chunk extensions, dropped, and trailers, without those that have no place there': [
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n' +
      '2;a;b=c;d="e \\" f"\r\nhi\r\n0;x\r\nExpires: never\r\nDigest: \xff x \r\n' +
      'Set-Cookie: a=b\r\nDigest:\r\n\r\n',
    [`head 200 ${BODY_SIZE_UNKNOWN} `, 'trailers digest|\xff x|digest|', 'end hi'],
  ],
  'trailers of which none has a place there': [
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nConnection: x\r\n\r\n',
    [`head 200 ${BODY_SIZE_UNKNOWN} `, 'end '],
  ],
  'a body that ends with the connection': [
    'HTTP/1.1 200 OK\r\nA: b\r\n\r\nall of it',
    [`head 200 ${BODY_SIZE_UNKNOWN} a|b`, 'end all of it'],
    { isEnded: true },
  ],
  'HTTP/1.0': [
    'HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi',
    ['head 200 2 ', 'end hi'],
  ],
  'interim responses, skipped': [
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' +
      'HTTP/1.1 204 No Content\r\nA: b\r\n\r\n',
    ['head 204 0 a|b', 'end '],
  ],
  'HEAD announces and sends nothing': [
    'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n',
    ['head 200 1000 ', 'end '],
    { expects: [EXPECT_BODYLESS] },
  ],
  'HEAD with chunked': [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    [`head 200 ${BODY_SIZE_UNKNOWN} `, 'end '],
    { expects: [EXPECT_BODYLESS] },
  ],
  '304 has no body': [
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: "a"\r\n\r\n',
    ['head 304 7 etag|"a"', 'end '],
  ],
  'hop-by-hop headers and those connection lists are taken out': [
    'HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nConnection: x-two\r\nX-Hop: 1\r\n' +
      'X-Two: 2\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\n' +
      'Proxy-Connection: x\r\nProxy-Authenticate: Basic\r\nX-Stays: 3\r\nContent-Length: 0\r\n\r\n',
    ['head 200 0 proxy-authenticate|Basic|x-stays|3', 'end '],
  ],
  'pipelined responses in order': [
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n' +
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n',
    ['head 200 1 ', 'end a', 'head 404 9 ', 'end ', `head 200 ${BODY_SIZE_UNKNOWN} `, 'end c'],
    { expects: [EXPECT_RESPONSE, EXPECT_BODYLESS, EXPECT_RESPONSE] },
  ],
};

describe('the response parser accepts', () => {
  for (const [name, [text, events, options = {}]] of Object.entries(GOOD)) {
    it(name, () => {
      const outcome = parse(text, options);
      assert.deepEqual(outcome, { ...outcome, events, detail: '' });
    });

    it(`${name}, met before`, () => {
      const known = new KnownHeads();
      for (let turn = 0; turn < 4; turn++) {
        const outcome = parse(text, { ...options, known });
        assert.deepEqual(outcome, { ...outcome, events, detail: '' }, `turn ${turn}`);
      }
    });

    it(`${name}, cut at every byte boundary`, () => {
      const whole = parse(text, options);
      for (let cut = 1; cut < text.length; cut++) {
        assert.deepEqual(parse(text, { ...options, sizes: [cut] }), whole, `cut at ${cut}`);
      }
      const single = { ...options, sizes: new Array<number>(text.length).fill(1) };
      assert.deepEqual(parse(text, single), whole, 'byte by byte');
    });
  }

  // A client tells a refusal of the gateway from an answer of the upstream by this header.
  it('no reason of an upstream, which is the gateway’s to give', () => {
    const head = 'HTTP/1.1 200 OK\r\nX-Sluice-Reason: 999\r\nx-a: 1\r\ncontent-length: 0\r\n\r\n';
    assert.deepEqual(parse(head).events, ['head 200 0 x-a|1', 'end ']);
  });

  it('values of any bytes, one character each', () => {
    const text = 'HTTP/1.1 200 OK\r\nA: \xc4\x8d\r\nB: \xe9\r\nContent-Length: 0\r\n\r\n';
    assert.equal(parse(text).events[0], 'head 200 0 a|\xc4\x8d|b|\xe9');
  });

  it('closing after close, HTTP/1.0 and bodies without an end', () => {
    const closing = (head: string) => parse(`HTTP/1.${head}\r\n\r\n`).shouldClose;
    assert.equal(closing('1 200 OK\r\ncontent-length: 0'), false);
    assert.equal(closing('1 200 OK\r\ncontent-length: 0\r\nconnection: foo, Close'), true);
    assert.equal(closing('0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive'), true);
    assert.equal(closing('1 200 OK'), true);
    assert.equal(closing('1 204 OK'), false);
  });
});

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

const BAD: Readonly<Record<string, string>> = {
  'no HTTP': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  'HTTP/2': 'HTTP/2 200 OK\r\n\r\n',
  'HTTP/1.2': 'HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n',
  'lower-case http': 'http/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  'an empty line first': `\r\n${OK}content-length: 0\r\n\r\n`,
  'two spaces before the status': 'HTTP/1.1  200 OK\r\n\r\n',
  'a status of two digits': 'HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n',
  'a status of four digits': 'HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n',
  'a status below 100': 'HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n',
  'status 000': 'HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n',
  // The listener refuses to send these: the client got 500, as if the gateway were at fault.
  'status 600': 'HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n',
  'status 999': 'HTTP/1.1 999 Denied\r\ncontent-length: 0\r\n\r\n',
  'NUL in the reason': 'HTTP/1.1 200 O\0K\r\ncontent-length: 0\r\n\r\n',
  'status 101': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
  'endless interim responses': 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(17),
  // Node takes the connection for closed and the final response for garbage.
  'an interim response that closes': `HTTP/1.1 100 C\r\nConnection: close\r\n\r\n${OK}\r\n`,
  'an interim response of HTTP/1.0': `HTTP/1.0 100 C\r\n\r\n${OK}\r\n`,
  'an interim response with a body': `HTTP/1.1 100 C\r\nContent-Length: 1\r\n\r\nx${OK}\r\n`,
  'a bare LF after the status': 'HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n',
  'a bare LF after a header': `${OK}A: b\ncontent-length: 0\r\n\r\n`,
  'bare LFs at the end': 'HTTP/1.1 200 OK\r\nA: b\n\n',
  'a bare CR in a value': `${OK}A: b\rC: d\r\ncontent-length: 0\r\n\r\n`,
  'a bare CR at the end of the head': `${OK}content-length: 0\r\n\rX`,
  'NUL in a value': `${OK}A: b\0\r\ncontent-length: 0\r\n\r\n`,
  'DEL in a value': `${OK}A: b\x7f\r\ncontent-length: 0\r\n\r\n`,
  'a space before the colon': `${OK}Content-Length : 0\r\n\r\n`,
  'a space in a name': `${OK}Content Length: 0\r\n\r\n`,
  'an empty name': `${OK}: x\r\ncontent-length: 0\r\n\r\n`,
  'a line without a colon': `${OK}nothing\r\ncontent-length: 0\r\n\r\n`,
  'a folded line': `${OK}A: b\r\n c\r\ncontent-length: 0\r\n\r\n`,
  'a folded first line': `${OK} A: b\r\ncontent-length: 0\r\n\r\n`,
  'a name that is not ASCII': `${OK}\xe9: b\r\ncontent-length: 0\r\n\r\n`,
  'content-length with a sign': `${OK}Content-Length: +5\r\n\r\nhello`,
  'content-length with a tab behind': `${OK}Content-Length: 0\t\r\n\r\n`,
  'a negative content-length': `${OK}Content-Length: -5\r\n\r\n`,
  'a hexadecimal content-length': `${OK}Content-Length: 0x5\r\n\r\nhello`,
  'content-length with a space': `${OK}Content-Length: 1 0\r\n\r\n`,
  'a list of content-lengths': `${OK}Content-Length: 5, 5\r\n\r\nhello`,
  'an empty content-length': `${OK}Content-Length:\r\n\r\n`,
  'a huge content-length': `${OK}Content-Length: 9999999999999999\r\n\r\n`,
  'two content-lengths': `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
  'content-length, then chunked': `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
  'chunked, then content-length': `${OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`,
  'gzip, chunked': `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  'chunked twice': `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
  identity: `${OK}Transfer-Encoding: identity\r\n\r\n`,
  xchunked: `${OK}Transfer-Encoding: xchunked\r\n\r\n`,
  'an empty transfer-encoding': `${OK}Transfer-Encoding:\r\n\r\n`,
  'chunked in HTTP/1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a chunk size with 0x': `${CHUNKED}0x5\r\nhello\r\n`,
  'a negative chunk size': `${CHUNKED}-5\r\nhello\r\n`,
  'an empty chunk size': `${CHUNKED}\r\nhello\r\n`,
  'a space before a chunk size': `${CHUNKED} 5\r\nhello\r\n`,
  'a space after a chunk size': `${CHUNKED}5 \r\nhello\r\n`,
  'a huge chunk size': `${CHUNKED}fffffffffffffff\r\n`,
  'a bare LF after a chunk size': `${CHUNKED}5\nhello\r\n`,
  'a bare CR after a chunk size': `${CHUNKED}5\rhello\r\n`,
  'a chunk longer than its size': `${CHUNKED}5\r\nhello!\r\n`,
  'a bare LF after a chunk': `${CHUNKED}5\r\nhello\n0\r\n\r\n`,
  'an extension with a bare LF': `${CHUNKED}5;a\nb\r\nhello\r\n`,
  'an extension without a name': `${CHUNKED}5;=b\r\nhello\r\n`,
  'endless extensions': `${CHUNKED}5;${'a'.repeat(2000)}\r\nhello\r\n`,
  'endless trailers': `${CHUNKED}0\r\n${`a: ${'b'.repeat(1000)}\r\n`.repeat(20)}\r\n`,
  'a malformed trailer': `${CHUNKED}0\r\nA : b\r\n\r\n`,
  'framing in the trailers': `${CHUNKED}0\r\nContent-Length: 5\r\n\r\n`,
  'bytes behind the response': `${OK}Content-Length: 2\r\n\r\nhi!`,
  'a second response': `${OK}Content-Length: 0\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
  'too many headers': `${OK}${'a: b\r\n'.repeat(257)}content-length: 0\r\n\r\n`,
};

describe('the response parser refuses', () => {
  for (const [name, text] of Object.entries(BAD)) {
    it(name, () => {
      const known = new KnownHeads();
      for (let turn = 0; turn < 4; turn++) {
        const whole = parse(text, { known });
        assert.notEqual(whole.detail, '', `accepted: ${whole.events.join('; ')}`);
      }
      for (let cut = 1; cut < text.length; cut++) {
        const outcome = parse(text, { sizes: [cut] });
        assert.notEqual(outcome.detail, '', `accepted when cut at ${cut}`);
      }
    });
  }

  it('a head above 64 KiB, in one piece or many', () => {
    const text = `${OK}a: ${'b'.repeat(70_000)}\r\ncontent-length: 0\r\n\r\n`;
    for (const sizes of [[], [65_536], [1000, 65_536], new Array<number>(text.length).fill(1)]) {
      assert.match(parse(text, { sizes }).detail, /above 65536 bytes/);
    }
  });

  it('an end that comes too early', () => {
    for (const text of [
      'HTTP/1.1 200',
      `${OK}Content-Length: 5\r\n\r\nhell`,
      `${CHUNKED}5\r\nhi`,
    ]) {
      assert.ok(parse(text, { isEnded: true }).events.includes('truncated'));
    }
  });
});
