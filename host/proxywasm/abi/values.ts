// Numbers of the Proxy-Wasm ABI. Source: proxy-wasm/spec, abi-versions/v0.2.1.

export const OK = 0;
export const NOT_FOUND = 1;
export const BAD_ARGUMENT = 2;
export const SERIALIZATION_FAILURE = 3;
export const PARSE_FAILURE = 4;
export const INVALID_MEMORY_ACCESS = 6;
export const EMPTY = 7;
export const CAS_MISMATCH = 8;
export const INTERNAL_FAILURE = 10;
export const UNIMPLEMENTED = 12;

export const ACTION_CONTINUE = 0;

export const BUFFER_REQUEST_BODY = 0;
export const BUFFER_RESPONSE_BODY = 1;
export const BUFFER_CALL_RESPONSE = 4;
export const BUFFER_GRPC_MESSAGE = 5;
export const BUFFER_VM_CONFIG = 6;
export const BUFFER_PLUGIN_CONFIG = 7;
export const BUFFER_FOREIGN_ARGUMENTS = 8;

export const MAP_REQUEST_HEADERS = 0;
export const MAP_REQUEST_TRAILERS = 1;
export const MAP_RESPONSE_HEADERS = 2;
export const MAP_RESPONSE_TRAILERS = 3;
export const MAP_GRPC_INITIAL = 4;
export const MAP_GRPC_TRAILING = 5;
export const MAP_CALL_HEADERS = 6;
export const MAP_CALL_TRAILERS = 7;

export const STREAM_REQUEST = 0;
export const STREAM_RESPONSE = 1;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'critical'] as const;
