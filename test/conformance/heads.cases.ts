// Request heads: what is refused and with which reason, the limits on both sides of each, and what
// an exchange says of a request that is served.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { it } from 'node:test';
import { bodyOf, type Driver, headerOf, request, statuses, until } from './listener-driver.ts';

const UPGRADE = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** uWS answers some heads itself, without a reason, or closes. The page it sends says so. */
function isNative(driver: Driver, text: string): boolean {
  return driver.engine === 'uws' && (text === '' || text.includes('uWebSockets/20 Server'));
}

export function headCases(driver: () => Driver): void {
  const inspect = async (text: string) => {
    const answer = await driver().raw([text]);
    assert.deepEqual(statuses(answer.text), [200], answer.text);
    return JSON.parse(Buffer.from(bodyOf(answer.text), 'latin1').toString());
  };

  it('says what was sent', async () => {
    const seen = await inspect(
      'PATCH /inspect?b=2&a=%20 HTTP/1.1\r\nHost: Example.COM:8080\r\nX-A: 1\r\nx-a:\t2 \r\n\r\n',
    );
    assert.equal(seen.method, 'PATCH');
    assert.equal(seen.path, '/inspect');
    assert.equal(seen.query, 'b=2&a=%20');
    assert.equal(seen.authority, 'example.com:8080');
    assert.equal(seen.scheme, 'http');
    assert.equal(seen.httpVersion, '1.1');
    assert.deepEqual(seen.headers, ['host', 'Example.COM:8080', 'x-a', '1', 'x-a', '2']);
    assert.equal(seen.isAscii, true);
    assert.equal(seen.remoteAddress, '127.0.0.1');
    assert.equal(seen.localPort, driver().port);
    assert.equal(seen.bodySizeBytes, 0);
    assert.equal(seen.isWebSocketUpgrade, false);
  });

  // On uWS the peer is asked for only while there are several: see host/edge/sole-peer.ts.
  it('tells each peer from the others, as connections of several come and go', async () => {
    const open: { readonly socket: Socket; readonly address: string }[] = [];
    const ask = async ({ socket, address }: (typeof open)[number]) => {
      socket.write(request('GET', '/inspect'));
      const [chunk] = await once(socket, 'data');
      assert.equal(JSON.parse(bodyOf(String(chunk))).remoteAddress, address);
    };
    const connectFrom = async (address: string) => {
      open.push({ socket: await driver().connect(address), address });
    };
    const closeAll = async (count: number) => {
      for (const { socket } of open.splice(0, count)) socket.destroy();
      const isClosed = async () => (await driver().counts()).connections === open.length;
      await until('the listener has seen them close', isClosed);
    };
    await closeAll(0);
    for (const addresses of ['1', '2', '11', '12', '122', '211', '323', '2', '1']) {
      for (const last of addresses) {
        await connectFrom(`127.0.0.${last}`);
        for (const one of open) await ask(one);
      }
      // The first goes, as one may that was upgraded, and another comes in its place.
      open[0]!.socket.write(request('GET', '/ws', UPGRADE));
      await once(open[0]!.socket, 'data');
      await closeAll(1);
      await connectFrom('127.0.0.4');
      for (const one of open) await ask(one);
      await closeAll(open.length);
    }
  });

  it('keeps any token as a method, in its case', async () => {
    assert.equal((await inspect(request('PURGE', '/inspect'))).method, 'PURGE');
    if (driver().engine === 'node') return;
    assert.equal((await inspect(request('x-Y!', '/inspect'))).method, 'x-Y!');
  });

  // RFC 9110 section 9.1: methods are case-sensitive. `head` is not HEAD: its answer has a body.
  it('takes head for a method of its own on uWS, and for none on node', async () => {
    const pair = request('head', '/now') + request('GET', '/inspect');
    const { text } = await driver().raw([pair]);
    if (driver().engine === 'node') {
      assert.deepEqual(statuses(text), [400]);
      assert.match(text, /x-sluice-reason: 301/i);
      return;
    }
    assert.deepEqual(statuses(text), [200, 200]);
    assert.match(text, /content-length: 7\r\n(?:[^\r]+\r\n)*\r\nnow 200HTTP/i);
    assert.equal((await inspect(request('head', '/inspect'))).method, 'head');
  });

  it('tells the size of a body before it comes', async () => {
    const sized = await inspect(request('POST', '/inspect', ['Content-Length: 3'], 'abc'));
    assert.equal(sized.bodySizeBytes, 3);
    const empty = await inspect(request('POST', '/inspect', ['Content-Length: 0']));
    assert.equal(empty.bodySizeBytes, 0);
    const chunked = ['Transfer-Encoding: chunked'];
    const unknown = await inspect(request('POST', '/inspect', chunked, '1\r\na\r\n0\r\n\r\n'));
    assert.equal(unknown.bodySizeBytes, -1);
  });

  it('gives values beyond ASCII as byte strings', async () => {
    const seen = await inspect(request('GET', '/inspect', ['X: a\xc3\xa9\xf0\x9f\x98\x80b']));
    assert.deepEqual(seen.headers.slice(2), ['x', 'a\xc3\xa9\xf0\x9f\x98\x80b']);
    assert.equal(seen.isAscii, false);
  });

  it('refuses a value that is not UTF-8 on uWS, which hides its bytes', async () => {
    const { text } = await driver().raw([request('GET', '/inspect', ['X: a\xffb'])]);
    if (driver().engine === 'uws') {
      assert.deepEqual(statuses(text), [400]);
      assert.equal(headerOf(text, 'x-sluice-reason'), '301');
    } else {
      const body = JSON.parse(Buffer.from(bodyOf(text), 'latin1').toString());
      assert.deepEqual(body.headers.slice(2), ['x', 'a\xffb']);
    }
  });

  it('refuses malformed heads and never dispatches them', async () => {
    const bad: Readonly<Record<string, string>> = {
      'two hosts': request('GET', '/x', ['Host: other']),
      'the same host twice': request('GET', '/x', ['Host: h']),
      'no host': 'GET /x HTTP/1.1\r\nX: 1\r\n\r\n',
      'an empty host': 'GET /x HTTP/1.1\r\nHost: \r\n\r\n',
      'a host with a path': 'GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n',
      'a host with userinfo': 'GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n',
      'a host with a space': 'GET /x HTTP/1.1\r\nHost: a b\r\n\r\n',
      'a host list': 'GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n',
      'a host that is too long': `GET /x HTTP/1.1\r\nHost: ${'a'.repeat(300)}\r\n\r\n`,
      'a control character in a value': request('GET', '/x', ['X: a\x01b']),
      'a NUL in a value': request('GET', '/x', ['X: a\0b']),
      'a DEL in a value': request('GET', '/x', ['X: a\x7fb']),
      'a space in a name': request('GET', '/x', ['X Y: 1']),
      'a space before the colon': request('GET', '/x', ['X : 1']),
      'a bad byte in a name': request('GET', '/x', ['X(): 1']),
      'a line without a colon': request('GET', '/x', ['nothing']),
      'a folded line': request('GET', '/x', ['X: 1', ' 2']),
      'a control character in the target': request('GET', '/x\x01'),
      'a bad method': request('G(T', '/x'),
      'method CONNECT': request('CONNECT', 'h:1'),
      'method CONNECT with a path': request('CONNECT', '/x'),
      'method TRACE': request('TRACE', '/x'),
      'a target without a slash': request('GET', 'x'),
      'a star for GET': request('GET', '*'),
      'HTTP/1.0': 'GET /x HTTP/1.0\r\nHost: h\r\n\r\n',
      'HTTP/0.9': 'GET /x\r\n\r\n',
      'HTTP/2 on HTTP/1': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      // Node passes it on as a request of HTTP/2, which no cut and no limit then reached.
      'HTTP/2.0 in the clear': 'GET /x HTTP/2.0\r\nHost: h\r\n\r\n',
      'HTTP/2.0 with a body': 'POST /x HTTP/2.0\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc',
      'HTTP/1.2': 'GET /x HTTP/1.2\r\nHost: h\r\n\r\n',
    };
    await driver().events();
    await Promise.all(
      Object.entries(bad).map(async ([name, bytes]) => {
        const { text } = await driver().raw([bytes]);
        const told = `${name}: ${JSON.stringify(text)}`;
        if (isNative(driver(), text)) return;
        assert.deepEqual(statuses(text), [400], told);
        assert.equal(headerOf(text, 'x-sluice-reason'), '301', told);
        assert.equal(headerOf(text, 'connection')?.toLowerCase(), 'close', told);
        assert.equal(JSON.parse(bodyOf(text)).code, 'GW_PROTOCOL_MALFORMED', told);
      }),
    );
    const events = await driver().events();
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'dispatch'),
      [],
    );
    assert.ok(events.some(({ kind, text }) => kind === 'refused' && text.includes('host')));
  });

  // Node's parser reports what follows a closing request as an error, which got a 400 of its own.
  // uWS goes on with what was pipelined, like any other request.
  it('gives one answer behind Connection: close on node; uws answers what came too', async () => {
    const closing = request('GET', '/now', ['Connection: close']);
    await driver().events();
    if (driver().engine === 'uws') {
      const { text } = await driver().raw([closing + request('GET', '/now')], 1_000);
      assert.deepEqual(statuses(text), [200, 200]);
      return;
    }
    for (const first of [closing, closing.replace('1.1', '2.0'), closing.replace('1.1', '1.0')]) {
      const { text, isClosed } = await driver().raw([first + request('GET', '/second')], 1_000);
      assert.equal(statuses(text).length, 1, text);
      assert.ok(isClosed);
    }
    const second = (await driver().texts('dispatch')).filter((what) => what.includes('second'));
    assert.deepEqual(second, []);
  });

  it('refuses a header without a name on node; uWS ends the head there', async () => {
    // uWS marks the end of its header table by an empty name, for itself and for us alike.
    const { text } = await driver().raw([request('GET', '/inspect', [': 1', 'X: hidden'])]);
    if (driver().engine === 'node') assert.deepEqual(statuses(text), [400]);
    else assert.deepEqual(JSON.parse(bodyOf(text)).headers, ['host', 'h']);
  });

  it('takes 98 headers and refuses 101', async () => {
    const lines = (count: number) => Array.from({ length: count - 1 }, (_, at) => `x${at}: 1`);
    assert.equal((await inspect(request('GET', '/inspect', lines(98)))).headers.length, 196);
    const { text } = await driver().raw([request('GET', '/inspect', lines(101))]);
    assert.deepEqual(statuses(text), [431]);
    if (!isNative(driver(), text)) assert.equal(headerOf(text, 'x-sluice-reason'), '302');
    if (driver().engine === 'uws') return;
    assert.equal((await inspect(request('GET', '/inspect', lines(100)))).headers.length, 200);
  });

  it('takes heads up to 16 KiB and refuses larger ones with 431', async () => {
    const fits = request('GET', '/inspect', [`X: ${'a'.repeat(16_000)}`]);
    assert.equal((await inspect(fits)).headers[3].length, 16_000);
    for (const sizeBytes of [16_500, 40_000]) {
      const large = request('GET', '/inspect', [`X: ${'a'.repeat(sizeBytes)}`]);
      const { text, isClosed } = await driver().raw([large.slice(0, 9_000), 5, large.slice(9_000)]);
      // uWS may close before the client has sent all, and the answer is lost with the connection.
      if (driver().engine === 'uws' && text === '') assert.ok(isClosed);
      else assert.deepEqual(statuses(text), [431], text);
      if (!isNative(driver(), text)) assert.equal(headerOf(text, 'x-sluice-reason'), '302');
    }
  });

  it('refuses a target above 8 KiB with 431', async () => {
    assert.equal(
      (await inspect(request('GET', `/inspect?${'q'.repeat(8_184)}`))).query.length,
      8184,
    );
    const { text } = await driver().raw([request('GET', `/inspect?${'q'.repeat(8_185)}`)]);
    assert.deepEqual(statuses(text), [431]);
    assert.equal(headerOf(text, 'x-sluice-reason'), '302');
    assert.match(bodyOf(text), /8193 bytes, the limit is 8192/);
  });

  it('serves absolute targets and OPTIONS * on node; uWS refuses them', async () => {
    const absolute = 'GET http://Other:81/inspect?q HTTP/1.1\r\nHost: h\r\n\r\n';
    const star = request('OPTIONS', '*');
    if (driver().engine === 'uws') {
      for (const bytes of [absolute, star]) {
        const { text, isClosed } = await driver().raw([bytes]);
        assert.ok(isClosed);
        assert.ok(isNative(driver(), text), text);
      }
      return;
    }
    const seen = await inspect(absolute);
    assert.equal(seen.authority, 'other:81');
    assert.equal(seen.path, '/inspect');
    assert.equal(seen.query, 'q');
    assert.deepEqual(seen.headers, ['host', 'Other:81']);
    await driver().events();
    await driver().raw([star]);
    assert.deepEqual(await driver().texts('dispatch'), ['OPTIONS *']);
  });

  it('answers requests one after another on one connection', async () => {
    const socket = await driver().connect();
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    for (let round = 1; round <= 5; round++) {
      socket.write(request('POST', '/late', ['Content-Length: 3'], 'abc'));
      while (statuses(text).length < round && !socket.closed) {
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      }
      assert.equal(statuses(text).length, round);
    }
    socket.destroy();
  });

  it('answers pipelined requests in order, where each is answered in its own tick', async () => {
    const { text } = await driver().raw([
      [201, 202, 203].map((status) => request('GET', `/now?status=${status}`)).join(''),
    ]);
    assert.deepEqual(statuses(text), [201, 202, 203]);
  });

  it('serves pipelining behind a pending answer on node; uWS closes', async () => {
    await driver().events();
    const { text, isClosed } = await driver().raw([
      request('GET', '/late') + request('GET', '/now'),
    ]);
    if (driver().engine === 'node') {
      assert.deepEqual(statuses(text), [200, 200]);
      return;
    }
    assert.ok(isClosed);
    assert.equal(text, '');
    const events = await driver().events();
    assert.deepEqual(
      events.map(({ kind, text: said }) => `${kind} ${said}`),
      ['dispatch GET /late', 'abort /late'],
    );
  });

  it('serves the next connection whatever a head was', async () => {
    assert.equal((await inspect(request('GET', '/inspect'))).path, '/inspect');
    assert.deepEqual(await driver().texts('error'), []);
  });
}
