// Where a command gets the modules that it runs.

/** A compiled module's bytes. */
export type ReadModule = (name: 'codec.wasm' | 'sqlite3.wasm') => Uint8Array<ArrayBuffer>;
