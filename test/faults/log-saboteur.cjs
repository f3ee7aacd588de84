// Loaded before the gateway by `--require`, in every thread: makes the disk of db workers fail while
// a file is there, so that production code needs no hook for it. SABOTAGE names the file; its text
// says what: `sync` fails every fdatasync(2) with EIO, `full` every write(2) with ENOSPC.
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const { isMainThread, workerData } = require('node:worker_threads');

const path = process.env.SABOTAGE;

function present() {
  try {
    return fs.readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function fault(code, errno, syscall) {
  return Object.assign(new Error(`${code}: sabotage, ${syscall}`), { code, errno, syscall });
}

if (!isMainThread && workerData?.sqlite !== undefined && path) {
  const { fdatasync, write, writeSync } = fs;
  const noRoom = () => fault('ENOSPC', -28, 'write');
  fs.fdatasync = (fd, done) => {
    if (present() === 'sync') setImmediate(done, fault('EIO', -5, 'fdatasync'));
    else fdatasync(fd, done);
  };
  fs.write = (fd, ...rest) => {
    if (present() === 'full') setImmediate(rest.at(-1), noRoom());
    else write(fd, ...rest);
  };
  fs.writeSync = (fd, ...rest) => {
    if (present() === 'full') throw noRoom();
    return writeSync(fd, ...rest);
  };
  syncBuiltinESMExports();
}
