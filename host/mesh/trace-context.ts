// W3C Trace Context: the strict reader of `traceparent`, and the maker of new ones. A request that
// brings a valid one keeps it untouched, for the gateway is no span of its own; the others get one,
// so that log lines on both sides of the gateway can be joined.
// Source: https://www.w3.org/TR/trace-context/ sections 3.2 and 4.

/** `00-` trace id `-` parent id `-` flags. */
const TRACEPARENT_LENGTH = 55;

/** Whether a `traceparent` may be passed on. Later versions may be longer; `ff` is none. */
export function isTraceparent(value: string): boolean {
  const length = value.length;
  if (length < TRACEPARENT_LENGTH) return false;
  if (value.charCodeAt(2) !== 45 || value.charCodeAt(35) !== 45) return false;
  if (value.charCodeAt(52) !== 45) return false;
  if (!isLowerHex(value, 0, 2) || !isLowerHex(value, 53, 55)) return false;
  if (!isId(value, 3, 35) || !isId(value, 36, 52)) return false;
  if (value.startsWith('ff')) return false;
  if (length === TRACEPARENT_LENGTH) return true;
  return !value.startsWith('00') && value.charCodeAt(TRACEPARENT_LENGTH) === 45;
}

/** Ids made at once: 32 KiB of entropy, so that a request pays for slices and not for a call, which
 *  costs as much as the entropy of some hundred ids. */
const BATCH_COUNT = 1_365;
/** 16 bytes of trace id and 8 of parent id. */
const IDS_SIZE_BYTES = 24;

/** Makes `traceparent` values of random ids, straight from the system's entropy: a fast generator
 *  with a small state would make workers repeat each other's traces sooner or later. */
export class TraceparentSource {
  readonly #bytes: (sizeBytes: number) => Uint8Array;
  readonly #end: string;
  #digits = '';
  #offset = 0;

  /** `bytes`: entropy. `flags` of new traces: `01` asks the services to record, which is what they
   *  do with a request that brings no context; `00` would forbid it to them. */
  constructor(bytes: (sizeBytes: number) => Uint8Array, flags: '00' | '01' = '01') {
    this.#bytes = bytes;
    this.#end = `-${flags}`;
  }

  /** Shape: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. An id of zeros, which would
   *  not be valid, comes once in 2^64. Cost: about 60 ns. */
  next(): string {
    if (this.#offset === this.#digits.length) this.#refill();
    const digits = this.#digits;
    const start = this.#offset;
    this.#offset = start + 2 * IDS_SIZE_BYTES;
    const traceId = digits.slice(start, start + 32);
    const parentId = digits.slice(start + 32, start + 48);
    return `00-${traceId}-${parentId}${this.#end}`;
  }

  #refill(): void {
    const bytes = this.#bytes(BATCH_COUNT * IDS_SIZE_BYTES);
    this.#digits = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
    this.#offset = 0;
  }
}

function isLowerHex(text: string, from: number, to: number): boolean {
  for (let index = from; index < to; index++) {
    const code = text.charCodeAt(index);
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false;
  }
  return true;
}

/** Whether an id is of hexadecimal digits and not of zeros alone. */
function isId(text: string, from: number, to: number): boolean {
  if (!isLowerHex(text, from, to)) return false;
  for (let index = from; index < to; index++) {
    if (text.charCodeAt(index) !== 48) return true;
  }
  return false;
}
