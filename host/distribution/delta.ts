// Smaller forms of stored content: compressed variants, and deltas as dcz bytes. Both are tasks of
// the compute pool: names of content go in, the artefact stands in the store when they are done, a
// few numbers come out. Nothing is put that has not been decoded again and found to be the target.
//
//   dcz:  0                         8                  40
//         +-------------------------+------------------+----------------------------------+
//         | 5e 2a 4d 18 20 00 00 00 | SHA-256 of base  | zstd frame: size, XXH64 checksum |
//         +-------------------------+------------------+----------------------------------+
//
// Source: RFC 9842 section 5.

import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  gunzipSync,
  gzipSync,
} from 'node:zlib';
import { GatewayError, isGatewayError, RESOURCE_SIZE_BYTES_MAX } from '../core/index.ts';
import { artefactFileSize, sha256Of } from './artefact-file.ts';
import { putArtefact } from './content-writer.ts';
import { type Effort, effortFor } from './effort.ts';
import type { Store } from './store.ts';
import { type ArtefactRef, ENCODINGS, type Encoding, shownArtefact } from './store-paths.ts';

/** The zstd kernels of a thread. */
export interface ZstdTools {
  readonly encoder: {
    encode(
      content: Uint8Array,
      options: { readonly dictionary?: Uint8Array; readonly effort: Effort },
    ): Uint8Array;
  };
  readonly decoder: {
    decode(
      frame: Uint8Array,
      options: {
        readonly dictionary?: Uint8Array;
        readonly sizeBytesMax: number;
        readonly checksum: 'required';
      },
    ): Uint8Array;
  };
}

const EFFORTS: readonly Effort[] = [3, 2, 1];

export interface DeltaTask {
  /** The store's folder. */
  readonly dir: string;
  readonly base: string;
  readonly target: string;
  /** At most; large files get less: see effort.ts. */
  readonly effort: Effort;
  /** What may still be written to the store. */
  readonly roomBytes: number;
}

export interface VariantTask {
  readonly dir: string;
  readonly sha256: string;
  readonly encoding: Encoding;
  readonly roomBytes: number;
}

/** `made` and `present`: it can be served. `missing`: base or target is not in the store.
 *  `window`: a browser would refuse to decode it, or making it takes too much memory.
 *  `useless`: it saves too little. */
export type FormOutcome = 'made' | 'present' | 'missing' | 'window' | 'useless';

export interface FormResult {
  readonly outcome: FormOutcome;
  /** Of the delta or variant; 0 where there is none. */
  readonly sizeBytes: number;
  /** What was added to the disk. */
  readonly addedBytes: number;
}

const DCZ_MAGIC = Buffer.from('5e2a4d1820000000', 'hex');
export const DCZ_HEADER_SIZE_BYTES = 40;
/** What every browser's window holds, whatever the dictionary. RFC 9842 says 8 MB and means MiB;
 *  the smaller reading is right under both. */
const WINDOW_SIZE_BYTES_MIN = 8_000_000;
/** A delta is kept below this share of the best full form; a variant of the content itself. */
const DELTA_SHARE_MAX = 0.8;
const VARIANT_SHARE_MAX = 0.95;
/** Brotli takes a second for 0.6 MB at its best, and six times less for 3 % more bytes. */
const BROTLI_BEST_SIZE_BYTES_MAX = 8_388_608;
const BROTLI_BEST_QUALITY = 11;
const BROTLI_LARGE_QUALITY = 9;
/** Content that gzip makes no smaller than this at its fastest is compressed already. */
const PROBE_SHARE_MAX = 0.97;

/** Whether a browser decodes a delta of such sizes: its window is 8 MB or 1.25 times the base, and
 *  at most 128 MiB. */
export function isDeltaAllowed(targetSizeBytes: number, baseSizeBytes: number): boolean {
  const windowBytes = Math.max(WINDOW_SIZE_BYTES_MIN, Math.floor(baseSizeBytes * 1.25));
  return targetSizeBytes <= Math.min(windowBytes, RESOURCE_SIZE_BYTES_MAX);
}

export function writeDcz(base: string, frame: Uint8Array): Uint8Array {
  return Buffer.concat([DCZ_MAGIC, Buffer.from(base, 'hex'), frame]);
}

/** Errors: GW_DIST_DELTA for what is no dcz. */
export function readDcz(bytes: Uint8Array): { readonly base: string; readonly frame: Uint8Array } {
  const head = Buffer.from(bytes.subarray(0, DCZ_HEADER_SIZE_BYTES));
  if (head.length < DCZ_HEADER_SIZE_BYTES || !head.subarray(0, 8).equals(DCZ_MAGIC)) {
    throw new GatewayError('GW_DIST_DELTA', `${bytes.length} bytes without the header of dcz`);
  }
  return { base: head.toString('hex', 8), frame: bytes.subarray(DCZ_HEADER_SIZE_BYTES) };
}

/** Makes a delta, decodes it, and puts it.
 *  Errors: GW_DIST_DELTA when it does not decode to the target; GW_DIST_CORRUPT, GW_DIST_DISK. */
export async function makeDelta(
  store: Store,
  tools: ZstdTools,
  task: DeltaTask,
): Promise<FormResult> {
  const { base, target, effort, roomBytes } = task;
  const ref: ArtefactRef = { kind: 'delta', target, base };
  const present = await sizeOf(store, ref);
  if (present !== null) return result('present', present);
  const baseSizeBytes = await sizeOf(store, { kind: 'object', sha256: base });
  const targetSizeBytes = await sizeOf(store, { kind: 'object', sha256: target });
  if (baseSizeBytes === null || targetSizeBytes === null) return result('missing');
  if (!isDeltaAllowed(targetSizeBytes, baseSizeBytes)) return result('window');
  const dictionary = await store.readWhole({ kind: 'object', sha256: base });
  const content = await store.readWhole({ kind: 'object', sha256: target });
  if (dictionary === null || content === null) return result('missing');
  const inputSizeBytes = dictionary.length + content.length;
  const frame = encodeIfFits(tools, content, {
    dictionary,
    effort: effortFor(inputSizeBytes, effort),
  });
  if (frame === null) return result('window');
  const dcz = writeDcz(base, frame);
  const best = await bestFullSize(store, target, targetSizeBytes);
  if (dcz.length >= best * DELTA_SHARE_MAX) return result('useless', dcz.length);
  const sizeBytesMax = content.length;
  verify(ref, target, () =>
    tools.decoder.decode(readDcz(dcz).frame, { dictionary, sizeBytesMax, checksum: 'required' }),
  );
  return put(store, ref, { payload: dcz, roomBytes });
}

/** Compresses content, decodes it again, and puts it.
 *  Errors: GW_DIST_DELTA when it does not decode; GW_DIST_CORRUPT, GW_DIST_DISK. */
export async function makeVariant(
  store: Store,
  tools: ZstdTools,
  task: VariantTask,
): Promise<FormResult> {
  const { sha256, encoding, roomBytes } = task;
  const ref: ArtefactRef = { kind: 'variant', sha256, encoding };
  const present = await sizeOf(store, ref);
  if (present !== null) return result('present', present);
  const content = await store.readWhole({ kind: 'object', sha256 });
  if (content === null) return result('missing');
  if (content.length > RESOURCE_SIZE_BYTES_MAX) return result('window');
  const probe = gzipSync(content, { level: 1 });
  if (probe.length > content.length * PROBE_SHARE_MAX) return result('useless', probe.length);
  const payload = compress(content, encoding, tools);
  if (payload === null) return result('window');
  if (payload.length >= content.length * VARIANT_SHARE_MAX)
    return result('useless', payload.length);
  verify(ref, sha256, () => decompress(payload, encoding, { tools, sizeBytesMax: content.length }));
  return put(store, ref, { payload, roomBytes });
}

/** The smallest form that needs no base. Units: bytes. */
export async function bestFullSize(
  store: Store,
  sha256: string,
  identitySizeBytes: number,
): Promise<number> {
  let best = identitySizeBytes;
  for (const encoding of ENCODINGS) {
    const sizeBytes = await sizeOf(store, { kind: 'variant', sha256, encoding });
    if (sizeBytes !== null && sizeBytes < best) best = sizeBytes;
  }
  return best;
}

/** The payload's size of an artefact whose footer is good; null when there is none. */
export async function sizeOf(store: Store, ref: ArtefactRef): Promise<number | null> {
  try {
    const reader = await store.open(ref);
    if (reader === null) return null;
    await reader.close();
    return reader.sizeBytes;
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'GW_DIST_CORRUPT') return null;
    throw error;
  }
}

async function put(
  store: Store,
  ref: ArtefactRef,
  { payload, roomBytes }: { readonly payload: Uint8Array; readonly roomBytes: number },
): Promise<FormResult> {
  await putArtefact(store, ref, payload, { roomBytes });
  const addedBytes = artefactFileSize(payload.length);
  return { outcome: 'made', sizeBytes: payload.length, addedBytes };
}

function result(outcome: FormOutcome, sizeBytes = 0): FormResult {
  return { outcome, sizeBytes, addedBytes: 0 };
}

function verify(ref: ArtefactRef, sha256: string, decode: () => Uint8Array): void {
  let found: string;
  try {
    found = sha256Of(decode());
  } catch (error) {
    throw new GatewayError('GW_DIST_DELTA', `${shownArtefact(ref)} cannot be decoded`, error);
  }
  if (found === sha256) return;
  throw new GatewayError('GW_DIST_DELTA', `${shownArtefact(ref)} decodes to ${found}`);
}

/** With less effort where the memory for more is not to be had; null when none does. */
function encodeIfFits(
  tools: ZstdTools,
  content: Uint8Array,
  options: { readonly dictionary?: Uint8Array; readonly effort: Effort },
): Uint8Array | null {
  for (const effort of EFFORTS.filter((one) => one <= options.effort)) {
    try {
      return tools.encoder.encode(content, { ...options, effort });
    } catch (error) {
      if (!isGatewayError(error) || error.code !== 'GW_DELTA_TOO_LARGE') throw error;
    }
  }
  return null;
}

function compress(content: Uint8Array, encoding: Encoding, tools: ZstdTools): Uint8Array | null {
  if (encoding === 'gzip') return gzipSync(content, { level: 9 });
  if (encoding === 'zstd')
    return encodeIfFits(tools, content, { effort: effortFor(content.length, 3) });
  const isLarge = content.length > BROTLI_BEST_SIZE_BYTES_MAX;
  return brotliCompressSync(content, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: isLarge ? BROTLI_LARGE_QUALITY : BROTLI_BEST_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    },
  });
}

function decompress(
  payload: Uint8Array,
  encoding: Encoding,
  { tools, sizeBytesMax }: { readonly tools: ZstdTools; readonly sizeBytesMax: number },
): Uint8Array {
  // One byte more than there may be: too much is then an error and no silent cut.
  const limits = { maxOutputLength: sizeBytesMax + 1 };
  if (encoding === 'gzip') return gunzipSync(payload, limits);
  if (encoding === 'br') return brotliDecompressSync(payload, limits);
  return tools.decoder.decode(payload, { sizeBytesMax, checksum: 'required' });
}
