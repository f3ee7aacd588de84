// The protocol of a limiter set as a model, run through every interleaving of three threads with up
// to three preemptions: races that four real threads meet once in a million. It holds the order of
// steps that assembly/edge/limiter-set.ts documents, not the kernel's code; each step left out must
// be found, so that the search is known to reach the races.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

const INTERVAL = 1;
const WINDOW = 3;
const PREEMPTIONS_MAX = 3;

type Omission =
  | 'none'
  | 'floor'
  | 'recheck'
  | 'clear-hash'
  | 'claim-swap'
  | 'charge-swap'
  | 'rescan';
/** What a step waits for: nothing, or the set's lock. */
type Step = 'step' | 'lock';

interface World {
  readonly omission: Omission;
  isLocked: boolean;
  floor: number;
  readonly hashes: string[];
  readonly tats: number[];
  /** Each key's TATs in the order of their effect. */
  readonly grants: Map<string, number[]>;
}

interface Take {
  readonly key: string;
  readonly now: number;
}

/** Two slots: `k` has used its bucket and is idle at 2, and so is another key. */
function createWorld(omission: Omission): World {
  const grants = new Map([['k', [2]]]);
  return { omission, isLocked: false, floor: 0, hashes: ['k', 'x'], tats: [2, 1], grants };
}

function grant(world: World, key: string, tat: number): void {
  const earlier = world.grants.get(key) ?? [];
  world.grants.set(key, [...earlier, tat]);
}

/** Every `yield` stands before one access to the shared memory. */
function* find(world: World, key: string): Generator<Step, number> {
  for (const way of key === 'j' ? [0, 1] : [1, 0]) {
    yield 'step';
    if (world.hashes[way] === key) return way;
  }
  return -1;
}

/** True when decided, false when the slot is another's. */
function* charge(world: World, way: number, { key, now }: Take): Generator<Step, boolean> {
  while (true) {
    yield 'step';
    const tat = world.tats[way]!;
    yield 'step';
    if (world.omission !== 'recheck' && world.hashes[way] !== key) return false;
    const next = Math.max(tat, now) + INTERVAL;
    if (next > now + WINDOW) return true;
    yield 'step';
    if (world.omission !== 'charge-swap' && world.tats[way] !== tat) continue;
    world.tats[way] = next;
    grant(world, key, next);
    return true;
  }
}

function* claim(
  world: World,
  way: number,
  next: number,
  { key, now }: Take,
): Generator<Step, boolean> {
  yield 'step';
  const tat = world.tats[way]!;
  if (tat > now) return false;
  const old = world.hashes[way]!;
  if (world.omission !== 'floor') world.floor = Math.max(world.floor, tat);
  yield 'step';
  if (world.omission !== 'clear-hash') world.hashes[way] = '';
  yield 'step';
  const isMine = world.omission === 'claim-swap' || world.tats[way] === tat;
  if (isMine) {
    world.tats[way] = next;
    grant(world, key, next);
  }
  yield 'step';
  world.hashes[way] = isMine ? key : old;
  return isMine;
}

function* take(world: World, wanted: Take): Generator<Step, void> {
  const { key, now } = wanted;
  const found = yield* find(world, key);
  if (found >= 0 && (yield* charge(world, found, wanted))) return;
  yield 'lock';
  world.isLocked = true;
  const again = world.omission === 'rescan' ? -1 : yield* find(world, key);
  if (again >= 0) {
    assert.ok(yield* charge(world, again, wanted));
  } else {
    const next = Math.max(now, world.floor) + INTERVAL;
    const ways = key === 'j' ? [0, 1] : [1, 0];
    for (const way of next > now + WINDOW ? [] : ways) {
      if (yield* claim(world, way, next, wanted)) break;
    }
  }
  yield 'step';
  world.isLocked = false;
}

function* thread(world: World, takes: readonly Take[]): Generator<Step, void> {
  for (const wanted of takes) yield* take(world, wanted);
}

/** What a schedule led to: where it could have gone on otherwise, and a grant too many, if any. */
interface Outcome {
  readonly choices: readonly { readonly chosen: number; readonly others: readonly number[] }[];
  readonly fault: string | null;
}

/** Runs the threads: as the schedule says, then each for as long as it can. */
function runSchedule(omission: Omission, scene: Take[][], schedule: readonly number[]): Outcome {
  const world = createWorld(omission);
  const threads = scene.map((takes) => thread(world, takes));
  const nexts = threads.map((running) => running.next());
  const choices: { chosen: number; others: number[] }[] = [];
  let current = 0;
  while (nexts.some((next) => next.done !== true)) {
    const ready = nexts.flatMap((next, index) => {
      const isReady = next.done !== true && (next.value === 'step' || !world.isLocked);
      return isReady ? [index] : [];
    });
    const chosen = schedule[choices.length] ?? (ready.includes(current) ? current : ready[0]!);
    choices.push({ chosen, others: ready.filter((index) => index !== chosen) });
    nexts[chosen] = threads[chosen]!.next();
    current = chosen;
  }
  // Whoever comes later must still find what was spent.
  for (const _ of thread(world, [
    { key: 'k', now: 2 },
    { key: 'k', now: 3 },
    { key: 'k', now: 4 },
  ]));
  return { choices, fault: faultOf(world) };
}

function faultOf(world: World): string | null {
  for (const [key, tats] of world.grants) {
    const at = tats.findIndex((tat, index) => index > 0 && tat < tats[index - 1]! + INTERVAL);
    if (at >= 0) return `${key} was granted ${tats.join(', ')}`;
  }
  return null;
}

/** Every schedule with at most so many preemptions. Returns how many there were and a fault. */
function explore(omission: Omission, scene: Take[][]): { count: number; fault: string | null } {
  let count = 0;
  const pending: { schedule: number[]; preemptions: number }[] = [{ schedule: [], preemptions: 0 }];
  for (let work = pending.pop(); work !== undefined; work = pending.pop()) {
    const { choices, fault } = runSchedule(omission, scene, work.schedule);
    count += 1;
    if (fault !== null) return { count, fault };
    if (work.preemptions === PREEMPTIONS_MAX) continue;
    for (let at = work.schedule.length; at < choices.length; ++at) {
      const before = choices.slice(0, at).map((choice) => choice.chosen);
      for (const other of choices[at]!.others) {
        pending.push({ schedule: [...before, other], preemptions: work.preemptions + 1 });
      }
    }
  }
  return { count, fault: null };
}

const K2 = { key: 'k', now: 2 };
const SCENES: readonly Take[][][] = [
  [[K2, K2], [{ key: 'j', now: 2 }], [K2]],
  [[K2, K2], [{ key: 'j', now: 3 }], [K2]],
  [
    [K2],
    [
      { key: 'j', now: 4 },
      { key: 'x', now: 4 },
    ],
    [K2],
  ],
  [
    [{ key: 'n', now: 3 }],
    [
      { key: 'n', now: 3 },
      { key: 'n', now: 3 },
    ],
    [K2],
  ],
];

describe('the protocol of a set', () => {
  it('grants no key a token twice, in any interleaving', () => {
    for (const scene of SCENES) {
      const { count, fault } = explore('none', scene);
      assert.equal(fault, null);
      assert.ok(count > 1000, `only ${count} schedules`);
    }
  });

  const omissions: Omission[] = [
    'floor',
    'recheck',
    'clear-hash',
    'claim-swap',
    'charge-swap',
    'rescan',
  ];
  for (const omission of omissions) {
    it(`needs its step: ${omission}`, () => {
      const faults = SCENES.map((scene) => explore(omission, scene).fault);
      assert.ok(faults.some((fault) => fault !== null));
    });
  }
});
