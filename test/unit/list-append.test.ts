// The checker of histories finds what it looks for: histories that are known to be wrong, and
// random ones of a store that does one thing wrong; and it has nothing to say of good ones.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import {
  type AnomalyKind,
  checkHistory,
  type Micro,
  type Transaction,
} from '../support/list-append.ts';
import { testSeed } from '../support/seed.ts';

const [X, Y] = [1, 2];
const append = (key: number, value: number): Micro => ({ kind: 'append', key, value });
const read = (key: number, ...values: number[]): Micro => ({ kind: 'read', key, values });

/** Transactions that are all under way at once, so that only what they saw orders them. */
function together(...all: readonly (readonly Micro[])[]): Transaction[] {
  return all.map((micros, index) => ({
    micros,
    outcome: 'committed',
    beganAt: index,
    endedAt: 1_000 + index,
  }));
}

/** Transactions one after the other. */
function inTurn(...all: readonly (readonly Micro[])[]): Transaction[] {
  return all.map((micros, index) => ({
    micros,
    outcome: 'committed',
    beganAt: 10 * index,
    endedAt: 10 * index + 5,
  }));
}

function as(outcome: Transaction['outcome'], transaction: Transaction): Transaction {
  return { ...transaction, outcome };
}

function assertKinds(history: readonly Transaction[], ...kinds: AnomalyKind[]): void {
  const found = checkHistory(history);
  assert.deepEqual([...new Set(found.map(({ kind }) => kind))], kinds, JSON.stringify(found));
}

describe('known-bad histories', () => {
  it('G0: appends of two transactions in turns, in one list or in two', () => {
    assertKinds(together([append(X, 1), append(X, 2)], [append(X, 3)], [read(X, 1, 3, 2)]), 'G0');
    const crossed = [read(X, 1, 2), read(Y, 4, 3)];
    assertKinds(
      together([append(X, 1), append(Y, 3)], [append(X, 2), append(Y, 4)], crossed),
      'G0',
    );
  });

  it('G1a: a read of what was rolled back', () => {
    const [writer, reader] = together([append(X, 1)], [read(X, 1)]);
    assertKinds([as('aborted', writer!), reader!], 'G1a');
  });

  it('G1b: a read in the middle of a transaction', () => {
    assertKinds(together([append(X, 1), append(X, 2)], [read(X, 1)]), 'G1b');
  });

  it('G1c: two that read each other', () => {
    assertKinds(together([append(X, 1), read(Y, 2)], [append(Y, 2), read(X, 1)]), 'G1c');
  });

  it('G-single: a read that is torn between two states', () => {
    assertKinds(together([append(X, 1), append(Y, 2)], [read(X, 1), read(Y)]), 'G-single');
  });

  it('G2: write skew', () => {
    const skew = [
      [read(X), read(Y), append(X, 1)],
      [read(X), read(Y), append(Y, 2)],
    ];
    assertKinds(together(...skew), 'G2');
    assertKinds(together(...skew, [read(X, 1), read(Y, 2)]), 'G2');
  });

  it('a lost update: whether the other one is still there or not', () => {
    const updates = [
      [read(X), append(X, 1)],
      [read(X), append(X, 2)],
    ];
    assertKinds(together(...updates, [read(X, 1, 2)]), 'lost-update', 'G-single');
    assertKinds(together(...updates, [read(X, 2)]), 'lost-update', 'G-single');
  });

  it('a stale read, and a commit that was acknowledged and is lost', () => {
    assertKinds(inTurn([append(X, 1)], [read(X)]), 'real-time');
    assertKinds(inTurn([append(X, 1)], [append(X, 2)], [read(X, 2)]), 'real-time');
    assertKinds(inTurn([append(X, 1)], [append(X, 2)], [read(X, 2, 1)]), 'real-time');
  });

  it('half of a transaction of which nobody knows whether it has happened', () => {
    const [writer, reader] = inTurn([append(X, 1), append(Y, 2)], [read(X, 1), read(Y)]);
    assertKinds([as('unknown', writer!), reader!], 'G-single');
  });

  it('torn lists, values of nobody, a transaction that is blind to itself', () => {
    assertKinds(
      together([append(X, 1)], [append(X, 2)], [read(X, 1, 2)], [read(X, 2, 1)]),
      'incompatible-order',
    );
    assertKinds(together([read(X, 7)]), 'garbage');
    assertKinds(together([append(X, 1)], [read(X, 1, 1)]), 'garbage');
    assertKinds(together([append(X, 1), read(X)]), 'internal');
    assertKinds(together([read(X), read(X, 1)], [append(X, 1)]), 'internal');
  });
});

describe('good histories', () => {
  it('of transactions in turn, and of unknown ones that have happened or not', () => {
    assertKinds(inTurn([append(X, 1)], [read(X, 1), append(X, 2), read(X, 1, 2)], [read(Y)]));
    const [first, second, third] = inTurn([append(X, 1)], [append(X, 2)], [read(X, 2)]);
    assertKinds([as('unknown', first!), second!, third!]);
    const [early, late, reader] = inTurn([append(X, 1)], [append(X, 2)], [read(X, 2, 1)]);
    assertKinds([as('unknown', early!), late!, reader!]);
  });
});

// --- random histories
// ------------------------------------------------------------------------------

type Flaw = 'none' | 'stale' | 'dirty' | 'unchecked' | 'forgets';

/** A store of snapshots whose writers are checked when they commit; `flaw` is what it gets
 *  wrong. */
function simulate(random: SeededRandom, flaw: Flaw): Transaction[] {
  let lists = new Map<number, readonly number[]>();
  let former = lists;
  const history: Transaction[] = [];
  let nextValue = 1;
  let moment = 0;
  const below = (count: number) => random.uint32() % count;
  for (let round = 0; round < 200; round++) {
    const isFlawed = flaw !== 'none' && below(10) === 0;
    const atBegin = lists;
    // Everyone of a round has begun before anyone of it ends.
    const beganAt = ++moment;
    const runs = Array.from({ length: 1 + below(3) }, () => {
      const snapshot = new Map(isFlawed && flaw === 'stale' ? former : atBegin);
      const micros: Micro[] = [];
      for (let count = 1 + below(4); count > 0; count--) {
        const key = below(4);
        const values = snapshot.get(key) ?? [];
        if (below(2) === 0) micros.push(read(key, ...values));
        else {
          micros.push(append(key, nextValue));
          snapshot.set(key, [...values, nextValue++]);
        }
      }
      return { micros, snapshot };
    });
    former = lists;
    for (const { micros, snapshot } of runs) {
      const writes = micros.some(({ kind }) => kind === 'append');
      const isStale = lists !== atBegin;
      const passes = !writes || !isStale || (isFlawed && flaw === 'unchecked');
      const aborts = !passes || (isFlawed && flaw === 'dirty');
      if (writes && (passes || flaw === 'dirty') && !(isFlawed && flaw === 'forgets')) {
        lists = snapshot;
      }
      history.push({
        micros,
        outcome: aborts ? 'aborted' : 'committed',
        beganAt,
        endedAt: ++moment,
      });
    }
  }
  const all = [0, 1, 2, 3].map((key) => read(key, ...(lists.get(key) ?? [])));
  history.push({ micros: all, outcome: 'committed', beganAt: ++moment, endedAt: ++moment });
  return history;
}

describe('random histories', () => {
  const seed = testSeed('list-append');

  it('of a store that is right are all found good', () => {
    for (let round = 0; round < 30; round++) {
      assert.deepEqual(checkHistory(simulate(new SeededRandom(seed + round), 'none')), []);
    }
  });

  for (const flaw of ['stale', 'dirty', 'unchecked', 'forgets'] as const) {
    it(`of a store that is ${flaw} are found bad`, () => {
      let found = 0;
      for (let round = 0; round < 30; round++) {
        const anomalies = checkHistory(simulate(new SeededRandom(seed + round), flaw));
        if (anomalies.length > 0) found += 1;
      }
      // A flaw may by chance have shown nothing to anyone.
      assert.ok(found >= 27, `${found} of 30`);
    });
  }
});
