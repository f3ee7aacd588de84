// What goes wrong in the loader. Codes are checked by `code`, never by `instanceof`, and are never
// renamed; docs/loader.md names each.

import type { FailureCause, Fallback } from './api.ts';

/** Every code, and the cause under which the origin is told of it. */
export const LOADER_ERRORS = {
  LOADER_OPTIONS: 'other',
  LOADER_CRYPTO: 'other',
  LOADER_DOCUMENT: 'other',
  LOADER_SIGNATURE: 'signature',
  LOADER_EXPIRED: 'expired',
  LOADER_OLDER: 'older',
  LOADER_MISMATCH: 'other',
  LOADER_HASH: 'hash',
  LOADER_DELTA: 'delta',
  LOADER_PACK: 'other',
  LOADER_NETWORK: 'network',
  LOADER_REFUSED: 'network',
  LOADER_DISK: 'disk',
  LOADER_LIMIT: 'disk',
  LOADER_CRASHED: 'crash',
  LOADER_NOT_FOUND: 'other',
  LOADER_NO_RELEASE: 'other',
  LOADER_UNAVAILABLE: 'network',
  LOADER_BUSY: 'other',
  LOADER_ABORTED: 'other',
  LOADER_CLOSED: 'other',
} as const satisfies Record<string, FailureCause>;

export type LoaderErrorCode = keyof typeof LOADER_ERRORS;

export class LoaderError extends Error {
  override readonly name = 'LoaderError';
  readonly code: LoaderErrorCode;
  readonly failure: FailureCause;
  /** What was tried before, in order. */
  readonly trail: readonly Fallback[];

  constructor(
    code: LoaderErrorCode,
    message: string,
    more: { readonly cause?: unknown; readonly trail?: readonly Fallback[] } = {},
  ) {
    super(message, more.cause === undefined ? {} : { cause: more.cause });
    this.code = code;
    this.failure = more.trail?.at(-1)?.failure ?? LOADER_ERRORS[code];
    this.trail = more.trail ?? [];
  }
}

/** Any thrown thing as an error of the loader; `code` is for what is none yet. */
export function toLoaderError(error: unknown, code: LoaderErrorCode): LoaderError {
  if (isLoaderError(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new LoaderError(code, why, { cause: error });
}

export function isLoaderError(error: unknown): error is LoaderError {
  return error instanceof Error && error.name === 'LoaderError' && 'code' in error;
}

/** Errors that end the work instead of falling to the next level. */
export function isFinal(error: LoaderError): boolean {
  return error.code === 'LOADER_ABORTED' || error.code === 'LOADER_CLOSED';
}
