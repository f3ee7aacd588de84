// The benchmark of filters, small: that it measures what it says, and that its report can be read.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FILTERS } from '../../bench/plugins/modules.ts';
import { filterVerdicts } from '../../bench/plugins/report.ts';
import { runFilters } from '../../bench/plugins/suite.ts';
import { barsTable, benchmarksDocument, filterSection, makeRecord } from '../../bench/record.ts';

describe('the benchmark of filters', { timeout: 120_000 }, () => {
  it('measures each filter in three ways, and tenants in a process of their own', async () => {
    const filters = await runFilters({
      rounds: 2,
      exchangesCount: 300,
      tenantsCount: 50,
      loadMs: 1_000,
      sluiceCommand: [process.execPath, 'dist/sluice.js'],
      log: () => {},
    });
    assert.deepEqual(
      filters.rows.map(({ filter }) => filter),
      FILTERS,
    );
    for (const { filter, us, steps } of filters.rows) {
      // Differences of times: for so few exchanges one may be less than nothing.
      for (const { median } of [us.metered, us.plain]) assert.ok(Number.isFinite(median), filter);
      assert.ok(steps > 10, `${filter} takes ${steps} steps`);
    }
    // The body filter turns 4,096 letters, one by one.
    assert.ok(filters.rows[2]!.steps > 4_096);
    assert.equal(filters.tenants.count, 50);
    assert.ok(Number.isFinite(filters.tenants.addedBytes));
    for (const { answerer, swapsCount, answeredCount, failedCount } of filters.swaps) {
      assert.ok(swapsCount > 0 && answeredCount > 0, answerer);
      assert.equal(failedCount, 0, answerer);
    }
    assert.equal(filterVerdicts(filters).length, 6);
    const run = { command: 'npm run bench', loadBefore: 0 };
    const record = makeRecord(run, { kernel: null, system: null, filters });
    assert.match(filterSection(filters), /\| header +\| \d/);
    assert.match(benchmarksDocument([record]), /## filters in their sandbox/);
    assert.match(barsTable([record]), /idle tenants/);
  });
});
