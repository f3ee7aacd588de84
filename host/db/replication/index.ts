// Databases that have copies at other gateways: who is the primary, and how the copies follow.

export { Following, type FollowingEvent, worstLag } from './following.ts';
export { LogHolds } from './holds.ts';
export { QUESTION_SIZE_BYTES_MAX } from './limits.ts';
export {
  REPLICATION_ACTIONS,
  REPLICATION_SEGMENT,
  type ReplicationAction,
} from './protocol.ts';
export { type ReplicatedDatabase, ReplicationSource } from './source.ts';
export {
  decideStanding,
  type Role,
  Standing,
  type StandingRecord,
  standingOfFolder,
  standingWords,
} from './standing.ts';
