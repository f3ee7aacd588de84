// Bodies on their way through a real gateway: they flow, they are never held whole, and a body that
// ends early never looks complete. Both engines are held to the same.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { ask, askRaw, open, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { rawServer } from '../support/upstream.ts';

for (const engine of ['uws', 'node'] as const) {
  describe(`streaming on ${engine}`, { timeout: 120_000 }, () => {
    let gateway: GatewayProcess;
    let origin: Origin;
    let serve: RequestListener = () => {};

    before(async () => {
      origin = await startOrigin('origin', (request, response) => serve(request, response));
      gateway = await startGateway({ config: proxyTo(origin.url), listener: { engine } });
    });
    after(async () => {
      assert.equal(await gateway.stop(), 0);
      await origin.stop();
    });

    const respond = (status: number, headers: Record<string, string>, body = '') => {
      serve = (request, response) => {
        request.resume();
        response.writeHead(status, headers).end(body);
      };
    };

    it('delivers each event before the next is made', async () => {
      let response: ServerResponse | null = null;
      serve = (_request, opened) => {
        response = opened;
        opened.writeHead(200, { 'content-type': 'text/event-stream' });
        // uWS sends the head of a response of unknown size with its first bytes, not before.
        opened.write('data: first\n\n');
      };
      const request = open(gateway.url, {}, () => {});
      request.end();
      const [answer] = (await once(request, 'response')) as [IncomingMessage];
      assert.equal(answer.headers['content-type'], 'text/event-stream');
      const events = answer[Symbol.asyncIterator]();
      assert.equal(String((await events.next()).value), 'data: first\n\n');
      for (let count = 0; count < 20; count++) {
        response!.write(`data: ${count}\n\n`);
        const { value } = await events.next();
        assert.equal(String(value), `data: ${count}\n\n`);
      }
      response!.end();
      assert.equal((await events.next()).done, true);
    });

    it('closes the upstream connection when the client leaves mid-download', async () => {
      let closed = false;
      serve = (_request, response) => {
        response.on('close', () => {
          closed = !response.writableFinished;
        });
        endlessly(response);
      };
      const request = open(gateway.url, {}, (response) => {
        response.once('data', () => request.destroy());
      });
      request.on('error', () => {});
      request.end();
      await untilTrue(() => closed);
    });

    it('closes the upstream connection when the client leaves mid-upload', async () => {
      let closed = false;
      serve = (request) => {
        request.resume();
        request.on('error', () => {});
        request.on('close', () => {
          closed = !request.complete;
        });
      };
      const request = open(gateway.url, { method: 'POST' }, () => {});
      request.on('error', () => {});
      request.write('a part');
      await untilTrue(() => origin.open.size > 0);
      await new Promise((resolve) => setTimeout(resolve, 50));
      request.destroy();
      await untilTrue(() => closed);
    });

    for (const framing of ['content-length', 'chunked'] as const) {
      it(`cuts the client when the upstream is cut mid-response: ${framing}`, async () => {
        serve = (_request, response) => {
          response.writeHead(200, framing === 'chunked' ? {} : { 'content-length': '100000' });
          response.write('x'.repeat(30_000), () => response.destroy());
        };
        await assert.rejects(ask(gateway.url), { code: 'ECONNRESET' });
      });
    }

    it('passes HEAD, 204 and 304 on without a body, and keeps the connection', async () => {
      respond(200, { 'content-length': '1234', 'x-kind': 'head' });
      const head = await ask(gateway.url, { method: 'HEAD' });
      assert.equal(head.headers['content-length'], '1234');
      assert.equal(head.headers['x-kind'], 'head');
      assert.equal(head.body, '');
      respond(204, { 'x-kind': 'none' });
      const none = await ask(gateway.url, { method: 'DELETE' });
      assert.deepEqual([none.status, none.body], [204, '']);
      assert.equal(none.headers['content-length'], undefined);
      respond(304, { etag: '"1"' });
      const same = await ask(gateway.url, { headers: { 'if-none-match': '"1"' } });
      assert.deepEqual([same.status, same.body, same.headers.etag], [304, '', '"1"']);
      respond(200, { 'content-length': '0' });
      const empty = await ask(gateway.url);
      assert.deepEqual([empty.status, empty.headers['content-length']], [200, '0']);
    });

    it('passes over interim responses', async () => {
      serve = (_request, response) => {
        response.writeProcessing();
        response.writeEarlyHints({ link: '</style.css>; rel=preload' });
        response.end('final');
      };
      const answer = await ask(gateway.url);
      assert.deepEqual([answer.status, answer.body], [200, 'final']);
    });

    it('answers an upload early when the upstream does', async () => {
      serve = (_request, response) => {
        response.writeHead(401, { 'content-length': '6', connection: 'close' });
        response.end('denied');
      };
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = open(gateway.url, { method: 'POST' }, (response) => {
          resolve(response);
          response.resume();
          response.on('error', () => {});
          response.on('end', () => request.destroy());
        });
        request.on('error', reject);
        request.write('x'.repeat(10_000));
      });
      assert.equal(answer.statusCode, 401);
    });

    it('answers Expect: 100-continue and passes the body on', async () => {
      serve = (request, response) => {
        assert.equal(request.headers.expect, undefined);
        request.pipe(response);
      };
      const raw = await new Promise<string>((resolve, reject) => {
        let received = '';
        const socket = connect(gateway.port, '127.0.0.1', () => {
          socket.write(
            'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n' +
              'connection: close\r\n\r\n',
          );
        });
        socket.setTimeout(10_000, () => socket.destroy(new Error(`only ${received}`)));
        socket.on('data', (bytes) => {
          const before = received;
          received += bytes.toString();
          if (before === '' && received.startsWith('HTTP/1.1 100 ')) socket.write('hello');
          if (received.endsWith('hello')) socket.destroy();
        });
        socket.on('error', reject);
        socket.on('close', () => resolve(received));
      });
      assert.match(raw, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
    });

    it('passes bodies of every size around its buffers, whole', async () => {
      serve = (request, response) => {
        const isChunked = request.headers['content-length'] === undefined;
        const { 'content-length': size } = request.headers;
        response.writeHead(200, isChunked ? {} : { 'content-length': size });
        request.pipe(response);
      };
      for (const size of [1, 1_023, 16_384, 65_535, 65_536, 65_537, 262_145, 3_000_000]) {
        const body = Buffer.alloc(size, `${size} `);
        for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
          const answer = await ask(gateway.url, { method: 'POST', body, headers });
          assert.equal(answer.status, 200, answer.body);
          assert.ok(answer.body === body.toString(), `${size} bytes came as ${answer.body.length}`);
        }
      }
    });

    it('serves many at once, each its own body', async () => {
      serve = (request, response) => {
        const size = Number(new URL(request.url!, 'http://a').searchParams.get('size'));
        response.end(Buffer.alloc(size, request.url!));
      };
      const sizes = Array.from({ length: 60 }, (_, index) => (index * 7_919) % 400_000);
      await Promise.all(
        sizes.map(async (size) => {
          const path = `/?size=${size}`;
          const { body } = await ask(gateway.url, { path });
          assert.ok(body === Buffer.alloc(size, path).toString(), `a wrong body for ${path}`);
        }),
      );
    });
  });
}

describe('an upstream that promises too much', { timeout: 60_000 }, () => {
  it('is cut towards the client as well, with reason 702 in the metrics', async () => {
    const upstream = await rawServer((socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it');
    });
    const url = `http://127.0.0.1:${upstream.port}`;
    const gateway = await startGateway({ config: proxyTo(url) });
    const raw = await askRaw(gateway.port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.match(raw, /content-length: 100\r\n/i);
    assert.ok(raw.endsWith('half of it'), 'what came was passed on, and no more');
    const metrics = await gateway.metrics();
    assert.match(metrics, /sluice_refused_total\{reason="702"[^}]*\} 1\n/);
    assert.equal(await gateway.stop(), 0);
    await upstream.stop();
  });
});

function endlessly(response: ServerResponse): void {
  const chunk = Buffer.alloc(65_536, 'x');
  const fill = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', fill);
  fill();
}

function proxyTo(url: string) {
  return {
    services: { origin: { endpoints: [url] } },
    routes: [{ name: 'all', match: { path: '/*' }, to: 'origin' }],
  };
}
