// A walk over every host function, of each version of the ABI and of WASI under both of its names:
// called with what is good, with what is not there, and with every pointer out of bounds, it does
// what the specification says, or answers with a status, writes nothing and harms nobody. The
// tables are complete: a function that the host has and they have not fails the test.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inflateSync } from 'node:zlib';
import { hostFunctionNames, WASI_MODULES } from '../../host/proxywasm/abi/imports.ts';
import type { AbiVersion, PluginModule } from '../../host/proxywasm/index.ts';
import { AbiProbe, type Parameter, probeModule, type Signature } from '../support/abi-probe.ts';
import type { Call, Row } from '../support/abi-rows.ts';
import { ABI_ROWS, VERSIONS_OF } from '../support/abi-table.ts';
import { wat } from '../support/plugin-modules.ts';
import { PluginScene } from '../support/plugin-scene.ts';
import { WASI_ROWS } from '../support/wasi-table.ts';

const NOT_FOUND = 1;
const ABI_VERSIONS: readonly AbiVersion[] = ['0.1.0', '0.2.0', '0.2.1'];
const DEAD = -1;
const OK = 0;
const INVALID_MEMORY_ACCESS = 6;
const INTERNAL_FAILURE = 10;
const WASI_FAULT = 21;
const WASI_NOT_CAPABLE = 76;
/** The end of a memory of two pages is inside what a pointer here covers, or wraps around. */
const BAD_POINTERS = [131_071, -1, -(2 ** 31)];
const BAD_SIZES = [131_072, -1, -(2 ** 31)];

const POINTERS: ReadonlySet<Parameter> = new Set(['bytes', 'out32', 'out64']);

function signatureOf(module: string, { name, parameters }: Row): Signature {
  return { module, name, parameters, hasResult: true };
}

function isIn(version: AbiVersion, { name }: Row): boolean {
  return VERSIONS_OF[name]?.includes(version) ?? true;
}

/** A version's own functions, and WASI under both names. */
function moduleOf(version: AbiVersion): PluginModule {
  const own = ABI_ROWS.filter((row) => isIn(version, row)).map((row) => signatureOf('env', row));
  const wasi = WASI_MODULES.flatMap((module) => [
    ...WASI_ROWS.map((row) => signatureOf(module, row)),
    { module, name: 'proc_exit', parameters: ['u32'], hasResult: false } as const,
  ]);
  return probeModule(version, [...own, ...wasi]);
}

const MODULES = new Map(ABI_VERSIONS.map((version) => [version, moduleOf(version)]));

/** Calls a function as a row says, on a guest of its own. */
function run(version: AbiVersion, name: string, row: Row, call: Call): void {
  const probe = new AbiProbe(MODULES.get(version)!);
  call.prepare?.(probe);
  const status = probe.call(name, probe.place(row.parameters, call.args));
  const said = `${name} with ${call.args.map((arg) => JSON.stringify(`${arg}`))}`;
  assert.equal(status, statusOf(version, row, call), said);
  if (call.see !== undefined) assert.deepEqual(call.see(probe), call.is, said);
}

/** In 0.1.0 a header that is not there is an empty one, also where its map is not there. */
function statusOf(version: AbiVersion, { name }: Row, { status }: Call): number {
  const isOld = version === '0.1.0' && name === 'proxy_get_header_map_value';
  return isOld && status === NOT_FOUND ? OK : status;
}

/** Every way to have one argument of a good call point outside. */
function outOfBounds(row: Row, good: readonly (number | bigint)[]): (number | bigint)[][] {
  const calls: (number | bigint)[][] = [];
  let place = 0;
  for (const parameter of row.parameters) {
    if (parameter === 'out32' || parameter === 'out64') {
      for (const pointer of BAD_POINTERS) calls.push(good.with(place, pointer));
    } else if (parameter === 'bytes') {
      for (const pointer of BAD_POINTERS) {
        calls.push(good.with(place, pointer).with(place + 1, 16));
      }
      for (const size of BAD_SIZES) calls.push(good.with(place + 1, size));
      place += 1;
    }
    place += 1;
  }
  return calls;
}

function walkOutOfBounds(version: AbiVersion, name: string, row: Row, refusal: number): void {
  const probe = new AbiProbe(MODULES.get(version)!);
  const call = row.good[0]!;
  call.prepare?.(probe);
  const good = probe.place(row.parameters, call.args);
  const before = probe.memory();
  const asked = () => [...probe.requests, ...probe.grpcRequests, ...probe.grpcEvents];
  const askedBefore = asked();
  for (const args of outOfBounds(row, good)) {
    const said = `${name}(${args.join(', ')})`;
    assert.equal(probe.call(name, args), refusal, said);
    assert.ok(probe.memory().equals(before), `${said} wrote something`);
  }
  assert.deepEqual(probe.lines, []);
  assert.deepEqual(asked(), askedBefore);
}

describe('the host functions', () => {
  it('are those of the tables, no more and no fewer', () => {
    const { env, wasi } = hostFunctionNames();
    assert.deepEqual(ABI_ROWS.map(({ name }) => name).sort(), [...env].sort());
    assert.deepEqual([...WASI_ROWS.map(({ name }) => name), 'proc_exit'].sort(), [...wasi].sort());
    for (const name of Object.keys(VERSIONS_OF)) assert.ok(env.has(name), name);
  });

  it('each have a call that succeeds', () => {
    for (const { name, good } of [...ABI_ROWS, ...WASI_ROWS]) assert.ok(good.length > 0, name);
  });
});

for (const version of ABI_VERSIONS) {
  describe(`ABI ${version}`, () => {
    for (const row of ABI_ROWS.filter((each) => isIn(version, each))) {
      const name = `env.${row.name}`;
      it(`${row.name} does what it should, and says what is not there`, () => {
        for (const call of [...row.good, ...row.missing]) run(version, name, row, call);
      });
      if (!row.parameters.some((parameter) => POINTERS.has(parameter))) continue;
      it(`${row.name} refuses every pointer out of bounds`, () => {
        walkOutOfBounds(version, name, row, INVALID_MEMORY_ACCESS);
      });
    }
  });
}

for (const module of WASI_MODULES) {
  describe(module, () => {
    for (const row of WASI_ROWS) {
      const name = `${module}.${row.name}`;
      it(`${row.name} does what it should, within its bounds`, () => {
        for (const call of [...row.good, ...row.missing]) run('0.2.1', name, row, call);
        walkOutOfBounds('0.2.1', name, row, WASI_FAULT);
      });
    }

    it('proc_exit ends the guest and nobody else', () => {
      const probe = new AbiProbe(MODULES.get('0.2.1')!);
      assert.equal(probe.call(`${module}.proc_exit`, [7]), DEAD);
      assert.match(probe.vm.death!.detail, /exit code 7/);
      // Dead is dead: no host function does anything for it.
      assert.equal(probe.call('env.proxy_log', [2, 0, 1]), DEAD);
    });
  });
}

describe('a host function without its capability', () => {
  it('is refused, and does nothing', () => {
    const probe = new AbiProbe(MODULES.get('0.2.1')!, ['proxy_log']);
    assert.equal(probe.call('env.proxy_log', probe.place(['u32', 'bytes'], [2, 'a'])), OK);
    for (const row of ABI_ROWS.filter((each) => isIn('0.2.1', each))) {
      if (row.name === 'proxy_log') continue;
      const args = probe.place(row.parameters, row.good[0]!.args);
      const before = probe.memory();
      assert.equal(probe.call(`env.${row.name}`, args), INTERNAL_FAILURE, row.name);
      assert.ok(probe.memory().equals(before), row.name);
    }
    for (const module of WASI_MODULES) {
      for (const row of WASI_ROWS) {
        const args = probe.place(row.parameters, row.good[0]!.args);
        assert.equal(probe.call(`${module}.${row.name}`, args), WASI_NOT_CAPABLE, row.name);
      }
    }
  });

  it('leaves the rest of the filter going on', () => {
    const scene = new PluginScene();
    scene.install(
      wat(`(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (if (i32.ne (i32.const 10) (call $log (i32.const 2) (i32.const 0) (i32.const 0)))
            (then (unreachable)))
          (i32.const 0)))`),
      { capabilities: ['proxy_get_property'] },
    );
    assert.deepEqual(scene.get().events, ['request head last']);
  });
});

describe('a foreign function', () => {
  it('deflates what inflates to the same', () => {
    const probe = new AbiProbe(MODULES.get('0.2.1')!);
    const name = 'env.proxy_call_foreign_function';
    const parameters = ['bytes', 'bytes', 'out32', 'out32'] as const;
    const text = 'a text, a text, a text'.repeat(100);
    assert.equal(probe.call(name, probe.place(parameters, ['compress', text])), OK);
    const deflated = Buffer.from(probe.given(), 'latin1');
    assert.equal(inflateSync(deflated).toString(), text);
    assert.ok(deflated.length < 100);
    assert.equal(probe.call(name, probe.place(parameters, ['clear_route_cache', ''])), OK);
    assert.equal(probe.given(), '');
  });
});

describe('a function that the host does not have', () => {
  it('answers UNIMPLEMENTED', () => {
    const scene = new PluginScene();
    scene.install(
      wat(`(module
        (import "env" "proxy_redis_call" (func $f (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (if (i32.ne (i32.const 12) (call $f (i32.const 0) (i32.const 0))) (then (unreachable)))
          (i32.const 0)))`),
    );
    assert.deepEqual(scene.get().events, ['request head last']);
    assert.match(scene.messages().join(), /env\.proxy_redis_call/);
  });
});
