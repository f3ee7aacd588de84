// Plugins that mean harm, in a gateway under traffic: whatever one of them does in its callbacks,
// requests of other routes and of other plugins are all answered, and its own are answered by its
// policy.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, assertProblem, Load, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { wat } from '../support/plugin-modules.ts';

/** Marks requests; does harm by the first letter of the path's last segment. */
const HOSTILE = `(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "request\\00query")
  (data (i32.const 80) "x-filtered")
  (global $heap (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (if (i32.gt_u (global.get $heap) (i32.const 100000))
      (then (global.set $heap (i32.const 4096))))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func $deep (param i32) (result i32) (local i64 i64 i64 i64)
    (i32.add (call $deep (local.get 0)) (i32.const 1)))
  (func $is (param i32) (result i32)
    (i32.eq (local.get 0) (i32.load8_u (i32.load (i32.const 0)))))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 2) (i32.const 80) (i32.const 10) (i32.const 80) (i32.const 1)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $get (i32.const 64) (i32.const 13) (i32.const 0) (i32.const 4)))
    (if (i32.eqz (i32.load (i32.const 4))) (then (return (i32.const 0))))
    (if (call $is (i32.const 108)) (then (loop $l (br $l))))
    (if (call $is (i32.const 116)) (then (unreachable)))
    (if (call $is (i32.const 112)) (then (drop (i32.load (i32.const -4)))))
    (if (call $is (i32.const 114)) (then (drop (call $deep (i32.const 0)))))
    (if (call $is (i32.const 109)) (then
      (loop $m (br_if $m (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) (unreachable)))
    (if (call $is (i32.const 102)) (then
      (loop $f (drop (call $get (i32.const 64) (i32.const 13) (i32.const 0) (i32.const 4)))
        (br $f))))
    (i32.const 0)))`;

/** Loops in the callback that is named. */
function loopingIn(callback: string, params: number, result: string): string {
  return `(module
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
      (drop (call $tick (i32.const 20))) (i32.const 1))
    (func (export "${callback}") ${params > 0 ? `(param ${'i32 '.repeat(params)})` : ''} ${result}
      (loop $l (br $l)) ${result === '' ? '' : '(i32.const 1)'}))`;
}

/** The letter that does it, and the reasons that may be given. */
const FAULTS: readonly [string, string, readonly number[]][] = [
  ['an endless loop', 'l', [802]],
  ['a trap', 't', [801]],
  ['a bad pointer', 'p', [801]],
  ['deep recursion', 'r', [801, 802]],
  ['a memory bomb', 'm', [801]],
  ['a flood of host calls', 'f', [802]],
];

describe('a gateway with a hostile plugin', { timeout: 180_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-hostile-'));
  const file = join(folder, 'hostile.wasm');
  const ticks = join(folder, 'ticks.wasm');
  let origin: Origin;
  let gateway: GatewayProcess;
  /** Traffic of a route without plugins, and of one whose plugin behaves. */
  let loads: Load[];

  const reload = { base: '1ms', max: '1ms' };
  const limits = { steps: 200_000, memory: '4MiB', startSteps: 200_000 };
  const config = (more: readonly object[] = []) => ({
    workers: { io: 1 },
    services: { origin: { endpoints: [origin.url] } },
    plugins: [
      { name: 'good', file, limits },
      { name: 'close', file, limits, reload },
      { name: 'open', file, limits, reload, onFailure: 'open' },
      { name: 'again', file, limits, reload, onFailure: 'reload' },
      { name: 'ticks', file: ticks, limits, reload, background: true },
      ...more,
    ],
    routes: [
      { name: 'plain', match: { path: '/plain' }, to: 'origin' },
      ...['good', 'close', 'open', 'again'].map((name) => ({
        name,
        match: { path: `/${name}` },
        to: 'origin',
        filters: [name],
      })),
    ],
  });
  const isFiltered = async (name: string) => {
    const { status, headers } = await ask(`${gateway.url}/${name}`);
    return status === 200 && headers['x-filtered'] === 'x';
  };

  before(async () => {
    writeFileSync(file, wat(HOSTILE));
    writeFileSync(ticks, wat(loopingIn('proxy_on_tick', 1, '')));
    origin = await startOrigin('one');
    gateway = await startGateway({ config: config() });
    loads = ['plain', 'good'].map(
      (name) =>
        new Load({
          url: `${gateway.url}/${name}`,
          connections: 4,
          isGood: ({ status, headers }) =>
            status === 200 && (name === 'plain' || headers['x-filtered'] === 'x'),
        }),
    );
    for (const load of loads) await load.untilAnswered(20);
  });

  after(async () => {
    await Promise.all(loads.map((load) => load.stop()));
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const assertOthersGoOn = async () => {
    for (const load of loads) {
      await load.untilAnswered(20);
      assert.deepEqual(load.failures, []);
    }
  };

  for (const [name, letter, reasons] of FAULTS) {
    it(`answers ${name} by the plugin's policy, and all others as ever`, async () => {
      for (let times = 0; times < 2; times++) {
        const closed = await ask(`${gateway.url}/close?${letter}`);
        const reason = Number(closed.headers['x-sluice-reason']);
        assert.ok(reasons.includes(reason), `${reason}: ${closed.body}`);
        assertProblem(closed, 500, reason);
        const skipped = await ask(`${gateway.url}/open?${letter}`);
        assert.equal(skipped.status, 200, skipped.body);
        assert.equal(skipped.headers['x-filtered'], undefined);
        assert.equal((await ask(`${gateway.url}/again?${letter}`)).status, 500);
        // Each comes back by itself.
        for (const each of ['close', 'open', 'again']) await untilTrue(() => isFiltered(each));
      }
      await assertOthersGoOn();
    });
  }

  it('goes on beside a plugin that loops in each of its ticks', async () => {
    const traps = async () => {
      const { plugins } = (await (await fetch(`${gateway.adminUrl}/plugins`)).json()) as {
        plugins: { name: string; traps: number }[];
      };
      return plugins.find(({ name }) => name === 'ticks')!.traps;
    };
    const before = await traps();
    await untilTrue(async () => (await traps()) > before + 2);
    await assertOthersGoOn();
  });

  for (const [callback, params, result] of [
    ['_initialize', 0, ''],
    ['proxy_on_configure', 2, '(result i32)'],
    ['proxy_on_context_create', 2, ''],
  ] as const) {
    it(`refuses a plugin that loops in ${callback}, and serves meanwhile`, async () => {
      const other = join(folder, `${callback}.wasm`);
      writeFileSync(other, wat(loopingIn(callback, params, result)));
      const { taken, issues } = await gateway.reload(
        config([{ name: 'endless', file: other, limits }]),
      );
      assert.equal(taken, false);
      // The reason stood there twice: from the call, and from the log of the instance.
      const message = new RegExp(`endless: ${callback}: more than 200000 steps( \\(in .*\\))?$`);
      assert.match(issues[0]!.message, message);
      await assertOthersGoOn();
    });
  }
});
