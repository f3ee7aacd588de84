// Loaded before a gateway by `--require`: kills the process at a step of writing down that it is the
// primary now. KILL_STANDING says at which: 1 nothing is written, 2 half of it, 3 all of it and not
// synced, 4 synced and not in its place, 5 in its place, 6 that is synced too and nobody has heard.
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');

const killAt = Number(process.env.KILL_STANDING);
const real = { ...fs };
let isBegun = false;
let syncCount = 0;

function endAt(step) {
  if (step === killAt) process.kill(process.pid, 'SIGKILL');
}

fs.writeSync = (fd, text, ...rest) => {
  const isStanding = typeof text === 'string' && text.includes('"role": "primary"');
  if (!isStanding) return real.writeSync(fd, text, ...rest);
  isBegun = true;
  endAt(1);
  if (killAt === 2) real.writeSync(fd, text.slice(0, text.length >> 1));
  endAt(2);
  const written = real.writeSync(fd, text, ...rest);
  endAt(3);
  return written;
};
fs.fsyncSync = (fd) => {
  real.fsyncSync(fd);
  if (!isBegun) return;
  syncCount += 1;
  endAt(syncCount === 1 ? 4 : 6);
};
fs.renameSync = (from, to) => {
  real.renameSync(from, to);
  if (isBegun) endAt(5);
};
syncBuiltinESMExports();
