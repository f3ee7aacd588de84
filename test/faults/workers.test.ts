// Workers that fail for real: a module loaded into the process from outside does the harm. One that
// throws is replaced; one that is stuck or out of memory ends the process, with a reason, and
// `--supervise` starts it again. Nothing is ever left running.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { ask, Load, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { parseExposition } from '../support/prometheus-parser.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-sabotage-'));
after(() => rmSync(folder, { recursive: true }));
let sabotagesCount = 0;

type Harm = 'throw' | 'reject' | 'stick' | 'devour' | 'swell';

async function startSabotaged(flags: readonly string[] = [], heapMib = 0) {
  const order = join(folder, `order-${sabotagesCount++}`);
  const gateway = await startGateway({
    config: { routes: [{ name: 'hello', match: { path: '/*' }, respond: { body: 'hello' } }] },
    flags,
    nodeFlags: [
      '--require',
      resolve('test/faults/saboteur.cjs'),
      ...(heapMib === 0 ? [] : [`--max-old-space-size=${heapMib}`]),
    ],
    env: { ...process.env, SABOTAGE: order },
  });
  return { gateway, harm: (what: Harm) => writeFileSync(order, what) };
}

/** Processes whose parent is `pid`. Source: proc(5), /proc/[pid]/task/[tid]/children. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function isAlive(pid: number): boolean {
  try {
    // A zombie is dead; its parent has only not looked yet.
    return !/State:\s+Z/.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

const readiness = async (gateway: GatewayProcess) =>
  (await ask(`${gateway.adminUrl}/readyz`).catch(() => null))?.status ?? 0;

describe('an io worker that fails', { timeout: 120_000 }, () => {
  for (const harm of ['throw', 'reject', 'swell'] as const) {
    it(`is replaced while the other serves: ${harm}`, async () => {
      const sabotaged = await startSabotaged([], harm === 'swell' ? 400 : 0);
      const { gateway } = sabotaged;
      sabotaged.harm(harm);
      await untilTrue(async () => (await readiness(gateway)) === 503);
      const load = new Load({ url: gateway.url, connections: 8 });
      await load.untilAnswered(50);
      await untilTrue(async () => (await readiness(gateway)) === 200);
      await load.untilAnswered(50);
      await load.stop();
      assert.deepEqual(load.failures, []);
      assert.match(gateway.log(), harm === 'swell' ? /heap of \d+ bytes/ : /sabotage: /);
      assert.match(gateway.log(), /io worker 1 ended with code 1; a new one starts/);
      const families = parseExposition(await gateway.metrics());
      const errors = families.get('sluice_uncaught_errors_total')!.samples;
      assert.equal(errors.find(({ labels }) => labels.worker === '1')?.value, 1);
      assert.equal(await gateway.stop(), 0);
    });
  }

  it('is replaced and then works with a configuration published meanwhile', async () => {
    const { gateway, harm } = await startSabotaged();
    harm('throw');
    await untilTrue(async () => (await readiness(gateway)) === 503);
    const next = { routes: [{ match: { path: '/*' }, respond: { body: 'next' } }] };
    assert.equal((await gateway.reload(next)).taken, true);
    await untilTrue(async () => (await readiness(gateway)) === 200);
    for (let count = 0; count < 20; count++) assert.equal((await ask(gateway.url)).body, 'next');
    assert.equal(await gateway.stop(), 0);
  });
});

describe('a process that cannot go on', { timeout: 120_000 }, () => {
  it('ends with a reason when a worker is stuck', async () => {
    const { gateway, harm } = await startSabotaged();
    const exited = once(gateway.child, 'exit');
    harm('stick');
    const [code, signal] = await exited;
    assert.ok(code !== 0, `exit code ${code}, signal ${signal}`);
    assert.match(gateway.log(), /io worker 1 has been silent for \d+ s/);
    await gateway.stop();
  });

  it('ends at once when a worker devours its heap, for uWS cannot be closed then', async () => {
    const { gateway, harm } = await startSabotaged([], 128);
    const exited = once(gateway.child, 'exit');
    harm('devour');
    assert.deepEqual(await exited, [null, 'SIGABRT']);
    await gateway.stop();
  });

  it('is started again under --supervise, which passes SIGTERM on', async () => {
    const { gateway, harm } = await startSabotaged(['--supervise'], 128);
    const [first] = childrenOf(gateway.child.pid!);
    harm('devour');
    await untilTrue(() => !isAlive(first!));
    await untilTrue(async () => (await readiness(gateway)) === 200);
    const [second] = childrenOf(gateway.child.pid!);
    assert.notEqual(second, first);
    assert.equal((await ask(gateway.url)).body, 'hello');
    assert.match(gateway.log(), /ended by SIGABRT \(out of memory.*restart in \d+ ms/);
    assert.equal(await gateway.stop(), 0);
    assert.equal(isAlive(second!), false);
  });

  // Between two children nobody but the supervisor gets the signal: without a handler it would end
  // and nothing would be started again.
  it('survives SIGHUP while the supervisor waits to restart, and has the new file', async () => {
    const { gateway } = await startSabotaged(['--supervise']);
    const ended = () => gateway.log().split('restart in').length - 1;
    for (let count = 1; count <= 4; count++) {
      await untilTrue(() => childrenOf(gateway.child.pid!).length === 1);
      process.kill(childrenOf(gateway.child.pid!)[0]!, 'SIGKILL');
      await untilTrue(() => ended() === count);
    }
    assert.match(gateway.log(), /restart in 800 ms\n/);
    gateway.writeConfig({ routes: [{ match: {}, respond: { body: 'newer' } }] });
    for (let count = 0; count < 3; count++) gateway.child.kill('SIGHUP');
    await untilTrue(async () => (await readiness(gateway)) === 200);
    assert.equal((await ask(gateway.url)).body, 'newer');
    assert.equal(await gateway.stop(), 0);
  });

  it('leaves nothing behind when it is killed', async () => {
    const { gateway } = await startSabotaged();
    assert.deepEqual(childrenOf(gateway.child.pid!), []);
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGKILL');
    await exited;
    await assert.rejects(ask(gateway.url), { code: 'ECONNREFUSED' });
    await gateway.stop();
  });

  it('takes the gateway with it when the supervisor is killed', async () => {
    const { gateway } = await startSabotaged(['--supervise']);
    const [child] = childrenOf(gateway.child.pid!);
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGKILL');
    await exited;
    await untilTrue(() => !isAlive(child!));
    await gateway.stop();
  });
});
