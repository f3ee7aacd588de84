// A plugin with an instance for each tenant, at a scale where a list of them would be felt: what
// one tenant's instance remembers no other sees, the bound holds, and the least used goes first.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { headerValue, SeededRandom } from '../../host/core/index.ts';
import { wat } from '../support/plugin-modules.ts';
import { PluginScene, REQUEST, type Visited } from '../support/plugin-scene.ts';
import { testSeed } from '../support/seed.ts';

/** Counts its requests in a global, and says the count, as one character, in a header. */
const COUNTER = wat(`(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-count")
  (global $count (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 16) (i32.add (i32.const 32) (global.get $count)))
    (call $add (i32.const 0) (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 1))))`);

const TENANTS_COUNT = 600;
const INSTANCES_COUNT_MAX = 200;
const REQUESTS_COUNT = 3_000;
const COUNT_MAX = 90;

function countOf(visited: Visited): number {
  return headerValue(visited.requestHead!, 'x-count')!.charCodeAt(0) - 32;
}

describe('hundreds of tenants', () => {
  it('each count for themselves, and the least used begin anew', () => {
    const random = new SeededRandom(testSeed('tenants'));
    const scene = new PluginScene();
    const isolation = {
      kind: 'tenant',
      header: 'x-tenant',
      countMax: INSTANCES_COUNT_MAX,
    } as const;
    scene.install(COUNTER, { isolation });
    /** The oracle: counts in the order of use. */
    const counts = new Map<string, number>();
    const open: Visited[] = [];
    for (let request = 0; request < REQUESTS_COUNT; request++) {
      // Half of the requests are a tenth of the tenants'.
      const among = random.unit() < 0.5 ? TENANTS_COUNT / 10 : TENANTS_COUNT;
      const tenant = `t${Math.floor(random.unit() * among)}`;
      const before = counts.get(tenant) ?? 0;
      if (before === COUNT_MAX) continue;
      counts.delete(tenant);
      counts.set(tenant, before + 1);
      const [least] = counts.keys();
      if (counts.size > INSTANCES_COUNT_MAX) counts.delete(least!);
      const visited = scene.get(['test'], [...REQUEST, 'x-tenant', tenant]);
      assert.equal(countOf(visited), before + 1, `${tenant}, request ${request}`);
      // Some stay open while their tenant is dropped, and end in peace.
      if (random.unit() < 0.1) open.push(visited);
      else visited.end();
      if (open.length > 20) open.shift()!.end();
    }
    assert.ok(scene.book.stats()[0]!.instances <= INSTANCES_COUNT_MAX + open.length);
    for (const visited of open) visited.end();
    const [stats] = scene.book.stats();
    assert.equal(stats!.instances, INSTANCES_COUNT_MAX);
    assert.equal(stats!.streams, 0);
    assert.equal(stats!.traps, 0);
  });
});
