// Bounds of the protocol, each with a sentence of origin. Those that a configuration may move are
// SessionLimits.

export interface SessionLimits {
  /** Streams of one database that are open at once. */
  readonly streamsCountMax: number;
  /** A statement is stopped after this. Units: ms. */
  readonly statementMsMax: number;
  /** A stream over HTTP without a request for this long is closed. Units: ms. */
  readonly idleMsMax: number;
  /** One reply. Units: bytes. */
  readonly replySizeBytesMax: number;
}

const MIB = 1_048_576;

export const SESSION_LIMITS: SessionLimits = {
  streamsCountMax: 1_024,
  statementMsMax: 10_000,
  idleMsMax: 600_000,
  replySizeBytesMax: 64 * MIB,
};

/** A stream without a request for this long may be closed for one that wants its place, or its
 *  connection. */
export const STREAM_IDLE_MS_MIN = 10_000;
/** Requests of one pipeline, and steps of one batch; a migration has hundreds. */
export const PIPELINE_REQUESTS_COUNT_MAX = 10_000;
export const BATCH_STEPS_COUNT_MAX = 10_000;
/** Arguments of one statement: what SQLite takes. */
export const ARGS_COUNT_MAX = 32_766;
/** Of a condition; the ones that clients make are two deep. */
export const CONDITION_DEPTH_MAX = 32;
/** Of conditions in one batch, all nodes together. */
export const CONDITION_NODES_COUNT_MAX = 65_536;
/** As SQLite's limit for a statement. */
export const SQL_SIZE_CHARS_MAX = MIB;
/** Stored texts of one stream over HTTP, and of one connection: what clients keep, with room. */
export const HTTP_SQL_COUNT_MAX = 64;
export const SOCKET_SQL_COUNT_MAX = 256;
/** All stored texts of one stream or connection together. */
export const STORED_SQL_SIZE_CHARS_MAX = 2 * MIB;
/** Requests of one connection that are not answered yet. */
export const SOCKET_REQUESTS_COUNT_MAX = 1_024;
/** Longer messages are counted by their bytes too, until they are answered: of the shorter ones the
 *  bound before is one. */
export const SOCKET_LARGE_SIZE_BYTES = 16_384;
/** Requests of one connection that are not answered, the long ones together; and messages that wait
 *  for a token to be checked, or for the client to read. Four of the largest messages. */
export const SOCKET_WAITING_SIZE_BYTES_MAX = 64 * MIB;
/** Streams and cursors of one connection. */
export const SOCKET_STREAMS_COUNT_MAX = 256;
export const SOCKET_CURSORS_COUNT_MAX = 64;
/** Entries of one fetch_cursor, whatever the client asks for. */
export const CURSOR_FETCH_COUNT_MAX = 65_536;
export const BATON_SIZE_CHARS_MAX = 64;
export const JWT_SIZE_CHARS_MAX = 8_192;
/** A name of a parameter. */
export const ARG_NAME_SIZE_CHARS_MAX = 1_024;
