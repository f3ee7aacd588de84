// Every bound of the process that is not a configuration key, each with a sentence of origin.

/** Request line and headers together, as raised for uWS by UWS_HTTP_MAX_HEADERS_SIZE. */
export const HEADERS_SIZE_BYTES_MAX = 16_384;
/** uWS holds 100 lines at compile time, of which two are not headers: it takes 98 and answers 431
 *  itself above; the node engine takes 100. */
export const HEADERS_COUNT_MAX = 100;
/** Path and query together: what is left of the header limit is for the headers. */
export const TARGET_SIZE_BYTES_MAX = 8_192;
/** RFC 1035 section 2.3.4, and room for a port. */
export const AUTHORITY_SIZE_BYTES_MAX = 261;

/** A request head must be complete, and a connection without a request is closed, after this: the
 *  fixed timer of uWS, which the node engine is held to. */
export const HEAD_TIMEOUT_MS = 10_000;
/** A request body that brings no byte for this long is cut, unless the plane holds it back. */
export const BODY_IDLE_TIMEOUT_MS = 60_000;
/** An unread body of at most this size is discarded to keep the connection; a larger or unknown
 *  one closes it. */
export const BODY_DISCARD_SIZE_BYTES_MAX = 262_144;
/** A whole body above this is sent in parts as the client reads, not copied into the socket's
 *  buffer; the size at which the copy costs more than the bookkeeping. */
export const RESPOND_COPY_SIZE_BYTES_MAX = 65_536;
/** Bytes of one request body held while nobody reads it. With a bounded receive buffer a paused uWS
 *  gives one read of up to 512 KiB more; where it cannot be bounded, as many as come. */
export const BODY_HELD_SIZE_BYTES_MAX = 67_108_864;
/** The same for all request bodies of one worker together, with what waits for their upstreams:
 *  some 200 stalled uploads, each of which holds a read of uWS and a stream buffer. */
export const UPLOADS_HELD_SIZE_BYTES_MAX = 134_217_728;
/** What a piece of a held body costs beside its bytes: an ArrayBuffer, its view and a place in a
 *  list. Without it a client that sends chunks of one byte would hold a hundred times the bound. */
export const UPLOAD_PIECE_SIZE_BYTES = 256;

/** Gateways of this kind that a request may pass before it is taken to go in circles: chains from
 *  edge to region to sidecar have three or four. */
export const LOOP_HOPS_COUNT_MAX = 8;

/** Response headers from an upstream: nginx's and Node's own default order of size. */
export const RESPONSE_HEADERS_SIZE_BYTES_MAX = 65_536;
export const RESPONSE_HEADERS_COUNT_MAX = 256;

/** Interim (1xx) responses before a final one; no server is known to send more than three. */
export const INTERIM_RESPONSES_COUNT_MAX = 16;
/** A chunk-size line with its extensions: Node refuses extensions above the same order of size. */
export const CHUNK_LINE_SIZE_BYTES_MAX = 1_024;
/** Trailers of a chunked response, or such as filters made: as much as a request's headers. */
export const TRAILERS_SIZE_BYTES_MAX = 16_384;
/** HTTP/2 towards an upstream, for gRPC: connections to one endpoint of one worker. Each carries as
 *  many streams as below: together they carry the calls of three plugins with default limits. */
export const HTTP2_CONNECTIONS_COUNT_MAX = 4;
/** Streams of one such connection, where the upstream allows as many: Envoy's and Go's default. */
export const HTTP2_STREAMS_COUNT_MAX = 100;
/** gRPC messages of one call that are handed on in one turn of the event loop: a filter needs some
 *  10 us for each, and a read of the least ones would hold 13,000. */
export const GRPC_MESSAGES_PER_TURN_MAX = 64;
/** What is kept of a status's message: a sentence, and a service's own error in it. */
export const GRPC_STATUS_MESSAGE_SIZE_BYTES_MAX = 1_024;
/** What is left of an abandoned response may be read to keep its connection, up to one read. */
export const DRAIN_SIZE_BYTES_MAX = 65_536;

/** Bytes held for a client or an upstream that reads slowly before the other side is paused. */
export const STREAM_BUFFER_SIZE_BYTES_MAX = 262_144;
/** One read from an upstream socket. */
export const READ_SIZE_BYTES = 65_536;

/** A WebSocket message; larger ones close the socket with 1009. */
export const WEBSOCKET_MESSAGE_SIZE_BYTES_MAX = 16_777_216;
/** A WebSocket without a frame for this long is pinged, and closed when no answer comes. */
export const WEBSOCKET_IDLE_TIMEOUT_MS = 120_000;
/** Bytes queued towards a WebSocket client: above the first send() says false; above the second,
 *  which leaves room for one whole message more, the socket is closed. */
export const WEBSOCKET_SEND_PAUSE_SIZE_BYTES = 65_536;
export const WEBSOCKET_SEND_SIZE_BYTES_MAX = 20_971_520;
/** Bytes queued towards a WebSocket upstream, which uWS gives no way to pause the client for. */
export const WEBSOCKET_QUEUE_SIZE_BYTES_MAX = 4_194_304;
/** Messages queued towards a WebSocket upstream: each costs some 500 bytes beside its own, so that
 *  empty ones would never reach the bound above. */
export const WEBSOCKET_QUEUE_COUNT_MAX = 16_384;
/** The body of an upstream's answer that refuses a WebSocket: a page of explanation, held whole. */
export const WEBSOCKET_REFUSAL_SIZE_BYTES_MAX = 65_536;
/** Subprotocols that a WebSocket client may offer; real ones offer one or two. */
export const WEBSOCKET_PROTOCOLS_COUNT_MAX = 32;

/** Configuration: what a file may hold. 100,000 routes compile in under two seconds. */
export const CONFIG_FILE_SIZE_BYTES_MAX = 268_435_456;
export const ROUTES_COUNT_MAX = 131_072;
export const SERVICES_COUNT_MAX = 4_096;
export const ENDPOINTS_COUNT_MAX = 16_384;
/** Parameters that one route may capture. */
export const PATH_PARAMETERS_COUNT_MAX = 16;
/** Segments of a path that are matched one by one. */
export const PATH_SEGMENTS_COUNT_MAX = 128;

/** Admin: a configuration sent to be checked. 100,000 routes are some 20 MB of YAML. */
export const ADMIN_BODY_SIZE_BYTES_MAX = 33_554_432;
/** A module that is pushed: what the Proxy-Wasm host loads at most. */
export const ADMIN_PLUGIN_SIZE_BYTES_MAX = 67_108_864;
/** Admin: open connections; a scraper, a probe and some people need a handful. */
export const ADMIN_CONNECTIONS_COUNT_MAX = 128;
/** Admin: changes of databases that are under way; each db worker takes them one by one. */
export const ADMIN_DATABASE_CHANGES_COUNT_MAX = 8;
/** Admin: answers that stream at once, for each reads every counter. */
export const ADMIN_STREAMS_COUNT_MAX = 4;
/** Rate policies of one route: each has a hash slot in its worker's scratch area. */
export const RATE_POLICIES_COUNT_MAX = 16;
/** Tokens of a rate policy's bucket, and its limit: one a nanosecond, the clock's own grain. */
export const RATE_TOKENS_MAX = 1_000_000_000;
/** The time in which an empty bucket fills: exact as a number of nanoseconds up to 104 days. */
export const RATE_FILL_MS_MAX = 7_776_000_000;
/** The longest pause before a worker that keeps dying is started again. */
export const WORKER_RESTART_MS_MAX = 30_000;
/** What a drain allows exchanges in progress before they are cut, unless told otherwise. */
export const DRAIN_TIMEOUT_MS = 30_000;
/** Threads of the compute pool: reloads are one at a time, and a check may run beside one. */
export const COMPUTE_THREADS_MAX = 2;

/** Distribution: one file of a release, and so the longest dictionary: the window dcz allows. */
export const RESOURCE_SIZE_BYTES_MAX = 134_217_728;
/** A path inside a release, in UTF-8: the target limit leaves room for its percent signs. */
export const RESOURCE_PATH_SIZE_BYTES_MAX = 1_024;
/** Files of one release: 16,384 of them are a manifest of about 3 MB. */
export const RELEASE_FILES_COUNT_MAX = 16_384;
/** All files of one release together. */
export const RELEASE_SIZE_BYTES_MAX = 2_147_483_648;
/** A signed document, as it is sent: a manifest of the most files with long paths. */
export const ENVELOPE_SIZE_BYTES_MAX = 16_777_216;
/** Keys of a trust root, and signatures of a document. */
export const TRUST_KEYS_COUNT_MAX = 32;
/** Releases that one channel remembers; the oldest is retired first. */
export const CHANNEL_RELEASES_COUNT_MAX = 1_024;
export const CHANNELS_COUNT_MAX = 1_024;
/** Channels that one check may ask for. */
export const CHECK_CHANNELS_COUNT_MAX = 64;
/** The body of a check or of a report of outcomes. */
export const CHECK_BODY_SIZE_BYTES_MAX = 65_536;
/** Outcomes of one report. */
export const OUTCOMES_COUNT_MAX = 256;
/** Attributes of a device, and of a rule's targeting; devices that a rule may name. */
export const DEVICE_ATTRIBUTES_COUNT_MAX = 32;
export const RULE_DEVICES_COUNT_MAX = 10_000;
export const RULE_STEPS_COUNT_MAX = 64;
/** Values of one attribute, platforms and regions that a rule names. */
export const RULE_VALUES_COUNT_MAX = 256;
/** Bases of deltas that a channel counts; the rarest are forgotten first. */
export const CHANNEL_BASES_COUNT_MAX = 65_536;
