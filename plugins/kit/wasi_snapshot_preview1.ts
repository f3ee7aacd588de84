// The one function of WASI that filters here use. A declared function is imported from a module
// with the name of its file, which is why this file is called as WASI is.

/** Fills `size` bytes at `ptr` with random ones. Errors: a status other than 0. */
export declare function random_get(ptr: usize, size: usize): u32;
