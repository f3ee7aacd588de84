// Sends one form of a resource: conditions, ranges, then the bytes, from memory or block by block
// from the disk. No byte leaves before the block it stands in has been checked; what turns out to
// be damaged half-way cuts the connection, so that nobody takes a part for the whole.

import {
  type Exchange,
  type HeaderList,
  headerValue,
  joinedHeaderValue,
  prepareProblem,
} from '../core/index.ts';
import { type ByteRange, contentRange, parseRange } from './byte-range.ts';
import { evaluateConditions, isRangeAllowed } from './conditions.ts';
import { refuse } from './refusal.ts';
import type { PreparedHeaders } from './resource.ts';
import type { ArtefactReader } from './store.ts';

/** What is to be sent once the conditions hold. */
export interface SendPlan {
  readonly status: 200 | 206;
  readonly headers: HeaderList;
  readonly range: ByteRange;
}

/** Bytes read from the disk at once: a few blocks, so that a slow client holds little. */
const PIECE_SIZE_BYTES = 262_144;

/** What a request comes to for a form of a size; null when it has been answered already: not
 *  modified, a condition that failed, a range outside, or a HEAD. */
export function planSending(
  exchange: Exchange,
  { tag, head: { headers } }: PreparedHeaders,
  sizeBytes: number,
): SendPlan | null {
  const outcome = evaluateConditions(exchange.headers, tag);
  if (outcome === 'failed') {
    refuse(exchange, 'GW_DIST_CONDITION', `it is ${tag}`, ['etag', tag]);
    return null;
  }
  if (outcome === 'not-modified') {
    exchange.respond(304, validators(headers), '');
    return null;
  }
  const whole = { offset: 0, sizeBytes };
  if (exchange.method === 'HEAD') {
    exchange.begin(200, headers.slice(), sizeBytes);
    exchange.end();
    return null;
  }
  const wanted = isRangeAllowed(exchange.headers, tag)
    ? parseRange(joinedHeaderValue(exchange.headers, 'range'), sizeBytes)
    : null;
  if (wanted === 'unsatisfiable') {
    respondUnsatisfiable(exchange, sizeBytes);
    return null;
  }
  if (wanted === null) return { status: 200, headers: headers.slice(), range: whole };
  const partHeaders = headers.concat('content-range', contentRange(wanted, sizeBytes));
  return { status: 206, headers: partHeaders, range: wanted };
}

/** Sends a plan from the bytes of the whole form. */
export function sendBytes(exchange: Exchange, plan: SendPlan, bytes: Uint8Array): void {
  const { offset, sizeBytes } = plan.range;
  const isWhole = sizeBytes === bytes.length;
  const part = isWhole ? bytes : bytes.subarray(offset, offset + sizeBytes);
  exchange.respond(plan.status, plan.headers, part);
}

/** Sends a plan from an open artefact, and closes it. Resolves when all is sent or the client has
 *  left; rejects, with nothing sent, when the first piece is damaged. Errors: GW_DIST_CORRUPT. */
export async function sendStream(
  exchange: Exchange,
  plan: SendPlan,
  reader: ArtefactReader,
): Promise<void> {
  const end = plan.range.offset + plan.range.sizeBytes;
  let at = plan.range.offset;
  let hasBegun = false;
  let wake: (() => void) | null = null;
  const resume = (): void => {
    wake?.();
    wake = null;
  };
  exchange.onAbort = resume;
  exchange.onDrain = resume;
  try {
    while (at < end && !exchange.isEnded) {
      const piece = await reader.read(at, Math.min(PIECE_SIZE_BYTES, end - at));
      if (exchange.isEnded) return;
      if (!hasBegun) exchange.begin(plan.status, plan.headers, plan.range.sizeBytes);
      hasBegun = true;
      at += piece.length;
      if (exchange.write(piece) || at === end) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (!hasBegun && !exchange.isEnded) exchange.begin(plan.status, plan.headers, 0);
    exchange.end();
  } catch (error) {
    if (!hasBegun) throw error;
    exchange.abort();
    throw error;
  } finally {
    await reader.close();
  }
}

function respondUnsatisfiable(exchange: Exchange, sizeBytes: number): void {
  const range = headerValue(exchange.headers, 'range') ?? '';
  const detail = `${range.slice(0, 100)} of ${sizeBytes} bytes`;
  const { status, headers, body } = prepareProblem('GW_DIST_RANGE', detail);
  const more = ['content-range', `bytes */${sizeBytes}`, 'cache-control', 'no-store'];
  exchange.respond(status, headers.concat(more), body);
}

const VALIDATOR_NAMES = new Set(['etag', 'cache-control', 'vary', 'use-as-dictionary']);

/** What a 304 repeats. Source: RFC 9110 section 15.4.5. */
function validators(headers: readonly string[]): HeaderList {
  const kept: HeaderList = [];
  for (let index = 0; index < headers.length; index += 2) {
    if (VALIDATOR_NAMES.has(headers[index]!)) kept.push(headers[index]!, headers[index + 1]!);
  }
  return kept;
}
