// Where decoder.wasm comes from. The build writes it into the bundle, in base64: one file to ship,
// no second request that could fail, nothing to place beside it. 9 KB are 12 KB so.

import { fromBase64 } from './bytes.ts';
import type { Decoder } from './dcz.ts';
import { loadDecoder } from './decoder.ts';
import { LoaderError } from './errors.ts';

/** Set by scripts/build-host.ts. */
declare const DECODER_BASE64: string | undefined;

/** Errors: LOADER_DELTA when this is no bundle, or the platform has no WebAssembly. */
export async function decoderModule(): Promise<Decoder> {
  const text = typeof DECODER_BASE64 === 'string' ? DECODER_BASE64 : '';
  const wasm = fromBase64(text);
  if (wasm !== null && wasm.length > 0) return await loadDecoder(wasm);
  throw new LoaderError('LOADER_DELTA', 'the decoder was not built in');
}
