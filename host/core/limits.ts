// Every bound of the process that is not a configuration key, each with a sentence of origin.

/** Request line and headers together, as raised for uWS by UWS_HTTP_MAX_HEADERS_SIZE. */
export const HEADERS_SIZE_BYTES_MAX = 16_384;
/** uWS holds 100 headers at compile time; the node engine is held to the same number. */
export const HEADERS_COUNT_MAX = 100;
/** Path and query together: what is left of the header limit is for the headers. */
export const TARGET_SIZE_BYTES_MAX = 8_192;
/** RFC 1035 section 2.3.4, and room for a port. */
export const AUTHORITY_SIZE_BYTES_MAX = 261;

/** Response headers from an upstream: nginx's and Node's own default order of size. */
export const RESPONSE_HEADERS_SIZE_BYTES_MAX = 65_536;
export const RESPONSE_HEADERS_COUNT_MAX = 256;

/** Interim (1xx) responses before a final one; no server is known to send more than three. */
export const INTERIM_RESPONSES_COUNT_MAX = 16;
/** A chunk-size line with its extensions: Node refuses extensions above the same order of size. */
export const CHUNK_LINE_SIZE_BYTES_MAX = 1_024;
/** Trailers of a chunked response, checked and dropped: as much as a request's headers. */
export const TRAILERS_SIZE_BYTES_MAX = 16_384;
/** What is left of an abandoned response may be read to keep its connection, up to one read. */
export const DRAIN_SIZE_BYTES_MAX = 65_536;

/** Bytes held for a client or an upstream that reads slowly before the other side is paused. */
export const STREAM_BUFFER_SIZE_BYTES_MAX = 262_144;
/** One read from an upstream socket. */
export const READ_SIZE_BYTES = 65_536;

/** A WebSocket message; larger ones close the socket with 1009. */
export const WEBSOCKET_MESSAGE_SIZE_BYTES_MAX = 16_777_216;
/** Bytes queued towards a WebSocket upstream, which uWS gives no way to pause the client for. */
export const WEBSOCKET_QUEUE_SIZE_BYTES_MAX = 4_194_304;

/** Configuration: what a file may hold. 100,000 routes compile in under two seconds. */
export const CONFIG_FILE_SIZE_BYTES_MAX = 268_435_456;
export const ROUTES_COUNT_MAX = 131_072;
export const SERVICES_COUNT_MAX = 4_096;
export const ENDPOINTS_COUNT_MAX = 16_384;
/** Parameters that one route may capture. */
export const PATH_PARAMETERS_COUNT_MAX = 16;
/** Segments of a path that are matched one by one. */
export const PATH_SEGMENTS_COUNT_MAX = 128;
