// The durable log: commits as page deltas, groups as checksummed chains, segments on a disk.

export type {
  CommitEncoderOptions,
  DecodedCommit,
  EncodedCommits,
  PageDelta,
} from './commit-codec.ts';
export { CommitEncoder, decodeCommits } from './commit-codec.ts';
export type { LogFile, LogFiles } from './files.ts';
export { CHAIN_START, type Xxh64 } from './group.ts';
export { nodeLogFiles } from './node-files.ts';
export { Replay, type ReplayTarget } from './replay.ts';
export type { SegmentLogOptions } from './segment-log.ts';
export { SegmentLog } from './segment-log.ts';
