import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import {
  ERRORS,
  type HeaderList,
  SeededRandom,
  WEBSOCKET_MESSAGE_SIZE_BYTES_MAX,
  WEBSOCKET_QUEUE_COUNT_MAX,
  WEBSOCKET_QUEUE_SIZE_BYTES_MAX,
  type WebSocketPeer,
} from '../../host/core/index.ts';
import {
  proxyWebSocket,
  type WebSocketProxy,
  type WebSocketProxyOptions,
  type WebSocketProxyResult,
} from '../../host/mesh/websocket-proxy.ts';
import { testSeed } from '../support/seed.ts';
import { UPSTREAM_TEST_CERT, UPSTREAM_TEST_KEY } from '../support/tls-fixture.ts';
import { closeAll, listenLocal, startWebSocketFront } from '../support/websocket-front.ts';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Gateway {
  readonly url: string;
  readonly port: number;
  /** Results in the order in which proxied upgrades ended. */
  readonly results: WebSocketProxyResult[];
  readonly proxies: WebSocketProxy[];
  /** Batches given to clients. */
  batches(): number;
}

/** A gateway in front of an upstream port. */
async function startGateway(
  upstreamPort: number,
  changes: Partial<WebSocketProxyOptions> = {},
): Promise<Gateway> {
  const results: WebSocketProxyResult[] = [];
  const proxies: WebSocketProxy[] = [];
  const front = await startWebSocketFront((exchange) => {
    const options: WebSocketProxyOptions = {
      endpoint: { protocol: 'http', host: '127.0.0.1', port: upstreamPort },
      tls: { caPem: '', serverName: '' },
      target: exchange.query === '' ? exchange.path : `${exchange.path}?${exchange.query}`,
      headers: ['host', 'up.internal', 'x-a', '1', 'x-a', '2', 'sec-websocket-key', 'theirs'],
      connectMs: 2000,
      requestMs: 2000,
      idleMs: 0,
      fail: (failed, code, detail) => {
        failed.respond(ERRORS[code].status, ['x-sluice-reason', `${ERRORS[code].reason}`], detail);
      },
      refuse: (refused, status, headers, body) => refused.respond(status, headers, body),
      ...changes,
    };
    proxies.push(proxyWebSocket(exchange, options, (result) => results.push(result)));
  });
  cleanups.push(() => front.close());
  const url = `ws://127.0.0.1:${front.port}/chat?room=1`;
  return { url, port: front.port, results, proxies, batches: () => front.batches() };
}

/** A WebSocket upstream. */
async function startUpstream(
  accept: (socket: WebSocket, request: IncomingMessage) => void,
  options: ConstructorParameters<typeof WebSocketServer>[0] = {},
): Promise<number> {
  const server = createServer();
  const sockets = track(server);
  const upstream = new WebSocketServer({ server, ...options });
  upstream.on('connection', (socket, request) => {
    socket.on('error', () => {});
    accept(socket, request);
  });
  cleanups.push(() => closeAll(server, sockets));
  return listenLocal(server);
}

function track(server: Server): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  return sockets;
}

async function openClient(url: string, protocols: string[] = []): Promise<WebSocket> {
  const client = new WebSocket(url, protocols);
  cleanups.push(() => client.terminate());
  client.on('error', () => {});
  await once(client, 'open');
  return client;
}

/** Waits for a condition; the test's own time limit is the bound. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the condition did not come true');
    await delay(5);
  }
}

/** The answer of a client whose upgrade is refused. */
async function refusedWith(
  url: string,
): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
  const client = new WebSocket(url);
  client.on('error', () => {});
  const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += chunk;
  client.terminate();
  return { status: response.statusCode!, headers: response.headers, body };
}

describe('a proxied WebSocket', () => {
  it('passes target, headers and messages of both kinds, both ways', async () => {
    let seen: IncomingMessage | undefined;
    const port = await startUpstream((socket, request) => {
      seen = request;
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    const gateway = await startGateway(port);
    const client = await openClient(gateway.url);
    const got: [string, boolean][] = [];
    client.on('message', (data, isBinary) => got.push([data.toString(), isBinary]));
    client.send('héllo');
    client.send(Buffer.from('bytes'));
    client.send('');
    await until(() => got.length === 3);
    assert.deepEqual(got, [
      ['héllo', false],
      ['bytes', true],
      ['', false],
    ]);
    assert.equal(seen!.url, '/chat?room=1');
    assert.equal(seen!.headers.host, 'up.internal');
    assert.equal(seen!.headers['x-a'], '1, 2');
    assert.notEqual(seen!.headers['sec-websocket-key'], 'theirs');
    assert.equal(seen!.headers['sec-websocket-extensions'], undefined);
    client.close(4001, 'bye');
    await until(() => gateway.results.length === 1);
    assert.deepEqual(gateway.results[0], { code: 4001, error: null, bytesIn: 11, bytesOut: 11 });
  });

  it('sends the target as it stands, where a URL parser would tidy it up', async () => {
    const lines: string[] = [];
    const upstream = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (bytes) => {
        lines.push(bytes.toString('latin1').split('\r\n')[0]!);
        socket.end('HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n');
      });
    });
    cleanups.push(() => closeAll(upstream as unknown as Server, []));
    const port = await listenLocal(upstream as unknown as Server);
    const targets = ['/a/%2e%2e/b|c?x="y"', '//host/path', '/\xc4\x8d?\xc5\x99', '/\xff?\x80'];
    for (const target of targets) {
      const gateway = await startGateway(port, { target });
      assert.equal((await refusedWith(gateway.url)).status, 404);
    }
    assert.deepEqual(
      lines,
      targets.map((target) => `GET ${target} HTTP/1.1`),
    );
  });

  it('never writes a target or a value that is no byte string', async () => {
    // Cut to bytes, U+010D U+010A would be CR LF and what follows another header.
    for (const bad of [
      { target: '/\u010d\u010aevil: 1' },
      { headers: ['x', '\u010d\u010ae: 1'] },
    ]) {
      let accepted = 0;
      const upstream = createTcpServer(() => accepted++);
      cleanups.push(() => closeAll(upstream as unknown as Server, []));
      const gateway = await startGateway(await listenLocal(upstream as unknown as Server), bad);
      const refused = await refusedWith(gateway.url);
      assert.equal(refused.status, 500);
      assert.equal(gateway.results[0]!.error, 'GW_INTERNAL');
      assert.equal(accepted, 0);
    }
  });

  it('negotiates the subprotocol with the upstream first', async () => {
    const choose = { handleProtocols: (offered: Set<string>) => [...offered][1] ?? false };
    const port = await startUpstream(() => {}, choose);
    const gateway = await startGateway(port);
    assert.equal((await openClient(gateway.url, ['a', 'b'])).protocol, 'b');
    assert.equal((await openClient(gateway.url)).protocol, '');
  });

  it('accepts without a subprotocol where the upstream chooses none', async () => {
    const port = await startUpstream(() => {}, { handleProtocols: () => false });
    const gateway = await startGateway(port);
    // The `ws` client would refuse this answer, browsers do not: the bytes are looked at.
    const socket = connect(gateway.port, '127.0.0.1');
    cleanups.push(() => socket.destroy());
    socket.write(
      'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
        'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
        'sec-websocket-protocol: a, b\r\n\r\n',
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 101 /);
    assert.doesNotMatch(answer.toString(), /sec-websocket-protocol/i);
  });

  it('refuses subprotocols that are no list of unique tokens', async () => {
    const port = await startUpstream(() => {});
    for (const offered of [
      'a, a',
      'a,,b',
      'a b',
      new Array(40)
        .fill(0)
        .map((_, i) => `p${i}`)
        .join(),
    ]) {
      const gateway = await startGateway(port);
      const socket = connect(gateway.port, '127.0.0.1');
      socket.write(
        'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
          'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
          `sec-websocket-protocol: ${offered}\r\n\r\n`,
      );
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.match(answer.toString(), /^HTTP\/1\.1 400 [\s\S]*x-sluice-reason: 304/);
      assert.equal(gateway.results[0]!.error, 'GW_PROTOCOL_UPGRADE');
      socket.destroy();
    }
  });
});

describe('close codes', () => {
  const fromUpstream: readonly (readonly [number | undefined, number])[] = [
    [1000, 1000],
    [1001, 1001],
    [1011, 1011],
    [4999, 4999],
    [undefined, 1000],
  ];
  for (const [sent, seen] of fromUpstream) {
    it(`of the upstream pass to the client: ${sent} is seen as ${seen}`, async () => {
      const port = await startUpstream((socket) =>
        socket.close(sent, sent === undefined ? undefined : 'why'),
      );
      const gateway = await startGateway(port);
      const client = new WebSocket(gateway.url);
      const [code, reason] = (await once(client, 'close')) as [number, Buffer];
      assert.deepEqual([code, reason.toString()], [seen, sent === undefined ? '' : 'why']);
      await until(() => gateway.results.length === 1);
      assert.equal(gateway.results[0]!.error, null);
    });
  }

  const fromClient: readonly (readonly [number | undefined, number])[] = [
    [1000, 1000],
    [3000, 3000],
    [undefined, 1005],
  ];
  for (const [sent, seen] of fromClient) {
    it(`of the client pass to the upstream: ${sent} is seen as ${seen}`, async () => {
      let closed: [number, string] | undefined;
      const port = await startUpstream((socket) => {
        socket.on('close', (code, reason) => {
          closed = [code, reason.toString()];
        });
      });
      const gateway = await startGateway(port);
      const client = await openClient(gateway.url);
      client.close(sent, sent === undefined ? undefined : 'why');
      await until(() => closed !== undefined && gateway.results.length === 1);
      assert.deepEqual(closed, [seen, sent === undefined ? '' : 'why']);
      assert.equal(gateway.results[0]!.code, seen);
    });
  }

  it('are 1014 for a client whose upstream vanished, 1006 the other way round', async () => {
    const upstreamCodes: number[] = [];
    const upstreams: WebSocket[] = [];
    const port = await startUpstream((socket) => {
      upstreams.push(socket);
      socket.on('close', (code) => upstreamCodes.push(code));
    });
    const gateway = await startGateway(port);
    const first = await openClient(gateway.url);
    upstreams[0]!.terminate();
    const [code] = (await once(first, 'close')) as [number];
    assert.equal(code, 1014);
    await until(() => gateway.results.length === 1);
    assert.equal(gateway.results[0]!.error, 'GW_UPSTREAM_CLOSED');
    const second = await openClient(gateway.url);
    second.terminate();
    await until(() => gateway.results.length === 2);
    assert.deepEqual(upstreamCodes, [1006, 1006]);
    assert.deepEqual([gateway.results[1]!.code, gateway.results[1]!.error], [1006, null]);
  });

  it('are 1009 for an upstream message above the limit', async () => {
    const size = WEBSOCKET_MESSAGE_SIZE_BYTES_MAX + 1;
    const port = await startUpstream((socket) => socket.send(Buffer.alloc(size)));
    const gateway = await startGateway(port);
    const client = new WebSocket(gateway.url);
    const [code] = (await once(client, 'close')) as [number];
    assert.equal(code, 1009);
    await until(() => gateway.results.length === 1);
    assert.equal(gateway.results[0]!.error, 'GW_UPSTREAM_BAD_RESPONSE');
  });

  it('end both sides on a drain and on idleness', async () => {
    const upstreamCodes: number[] = [];
    const port = await startUpstream((socket) => {
      socket.on('close', (code) => upstreamCodes.push(code));
    });
    const gateway = await startGateway(port, { idleMs: 50 });
    const idle = new WebSocket(gateway.url);
    assert.equal(((await once(idle, 'close')) as [number])[0], 1001);
    await until(() => gateway.results.length === 1);
    assert.equal(gateway.results[0]!.error, 'GW_TIMEOUT_IDLE');
    const drained = await startGateway(port);
    const client = await openClient(drained.url);
    drained.proxies[0]!.close(1012, 'restart');
    assert.equal(((await once(client, 'close')) as [number])[0], 1012);
    await until(() => drained.results.length === 1);
    assert.deepEqual(upstreamCodes, [1001, 1012]);
  });
});

describe('an upstream that does not open', () => {
  async function answering(status: number, headers: HeaderList, body: string | Buffer) {
    const server = createServer();
    const sockets = track(server);
    server.on('upgrade', (_, socket) => {
      const lines = [`HTTP/1.1 ${status} Because`];
      for (let at = 0; at < headers.length; at += 2)
        lines.push(`${headers[at]}: ${headers[at + 1]}`);
      socket.on('error', () => {});
      socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
      socket.end(body);
    });
    cleanups.push(() => closeAll(server, sockets));
    return startGateway(await listenLocal(server));
  }

  it('has its refusal passed to the client', async () => {
    const headers = ['content-length', '6', 'www-authenticate', 'Basic', 'connection', 'x-hop'];
    const gateway = await answering(
      401,
      [...headers, 'x-hop', '1', 'x-end', '\xc5\xbe\xff'],
      'denied',
    );
    const refused = await refusedWith(gateway.url);
    assert.equal(refused.status, 401);
    assert.equal(refused.body, 'denied');
    assert.equal(refused.headers['www-authenticate'], 'Basic');
    assert.equal(refused.headers['x-hop'], undefined);
    assert.equal(refused.headers['x-end'], '\xc5\xbe\xff');
    assert.deepEqual(gateway.results, [{ code: 0, error: null, bytesIn: 0, bytesOut: 0 }]);
  });

  it('is a redirect for the client to follow, not for the gateway', async () => {
    const gateway = await answering(302, ['content-length', '0', 'location', '/elsewhere'], '');
    assert.equal((await refusedWith(gateway.url)).status, 302);
  });

  it('has a refusal bounded in size', async () => {
    const body = Buffer.alloc(100_000);
    const gateway = await answering(403, ['content-length', `${body.length}`], body);
    assert.equal((await refusedWith(gateway.url)).status, 502);
    assert.equal(gateway.results[0]!.error, 'GW_UPSTREAM_BAD_RESPONSE');
  });

  it('is a bad response with a wrong accept key, or an extension nobody asked for', async () => {
    for (const extra of [[], ['sec-websocket-extensions', 'permessage-deflate']]) {
      const headers = ['upgrade', 'websocket', 'connection', 'upgrade', ...extra];
      const gateway = await answering(101, [...headers, 'sec-websocket-accept', 'x'], '');
      assert.equal((await refusedWith(gateway.url)).status, 502);
      assert.equal(gateway.results[0]!.error, 'GW_UPSTREAM_BAD_RESPONSE');
    }
  });

  it('is 502 with reason 101 when nobody listens', async () => {
    const server = createServer();
    const port = await listenLocal(server);
    await new Promise((resolve) => server.close(resolve));
    const gateway = await startGateway(port);
    const refused = await refusedWith(gateway.url);
    assert.equal(refused.status, 502);
    assert.equal(refused.headers['x-sluice-reason'], '101');
    assert.equal(gateway.results[0]!.error, 'GW_UPSTREAM_CONNECT');
  });

  it('is 502 when it closes without an answer, 504 when it never answers', async () => {
    const closing = createTcpServer((socket) => socket.once('data', () => socket.destroy()));
    const silent = createTcpServer(() => {});
    const expected = [
      [closing, 502, 'GW_UPSTREAM_RESET'],
      [silent, 504, 'GW_TIMEOUT_REQUEST'],
    ] as const;
    for (const [server, status, error] of expected) {
      const sockets = new Set<Socket>();
      server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
      cleanups.push(() => closeAll(server as unknown as Server, sockets));
      const port = await listenLocal(server as unknown as Server);
      const gateway = await startGateway(port, { requestMs: 60 });
      assert.equal((await refusedWith(gateway.url)).status, status);
      assert.equal(gateway.results[0]!.error, error);
    }
  });

  it('is given up when the client leaves during the handshake', async () => {
    let isUpstreamClosed = false;
    const silent = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.resume();
      socket.once('close', () => {
        isUpstreamClosed = true;
      });
    });
    cleanups.push(() => closeAll(silent as unknown as Server, []));
    const gateway = await startGateway(await listenLocal(silent as unknown as Server));
    const client = new WebSocket(gateway.url);
    client.on('error', () => {});
    await until(() => gateway.proxies.length === 1);
    client.terminate();
    await until(() => gateway.results.length === 1 && isUpstreamClosed);
    assert.equal(gateway.results[0]!.error, 'GW_CLIENT_CLOSED');
  });

  it('is a malformed request when a header cannot be written', async () => {
    const port = await startUpstream(() => {});
    const gateway = await startGateway(port, { headers: ['host', 'a', 'x-bad', 'a\r\nb: c'] });
    assert.equal((await refusedWith(gateway.url)).status, 400);
    assert.equal(gateway.results[0]!.error, 'GW_PROTOCOL_MALFORMED');
  });
});

describe('a TLS upstream', () => {
  async function startTlsUpstream(): Promise<number> {
    const server = createTlsServer({ cert: UPSTREAM_TEST_CERT, key: UPSTREAM_TEST_KEY });
    const sockets = track(server as unknown as Server);
    const upstream = new WebSocketServer({ server });
    upstream.on('connection', (socket) => socket.send('secret'));
    cleanups.push(() => closeAll(server as unknown as Server, sockets));
    return listenLocal(server as unknown as Server);
  }

  it('is checked against the configured authority and name', async () => {
    const port = await startTlsUpstream();
    const endpoint = { protocol: 'https' as const, host: '127.0.0.1', port };
    const gateway = await startGateway(port, {
      endpoint,
      tls: { caPem: UPSTREAM_TEST_CERT, serverName: 'upstream.test' },
    });
    const client = new WebSocket(gateway.url);
    cleanups.push(() => client.terminate());
    const [data] = (await once(client, 'message')) as [Buffer];
    assert.equal(data.toString(), 'secret');
  });

  it('is 502 with reason 104 when nobody vouches for it, or for its name', async () => {
    const port = await startTlsUpstream();
    const endpoint = { protocol: 'https' as const, host: '127.0.0.1', port };
    for (const tls of [
      { caPem: '', serverName: 'upstream.test' },
      { caPem: UPSTREAM_TEST_CERT, serverName: 'other.test' },
    ]) {
      const gateway = await startGateway(port, { endpoint, tls });
      const refused = await refusedWith(gateway.url);
      assert.deepEqual([refused.status, refused.headers['x-sluice-reason']], [502, '104']);
      assert.equal(gateway.results[0]!.error, 'GW_UPSTREAM_TLS');
    }
  });
});

describe('back-pressure', () => {
  it('pauses the upstream for a client that reads slowly, and loses nothing', async () => {
    const messages = 3000;
    const sizeBytes = 8192;
    let sent = 0;
    let upstream: WebSocket | undefined;
    const port = await startUpstream((socket) => {
      upstream = socket;
      const pump = () => {
        if (sent === messages) return socket.close(1000, 'all');
        const message = Buffer.alloc(sizeBytes, sent % 251);
        sent++;
        socket.send(message, pump);
      };
      pump();
    });
    const gateway = await startGateway(port);
    const client = new WebSocket(gateway.url);
    cleanups.push(() => client.terminate());
    let received = 0;
    client.on('message', (data: Buffer) => {
      assert.ok(data.length === sizeBytes && data[0] === received % 251);
      received++;
    });
    await once(client, 'open');
    client.pause();
    // What the kernel's buffers hold goes on; then the upstream stands still.
    let before = -1;
    while (before !== sent) {
      before = sent;
      await delay(150);
    }
    assert.ok(sent < messages, `the upstream sent all ${sent} messages to a client that slept`);
    assert.equal(upstream!.readyState, WebSocket.OPEN);
    client.resume();
    const [code, reason] = (await once(client, 'close')) as [number, Buffer];
    assert.deepEqual([code, reason.toString(), received], [1000, 'all', messages]);
    await until(() => gateway.results.length === 1);
    assert.equal(gateway.results[0]!.bytesOut, messages * sizeBytes);
  });

  it('closes with 1013 a client whose upstream reads too slowly', async () => {
    const port = await startUpstream((socket) => socket.pause());
    const gateway = await startGateway(port);
    const client = await openClient(gateway.url);
    const chunk = Buffer.alloc(262_144);
    let sentBytes = 0;
    const pump = () => {
      if (client.readyState !== WebSocket.OPEN) return;
      sentBytes += chunk.length;
      client.send(chunk, pump);
    };
    pump();
    const [code, reason] = (await once(client, 'close')) as [number, Buffer];
    assert.deepEqual([code, reason.toString()], [1013, 'the upstream reads too slowly']);
    await until(() => gateway.results.length === 1);
    assert.equal(gateway.results[0]!.error, 'GW_OVERLOADED');
    assert.ok(sentBytes > WEBSOCKET_QUEUE_SIZE_BYTES_MAX);
  });

  // The bound counted bytes: of empty messages, which cost 500 bytes each in the queue, it let
  // 700,000 wait, and four clients took 400 MB.
  it('closes with 1013 a client whose upstream leaves too many small messages', async () => {
    const port = await startUpstream((socket) => socket.pause());
    const gateway = await startGateway(port);
    const client = await openClient(gateway.url);
    let isClosed = false;
    const closed = once(client, 'close').finally(() => {
      isClosed = true;
    });
    const relay = gateway.proxies[0] as unknown as WebSocketPeer;
    // The kernel takes some MB; then they wait, and 16,384 of them are a tenth of the byte bound.
    for (let count = 1; !isClosed; count++) {
      relay.onMessage(new Uint8Array(20), 'text');
      if (count % WEBSOCKET_QUEUE_COUNT_MAX === 0) await delay(1);
    }
    assert.equal((await closed)[0], 1013);
    await until(() => gateway.results.length === 1);
    assert.equal(gateway.results[0]!.error, 'GW_OVERLOADED');
  });

  // Each message of an upstream was a write to the client, one for two bytes of what a read
  // brought.
  it('gives the client what one read brings in one batch', async () => {
    const frames = Buffer.concat(Array(5_000).fill(Buffer.from([0x82, 0])));
    let raw: Socket | null = null;
    const port = await startUpstream((_socket, request) => {
      raw = request.socket;
    });
    const gateway = await startGateway(port);
    const client = await openClient(gateway.url);
    let got = 0;
    client.on('message', () => got++);
    raw!.write(frames);
    await until(() => got === 5_000);
    assert.ok(gateway.batches() <= 5, `${gateway.batches()} batches`);
  });

  it('keeps order, kinds and bytes of random messages while both sides stop and go', async () => {
    const random = new SeededRandom(testSeed('mesh-websocket'));
    const port = await startUpstream((socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    const gateway = await startGateway(port);
    const client = await openClient(gateway.url);
    const sent: [string, boolean][] = [];
    const got: [string, boolean][] = [];
    const digest = (data: Buffer) => createHash('sha1').update(data).digest('hex');
    client.on('message', (data: Buffer, isBinary) => got.push([digest(data), isBinary]));
    for (let message = 0; message < 400; message++) {
      const isLarge = random.unit() < 0.1;
      const text = String.fromCharCode(97 + (message % 26)).repeat(
        random.unit() * (isLarge ? 200_000 : 300),
      );
      const isBinary = random.unit() < 0.5;
      sent.push([digest(Buffer.from(text)), isBinary]);
      client.send(isBinary ? Buffer.from(text) : text);
      if (random.unit() < 0.1) {
        client.pause();
        await delay(random.unit() * 8);
        client.resume();
      }
      while (client.bufferedAmount > 500_000) await delay(1);
    }
    await until(() => got.length === sent.length);
    assert.deepEqual(got, sent);
  });

  it('takes one message that is larger than the bound of the queue', async () => {
    let gotBytes = 0;
    const port = await startUpstream((socket) => {
      socket.on('message', (data: Buffer) => {
        gotBytes = data.length;
      });
    });
    const gateway = await startGateway(port);
    const client = await openClient(gateway.url);
    client.send(Buffer.alloc(WEBSOCKET_QUEUE_SIZE_BYTES_MAX * 2));
    await until(() => gotBytes === WEBSOCKET_QUEUE_SIZE_BYTES_MAX * 2);
    assert.equal(client.readyState, WebSocket.OPEN);
  });

  it('lets a client leave while its upstream is paused', async () => {
    let isClosed = false;
    const port = await startUpstream((socket) => {
      socket.on('close', () => {
        isClosed = true;
      });
      const pump = () =>
        socket.readyState === WebSocket.OPEN && socket.send(Buffer.alloc(65_536), pump);
      pump();
    });
    const gateway = await startGateway(port);
    const client = await openClient(gateway.url);
    client.pause();
    await delay(300);
    client.terminate();
    await until(() => isClosed && gateway.results.length === 1);
    assert.equal(gateway.results[0]!.code, 1006);
  });
});
