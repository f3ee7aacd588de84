// What counting means, one suite for the kernel and for its oracle.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StatsModel } from './stats-oracle.ts';

export function statsCases(name: string, create: () => StatsModel): void {
  describe(`counting: ${name}`, () => {
    it('counts a request in its route, endpoint and service, and nowhere else', () => {
      const stats = create();
      stats.record(5, 6, 7, 200, 0, 1500, 100, 2000);
      assert.deepEqual(stats.route(5), {
        requestsByClass: [0, 1, 0, 0, 0],
        refusedByFamily: [0, 0, 0, 0, 0, 0, 0],
        durationSumUs: 1500,
        bytesIn: 100,
        bytesOut: 2000,
        active: 0,
      });
      const peer = {
        requests: 1,
        errors: 0,
        active: 0,
        connectFailures: 0,
        durationSumUs: 1500,
        bytesIn: 100,
        bytesOut: 2000,
        refused: 0,
      };
      assert.deepEqual(stats.endpoint(6), peer);
      assert.deepEqual(stats.service(7), peer);
      for (const slot of [4, 6]) assert.equal(stats.route(slot).durationSumUs, 0);
      for (const slot of [5, 7]) assert.equal(stats.endpoint(slot).requests, 0);
      for (const slot of [6, 8]) assert.equal(stats.service(slot).requests, 0);
    });

    it('sorts statuses into classes, and what is no status into 5xx', () => {
      const stats = create();
      for (const status of [100, 199, 200, 299, 300, 399, 400, 499, 500, 599]) {
        stats.record(2, -1, -1, status, 0, 1, 0, 0);
      }
      for (const status of [0, 99, 600, -1]) stats.record(2, -1, -1, status, 0, 1, 0, 0);
      assert.deepEqual(stats.route(2).requestsByClass, [2, 2, 2, 2, 6]);
    });

    it('counts refusals by reason and by family', () => {
      const stats = create();
      for (const reason of [101, 204, 303, 400, 501, 604, 701, 801, 999]) {
        stats.record(3, -1, -1, 500, reason, 1, 0, 0);
      }
      stats.refuse(301);
      stats.refuse(5000);
      stats.refuse(-3);
      assert.deepEqual(stats.route(3).refusedByFamily, [1, 1, 1, 1, 3, 1, 1]);
      for (const reason of [101, 604, 999, 301]) assert.equal(stats.refusals(reason), 1);
      assert.equal(stats.refusals(0), 2, 'numbers above the table are counted together');
    });

    it('blames an endpoint for 5xx, upstream reasons and a response cut short', () => {
      const stats = create();
      stats.record(2, 9, 9, 503, 0, 1, 0, 0);
      for (const reason of [101, 104, 105, 201]) stats.record(2, 9, 9, 502, reason, 1, 0, 0);
      stats.record(2, 9, 9, 200, 702, 1, 0, 0);
      stats.record(2, 9, 9, 200, 701, 1, 0, 0);
      stats.record(2, 9, 9, 404, 0, 1, 0, 0);
      const { requests, errors, connectFailures, refused } = stats.endpoint(9);
      assert.deepEqual([requests, errors, connectFailures, refused], [8, 6, 4, 6]);
    });

    it('takes the first and the last slot, and ignores those outside', () => {
      const stats = create();
      for (const slot of [0, 16_383]) {
        stats.record(slot, slot, Math.min(slot, 4095), 200, 0, 7, 1, 1);
        assert.equal(stats.route(slot).durationSumUs, 7);
        assert.equal(stats.endpoint(slot).requests, 1);
        assert.equal(stats.service(Math.min(slot, 4095)).requests, 1);
        assert.deepEqual(stats.histogram(slot), [[7, 7, 1]]);
      }
      stats.record(16_384, 16_384, 4_096, 200, 0, 7, 1, 1);
      stats.record(-1, -1, -1, 200, 0, 7, 1, 1);
      stats.begin(16_384, -1, 4_096);
      for (const slot of [0, 1, 16_383]) assert.equal(stats.route(slot).active, 0);
      assert.equal(stats.route(16_383).durationSumUs, 7);
    });

    it('holds gauges of what is in flight', () => {
      const stats = create();
      for (let round = 0; round < 3; round++) stats.begin(4, 5, 6);
      stats.finish(4, 5, 6);
      assert.equal(stats.route(4).active, 2);
      assert.equal(stats.endpoint(5).active, 2);
      assert.equal(stats.service(6).active, 2);
      stats.finish(4, -1, -1);
      stats.finish(4, -1, -1);
      assert.equal(stats.route(4).active, 0);
      assert.equal(stats.endpoint(5).active, 2);
    });

    it('bounds durations and sizes that make no sense', () => {
      const stats = create();
      for (const value of [Number.NaN, -5, Number.NEGATIVE_INFINITY, 0.9]) {
        stats.record(8, -1, -1, 200, 0, value, value, value);
      }
      stats.record(8, -1, -1, 200, 0, Number.POSITIVE_INFINITY, 5.9, 2 ** 40);
      const { durationSumUs, bytesIn, bytesOut } = stats.route(8);
      assert.deepEqual([durationSumUs, bytesIn, bytesOut], [2 ** 32 - 1, 5, 2 ** 40]);
      const histogram = stats.histogram(8);
      assert.deepEqual(histogram[0], [0, 0, 4]);
      assert.deepEqual(histogram[1]!.slice(1), [2 ** 32 - 1, 1]);
    });

    it('keeps durations in ranges that a power of two shares out', () => {
      const stats = create();
      const edges = [0, 1, 63, 64, 65, 66, 127, 128, 131, 132, 1000, 2 ** 31 - 1, 2 ** 31];
      for (const edge of edges) stats.record(2, -1, -1, 200, 0, edge, 0, 0);
      assert.deepEqual(
        stats.histogram(2).map(([lowest, highest, count]) => `${lowest}-${highest} ${count}`),
        [
          '0-0 1',
          '1-1 1',
          '63-63 1',
          '64-65 2',
          '66-67 1',
          '126-127 1',
          '128-131 2',
          '132-135 1',
          '992-1007 1',
          '2113929216-2147483647 1',
          '2147483648-2214592511 1',
        ],
      );
    });
  });
}
