// The durable log: commits as page deltas, groups as checksummed chains, segments on a disk.

export type {
  CommitEncoderOptions,
  DecodedCommit,
  EncodedCommits,
  PageDelta,
} from './commit-codec.ts';
export { CommitEncoder, decodeCommits } from './commit-codec.ts';
export type { FeedBeat, FeedItem, FeedPosition } from './feed.ts';
export { FeedDecoder } from './feed.ts';
export type { LogFile, LogFiles } from './files.ts';
export type { FollowerLogOptions, SenderProgress } from './follower-log.ts';
export { FollowerLog } from './follower-log.ts';
export { CHAIN_START, type Xxh64 } from './group.ts';
export { LOG_EPOCH_MAX, LOG_GROUP_PAYLOAD_SIZE_BYTES_MAX } from './limits.ts';
export { logError } from './log-error.ts';
export type { LogTailOptions } from './log-tail.ts';
export { LogTail } from './log-tail.ts';
export { nodeLogFiles } from './node-files.ts';
export { Replay, type ReplayTarget } from './replay.ts';
export type { SegmentLogOptions } from './segment-log.ts';
export { SegmentLog } from './segment-log.ts';
