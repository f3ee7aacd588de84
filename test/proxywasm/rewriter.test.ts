// The rewriter: what it returns computes what the original computes, counts what an oracle counts,
// stops what does not end, and takes any bytes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { isGatewayError, SeededRandom } from '../../host/core/index.ts';
import { Codec, ZstdEncoder } from '../../host/kernels/index.ts';
import { rewriteModule } from '../../host/proxywasm/rewriter/rewrite.ts';
import { toWat, wat } from '../support/plugin-modules.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { codecModuleBytes } from '../support/wasm.ts';

const PAGES = 256;

interface Run {
  readonly call: (name: string, ...args: (number | bigint)[]) => unknown;
  readonly used: () => number;
  readonly exports: WebAssembly.Exports;
}

function metered(bytes: Uint8Array, fuel: number, imports: WebAssembly.Imports = {}): Run {
  const { bytes: output, fuelExport } = rewriteModule(bytes, PAGES);
  assert.ok(WebAssembly.validate(output), 'the output is valid');
  const module = new WebAssembly.Module(output);
  const { exports } = new WebAssembly.Instance(module, imports);
  const global = exports[fuelExport] as WebAssembly.Global;
  return {
    exports,
    call: (name, ...args) => {
      global.value = fuel;
      return (exports[name] as (...args: unknown[]) => unknown)(...args);
    },
    used: () => fuel - global.value,
  };
}

/** Counts at text level, where the rewriter counts at byte level: a function's entry and each turn
 *  of a loop. Only for functions shorter than a step's code, and none that are short and without a
 *  loop. */
function counted(bytes: Uint8Array): WebAssembly.Exports {
  const bump = 'global.get $n i32.const 1 i32.add global.set $n';
  const lines = toWat(bytes).split('\n');
  const output: string[] = [];
  let isHead = false;
  for (const line of lines) {
    const isLocal = /^\s*\(local /.test(line);
    if (isHead && !isLocal) {
      output.push(bump);
      isHead = false;
    }
    output.push(line);
    if (/^\s*\(func /.test(line)) isHead = true;
    if (/^\s*loop\b/.test(line)) output.push(bump);
  }
  const text = output.join('\n');
  const open = text.indexOf('(module') + '(module'.length;
  const globals = '(global $n (export "n") (mut i32) (i32.const 0))';
  // Behind the module's own globals, so that their numbers stay.
  const closing = text.lastIndexOf(')');
  const oracle = `${text.slice(0, open)}${text.slice(open, closing)}\n${globals})`;
  return new WebAssembly.Instance(new WebAssembly.Module(wat(oracle))).exports;
}

const PROGRAMS = `(module
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 7))
  (table 4 funcref)
  (elem (i32.const 0) $fib $nested $multi $pick)
  (type $unary (func (param i32) (result i32)))
  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func $nested (export "nested") (param $n i32) (result i32) (local $i i32) (local $j i32)
    (local $sum i32)
    (loop $outer
      (local.set $j (i32.const 0))
      (loop $inner
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (local.get $j)))
        (local.set $j (i32.add (local.get $j) (i32.const 1)))
        (br_if $inner (i32.lt_u (local.get $j) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $outer (i32.lt_u (local.get $i) (local.get $n))))
    (i32.xor (local.get $sum) (global.get $g)))
  (func $multi (export "multi") (param i32) (result i32)
    (local.get 0) (local.get 0)
    (loop $l (param i32 i32) (result i32 i32)
      (local.set 0) (i32.const 3) (i32.mul)
      (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $l (i32.gt_s (local.get 0) (i32.const 0))))
    (i32.add) (drop) (i32.trunc_sat_f64_s (f64.convert_i32_s (i32.extend8_s (local.get 0))))
    (call $id) )
  (func $id (param i32) (result i32) (local.get 0) (loop))
  (func $pick (export "pick") (param i32) (result i32)
    (block $a (block $b (block $c (br_table $a $b $c (local.get 0))))
      (return (call_indirect (type $unary) (i32.const 9) (i32.const 0))))
    (call_indirect (type $unary) (i32.const 5) (i32.const 1)))
  (func (export "vector") (param i32) (result i32)
    (v128.store (i32.const 0) (v128.const i32x4 1 2 3 4))
    (v128.store8_lane offset=64 3 (i32.const 0) (i8x16.splat (local.get 0)))
    (i32x4.extract_lane 2 (i32x4.add (v128.load (i32.const 0)) (i32x4.splat (local.get 0))))
    (loop)))`;

describe('a rewritten module', () => {
  const bytes = wat(PROGRAMS);
  const plain = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;

  for (const [name, argument] of [
    ['fib', 15],
    ['nested', 30],
    ['multi', 9],
    ['pick', 0],
    ['pick', 1],
    ['vector', 77],
  ] as const) {
    it(`computes and counts ${name}(${argument})`, () => {
      const oracle = counted(bytes);
      const run = metered(bytes, 1_000_000);
      const expected = (plain[name] as (x: number) => number)(argument);
      assert.equal(run.call(name, argument), expected);
      assert.equal((oracle[name] as (x: number) => number)(argument), expected);
      assert.equal(run.used(), (oracle.n as WebAssembly.Global).value);
    });
  }

  it('has the shortest functions in the place of their calls, and does the same', () => {
    const source = wat(`(module (global $g (export "g") (mut i32) (i32.const 0))
      (func $bump (global.set $g (i32.add (global.get $g) (i32.const 1))))
      (func $odd (br_if 0 (i32.and (global.get $g) (i32.const 1)))
        (block (block (br 2))) (unreachable))
      (func $early (if (i32.eqz (global.get $g)) (then (return))) (call $bump))
      (func $local (local i32) (local.set 0 (i32.const 3)) (global.set $g (local.get 0)))
      (func (export "f") (param i32) (result i32)
        (block (loop $l
          (call $odd) (call $bump) (call $early) (if (global.get $g) (then (call $bump)))
          (br_if 1 (i32.eq (local.get 0) (i32.const 7)))
          (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))
          (call $local)))
        (global.get $g)))`);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(source));
    const run = metered(source, 10_000);
    for (const argument of [1, 2, 5, 20]) {
      (exports.g as WebAssembly.Global).value = argument & 3;
      (run.exports.g as WebAssembly.Global).value = argument & 3;
      const expected = (exports.f as (count: number) => number)(argument);
      assert.equal(run.call('f', argument), expected);
    }
    // Those that return early or have a local are called, by f; early calls nothing any more.
    const calls = toWat(rewriteModule(source, PAGES).bytes).match(/\bcall \d+/g);
    assert.deepEqual(calls, ['call 2', 'call 3']);
  });

  it('grows by no more than a bound for it', () => {
    const bytes = wat(`(module (global $g (mut i32) (i32.const 0))
      (func $f ${'(global.set $g (global.get $g))'.repeat(7)})
      (func (export "g") ${'(call $f)'.repeat(60_000)}))`);
    const { length } = rewriteModule(bytes, PAGES).bytes;
    assert.ok(length > bytes.length + 1_000_000, `${length}`);
    // With the block around each, which has 2 bytes.
    assert.ok(length < bytes.length + 1_048_576 * 1.1, `${length}`);
  });

  it('has what it had, and two names more', () => {
    const before = WebAssembly.Module.exports(new WebAssembly.Module(bytes));
    const after = WebAssembly.Module.exports(
      new WebAssembly.Module(rewriteModule(bytes, PAGES).bytes),
    );
    assert.deepEqual(after.slice(0, before.length), before);
    assert.deepEqual(after.slice(before.length), [{ name: 'sluice_steps', kind: 'global' }]);
  });

  it('is codec.wasm to every caller', () => {
    const original = codecModuleBytes();
    // The codec never sets its steps, so the test puts so many in that they last.
    const { bytes: output } = rewriteModule(original, 65_536);
    const lasting = withSteps(output, 2_000_000_000);
    const input = new Uint8Array(200_000).map((_, index) => (index * index) >> 5);
    const codec = Codec.create(original);
    const rewritten = Codec.create(lasting);
    assert.equal(rewritten.crc32c(input), codec.crc32c(input));
    assert.equal(rewritten.xxh64(input), codec.xxh64(input));
    for (const effort of [1, 2, 3] as const) {
      const frames = [original, lasting].map((wasm) =>
        new ZstdEncoder(new WebAssembly.Module(wasm)).encode(input, { effort }),
      );
      assert.deepEqual(frames[1], frames[0]);
    }
  });
});

/** A function that calls nothing, of random loops and blocks that are left in every way there is.
 *  It ends after 300 turns at the latest. */
function randomLoops(random: SeededRandom): string {
  const below = (count: number) => random.uint32() % count;
  const mix = '(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 75)) (i32.const 74)))';
  const chance = () => `(i32.eqz (i32.and (local.get 0) (i32.const ${[1, 3, 7][below(3)]})))`;
  const turn = `(local.set 1 (i32.add (local.get 1) (i32.const 1)))
    (if (i32.gt_u (local.get 1) (i32.const 300)) (then (return (local.get 0))))`;
  // Labels count outwards; the last one is the function's, which wants a result.
  const jump = (depth: number): string => {
    const label = below(depth + 1);
    if (label === depth) {
      if (below(2) === 0) return `(if ${chance()} (then (return (local.get 0))))`;
      return `(drop (br_if ${depth} (local.get 0) ${chance()}))`;
    }
    if (below(3) > 0) return `(br_if ${label} ${chance()})`;
    const labels = [below(depth), below(depth), below(depth)].map((each) => each + 1);
    return `(block (br_table ${labels.join(' ')} 0 (i32.and (local.get 0) (i32.const 7))))`;
  };
  const piece = (depth: number): string => {
    const kind = depth > 3 ? 3 : below(5);
    if (kind === 0) return `(loop ${turn} ${pieces(depth + 1)} (br_if 0 ${chance()}))`;
    if (kind === 1) return `(block ${pieces(depth + 1)})`;
    if (kind === 2) return `(if ${chance()} (then ${pieces(depth + 1)}) (else ${mix}))`;
    return kind === 3 ? mix : `${mix} ${jump(depth)}`;
  };
  const pieces = (depth: number): string =>
    Array.from({ length: 1 + below(2) }, () => piece(depth)).join(' ');
  return `(func (export "f") (param i32) (result i32) (local i32)
    (loop ${turn} ${pieces(1)} (br_if 0 ${chance()})) (i32.xor (local.get 0) (local.get 1)))`;
}

/** Sets the first value of the steps, which the rewriter leaves at 0. */
function withSteps(bytes: Uint8Array, steps: number): Uint8Array<ArrayBuffer> {
  const text = toWat(bytes);
  const index = text.lastIndexOf('(mut i32) (i32.const 0)');
  return wat(`${text.slice(0, index)}(mut i32) (i32.const ${steps})${text.slice(index + 23)}`);
}

describe('metering', () => {
  it('stops endless loops, mutual recursion and loops of blocks', () => {
    const run = metered(
      wat(`(module
        (func (export "loop") (loop $l (br $l)))
        (func $a (export "tail") (call $b)) (func $b (call $a))
        (func (export "branchy") (param i32)
          (loop $l (block $x (br_if $x (local.get 0)) (br $l)) (br $l))))`),
      10_000,
    );
    for (const name of ['loop', 'branchy']) {
      assert.throws(() => run.call(name, 1), WebAssembly.RuntimeError);
      assert.equal(run.used(), 10_001, name);
    }
    assert.throws(() => run.call('tail'));
  });

  it('counts the same whichever way a function without calls is left', () => {
    const random = new SeededRandom(testSeed('loops'));
    let turns = 0;
    for (let program = 0; program < 60; program++) {
      const bytes = wat(`(module ${randomLoops(random)})`);
      const oracle = counted(bytes);
      const run = metered(bytes, 1_000_000);
      const n = oracle.n as WebAssembly.Global;
      for (const argument of [0, 1, 2, random.uint32() | 0]) {
        n.value = 0;
        const expected = (oracle.f as (x: number) => number)(argument);
        assert.equal(run.call('f', argument), expected);
        assert.equal(run.used(), n.value, toWat(bytes));
        // With one step less it does not end, and says so.
        const poor = metered(bytes, n.value - 1);
        assert.throws(() => poor.call('f', argument), /unreachable/);
        assert.equal(poor.used(), n.value);
        turns += n.value;
      }
    }
    assert.ok(turns > 1_000, `${turns} turns`);
  });

  it('counts a short function where it is called, and a circle of them in each round', () => {
    const run = metered(
      wat(`(module (global $g (mut i32) (i32.const 0)) (table funcref (elem $check $long))
        (func $check (export "short") (if (i32.lt_s (global.get $g) (i32.const 0))
          (then (call $long))))
        (func $long (global.set $g (i32.const 0)) (loop))
        (func (export "calls") (loop ${'(call $check)'.repeat(4)}))
        (func (export "many") (loop ${'(call $check)'.repeat(200)}))
        (func (export "indirect") ${'(call_indirect (i32.const 0))'.repeat(16)})
        (func $a (export "circle") (param i32) (result i32)
          (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
            (else (call $b (i32.sub (local.get 0) (i32.const 1))))))
        (func $b (param i32) (result i32) (call $c (local.get 0)))
        (func $c (param i32) (result i32) (call $a (local.get 0))))`),
      100_000,
    );
    run.call('short');
    assert.equal(run.used(), 0);
    run.call('calls');
    assert.equal(run.used(), 1 + 1);
    // 200 calls of 2 bytes, and as often the 11 bytes of the function.
    run.call('many');
    assert.equal(run.used(), 1 + 1 + Math.floor((200 * (2 + 11) + 3) / 1_024));
    run.call('indirect');
    assert.equal(run.used(), 1 + Math.floor((16 * (5 + 128) + 1) / 1_024));
    assert.equal(run.call('circle', 500), 0);
    assert.ok(run.used() >= 500, `${run.used()}`);
  });

  it('counts long chains of short functions, and follows them no further than it must', () => {
    const count = 20_000;
    const from = count - 1_000;
    const chain = Array.from({ length: count }, (_, index) => `(func (call ${index + 1}))`);
    const run = metered(
      wat(`(module ${chain.join('')} (func) (export "f" (func ${from})))`),
      1_000_000,
    );
    run.call('f');
    // Each takes 3 bytes of the 128 that may go uncounted.
    assert.ok(run.used() >= (1_000 * 3) / (128 + 3), `${run.used()}`);
  });

  it('charges bulk operations by their size', () => {
    const run = metered(
      wat(`(module (memory 64) (data $d "abcdefgh")
        (table $t 1024 2048 funcref)
        (func (export "fill") (param i32)
          (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
        (func (export "copy") (param i32)
          (memory.copy (i32.const 0) (i32.const 8) (local.get 0)))
        (func (export "init") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 8)))
        (func (export "tables") (result i32)
          (table.fill $t (i32.const 0) (ref.null func) (i32.const 1024))
          (table.grow $t (ref.null func) (i32.const 256)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1))))`),
      100_000,
    );
    run.call('fill', 65_536);
    assert.equal(run.used(), 1 + 64);
    run.call('copy', 4_096);
    assert.equal(run.used(), 1 + 4);
    run.call('init');
    assert.equal(run.used(), 1);
    assert.equal(run.call('tables'), 1024);
    assert.equal(run.used(), 1 + 8 + 32 + 2);
    assert.equal(run.call('grow'), 64);
    assert.equal(run.used(), 32);
    // More than there are steps: stopped before a byte is moved, even for a size out of bounds.
    const poor = metered(
      wat(
        `(module (memory 64)
          (func (export "f") (memory.fill (i32.const 0) (i32.const 1) (i32.const -1))))`,
      ),
      100,
    );
    assert.throws(() => poor.call('f'), /unreachable/);
  });

  it('counts long straight code by its length', () => {
    const line = '(global.set $g (i32.add (global.get $g) (i32.const 100000)))';
    const code = line.repeat(1000);
    const run = metered(
      wat(`(module (global $g (mut i32) (i32.const 0)) (func (export "f") ${code})
        (func (export "l") (loop ${code})))`),
      1_000_000,
    );
    run.call('f');
    assert.ok(run.used() > 5, `${run.used()}`);
    run.call('l');
    assert.ok(run.used() > 5, `${run.used()}`);
  });

  it('clamps memory and tables, and leaves the start to the host', () => {
    const { bytes, startExport, memoryPages, memoryPagesMax } = rewriteModule(
      wat(`(module (memory (export "memory") 2) (table (export "t") 1 funcref)
        (global $ran (export "ran") (mut i32) (i32.const 0))
        (func $start (global.set $ran (i32.const 1)) (loop $l (br $l))) (start $start)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`),
      8,
    );
    assert.deepEqual([memoryPages, memoryPagesMax], [2, Infinity]);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    assert.equal((exports.ran as WebAssembly.Global).value, 0);
    (exports.sluice_steps as WebAssembly.Global).value = 100;
    const grow = exports.grow as (pages: number) => number;
    assert.equal(grow(7), -1);
    assert.equal(grow(6), 2);
    assert.throws(() => (exports.memory as WebAssembly.Memory).grow(1), RangeError);
    assert.throws(() => (exports.t as WebAssembly.Table).grow(200_000), RangeError);
    assert.throws(() => (exports[startExport] as () => void)(), WebAssembly.RuntimeError);
    assert.equal((exports.ran as WebAssembly.Global).value, 1);
  });

  it('keeps out of the way of names that are taken', () => {
    const { fuelExport, bytes } = rewriteModule(
      wat('(module (func (export "sluice_steps")) (func (export "sluice_steps_")))'),
      8,
    );
    assert.equal(fuelExport, 'sluice_steps__');
    assert.ok(WebAssembly.validate(bytes));
  });
});

describe('what cannot be metered', () => {
  const refusals: readonly [string, string, RegExp][] = [
    ['tail calls', '(func $f (return_call $f))', /it uses tail calls, at byte \d+/],
    ['atomics', '(memory 1 1 shared)', /it uses threads, at byte \d+/],
    [
      'exceptions',
      '(tag $e) (func (try (do) (catch $e)))',
      /it uses exception handling, at byte \d+/,
    ],
    ['an imported memory', '(import "env" "m" (memory 1))', /it imports the memory m/],
    ['an imported table', '(import "env" "t" (table 1 funcref))', /it imports the table t/],
    ['memory above the limit', '(memory 300)', /begins at 300 pages, the limit is 256/],
    ['a huge table', '(table 200000 funcref)', /begins at 200000 entries, the limit is 131072/],
  ];
  for (const [name, source, detail] of refusals) {
    it(`refuses ${name} by name`, () => {
      assert.throws(
        () => rewriteModule(wat(`(module ${source})`), PAGES),
        (error: unknown) => isGatewayError(error) && detail.test(error.detail),
      );
    });
  }

  it('refuses what is no module, at its byte', () => {
    for (const [bytes, detail] of [
      [[], /does not begin .* at byte 0/],
      [[0, 0x61, 0x73, 0x6d, 2, 0, 0, 0], /does not begin .* at byte 0/],
      [[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 200, 1], /ends too early, at byte 11/],
      [[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 7, 1, 0, 1, 1, 0], /out of order/],
    ] as const) {
      assert.throws(
        () => rewriteModule(new Uint8Array(bytes), PAGES),
        (error: unknown) => isGatewayError(error) && detail.test(error.detail),
      );
    }
  });
});

describe('mutated modules', () => {
  it('are rewritten to a valid module or refused at a byte, never worse', () => {
    const random = new SeededRandom(testSeed('mutated modules'));
    const seeds = [
      wat(PROGRAMS),
      codecModuleBytes(),
      new Uint8Array(readFileSync('build/decoder.wasm')),
      new Uint8Array(readFileSync('build/edge.wasm')),
    ];
    const endMs = performance.now() + FUZZ_TIME_MS;
    let validCount = 0;
    while (performance.now() < endMs) {
      const mutated = seeds[random.uint32() % seeds.length]!.slice();
      for (let left = 1 + (random.uint32() % 3); left > 0; left--) mutate(mutated, random);
      const isValid = WebAssembly.validate(mutated);
      try {
        const { bytes } = rewriteModule(mutated, PAGES);
        if (!isValid) continue;
        validCount += 1;
        assert.ok(WebAssembly.validate(bytes), 'a valid module became invalid');
      } catch (error) {
        if (!isGatewayError(error)) throw error;
        assert.match(error.detail, /at byte \d+$/);
        if (isValid) assert.match(error.code, /INSTRUCTION|LIMIT|IMPORT/, error.detail);
      }
    }
    assert.ok(validCount > 10, `${validCount} valid mutants were tried`);
  });
});

function mutate(bytes: Uint8Array, random: SeededRandom): void {
  const place = 8 + (random.uint32() % (bytes.length - 8));
  const kind = random.uint32() % 3;
  if (kind === 0) bytes[place] = random.uint32() & 0xff;
  else if (kind === 1) bytes[place] = bytes[place]! ^ (1 << (random.uint32() % 8));
  else {
    const from = 8 + (random.uint32() % (bytes.length - 8));
    bytes.copyWithin(place, from, from + (random.uint32() % 16));
  }
}
