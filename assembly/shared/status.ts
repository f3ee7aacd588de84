// Status integers that kernels return, read by asc and by tsc alike. Zero and above is a result.

export const STATUS_OK = 0;
/** No candidate left. */
export const STATUS_NOT_FOUND = -1;
/** An input is longer than its area. */
export const STATUS_TOO_LONG = -2;
/** The path holds `%00`, a control character, `\`, `#`, or a `%` without two hex digits. */
export const STATUS_BAD_PATH = -3;
/** An argument is outside its range; nothing was written. */
export const STATUS_BAD_ARGUMENT = -4;
/** The table's bytes are not a table of this version. */
export const STATUS_BAD_TABLE = -5;
/** The region is full. */
export const STATUS_NO_SPACE = -6;
/** A zstd frame breaks its format, or ends too soon. */
export const STATUS_CORRUPT = -7;
/** A zstd frame is valid but of a kind that the decoder leaves out (docs/distribution.md). */
export const STATUS_UNSUPPORTED = -8;
/** What was decoded does not have the checksum that its frame states. */
export const STATUS_BAD_CHECKSUM = -9;
/** A zstd frame states no checksum, and the caller asked for one. */
export const STATUS_NO_CHECKSUM = -10;
