// Bytes beyond ASCII through a whole gateway, with raw sockets on both sides: what came leaves,
// byte for byte, in both directions and on both engines, and what was configured leaves as UTF-8.
// All texts here are byte strings, one character per byte, but for the configuration.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { UPSTREAM_TEST_CERT, UPSTREAM_TEST_KEY } from '../support/tls-fixture.ts';
import { type RawServer, rawServer } from '../support/upstream.ts';

/** `grün` and a character whose low byte is a carriage return, as UTF-8. */
const GREEN = 'gr\xc3\xbcn-\xc4\x8d.';
/** No UTF-8 in any reading. */
const LONE = 'a\xff\x80\xc3b';
const WAIT_MS_MAX = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'sluice-bytes-'));
const ports = { uws: 0, node: 0, tls: 0 };
let upstream: RawServer;
let gateway: GatewayProcess;

/** Answers with the `x-give` of the request as `x-got`, and the bytes of its head as the body. */
function answer(head: string): Buffer {
  const given = /\r\nx-give: ([^\r]*)/.exec(head)?.[1] ?? '';
  const isRefusal = /\r\nupgrade: websocket/i.test(head);
  const status = isRefusal ? '403 No' : '200 OK';
  const lines = `HTTP/1.1 ${status}\r\nx-got: ${given}\r\ncontent-length: ${head.length}`;
  return Buffer.from(`${lines}\r\n\r\n${head}`, 'latin1');
}

function configuration() {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(cert, UPSTREAM_TEST_CERT);
  writeFileSync(key, UPSTREAM_TEST_KEY);
  const address = '127.0.0.1';
  const texts = { 'x-green': 'grün-č.', 'x-line': 'č\u010d\u010ax-evil: 1' };
  return {
    listen: [
      { port: 0, address },
      { port: 0, address, engine: 'node' },
      { port: 0, address, engine: 'node', tls: { cert, key } },
    ],
    services: { echo: { endpoints: [`http://127.0.0.1:${upstream.port}`] } },
    routes: [
      {
        name: 'set',
        match: { path: '/set' },
        to: 'echo',
        headers: { request: { set: texts }, response: { set: texts } },
      },
      { name: 'pattern', match: { path: '~ ^/pattern/grün.$' }, to: 'echo' },
      { name: 'given', match: { path: '/if', headers: { 'x-give': 'grün-č.' } }, to: 'echo' },
      { name: 'asked', match: { path: '/if', query: { ü: 'č' } }, to: 'echo' },
      { name: 'else', match: { path: '/if' }, respond: { status: 404 } },
      { name: 'moved', match: { path: '/moved/{x}/*' }, redirect: { to: '/č/{x}/*' } },
      {
        name: 'fixed',
        match: { path: '/fixed' },
        respond: { status: 200, headers: texts, body: 'grün' },
      },
      { name: 'cut', match: { path: '/cut/{x}/*' }, to: 'echo', rewrite: { path: '/{x}/*' } },
      { name: 'pass', match: { path: '/*' }, to: 'echo' },
    ],
  };
}

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Sends one request as bytes and reads the answer as bytes. */
async function ask(port: number, target: string, headers: readonly string[] = []): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  const lines = [`GET ${target} HTTP/1.1`, 'host: gw.test', 'connection: close', ...headers];
  socket.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(socket, 'close', { signal: AbortSignal.timeout(WAIT_MS_MAX) });
  const end = text.indexOf('\r\n\r\n');
  const head = text.slice(0, end + 2);
  return { status: Number(head.slice(9, 12)), head, body: text.slice(end + 4) };
}

async function headersOf(session: ClientHttp2Session, path: string) {
  const stream = session.request({ ':path': path });
  const signal = AbortSignal.timeout(WAIT_MS_MAX);
  const [headers] = (await once(stream, 'response', { signal })) as [Record<string, unknown>];
  stream.close();
  return headers;
}

function assertLine(head: string, line: string): void {
  assert.ok(head.includes(`\r\n${line}\r\n`), `${JSON.stringify(line)} in ${JSON.stringify(head)}`);
}

before(async () => {
  upstream = await rawServer((socket, received) => {
    if (!received.endsWith('\r\n\r\n')) return;
    const heads = received.split(/(?<=\r\n\r\n)/);
    socket.write(answer(heads.at(-1)!));
  });
  gateway = await startGateway({ config: configuration() });
  [ports.uws, ports.node, ports.tls] = gateway.ports as [number, number, number];
});

after(async () => {
  await gateway?.stop();
  await upstream?.stop();
  rmSync(folder, { recursive: true, force: true });
});

for (const engine of ['uws', 'node'] as const) {
  describe(`bytes beyond ASCII on the ${engine} engine`, () => {
    const send = (target: string, headers: readonly string[] = []) =>
      ask(ports[engine], target, headers);

    it('pass in header values, in both directions', async () => {
      for (const bytes of engine === 'node' ? [GREEN, LONE] : [GREEN]) {
        const { status, head, body } = await send('/a', [`x-give: ${bytes}`, `cookie: a=${bytes}`]);
        assert.equal(status, 200);
        assertLine(body, `x-give: ${bytes}`);
        assertLine(body, `cookie: a=${bytes}`);
        assertLine(head, `x-got: ${bytes}`);
      }
    });

    it('match the text of conditions', async () => {
      assert.equal((await send('/if')).status, 404);
      assert.equal((await send('/if', [`x-give: ${GREEN}`])).status, 200);
      assert.equal((await send('/if', ['x-give: gr\xc3\xbcn-c.'])).status, 404);
      assert.equal((await send('/if?%c3%bc=%C4%8D')).status, 200);
      assert.equal((await send('/if?%c3%bc=%C4%8E')).status, 404);
    });

    it('are sent as UTF-8 where they were configured, and split no message', async () => {
      const { head, body } = await send('/set', ['x-green: theirs']);
      for (const text of [head, body, (await send('/fixed')).head]) {
        assertLine(text, `x-green: ${GREEN}`);
        assertLine(text, 'x-line: \xc4\x8d\xc4\x8d\xc4\x8ax-evil: 1');
        assert.ok(!text.includes('\nx-evil') && !text.includes('theirs'));
      }
      assert.equal((await send('/fixed')).body, 'gr\xc3\xbcn');
    });

    it('are percent-encoded one by one in a redirect', async () => {
      const { status, head } = await send('/moved/%C3%BC/%FF?%C4%8D=');
      assert.equal(status, 302);
      assertLine(head, 'location: /%C4%8D/%C3%BC/%FF?%C4%8D=');
    });

    it('pass in a WebSocket handshake and its refusal', async () => {
      const upgrade = ['upgrade: websocket', 'connection: upgrade', 'sec-websocket-version: 13'];
      const bytes = engine === 'node' ? LONE : GREEN;
      const target = engine === 'node' ? '/ws' : `/ws-${bytes}?${bytes}`;
      const { status, head, body } = await send(target, [
        ...upgrade,
        'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        `x-give: ${bytes}`,
      ]);
      assert.equal(status, 403);
      assert.ok(body.startsWith(`GET ${target} HTTP/1.1\r\n`), body);
      assertLine(body, `x-give: ${bytes}`);
      assertLine(head, `x-got: ${bytes}`);
    });

    it('make no problem that is not UTF-8 JSON', async () => {
      for (const bad of [`/\x01${LONE}`, `/${GREEN}\\`, `${LONE}`]) {
        const { status, body } = await send(bad);
        assert.ok(status >= 400, `${status} for ${JSON.stringify(bad)}`);
        if (body === '' || !body.startsWith('{')) continue;
        const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(body, 'latin1'));
        assert.equal(JSON.parse(text).reason, 301);
      }
    });
  });
}

describe('a raw target beyond ASCII', () => {
  const send = (target: string) => ask(ports.uws, target);

  it('passes on the uws engine, path and query, rewritten or not', async () => {
    const target = `/${GREEN}/x?${GREEN}=${GREEN}`;
    assert.ok((await send(target)).body.startsWith(`GET ${target} HTTP/1.1\r\n`));
    const cut = await send(`/cut/${GREEN}/./%41/${GREEN}?${GREEN}`);
    assert.ok(cut.body.startsWith(`GET /${GREEN}/A/${GREEN}?${GREEN} HTTP/1.1\r\n`), cut.body);
  });

  it('matches the text of patterns and conditions, and is encoded in a redirect', async () => {
    assert.equal((await send('/pattern/gr\xc3\xbcn\xc4\x8d')).status, 200);
    assert.equal((await send('/if?\xc3\xbc=\xc4\x8d')).status, 200);
    assert.equal((await send('/if?\xc3\xbc=\xc4\x8e')).status, 404);
    const { head } = await send('/moved/\xc3\xbc/%C3%BC/\xc4\x8d?\xc4\x8d=\xc3\xbc');
    assertLine(head, 'location: /%C4%8D/%C3%BC/%C3%BC/%C4%8D?%C4%8D=%C3%BC');
  });

  it('is refused by node over HTTP/1.1, and by uws where it is not UTF-8', async () => {
    assert.equal((await ask(ports.node, `/${GREEN}`)).status, 400);
    assert.equal((await ask(ports.node, `/?${GREEN}`)).status, 400);
    assert.equal((await send(`/${LONE}`)).status, 400);
  });

  // uWS trims a value's ends by signed comparison, which takes every byte from 0x80 for a blank.
  it('stands beside values whose ends uWS has trimmed before we see them', async () => {
    const { body } = await ask(ports.uws, '/a', [
      'x-a: \xc3\xbca\xc3\xbcb\xc3\xbc',
      'x-b: \xc3\xbc',
    ]);
    assertLine(body, 'x-b: ');
    assertLine(body, 'x-a: a\xc3\xbcb');
  });
});

describe('bytes beyond ASCII over HTTP/2', () => {
  it('pass in header values and in the target, in both directions', async () => {
    const session = connectHttp2(`https://127.0.0.1:${ports.tls}`, { rejectUnauthorized: false });
    try {
      for (const bytes of [GREEN, LONE]) {
        const stream = session.request({ ':path': `/${bytes}?${bytes}`, 'x-give': bytes });
        let body = '';
        stream.setEncoding('latin1').on('data', (chunk: string) => {
          body += chunk;
        });
        const signal = AbortSignal.timeout(WAIT_MS_MAX);
        const [headers] = (await once(stream, 'response', { signal })) as [Record<string, string>];
        await once(stream, 'end', { signal });
        assert.ok(body.startsWith(`GET /${bytes}?${bytes} HTTP/1.1\r\n`), body);
        assertLine(body, `x-give: ${bytes}`);
        assert.equal(headers['x-got'], bytes);
      }
      const headers = await headersOf(session, '/set');
      assert.equal(headers['x-green'], GREEN);
      assert.equal(headers['x-line'], '\xc4\x8d\xc4\x8d\xc4\x8ax-evil: 1');
      assert.equal(headers['x-evil'], undefined);
      const moved = await headersOf(session, '/moved/\xff/\x80?\xc3');
      assert.equal(moved.location, '/%C4%8D/%FF/%80?%C3');
      assert.equal((await headersOf(session, '/pattern/gr\xc3\xbcn\xff'))[':status'], 200);
    } finally {
      session.destroy();
    }
  });
});

describe('what people are shown of bytes beyond ASCII', () => {
  it('is text in the explanation of a match', async () => {
    const question = `GET /moved/ü/x?a=č`;
    const url = `${gateway.adminUrl}/routes?match=${encodeURIComponent(question)}`;
    const explained = (await (await fetch(url)).json()) as {
      matched: string;
      parameters: Record<string, string>;
    };
    assert.deepEqual([explained.matched, explained.parameters], ['moved', { x: 'ü' }]);
  });
});
