// The share of a release, set by hand and by schedule.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { shareChangeText, stateText } from '../../host/cli/release/state-text.ts';
import type { ChannelState, ReleaseEntry } from '../../host/distribution/model.ts';
import { changeRule } from '../../host/distribution/release-changes.ts';
import { rolloutAt } from '../../host/distribution/release-rules.ts';
import { codeOf } from '../support/trust-scene.ts';

const entry: ReleaseEntry = {
  sequence: 1,
  version: '1',
  salt: 'x',
  state: 'active',
  rollout: 1_000,
  schedule: [
    { atMs: 100, rollout: 5_000 },
    { atMs: 200, rollout: 7_500 },
    { atMs: 86_400_000, rollout: 10_000 },
  ],
  targeting: null,
  halt: null,
  createdAtMs: 0,
  manifest: { sha256: 'a'.repeat(64), sizeBytes: 1 },
  isBuiltIn: false,
  resumeCount: 0,
};
const state: ChannelState = { channel: 'app', generation: 1, isPacked: false, releases: [entry] };
const NOW = 150;

function changed(change: Parameters<typeof changeRule>[2], wallMs = NOW): ReleaseEntry {
  return changeRule(state, '1', change, wallMs).releases[0]!;
}

describe('a share', () => {
  // `rollout 20%` below a step that had come was taken and did nothing: devices still got 50 %.
  // Now a share that is set by hand is the share, and the schedule is over; the output says so.
  it('that is set by hand ends the schedule', () => {
    const after = changed({ rollout: 2_000 });
    assert.deepEqual([after.rollout, after.schedule], [2_000, []]);
    assert.equal(rolloutAt(after, Number.MAX_SAFE_INTEGER), 2_000);
    assert.equal(
      shareChangeText(entry, after, NOW),
      'the schedule has ended; the share stays at 20.00 %; ' +
        'dropped: 75.00 % at 1970-01-01T00:00:00, 100.00 % at 1970-01-02T00:00:00\n',
    );
    assert.equal(shareChangeText(after, after, NOW), '');
  });

  // `schedule --clear` sent the share from 50 % back to the 10 % that was set at the beginning.
  // Now what is in force stays in force, whatever becomes of the steps.
  it('in force does not shrink when the schedule is cleared or replaced', () => {
    const cleared = changed({ schedule: [] });
    assert.deepEqual([cleared.rollout, cleared.schedule], [5_000, []]);
    const steps = [{ atMs: 300, rollout: 6_000 }];
    const replaced = changed({ schedule: steps });
    assert.deepEqual([replaced.rollout, replaced.schedule], [5_000, steps]);
  });

  it('of other changes stays as it is, and so do the steps', () => {
    const paused = changed({ state: 'paused' });
    assert.deepEqual([paused.rollout, paused.schedule], [entry.rollout, entry.schedule]);
  });

  it('of a step that has passed, or adds nobody, is refused', () => {
    for (const step of [
      { atMs: 150, rollout: 9_000 },
      { atMs: 1, rollout: 9_000 },
      { atMs: 300, rollout: 5_000 },
      { atMs: 300, rollout: 0 },
    ]) {
      assert.equal(
        codeOf(() => changed({ schedule: [step] })),
        'GW_DIST_RULE',
        JSON.stringify(step),
      );
    }
  });

  it('is listed in force and as it was set, with the steps to come and the targets', () => {
    const targeting = {
      appVersion: '>=1.2.0',
      platforms: ['ios', 'web'],
      regions: null,
      devices: ['1', '2', '3', '4', '5', '6'],
      attributes: { tier: ['gold'] },
    };
    const [line] = stateText({ ...state, releases: [{ ...entry, targeting }] }, NOW)
      .split('\n')
      .slice(1);
    assert.match(line!, / {4}50\.00 % {2}1970-01-01T00:00:00 {2}set to 10\.00 %; 75\.00 % at /);
    assert.match(line!, /; for app >=1\.2\.0, platform ios\|web, tier gold, /);
    assert.match(line!, /device 1\|2\|3\|4 and 2 more$/);
    assert.doesNotMatch(line!, /steps|targeted/);
    const later = stateText(state, 86_400_000);
    assert.match(later, /100\.00 % {2}\S+ {2}set to 10\.00 %\n/);
  });
});
