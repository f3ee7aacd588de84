// Loaded before a publisher by `--require`: counts what it asks the file system to change, and kills
// the process in the middle of step KILL_AT, so that product code needs no hook for it. Writing is
// killed half-way. STEPS names a file that takes the number of steps of a run that ended well.
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');

const killAt = Number(process.env.KILL_AT);
const CHANGING = ['rename', 'rm', 'unlink', 'mkdir', 'link', 'writeFile', 'rmdir'];
const HANDLE_CHANGING = ['writeFile', 'datasync', 'sync', 'close'];
let stepCount = 0;

function step() {
  stepCount += 1;
  return stepCount === killAt;
}

/** Before the call or after it, by turns: both are moments to die. */
async function around(call, half) {
  if (!step()) return call();
  if (killAt % 2 === 0) await (half ?? call)();
  process.kill(process.pid, 'SIGKILL');
  // The signal comes at once, but not within this tick for certain.
  return new Promise(() => {});
}

for (const name of CHANGING) {
  const original = fs.promises[name];
  fs.promises[name] = (...values) => around(() => original(...values));
}

const openOriginal = fs.promises.open;
let isPatched = false;
fs.promises.open = async (...values) => {
  const handle = await openOriginal(...values);
  if (!isPatched) {
    isPatched = true;
    const prototype = Object.getPrototypeOf(handle);
    for (const name of HANDLE_CHANGING) {
      const original = prototype[name];
      prototype[name] = function (...inner) {
        const call = () => original.apply(this, inner);
        if (name !== 'writeFile') return around(call);
        const bytes = Buffer.from(inner[0]);
        return around(call, () => original.call(this, bytes.subarray(0, bytes.length >> 1)));
      };
    }
  }
  return handle;
};
syncBuiltinESMExports();

process.on('exit', () => {
  if (process.env.STEPS) fs.writeFileSync(process.env.STEPS, String(stepCount));
});
