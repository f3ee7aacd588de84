// Loaded before the gateway by `--require`, in every thread: does harm to one worker when a file
// appears, so that production code needs no hook for it. SABOTAGE names the file; its text says what.
// SABOTAGE_OF: `db` for a db worker instead of an io worker.
const { existsSync, readFileSync, unlinkSync } = require('node:fs');
const { isMainThread, workerData } = require('node:worker_threads');

const kept = [];
const HARM = {
  exit: () => process.exit(7),
  throw: () => {
    throw new Error('sabotage: thrown');
  },
  reject: () => {
    Promise.reject(new Error('sabotage: rejected'));
  },
  stick: () => {
    for (;;);
  },
  // Faster than the heap is watched.
  devour: () => {
    for (;;) kept.push(new Array(100_000).fill({}));
  },
  // Slower than the heap is watched.
  swell: () => {
    const swell = () => kept.push(new Array(100_000).fill(kept.length + 0.5));
    for (let count = 0; count < 400; count++) swell();
    setInterval(swell, 80);
  },
};

const kind = workerData?.sqlite === undefined ? 'io' : 'db';
const isMeant = workerData?.workerIndex === 1 && kind === (process.env.SABOTAGE_OF ?? 'io');

if (!isMainThread && isMeant && process.env.SABOTAGE) {
  const path = process.env.SABOTAGE;
  setInterval(() => {
    if (!existsSync(path)) return;
    const harm = readFileSync(path, 'utf8');
    // The file stands there a moment before its word does.
    if (harm === '') return;
    unlinkSync(path);
    HARM[harm]();
  }, 25).unref();
}
