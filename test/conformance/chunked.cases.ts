// Chunked requests whose framing uWS reads otherwise than the rest of the world, and the listener
// that takes none. A chunk extension is legal (RFC 9112 section 7.1.1), but uWS takes its bytes for
// digits of the size: `;` counts as 11 and `=` as 13. What is pinned here is written in
// docs/uws-limits.md, "Chunk extensions".

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Driver, type Engine, headerOf, request, statuses, until } from './listener-driver.ts';

const CHUNKED = 'Transfer-Encoding: chunked';
/** Two bytes of body, whose size has an extension. To uWS `2;a` is 0x2ba: 698 bytes. */
const EXTENDED = '2;a\r\nxx\r\n0\r\n\r\n';
const EVIL = 'GET /evil HTTP/1.1\r\nHost: h\r\n\r\n';

/** Answers that do not wait for the body: whole, prepared, without a body, streamed. */
const EARLY_ANSWERS = [
  '/now',
  '/now?status=413',
  '/prepared?status=429',
  '/empty?status=204',
  '/late-unread',
  '/microtask',
  '/stream-now',
  '/known-now',
];

export function chunkedCases(driver: () => Driver): void {
  const dispatched = async () => {
    const texts = await driver().texts('dispatch');
    return texts.filter((text) => !text.includes('/settle'));
  };

  it('takes a chunk extension for what it is on node, for more digits on uws', async () => {
    await driver().events();
    const { text, isClosed } = await driver().raw([
      request('POST', '/after-body', [CHUNKED], EXTENDED),
    ]);
    // Not answered, and not closed yet: 691 bytes more are waited for.
    if (driver().engine === 'uws') assert.deepEqual([text, isClosed], ['', false]);
    else assert.deepEqual(statuses(text), [200]);
    assert.equal((await dispatched()).length, 1);
  });

  // The attack that is left on uws: a proxy in front which does not wait for the answer, and passes
  // extensions on, gives the next client's request to the one before as its body.
  it('takes what follows an extension for body on uws, but never runs it', async () => {
    if (driver().engine === 'node') return;
    await driver().events();
    const { text } = await driver().raw([
      request('POST', '/after-body', [CHUNKED], EXTENDED),
      20,
      EVIL,
    ]);
    assert.equal(text, '');
    assert.deepEqual(
      (await dispatched()).filter((what) => what.includes('evil')),
      [],
    );
  });

  it('closes with the answer, whatever uws made of the body, and runs nothing more', async () => {
    if (driver().engine === 'node') return;
    await driver().events();
    // To uWS `0;a`, which is the last chunk, is one of 0xba = 186 bytes; behind it is a second one.
    const hidden = `0;a\r\n${'\r\n'.padEnd(186, 'x')}\r\n0\r\n\r\n`;
    for (const target of [...EARLY_ANSWERS, '/after-body', '/stream-late', '/known-late']) {
      const alone = await driver().raw([request('POST', target, [CHUNKED], hidden)]);
      assert.equal(statuses(alone.text).length, 1, `${target}: ${JSON.stringify(alone.text)}`);
      assert.ok(alone.isClosed, target);
      const { text, isClosed } = await driver().raw([
        request('POST', target, [CHUNKED], `${hidden}${EVIL}`),
      ]);
      assert.ok(statuses(text).length <= 1, `${target}: ${JSON.stringify(text)}`);
      assert.ok(isClosed, target);
    }
    const evils = (await dispatched()).filter((what) => what.includes('evil'));
    assert.deepEqual(evils, []);
  });

  // So that a proxy in front which waits for an answer before it sends the next request never has
  // that one taken for body.
  it('closes when it answers before the body has come', async () => {
    for (const target of EARLY_ANSWERS) {
      for (const body of ['', '5\r\nab', EXTENDED]) {
        const { text, isClosed } = await driver().raw([request('POST', target, [CHUNKED], body)]);
        // On node the body of EXTENDED is complete, and its connection may be kept.
        const isWhole = driver().engine === 'node' && body === EXTENDED;
        assert.equal(statuses(text).length, 1, `${target}: ${JSON.stringify(text)}`);
        if (!isWhole) assert.ok(isClosed, `${target} with ${JSON.stringify(body)}`);
      }
    }
  });
}

export function chunkedRefusalCases(engine: Engine): void {
  it('answers chunked requests with 411 where they are to be refused, and closes', async () => {
    const driver = new Driver(engine);
    await driver.start(null, 'refuse');
    for (const body of ['2\r\nab\r\n0\r\n\r\n', EXTENDED, '', '5\r\nab', '0\r\nX:']) {
      for (const target of ['/now', '/after-body', '/late']) {
        const { text, isClosed } = await driver.raw([request('POST', target, [CHUNKED], body)]);
        assert.deepEqual(statuses(text), [411], JSON.stringify(body));
        assert.equal(headerOf(text, 'x-sluice-reason'), '305');
        assert.equal(headerOf(text, 'connection')?.toLowerCase(), 'close');
        assert.ok(isClosed);
      }
    }
    // A pipelined request is not run; uWS closes without an answer where one comes too early.
    for (const body of [`0\r\n\r\n${EVIL}`, `0\r\nX:${EVIL}`]) {
      const { text, isClosed } = await driver.raw([request('POST', '/now', [CHUNKED], body)]);
      assert.ok(isClosed && statuses(text).every((status) => status === 411), text);
      assert.ok(statuses(text).length <= 1, text);
    }
    assert.deepEqual(
      (await driver.texts('refused')).filter((text) => !text.startsWith('GW_PROTOCOL_CHUNKED')),
      [],
    );
    const { text } = await driver.raw([
      request('POST', '/after-body', ['Content-Length: 2'], 'ab'),
    ]);
    assert.deepEqual(statuses(text), [200]);
    // What is malformed is still called so.
    const both = request('POST', '/now', [CHUNKED, 'Transfer-Encoding: gzip'], '');
    assert.deepEqual(statuses((await driver.raw([both])).text), [400]);
    assert.deepEqual((await driver.texts('dispatch')).length, 1);
    await until('all is over', async () => (await driver.counts()).active === 0);
    assert.equal(await driver.stop(), 0);
  });
}
