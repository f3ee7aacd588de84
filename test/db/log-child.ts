// A program that appends to a log in a real folder and is killed: FOLDER KILL_AT. The step is a
// call of the file layer; by turns the process ends before it, in the middle of it or after it.
// Says on standard output what it found and what is durable.

import { writeSync } from 'node:fs';
import type { LogFile, LogFiles } from '../../host/db/log/files.ts';
import { nodeLogFiles } from '../../host/db/log/node-files.ts';
import { SegmentLog } from '../../host/db/log/segment-log.ts';
import { groupOf, kernelXxh64 } from '../support/log-scene.ts';

const [folder = '', killAt = '0'] = process.argv.slice(2);
const say = (line: string) => writeSync(1, `${line}\n`);
let stepCount = 0;

function kill(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  // The signal comes at once, but not within this tick for certain.
  return new Promise(() => {});
}

async function step<T>(whole: () => Promise<T>, half: () => Promise<unknown> = whole): Promise<T> {
  stepCount += 1;
  if (stepCount !== Number(killAt)) return whole();
  if (stepCount % 3 === 1) await half();
  if (stepCount % 3 === 2) await whole();
  return kill();
}

function stepped(file: LogFile): LogFile {
  return {
    path: file.path,
    sizeBytes: () => file.sizeBytes(),
    read: (into, at) => file.read(into, at),
    write: (bytes, at) =>
      step(
        () => file.write(bytes, at),
        () => file.write(bytes.subarray(0, bytes.length >> 1), at),
      ),
    datasync: () => step(() => file.datasync()),
    close: () => file.close(),
  };
}

const files: LogFiles = {
  ...nodeLogFiles,
  open: async (path) => stepped(await nodeLogFiles.open(path)),
  create: async (path) => stepped(await step(() => nodeLogFiles.create(path))),
  rename: (from, to) => step(() => nodeLogFiles.rename(from, to)),
  unlink: (path) => step(() => nodeLogFiles.unlink(path)),
  syncFolder: (path) => step(() => nodeLogFiles.syncFolder(path)),
};

const log = await SegmentLog.open({
  folder,
  xxh64: kernelXxh64(),
  files,
  segmentSizeBytes: 32_768,
});
let found = log.firstLsn - 1;
for await (const { firstLsn, lastLsn, payload } of log.read(log.firstLsn)) {
  if (firstLsn !== found + 1) throw new Error(`lsn ${firstLsn} follows ${found}`);
  const expected = payloadOf(firstLsn);
  if (Buffer.compare(expected, payload) !== 0) throw new Error(`lsn ${firstLsn} is not itself`);
  found = lastLsn;
}
say(`found ${found}`);
for (let round = 0; round < 30; ++round) {
  const firstLsn = log.nextLsn;
  await log.append(firstLsn, groupOf({ firstLsn, epoch: log.epoch, payload: payloadOf(firstLsn) }));
  say(`durable ${firstLsn}`);
  if (round % 10 === 9) await log.trim(firstLsn - 10);
  if (round % 13 === 12) await log.begin(log.epoch + 1);
}
await log.close();
say(`steps ${stepCount}`);

/** Of up to 5 KB, other bytes for each LSN. */
function payloadOf(lsn: number): Uint8Array {
  return new Uint8Array((lsn * 977) % 5_000).fill(lsn % 251);
}
