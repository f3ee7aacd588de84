// A thread that takes tokens as fast as it can and reports each grant. Started by
// limiter-threads.test.ts, which hands it what HammerTask says.

import { parentPort, workerData } from 'node:worker_threads';
import { SeededRandom } from '../../host/core/index.ts';
import {
  type EdgeImage,
  instantiateEdge,
  Limiter,
  type LimiterRule,
} from '../../host/kernels/index.ts';

export interface HammerTask {
  readonly image: EdgeImage;
  readonly workerIndex: number;
  /** Word 0: the time in ns as i64. Word 1: threads that have arrived. */
  readonly board: SharedArrayBuffer;
  readonly threadsCount: number;
  readonly seed: number;
  readonly takesCount: number;
  readonly policies: readonly { readonly name: string; readonly rule: LimiterRule }[];
  readonly keysCount: number;
  /** Whether a take is from one policy at random, or from all of them together. */
  readonly taking: 'one' | 'all';
  /** The most that one take moves the time; 0 freezes it. */
  readonly stepNsMax: number;
  /** How far this thread's clock may be off, either way. */
  readonly skewNsMax: number;
}

/** One list per policy and key: the times of its grants, as this thread's clock said. Units: ns. */
export type HammerReport = number[][];

function hammer(task: HammerTask): HammerReport {
  const random = new SeededRandom(task.seed);
  const limiter = new Limiter(instantiateEdge(task.image, task.workerIndex));
  const policies = task.policies.map(({ name, rule }) => limiter.policy(name, rule));
  const grants: number[][] = policies.flatMap(() =>
    Array.from({ length: task.keysCount }, () => [] as number[]),
  );
  const time = new BigInt64Array(task.board, 0, 1);
  const arrived = new Int32Array(task.board, 8, 1);
  Atomics.add(arrived, 0, 1);
  Atomics.notify(arrived, 0);
  for (let seen = 1; seen < task.threadsCount; seen = Atomics.load(arrived, 0)) {
    Atomics.wait(arrived, 0, seen, 1000);
  }
  for (let round = 0; round < task.takesCount; ++round) {
    const stepNs = Math.floor(random.unit() * (task.stepNsMax + 1));
    const skewNs = Math.floor((random.unit() * 2 - 1) * task.skewNsMax);
    const nowMs = (Number(Atomics.add(time, 0, BigInt(stepNs))) + skewNs) / 1e6;
    const first = task.taking === 'one' ? random.uint32() % policies.length : 0;
    const taken = task.taking === 'one' ? [policies[first]!] : policies;
    const key = random.uint32() % task.keysCount;
    const keys = taken.map(() => `key-${key}`);
    if (limiter.takeAll(taken, keys, nowMs) !== -1) continue;
    for (let index = first; index < first + taken.length; ++index) {
      grants[index * task.keysCount + key]!.push(Math.floor(nowMs * 1e6));
    }
  }
  return grants;
}

parentPort?.postMessage(hammer(workerData.task as HammerTask));
