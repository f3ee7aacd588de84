// decoder.wasm: the zstd decoder alone, small enough for a loader in a browser. The memory and the
// job are those of codec.wasm; it uses neither SIMD nor threads, which old browsers lack.

export { zstdDecode, zstdDecodeWorkSizeBytes } from '../codec/zstd/decode';
