// The raw router kernel at its edges: arguments out of range, tables that are none, areas that must
// not touch; and the benchmark, so that it still runs.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SCRATCH_STRIDE_BYTES, TABLES_OFFSET } from '../../assembly/shared/memory-map.ts';
import * as layout from '../../assembly/shared/router-layout.ts';
import {
  STATUS_BAD_ARGUMENT,
  STATUS_BAD_PATH,
  STATUS_BAD_TABLE,
  STATUS_NOT_FOUND,
  STATUS_OK,
  STATUS_TOO_LONG,
} from '../../assembly/shared/status.ts';
import { run } from '../../bench/kernels/router.bench.ts';
import {
  AUTHORITY_SIZE_BYTES_MAX,
  PATH_PARAMETERS_COUNT_MAX,
  PATH_SEGMENTS_COUNT_MAX,
  ROUTES_COUNT_MAX,
  TARGET_SIZE_BYTES_MAX,
} from '../../host/core/index.ts';
import { RouteTables } from '../../host/kernels/index.ts';
import { edgeInstance } from '../support/wasm.ts';

type Kernel = Readonly<Record<string, (...values: number[]) => number>>;

describe('the raw router kernel', () => {
  const instance = edgeInstance();
  const kernel = instance.exports as unknown as Kernel;
  const tables = new RouteTables(instance);
  const table = tables.compile([
    { host: '', path: '/*', methods: [], headers: [], query: [] },
    { host: 'h', path: '/*', methods: [], headers: [], query: [] },
  ]);

  it('refuses to work without a table', () => {
    for (const [name, values] of [
      ['routerHost', [0, 0]],
      ['routerMatch', [0, 1, 0]],
      ['routerNext', [0]],
      ['routerFieldsClear', [0]],
      ['routerFields', [0, 0, layout.VALUES_OFFSET]],
    ] as const) {
      assert.equal(kernel[name]!(...values), STATUS_BAD_ARGUMENT, name);
    }
  });

  it('opens a table and nothing else', () => {
    const open = kernel.routerOpen!;
    assert.equal(open(0, table + 64), STATUS_BAD_TABLE);
    assert.equal(open(0, TABLES_OFFSET - 64), STATUS_BAD_ARGUMENT);
    assert.equal(open(64, table), STATUS_BAD_ARGUMENT);
    assert.equal(open(-1, table), STATUS_BAD_ARGUMENT);
    assert.equal(open(0, table), STATUS_OK);
  });

  it('refuses arguments out of range and writes nothing for them', () => {
    const before = Buffer.from(instance.memory.buffer, 0, TABLES_OFFSET >> 6).toString('latin1');
    const calls: readonly (readonly [string, readonly number[], number])[] = [
      ['routerHost', [64, 1], STATUS_BAD_ARGUMENT],
      ['routerHost', [0, -1], STATUS_BAD_ARGUMENT],
      ['routerHost', [0, 262], STATUS_TOO_LONG],
      ['routerMatch', [64, 1, 0], STATUS_BAD_ARGUMENT],
      ['routerMatch', [0, -1, 0], STATUS_BAD_ARGUMENT],
      ['routerMatch', [0, 1, 64], STATUS_BAD_ARGUMENT],
      ['routerMatch', [0, 1, -1], STATUS_BAD_ARGUMENT],
      ['routerMatch', [0, 8193, 0], STATUS_TOO_LONG],
      ['routerNext', [-1], STATUS_BAD_ARGUMENT],
      ['routerEnd', [1 << 30], STATUS_BAD_ARGUMENT],
      ['routerFieldsClear', [64], STATUS_BAD_ARGUMENT],
      ['routerFields', [64, 0, layout.VALUES_OFFSET], STATUS_BAD_ARGUMENT],
      ['routerFields', [0, 0, layout.VALUES_OFFSET - 4], STATUS_BAD_ARGUMENT],
      ['routerFields', [0, 0, layout.VALUES_END_OFFSET + 4], STATUS_BAD_ARGUMENT],
      ['routerFields', [0, -1, layout.VALUES_OFFSET], STATUS_BAD_ARGUMENT],
      ['routerFields', [0, 8193, layout.VALUES_OFFSET], STATUS_TOO_LONG],
    ];
    for (const [name, values, wanted] of calls) {
      assert.equal(kernel[name]!(...values), wanted, `${name}(${values})`);
    }
    const after = Buffer.from(instance.memory.buffer, 0, TABLES_OFFSET >> 6).toString('latin1');
    assert.equal(after, before);
  });

  it('answers an empty path, and next after it, with a status', () => {
    assert.equal(kernel.routerMatch!(0, 0, 0), STATUS_BAD_PATH);
    assert.equal(kernel.routerNext!(0), STATUS_NOT_FOUND);
  });
});

describe('the areas of the scratch memory', () => {
  it('hold what the limits of the process allow', () => {
    assert.equal(layout.PATH_SIZE_BYTES_MAX, TARGET_SIZE_BYTES_MAX);
    assert.equal(layout.QUERY_SIZE_BYTES_MAX, TARGET_SIZE_BYTES_MAX);
    assert.equal(layout.HOST_SIZE_BYTES_MAX, AUTHORITY_SIZE_BYTES_MAX);
    assert.equal(layout.SEGMENTS_COUNT_MAX, PATH_SEGMENTS_COUNT_MAX);
    assert.ok(ROUTES_COUNT_MAX <= layout.ENTRY_ROUTE_MASK);
    assert.ok(layout.HOST_SIZE_BYTES_MAX + 2 <= layout.ROOTS_COUNT_MAX);
  });

  it('do not overlap, and leave the kernel eight bytes to load past each end', () => {
    const areas: readonly (readonly [number, number])[] = [
      [0, layout.RESULT_PARAMS_OFFSET + PATH_PARAMETERS_COUNT_MAX * 8],
      [layout.STATE_TABLE_OFFSET, layout.STATE_PARAMS_OFFSET + PATH_PARAMETERS_COUNT_MAX * 4],
      [layout.HOST_AREA_OFFSET, layout.HOST_AREA_OFFSET + layout.HOST_SIZE_BYTES_MAX + 8],
      [layout.ROOTS_OFFSET, layout.ROOTS_OFFSET + layout.ROOTS_COUNT_MAX * 4],
      [layout.FRAMES_OFFSET, layout.FRAMES_OFFSET + 129 * layout.FRAME_SIZE_BYTES],
      [layout.SEGMENTS_OFFSET, layout.SEGMENTS_OFFSET + 129 * layout.SEGMENT_SIZE_BYTES],
      [layout.FIELD_HEADS_OFFSET, layout.FIELD_HEADS_OFFSET + layout.FIELDS_COUNT_MAX * 4],
      [layout.PATH_OFFSET, layout.PATH_OFFSET + layout.PATH_SIZE_BYTES_MAX + 16],
      [layout.QUERY_OFFSET, layout.QUERY_OFFSET + layout.QUERY_SIZE_BYTES_MAX + 8],
      [layout.VALUES_OFFSET, layout.VALUES_END_OFFSET],
    ];
    for (let index = 1; index < areas.length; index++) {
      assert.ok(areas[index - 1]![1] <= areas[index]![0], `area ${index}`);
    }
    assert.equal(layout.VALUES_END_OFFSET, layout.ROUTER_SCRATCH_SIZE_BYTES);
    assert.ok(layout.ROUTER_SCRATCH_SIZE_BYTES + 8 <= SCRATCH_STRIDE_BYTES);
  });
});

describe('the router benchmark', () => {
  it('runs, and its subjects agree', async () => {
    const reported = new Map<string, number>();
    await run((name, opsPerSecond) => reported.set(name, opsPerSecond), 0.002);
    for (const subject of ['kernel', 'find-my-way', 'oracle']) {
      for (const count of [100, 10_000, 100_000]) {
        assert.ok(reported.get(`router/${subject}/${count}`)! > 0);
      }
    }
  });
});
