// The Hrana protocol over one database. It sees bytes and gives bytes; sockets are somebody else's.

export type { HranaCode, HranaFault } from './hrana-error.ts';
export { faultOf, HranaError, isHranaError } from './hrana-error.ts';
export type { Endpoint, HttpReply, HttpRequest } from './http-sessions.ts';
export { decodeSocketJson } from './json-decode.ts';
export type { SessionLimits } from './limits.ts';
export { JWT_SIZE_CHARS_MAX, SESSION_LIMITS } from './limits.ts';
export { decodeSocketProtobuf } from './protobuf-decode.ts';
export { replyWriter } from './reply-writer.ts';
export type { Encoding } from './requests.ts';
export type { Access, SessionDatabase } from './session-database.ts';
export { Sessions } from './sessions.ts';
export { SocketSession, type SocketSessionOptions, type SocketVersion } from './socket-session.ts';
export { Turn } from './turn.ts';
