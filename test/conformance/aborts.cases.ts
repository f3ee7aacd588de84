// Clients that leave, planes that throw, answers that come too late: each ends one exchange, once,
// and nothing else.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  bodyOf,
  type Driver,
  headerOf,
  request,
  sleep,
  statuses,
  until,
} from './listener-driver.ts';

export function abortCases(driver: () => Driver): void {
  const leave = async (steps: readonly string[], afterMs: number) => {
    const socket = await driver().connect();
    for (const step of steps) socket.write(step);
    await sleep(afterMs);
    socket.destroy();
    await until('nothing is in progress', async () => (await driver().counts()).active === 0);
  };

  it('tells a plane once when a client leaves, at any stage', async () => {
    const stages: Readonly<Record<string, string>> = {
      '/hang': request('GET', '/hang'),
      '/late': request('POST', '/late', ['Content-Length: 10'], 'abc'),
      '/sum-late': request('POST', '/sum-late', ['Transfer-Encoding: chunked'], '3\r\nab'),
      '/hold-body': request('POST', '/hold-body', ['Content-Length: 10'], 'abc'),
      '/echo': request('POST', '/echo', ['Content-Length: 10'], 'abc'),
      '/drip': request('GET', '/drip'),
      '/abort-midway': request('GET', '/abort-midway'),
    };
    for (const [path, bytes] of Object.entries(stages)) {
      await driver().events();
      await leave([bytes], 10);
      await sleep(20);
      assert.deepEqual(await driver().texts('abort'), [path]);
    }
    await sleep(150);
    assert.deepEqual(await driver().texts('error'), []);
  });

  it('tells a plane when a client leaves in the middle of a large response', async () => {
    for (const mode of ['known', 'chunked']) {
      await driver().events();
      const socket = await driver().connect();
      socket.pause();
      socket.write(request('GET', `/big?size=90000000&mode=${mode}`));
      await sleep(100);
      socket.destroy();
      await until('it is aborted', async () => (await driver().counts()).active === 0);
      const events = await driver().events();
      assert.equal(events.filter(({ kind }) => kind === 'abort').length, 1, mode);
      assert.ok(!events.some(({ text }) => text === 'sent all'));
    }
  });

  it('ignores whatever a plane does after the client has left', async () => {
    await driver().events();
    await leave([request('POST', '/late-answer', ['Content-Length: 10'], 'abc')], 30);
    await sleep(200);
    const events = await driver().events();
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'error'),
      [],
    );
    assert.ok(events.some(({ kind, text }) => kind === 'note' && text.startsWith('late true')));
  });

  it('ignores calls after the end of a response', async () => {
    const { text } = await driver().raw([request('GET', '/late-answer')], 400);
    assert.deepEqual(statuses(text), [200]);
    assert.equal(bodyOf(text), 'too late');
  });

  it('answers 500 for a handler that throws, and reports it', async () => {
    await driver().events();
    for (const bytes of [
      request('GET', '/throw'),
      request('POST', '/throw-in-body', ['Content-Length: 3'], 'abc'),
      request('POST', '/throw-in-body', ['Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n'),
    ]) {
      const { text } = await driver().raw([bytes]);
      assert.deepEqual(statuses(text), [500]);
      assert.equal(headerOf(text, 'x-sluice-reason'), '400');
      assert.doesNotMatch(text, /thrown/);
    }
    assert.deepEqual(await driver().texts('error'), [
      'thrown by the handler',
      'thrown by onChunk',
      'thrown by onChunk',
    ]);
  });

  it('cuts the connection when a handler throws behind its head', async () => {
    await driver().events();
    const { text, isClosed } = await driver().raw([request('GET', '/throw-after-begin')]);
    assert.ok(isClosed);
    assert.equal(bodyOf(text), '');
    assert.deepEqual(await driver().texts('error'), ['thrown after begin']);
  });

  it('lets a plane cut the connection, before and after the head', async () => {
    for (const target of ['/abort-now', '/abort-midway']) {
      const { text, isClosed } = await driver().raw([request('GET', target)]);
      assert.ok(isClosed);
      assert.ok(!bodyOf(text).startsWith('some') || headerOf(text, 'content-length') === '1000');
    }
    assert.equal((await driver().counts()).active, 0);
  });

  it('survives a throw in onAbort', async () => {
    await driver().events();
    await leave([request('GET', '/throw-in-abort')], 20);
    assert.deepEqual(await driver().texts('error'), ['thrown by onAbort']);
  });
}
