// Guests that mean harm, or are broken: each is stopped within its limit, counted and answered by
// its policy, and whoever comes next is served.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deflateSync } from 'node:zlib';
import { isGatewayError } from '../../host/core/index.ts';
import { wat } from '../support/plugin-modules.ts';
import { PluginScene } from '../support/plugin-scene.ts';

const LIMITS = {
  memorySizeBytes: 1_048_576,
  steps: 50_000,
  startSteps: 100_000,
  bodySizeBytes: 1_000,
  callsMax: 2,
};

/** A filter with a bump allocator and the given callbacks. */
function filter(body: string, imports = ''): Uint8Array<ArrayBuffer> {
  return wat(`(module ${imports}
    (memory (export "memory") 2)
    (global $heap (mut i32) (i32.const 4096))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32)
      (global.get $heap)
      (global.set $heap (i32.add (global.get $heap) (local.get 0))))
    ${body})`);
}

const ON_REQUEST = '(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)';
const LOG = '(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))';

const FAULTS: readonly [string, string, string, RegExp][] = [
  ['an endless loop', '(loop $l (br $l)) (i32.const 0))', 'GW_PLUGIN_STEPS', /50000 steps/],
  ['a trap', '(unreachable))', 'GW_PLUGIN_TRAP', /unreachable/],
  ['a bad pointer', '(i32.load (i32.const -4)))', 'GW_PLUGIN_TRAP', /out of bounds/],
  [
    'deep recursion',
    `(call $deep (i32.const 0))) (func $deep (param i32) (result i32) (local i64 i64 i64 i64)
      (i32.add (call $deep (local.get 0)) (i32.const 1)))`,
    'GW_PLUGIN_',
    /steps|stack/,
  ],
  [
    'a memory bomb',
    '(loop $l (br_if $l (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0)))) (unreachable))',
    'GW_PLUGIN_TRAP',
    /unreachable/,
  ],
  [
    'a flood of host calls',
    `(loop $l (drop (call $log (i32.const 2) (i32.const 0) (i32.const 4000))) (br $l))
      (i32.const 0))`,
    'GW_PLUGIN_STEPS',
    /steps/,
  ],
];

describe('a hostile guest', () => {
  for (const [name, body, code, detail] of FAULTS) {
    it(`with ${name} is stopped, and its neighbour goes on`, () => {
      const scene = new PluginScene();
      scene.install(filter(`${ON_REQUEST} ${body}`, LOG), { limits: LIMITS });
      scene.install(filter(`${ON_REQUEST} (i32.const 0))`), { name: 'good', limits: LIMITS });
      const failed = scene.get();
      assert.ok(failed.failure.startsWith(code), failed.failure);
      assert.match(failed.detail, detail);
      failed.end();
      const [stats] = scene.book.stats();
      assert.equal(stats!.traps, 1);
      assert.equal(stats!.failedStreams, 1);
      assert.equal(stats!.stepsExceeded, failed.failure === 'GW_PLUGIN_STEPS' ? 1 : 0);
      assert.deepEqual(scene.get(['good']).events, ['request head last']);
      assert.ok(scene.lines.length <= 100, 'its log is bounded');
    });

    it(`with ${name} is skipped where that is its policy`, () => {
      const scene = new PluginScene();
      const bytes = filter(`${ON_REQUEST} ${body}`, LOG);
      scene.install(bytes, { limits: LIMITS, onFailure: 'open' });
      assert.deepEqual(scene.get().events, ['request head last']);
      assert.equal(scene.book.stats()[0]!.skippedStreams, 1);
    });
  }

  for (const [name, imported, spec] of [
    ['a function that is not there', '"proxy_of_tomorrow"', {}],
    ['a function that it may not call', '"proxy_done"', { capabilities: ['proxy_log'] }],
  ] as const) {
    it(`that floods ${name} is stopped as well`, () => {
      // Only calls that were let in were paid for: 333 in each turn of a loop were 15 million.
      const scene = new PluginScene();
      const calls = '(drop (call $asked))'.repeat(300);
      const bytes = filter(
        `${ON_REQUEST} (loop $l ${calls} (br $l)) (i32.const 0))`,
        `(import "env" ${imported} (func $asked (result i32)))`,
      );
      scene.install(bytes, { limits: LIMITS, ...spec });
      assert.equal(scene.get().failure, 'GW_PLUGIN_STEPS');
      const asked = scene.lines.length + scene.book.stats()[0]!.logLinesDropped;
      assert.ok(asked > 100 && asked <= (LIMITS.steps + 256) / 8, `${asked} calls`);
    });
  }

  it('that inflates a bomb again and again is stopped, though none of it is ever whole', () => {
    // What failed cost nothing: 125,000 times 16 MiB were within the steps of one callback.
    const scene = new PluginScene();
    for (const bomb of [
      deflateSync(Buffer.alloc(20_000_000)),
      deflateSync(Buffer.alloc(16_000_000)).subarray(0, -1),
    ]) {
      const bytes = [...bomb].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
      const again = filter(
        `(data (i32.const 8192) "${bytes}") (data (i32.const 0) "uncompress")
        ${ON_REQUEST} (loop $l
          (drop (call $log (i32.const 2) (i32.const 0) (i32.const 10)))
          (drop (call $foreign (i32.const 0) (i32.const 10) (i32.const 8192)
            (i32.const ${bomb.length}) (i32.const 0) (i32.const 0)))
          (br $l)) (i32.const 0))`,
        `${LOG} (import "env" "proxy_call_foreign_function"
          (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))`,
      );
      scene.lines.length = 0;
      scene.install(again);
      assert.equal(scene.get().failure, 'GW_PLUGIN_STEPS');
      const asked = scene.messages().filter((message) => message === 'uncompress').length;
      assert.ok(asked > 0 && asked <= 4, `${asked} times`);
    }
  });

  const HUGE = '(i32.const 0) (i32.const 16000000)';
  const NONE = '(i32.const 0) (i32.const 0)';
  const OUT = '(i32.const 16) (i32.const 20)';
  for (const [name, args] of [
    ['proxy_get_property', `${HUGE} ${OUT}`],
    ['proxy_get_header_map_value', `(i32.const 0) ${HUGE} ${OUT}`],
    ['proxy_replace_header_map_value', `(i32.const 0) (i32.const 64) (i32.const 1) ${HUGE}`],
    ['proxy_remove_header_map_value', `(i32.const 0) ${HUGE}`],
    ['proxy_set_header_map_pairs', `(i32.const 0) ${HUGE}`],
    ['proxy_get_shared_data', `${HUGE} ${OUT} (i32.const 24)`],
    ['proxy_resolve_shared_queue', `${HUGE} ${NONE} (i32.const 16)`],
    ['proxy_call_foreign_function', `${HUGE} ${NONE} ${OUT}`],
    ['proxy_send_local_response', `(i32.const 99) ${HUGE} ${NONE} ${NONE} (i32.const -1)`],
    ['proxy_http_call', `${HUGE} ${NONE} ${NONE} ${NONE} (i32.const 0) (i32.const 16)`],
  ] as const) {
    it(`that calls ${name} with a huge text again and again pays for its size`, () => {
      // A call cost 8 steps however long a text it named: 125,000 times 16 MB, tens of ms each,
      // were within the steps of one callback.
      const scene = new PluginScene();
      const types = 'i32 '.repeat(args.split('(i32.const').length - 1);
      const bytes = filter(
        `${ON_REQUEST} (drop (memory.grow (i32.const 260)))
          (loop $l (drop (call $log (i32.const 2) (i32.const 64) (i32.const 1)))
            (drop (call $asked ${args})) (br $l)) (i32.const 0))
          (data (i32.const 64) "x")`,
        `${LOG} (import "env" "${name}" (func $asked (param ${types}) (result i32)))`,
      );
      scene.install(bytes);
      assert.equal(scene.get().failure, 'GW_PLUGIN_STEPS');
      const asked = scene.messages().filter((message) => message === 'x').length;
      assert.ok(asked > 0 && asked <= 9, `${asked} calls`);
    });
  }

  it('that imports from what every object has gets stubs, and changes no object', () => {
    // A stub for `x` of a module called `__proto__` became a property of every object there is.
    const scene = new PluginScene();
    const imports = ['"__proto__" "polluted"', '"env" "constructor"', '"env" "__proto__"']
      .map((names, index) => `(import ${names} (func $f${index} (result i32)))`)
      .join('');
    const sum = '(i32.add (call $f0) (i32.add (call $f1) (call $f2)))';
    const isRefused = `(if (i32.ne ${sum} (i32.const 36)) (then unreachable))`;
    scene.install(filter(`${ON_REQUEST} ${isRefused} (i32.const 0))`, imports));
    assert.deepEqual(scene.get().events, ['request head last']);
    assert.equal('polluted' in {}, false);
  });

  it('comes back after its pause, which grows', () => {
    const scene = new PluginScene();
    scene.install(filter(`${ON_REQUEST} (unreachable))`), {
      reload: { baseMs: 100, maxMs: 1_000 },
    });
    assert.equal(scene.get().failure, 'GW_PLUGIN_TRAP');
    assert.equal(scene.get().failure, 'GW_PLUGIN_UNAVAILABLE');
    scene.clock.advance(101);
    assert.equal(scene.get().failure, 'GW_PLUGIN_TRAP');
    scene.clock.advance(101);
    assert.equal(scene.get().failure, 'GW_PLUGIN_UNAVAILABLE');
    scene.clock.advance(100);
    assert.equal(scene.get().failure, 'GW_PLUGIN_TRAP');
  });

  it('comes back at once the first time with reload', () => {
    const scene = new PluginScene();
    scene.install(filter(`${ON_REQUEST} (unreachable))`), { onFailure: 'reload' });
    assert.equal(scene.get().failure, 'GW_PLUGIN_TRAP');
    assert.equal(scene.get().failure, 'GW_PLUGIN_TRAP');
    assert.equal(scene.get().failure, 'GW_PLUGIN_UNAVAILABLE');
  });

  it('takes down its own streams that wait, and answers nothing more', () => {
    // The second request traps while the first is paused.
    const scene = new PluginScene();
    scene.install(
      filter(`(global $n (mut i32) (i32.const 0)) ${ON_REQUEST}
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (if (i32.eq (global.get $n) (i32.const 2)) (then (unreachable)))
        (i32.const 1))`),
    );
    const first = scene.get();
    assert.deepEqual(first.events, []);
    const second = scene.get();
    assert.equal(second.failure, 'GW_PLUGIN_TRAP');
    assert.equal(first.failure, 'GW_PLUGIN_TRAP');
    first.end();
    second.end();
    assert.equal(scene.book.stats()[0]!.instances, 0);
  });

  for (const [name, body] of [
    ['_initialize', '(func (export "_initialize") (loop $l (br $l)))'],
    ['a start function', '(func $s (loop $l (br $l))) (start $s)'],
    [
      'proxy_on_configure',
      `(func (export "proxy_on_configure") (param i32 i32) (result i32)
        (loop $l (br $l)) (i32.const 1))`,
    ],
    [
      'proxy_on_vm_start, which says no',
      '(func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 0))',
    ],
    [
      'proxy_on_context_create',
      '(func (export "proxy_on_context_create") (param i32 i32) unreachable)',
    ],
  ] as const) {
    it(`that fails in ${name} is not installed, and the version before stays`, () => {
      const scene = new PluginScene();
      scene.install(filter(`${ON_REQUEST} (i32.const 0))`));
      assert.throws(
        () => scene.install(filter(body), { limits: LIMITS }),
        (error) => isGatewayError(error) && error.code === 'GW_PLUGIN_START',
      );
      assert.deepEqual(scene.get().events, ['request head last']);
      assert.equal(scene.book.stats()[0]!.version, 1);
    });
  }

  it('that loops in its tick is stopped there', () => {
    const scene = new PluginScene();
    scene.install(
      filter(
        `(func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $tick (i32.const 100))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (loop $l (br $l)))`,
        '(import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))',
      ),
      { limits: LIMITS },
    );
    assert.deepEqual(scene.timers.periods, [100]);
    scene.timers.run();
    assert.equal(scene.book.stats()[0]!.stepsExceeded, 1);
    assert.deepEqual(scene.timers.periods, []);
  });

  it('that loops in its ticks comes back again and again, also when a timer is early', () => {
    // A timer rang 0.4 ms before the pause was over: the plugin stayed away, for a plugin of the
    // background has no request that would try it again.
    const scene = new PluginScene();
    scene.install(
      filter(
        `(func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $tick (i32.const 100))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (loop $l (br $l)))`,
        '(import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))',
      ),
      { limits: LIMITS, background: true, reload: { baseMs: 10, maxMs: 10 } },
    );
    for (let deaths = 1; deaths <= 3; deaths++) {
      scene.timers.run();
      assert.equal(scene.book.stats()[0]!.stepsExceeded, deaths);
      scene.clock.advance(9.6);
      scene.timers.run();
      assert.equal(scene.book.stats()[0]!.instances, 0);
      scene.clock.advance(0.4);
      scene.timers.run();
      assert.equal(scene.book.stats()[0]!.instances, 1);
    }
  });

  for (const [name, result] of [
    ['nothing', '(i32.const 0)'],
    ['a place outside its memory', '(i32.const -16)'],
    ['what would not fit', '(i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))'],
  ]) {
    it(`whose malloc returns ${name} gets no bytes and no crash`, () => {
      const scene = new PluginScene();
      scene.install(
        wat(`(module
          (import "env" "proxy_get_buffer_bytes"
            (func $get (param i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) ${result})
          (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (i32.eq (i32.const 6) (call $get (i32.const 7) (i32.const 0) (i32.const 100)
              (i32.const 0) (i32.const 4)))))`),
        { config: Buffer.from('configuration') },
      );
      assert.deepEqual(scene.get().events, ['request head last']);
    });
  }

  it('that calls the host from malloc is refused there', () => {
    const scene = new PluginScene();
    scene.install(
      wat(`(module
        (import "env" "proxy_get_buffer_bytes"
          (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (global $status (mut i32) (i32.const -1))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32)
          (global.set $status (call $log (i32.const 2) (i32.const 0) (i32.const 1)))
          (i32.const 1024))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $get (i32.const 7) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 4)))
          (i32.eq (global.get $status) (i32.const 10))))`),
      { config: Buffer.from('configuration') },
    );
    assert.deepEqual(scene.lines, []);
  });

  /** Steps that one call of a host function takes. */
  function stepsOf(module: string, name: string, args: readonly number[]): number {
    const scene = new PluginScene();
    const given = args.map((arg) => `(i32.const ${arg})`).join(' ');
    scene.install(
      wat(`(module
        (import "${module}" "${name}"
          (func $call (param ${args.map(() => 'i32').join(' ')}) (result i32)))
        (memory (export "memory") 16)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $call ${given}))
          (i32.const 0)))`),
    );
    scene.get();
    return scene.book.stats()[0]!.stepsUsed;
  }

  // fd_write copied what 1,024 vectors pointed to, all to the same 4 KiB, for the price of a call:
  // a callback of a million steps held its worker for five minutes. Long keys did the same.
  for (const [name, module, cheap, dear, least] of [
    ['fd_write', 'wasi_snapshot_preview1', [1, 0, 1, 0], [1, 0, 1_000, 0], 999],
    ['random_get', 'wasi_snapshot_preview1', [0, 0], [0, 65_536], 1_024],
    ['proxy_get_header_map_value', 'env', [0, 0, 1, 0, 4], [0, 0, 524_288, 0, 4], 512],
    ['proxy_get_shared_data', 'env', [0, 1, 0, 4, 8], [0, 524_288, 0, 4, 8], 512],
    ['proxy_set_property', 'env', [0, 1, 0, 1], [0, 1, 0, 65_536], 64],
    ['proxy_get_property', 'env', [0, 1, 0, 4], [0, 1_024, 0, 4], 64],
  ] as const) {
    it(`that gives ${name} much to do pays for it`, () => {
      const more = stepsOf(module, name, dear) - stepsOf(module, name, cheap);
      assert.ok(more >= least, `${more} steps more, ${least} wanted`);
    });
  }

  // Go's allocator collects garbage, and its collector reads the clock: a Go filter died of the
  // refusal after some sixty requests.
  it('that asks WASI from malloc is answered', () => {
    const scene = new PluginScene();
    scene.install(
      wat(`(module
        (import "env" "proxy_get_buffer_bytes"
          (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get"
          (func $clock (param i32 i64 i32) (result i32)))
        (memory (export "memory") 1)
        (global $status (mut i32) (i32.const -1))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32)
          (global.set $status (call $clock (i32.const 1) (i64.const 0) (i32.const 2048)))
          (i32.const 1024))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $get (i32.const 7) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 4)))
          (i32.and (i32.eqz (global.get $status))
            (i64.ne (i64.load (i32.const 2048)) (i64.const 0)))))`),
      { config: Buffer.from('configuration') },
    );
    assert.deepEqual(scene.get().events, ['request head last']);
  });
});
