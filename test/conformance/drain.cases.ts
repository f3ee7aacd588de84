// How a listener starts and ends: taken ports, drain without a lost answer, and close.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { it } from 'node:test';
import { isGatewayError } from '../../host/core/index.ts';
import { assertPortFree } from '../../host/edge/index.ts';
import {
  bodyOf,
  Driver,
  type Engine,
  headerOf,
  request,
  statuses,
  until,
} from './listener-driver.ts';

export function drainCases(engine: Engine): void {
  it('finishes what is in progress after stopAccepting, and closes behind it', async () => {
    const driver = new Driver(engine);
    await driver.start();
    for (const target of ['/late', '/known-late', '/stream-late', '/big-respond?size=4000000']) {
      const { text } = await driver.raw([request('GET', target)]);
      assert.notEqual(headerOf(text, 'connection')?.toLowerCase(), 'close');
    }
    const kept = await driver.connect();
    let text = '';
    kept.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    const closed = new Promise((resolve) => kept.once('close', resolve));
    kept.write(request('POST', '/late', ['Content-Length: 4'], 'ab'));
    await until('it is in progress', async () => (await driver.counts()).active === 1);
    await driver.stopAccepting();
    await assert.rejects(driver.connect(), /ECONNREFUSED/);
    kept.write('cd');
    await closed;
    assert.deepEqual(statuses(text), [200]);
    assert.equal(headerOf(text, 'connection')?.toLowerCase(), 'close');
    assert.equal(bodyOf(text), 'late');
    await until('no connection is left', async () => (await driver.counts()).connections === 0);
    assert.equal((await driver.counts()).active, 0);
    assert.equal(await driver.stop(), 0);
  });

  it('sends every kind of last answer in full while it drains', async () => {
    const targets = ['/now', '/empty?status=204', '/known-now', '/stream-now', '/stream-late'];
    for (const target of [...targets, '/prepared', '/big-respond?size=4000000']) {
      const driver = new Driver(engine);
      await driver.start();
      const plain = await driver.raw([request('GET', target)]);
      const kept = await driver.connect();
      await until('it is connected', async () => (await driver.counts()).connections === 1);
      await driver.stopAccepting();
      let text = '';
      kept.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      const closed = new Promise((resolve) => kept.once('close', resolve));
      kept.write(request('GET', target));
      await closed;
      assert.equal(headerOf(text, 'connection')?.toLowerCase(), 'close', target);
      const trailer = 'x-sluice-end: 1\r\n';
      assert.equal(bodyOf(text).replace(trailer, ''), bodyOf(plain.text), target);
      assert.equal(await driver.stop(), 0);
    }
  });

  it('closes a connection that is in the middle of anything', async () => {
    const driver = new Driver(engine);
    await driver.start();
    const sockets = await Promise.all([1, 2, 3].map(() => driver.connect()));
    sockets[0]!.write(request('GET', '/hang'));
    sockets[1]!.write('GET /half');
    const gone = sockets.map((socket) => {
      socket.resume();
      return new Promise((resolve) => socket.once('close', resolve));
    });
    await until('it is in progress', async () => (await driver.counts()).active === 1);
    await driver.closeListener();
    await Promise.all(gone);
    assert.deepEqual(await driver.texts('abort'), ['/hang']);
    const { active, connections } = await driver.counts();
    assert.deepEqual({ active, connections }, { active: 0, connections: 0 });
    assert.equal(await driver.stop(), 0);
  });

  it('names a port that is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    await assert.rejects(assertPortFree(address.port, '127.0.0.1'), (error) => {
      assert.ok(isGatewayError(error));
      assert.equal(error.code, 'GW_LISTEN');
      assert.match(error.message, new RegExp(`127.0.0.1 port ${address.port}: EADDRINUSE`));
      return true;
    });
    await new Promise((resolve) => server.close(resolve));
    await assertPortFree(address.port, '127.0.0.1');
  });
}
