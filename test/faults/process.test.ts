// What happens to the process from outside: signals at bad moments, a storm of reloads, no file
// descriptors left. A gateway goes on, or ends as it was told to.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ask, untilTrue } from '../support/client.ts';
import { freePort, startGateway } from '../support/gateway.ts';
import { startOrigin } from '../support/origin.ts';

const HELLO = { name: 'hello', match: { path: '/' }, respond: { body: 'hello' } };

/** Whether a process has a handler for SIGHUP. Source: proc(5), the first bit of SigCgt. */
function catchesHangUp(pid: number): boolean {
  const found = /SigCgt:\s+([0-9a-f]+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return (Number.parseInt(found![1]!.slice(-1), 16) & 1) !== 0;
}

describe('signals', { timeout: 60_000 }, () => {
  // A SIGHUP that came before the gateway served ended it: the handler was set last.
  it('SIGHUP during the start ends nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'));
    const configPath = join(folder, 'sluice.yaml');
    writeFileSync(
      configPath,
      JSON.stringify({
        listen: [{ port: 0, address: '127.0.0.1' }],
        admin: { port: 0 },
        workers: { io: 1 },
        routes: [HELLO],
      }),
    );
    const child = spawn(process.execPath, ['dist/sluice.js', 'serve', '-c', configPath], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.on('data', (bytes: Buffer) => {
      log += bytes.toString();
    });
    const exited = once(child, 'exit');
    await untilTrue(() => catchesHangUp(child.pid!), 1);
    assert.equal(log, '');
    child.kill('SIGHUP');
    await untilTrue(() => /configuration in force.*\n/.test(log) || child.signalCode !== null);
    assert.match(log, /SIGHUP/);
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    rmSync(folder, { recursive: true });
  });

  // Ctrl-C on a supervised gateway reaches it twice, from the terminal and from the supervisor; the
  // second one found the default handler and cut the drain short.
  it('the same signal twice does not cut a drain short', async () => {
    const held: ServerResponse[] = [];
    const origin = await startOrigin('slow', (_request, response) => held.push(response));
    const gateway = await startGateway({
      config: { services: { o: { endpoints: [origin.url] } }, routes: [routeTo('o')] },
    });
    const answer = ask(gateway.url);
    await untilTrue(() => held.length === 1);
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGINT');
    await untilTrue(() => /draining/.test(gateway.log()));
    gateway.child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 100));
    held[0]!.end('in the end');
    assert.equal((await answer).body, 'in the end');
    assert.deepEqual(await exited, [0, null]);
    await gateway.stop();
    await origin.stop();
  });

  // Whoever asked twice had to wait for the whole drain timeout, or to kill the process.
  it('a second signal, later than a second after the first, ends the drain', async () => {
    const held: ServerResponse[] = [];
    const origin = await startOrigin('stuck', (_request, response) => held.push(response));
    const gateway = await startGateway({
      config: { services: { o: { endpoints: [origin.url] } }, routes: [routeTo('o')] },
      flags: ['--drain-timeout', '10m'],
    });
    const answer = ask(gateway.url).catch((error: NodeJS.ErrnoException) => error.code);
    await untilTrue(() => held.length === 1);
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGTERM');
    await untilTrue(() => /draining/.test(gateway.log()));
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    gateway.child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    assert.equal(await answer, 'ECONNRESET');
    assert.match(gateway.log(), /"inFlight":1,"drainTimeoutMs":600000,"message":"draining"/);
    assert.match(gateway.log(), /"abandoned":1,"drainedMs":\d+,"message":"stopped"/);
    await gateway.stop();
    await origin.stop();
  });
});

describe('log.level', { timeout: 60_000 }, () => {
  // The main thread said everything from `info` up, whatever the file asked for.
  it('is kept to by the main thread too', async () => {
    const [port, adminPort] = [await freePort(), await freePort()];
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'));
    const configPath = join(folder, 'sluice.yaml');
    const config = {
      listen: [{ port, address: '127.0.0.1' }],
      admin: { port: adminPort },
      workers: { io: 1 },
      log: { level: 'error' },
      routes: [HELLO],
    };
    writeFileSync(configPath, JSON.stringify(config));
    const child = spawn(process.execPath, ['dist/sluice.js', 'serve', '-c', configPath], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.on('data', (bytes: Buffer) => {
      log += bytes.toString();
    });
    const exited = once(child, 'exit');
    const isReady = () =>
      ask(`http://127.0.0.1:${adminPort}/readyz`).then(
        ({ status }) => status === 200,
        () => false,
      );
    await untilTrue(isReady);
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    assert.equal(log, '');
    rmSync(folder, { recursive: true });
  });
});

describe('a storm of reloads', { timeout: 60_000 }, () => {
  // Each SIGHUP and each change queued a reload of its own with its own copy of the file: eight
  // seconds of them took a gibibyte and were still being worked off a minute later.
  it('costs a few reloads, and the last configuration wins', async () => {
    const routes = (body: string) =>
      Array.from({ length: 2_000 }, (_, index) => ({
        match: { path: `/${index}` },
        respond: { body },
      }));
    const gateway = await startGateway({ config: { routes: routes('first') } });
    const asked = 200;
    const answers = [];
    for (let count = 0; count < asked; count++) {
      gateway.child.kill('SIGHUP');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    for (let count = 0; count < 3; count++) gateway.writeConfig({ routes: routes(`v${count}`) });
    answers.push(await gateway.reload({ routes: routes('last') }));
    assert.ok(answers[0]!.taken);
    assert.equal((await ask(gateway.url, { path: '/1999' })).body, 'last');
    const taken = gateway.log().split('configuration in force').length - 1;
    assert.ok(taken < asked / 2, `${taken} reloads for ${asked} signals`);
    assert.equal(await gateway.stop(), 0);
  });
});

describe('file descriptors', { timeout: 60_000 }, () => {
  // With none left, uWS's listening socket stayed ready and its loop span at full load; what was
  // open went on, but the machine paid a core for it.
  it('rests while no descriptor is left, and accepts again afterwards', async () => {
    const gateway = await startGateway({
      config: { workers: { io: 1 }, routes: [HELLO] },
      command: ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, 'dist/sluice.js'],
    });
    const clients: Socket[] = [];
    for (let count = 0; count < 100; count++) {
      const client = connect(gateway.port, '127.0.0.1');
      client.on('error', () => client.destroy());
      clients.push(client);
    }
    await untilTrue(() => /no file descriptor is left/.test(gateway.log()));
    const late = connect(gateway.port, '127.0.0.1');
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    for (const client of clients) client.destroy();
    await untilTrue(() =>
      ask(gateway.url).then(
        ({ body }) => body === 'hello',
        () => false,
      ),
    );
    assert.equal(await gateway.stop(), 0);
  });
});

function routeTo(service: string) {
  return { name: 'all', match: { path: '/*' }, to: service };
}
