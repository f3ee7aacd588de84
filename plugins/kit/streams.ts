// The streams that are open, by the host's number for them.

import { Context } from '@gcoredev/proxy-wasm-sdk-as/assembly';

export const streams = new Map<u32, Context>();
