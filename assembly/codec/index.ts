// codec.wasm: what bytes need, on private memory. Exports only.

export { crc32c, crc32cInit } from './crc32c';
export { lz4Decode } from './lz4-decode';
export { lz4Encode } from './lz4-encode';
export { pageDeltaDecode, pageDeltaEncode } from './page-delta';
export { xxh64Begin, xxh64Finish, xxh64Update } from './xxh64';
export { zstdDecode, zstdDecodeWorkSizeBytes } from './zstd/decode';
export { zstdEncode, zstdEncodeBound, zstdEncodeWorkSize } from './zstd/encode-frame';
