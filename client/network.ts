// The gateway's requests, one function each, and the two network levels of a content: the delta
// from what is here, then the whole. Nothing that comes back is trusted; callers get verified bytes
// or signed documents to check.

import type { LevelSwitches } from './api.ts';
import { applyDelta, baseNamedIn, DCZ_TYPE, type Decoder, deltaSizeBytesMax } from './dcz.ts';
import { checkContent } from './digest.ts';
import { isFinal, LoaderError, toLoaderError } from './errors.ts';
import { parseJson } from './fields.ts';
import type { HttpAnswer, HttpTools } from './http.ts';
import { requestBytes } from './http.ts';
import { CHECK_SIZE_BYTES_MAX, DELTA_BASES_COUNT_MAX, ROOT_SIZE_BYTES_MAX } from './limits.ts';
import type { Bytes, ContentRef } from './model.ts';
import type { Notes } from './notes.ts';
import type { Origins } from './origins.ts';
import { encodeResourcePath } from './resource-path.ts';
import type { Outcome } from './state.ts';

/** A content that is wanted. */
export interface Wanted {
  readonly ref: ContentRef;
  readonly channel: string;
  /** For the trail: the file's path, or what else it is. */
  readonly what: string;
  /** Below an origin. */
  readonly target: string;
  /** What a delta may be taken from, best first. */
  readonly bases: readonly DeltaBase[];
  /** `document`: comes whole whatever levels are off, for there is no other way to it. `delta`: is
   *  not wanted whole. */
  readonly kind: 'content' | 'document' | 'delta';
}

export interface DeltaBase {
  readonly ref: ContentRef;
  read(): Promise<Bytes | null>;
}

export interface Received {
  readonly bytes: Bytes;
  readonly level: 'delta' | 'full';
  /** After content encodings were taken off, before the delta was. */
  readonly receivedBytes: number;
}

/** Bases to name in a request. The first has been read: it is the one that most answers use. */
interface HeldBases {
  readonly bases: readonly DeltaBase[];
  readonly first: Bytes;
}

export interface NetworkOptions extends HttpTools {
  readonly origins: Origins;
  readonly levels: LevelSwitches;
  readonly notes: Notes;
  readonly decoder: () => Promise<Decoder>;
}

export function resourceTarget(channel: string, version: string, path: string): string {
  return `/${channel}/v/${encodeURIComponent(version)}/${encodeResourcePath(path)}`;
}

export function packTarget(channel: string, version: string): string {
  return `/${channel}/pack/${encodeURIComponent(version)}`;
}

export function manifestTarget(channel: string, sha256: string): string {
  return `/${channel}/manifest/${sha256}`;
}

export class Network {
  readonly #options: NetworkOptions;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  get origins(): Origins {
    return this.#options.origins;
  }

  /** The answer of `POST /check`, unchecked. Errors: LOADER_NETWORK, LOADER_DOCUMENT. */
  async check(origin: string, question: object, signal: AbortSignal): Promise<unknown> {
    const answer = await requestBytes(
      {
        url: `${origin}/check`,
        body: JSON.stringify(question),
        sizeBytesMax: CHECK_SIZE_BYTES_MAX,
        signal,
      },
      this.#options,
    );
    return parseJson(this.#expectFound(answer), 'the answer');
  }

  /** A root's envelope; null when the origin has none of that version. Errors: LOADER_NETWORK. */
  async root(origin: string, version: number, signal: AbortSignal): Promise<Bytes | null> {
    const url = `${origin}/root/${version}`;
    const request = { url, sizeBytesMax: ROOT_SIZE_BYTES_MAX, signal };
    const answer = await requestBytes(request, this.#options);
    return answer.status === 404 ? null : this.#expectFound(answer);
  }

  /** Errors: LOADER_NETWORK. */
  async report(
    origin: string,
    deviceId: string,
    outcomes: readonly Outcome[],
    signal: AbortSignal,
  ): Promise<void> {
    const body = JSON.stringify({ deviceId, outcomes });
    const request = { url: `${origin}/outcomes`, body, sizeBytesMax: 65_536, signal };
    const { status } = await requestBytes(request, this.#options);
    if (status !== 204 && status !== 200) throw statusError(status);
  }

  /** A content from the first origin that gives it, by delta where there is one.
   *  Errors: LOADER_UNAVAILABLE, LOADER_ABORTED. */
  async receive(wanted: Wanted, signal: AbortSignal): Promise<Received> {
    const place = { level: 'full', channel: wanted.channel, what: wanted.what } as const;
    const attempt = async (origin: string, round: number): Promise<Received> => {
      // A delta that failed is not asked for again: what follows is without a dictionary.
      const byDelta = round === 0 ? await this.#byDelta(origin, wanted, signal) : null;
      return byDelta ?? (await this.#whole(origin, wanted, round, signal));
    };
    return await this.origins.run({ place, signal, attempt });
  }

  /** Null when no base led to the content; each failure is noted. All bases are named in one
   *  request, which the origin answers with the whole when it has a delta from none. */
  async #byDelta(origin: string, wanted: Wanted, signal: AbortSignal): Promise<Received | null> {
    if (!this.#options.levels.delta) return null;
    const { channel, what } = wanted;
    const note = (error: unknown): void => {
      const known = toLoaderError(error, 'LOADER_DELTA');
      if (isFinal(known)) throw known;
      this.#options.notes.fallback(known, known.code, { level: 'delta', channel, what, origin });
    };
    const held = await firstHeld(wanted.bases.slice(0, DELTA_BASES_COUNT_MAX), note);
    if (held === null) return null;
    try {
      return await this.#fromBases(origin, wanted, held, note, signal);
    } catch (error) {
      note(error);
      return null;
    }
  }

  async #fromBases(
    origin: string,
    wanted: Wanted,
    held: HeldBases,
    note: (error: LoaderError) => void,
    signal: AbortSignal,
  ): Promise<Received> {
    const { ref, target, what } = wanted;
    const query = held.bases.map((base) => `base=${base.ref.sha256}`);
    if (this.#takesWhole(wanted)) query.push('else=whole');
    const url = `${origin}${target}?${query.join('&')}`;
    const sizeBytesMax = deltaSizeBytesMax(ref.sizeBytes);
    const answer = await requestBytes({ url, sizeBytesMax, signal }, this.#options);
    const none = new LoaderError('LOADER_DELTA', 'the origin has no delta from what is here');
    if (answer.status === 404) throw none;
    const body = this.#expectFound(answer);
    // A cache that passes over the query gives the whole too, which is as good.
    if (!answer.contentType.startsWith(DCZ_TYPE)) {
      await checkContent(body, ref, what);
      note(none);
      return { bytes: body, level: 'full', receivedBytes: body.length };
    }
    const named = baseNamedIn(body);
    const base = held.bases.find((one) => one.ref.sha256 === named);
    if (base === undefined) throw new LoaderError('LOADER_DELTA', `a delta from ${named}`);
    const baseBytes = base === held.bases[0] ? held.first : await base.read();
    if (baseBytes === null) throw new LoaderError('LOADER_DELTA', `no base ${named} here`);
    const decode = await this.#options.decoder();
    const bytes = applyDelta(body, { sha256: named, bytes: baseBytes }, ref.sizeBytes, decode);
    await checkContent(bytes, ref, `${what}, decoded,`);
    return { bytes, level: 'delta', receivedBytes: body.length };
  }

  #takesWhole({ kind }: Wanted): boolean {
    return kind === 'document' || (kind === 'content' && this.#options.levels.full);
  }

  async #whole(
    origin: string,
    wanted: Wanted,
    round: number,
    signal: AbortSignal,
  ): Promise<Received> {
    const { ref, target, what, kind } = wanted;
    if (!this.#takesWhole(wanted)) {
      const why = kind === 'delta' ? '' : ', and the full level is off';
      throw new LoaderError('LOADER_DELTA', `no delta led there${why}`);
    }
    const isAgain = round > 0;
    const request = {
      url: `${origin}${isAgain && kind === 'content' ? otherSpelling(target) : target}`,
      sizeBytesMax: ref.sizeBytes,
      signal,
      ...(isAgain ? ({ cache: 'no-store' } as const) : {}),
    };
    const bytes = this.#expectFound(await requestBytes(request, this.#options));
    await checkContent(bytes, ref, what);
    return { bytes, level: 'full', receivedBytes: bytes.length };
  }

  #expectFound({ status, bytes }: HttpAnswer): Bytes {
    if (status === 200) return bytes;
    throw statusError(status);
  }
}

/** From the first base on that is whole; null when none is. */
async function firstHeld(
  bases: readonly DeltaBase[],
  note: (error: unknown) => void,
): Promise<HeldBases | null> {
  for (const [index, base] of bases.entries()) {
    try {
      const first = await base.read();
      if (first !== null) return { bases: bases.slice(index), first };
      note(new LoaderError('LOADER_DELTA', `no base ${base.ref.sha256} here`));
    } catch (error) {
      note(error);
    }
  }
  return null;
}

/** The same resource by another name: one character of its last segment with a percent sign. A
 *  browser that decodes deltas by itself fails for good when one is broken, and asks with the same
 *  dictionary again, whatever is said of caches; its dictionaries, and caches on the way that hold
 *  a broken copy, know the resource by its usual name only. */
function otherSpelling(target: string): string {
  return target.replace(/[A-Za-z0-9](?=[^/]*$)/, (one) => {
    return `%${one.charCodeAt(0).toString(16).toUpperCase()}`;
  });
}

function statusError(status: number): LoaderError {
  // What the origin refuses for good is not asked again; what it cannot do now is.
  const isForNow = status >= 500 || status === 429 || status === 408;
  const code = isForNow ? 'LOADER_NETWORK' : 'LOADER_REFUSED';
  return new LoaderError(code, `the origin answered ${status}`);
}
