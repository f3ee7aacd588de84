// What a case wanted against what came. Every difference is one line that names the place, and
// both sides.

import type { Exchange, Wanted, WantedCall, WantedHeaders } from './case-schema.ts';
import type { MadeCall } from './played-services.ts';
import type { Outcome } from './run-exchange.ts';

const SHOWN_SIZE_CHARS_MAX = 200;

/** The differences; none where all is as it should be. */
export function differences({ expect }: Exchange, outcome: Outcome): string[] {
  const found: string[] = [];
  const { upstream, response } = expect;
  if (upstream === false) {
    if (outcome.upstreamHeaders !== null) {
      found.push('upstream: expected nothing, found a request');
    }
  } else if (upstream !== undefined) {
    if (outcome.upstreamHeaders === null) found.push('upstream: expected a request, found none');
    else {
      const { upstreamHeaders } = outcome;
      found.push(...fieldDifferences('upstream.headers', upstream.headers, upstreamHeaders));
      compare('upstream.body', upstream.body, textOf(outcome.upstreamBody), found);
      const { upstreamTrailers } = outcome;
      found.push(...fieldDifferences('upstream.trailers', upstream.trailers, upstreamTrailers));
    }
  }
  if (response === undefined) return found;
  const failure = response.failure ?? '';
  if (failure !== outcome.failure) {
    const why = outcome.failure === '' ? '' : ` (${outcome.details})`;
    found.push(`response.failure: expected ${show(failure)}, found ${show(outcome.failure)}${why}`);
  }
  if (response.status !== undefined && response.status !== outcome.status) {
    const status = outcome.status ?? 'no answer';
    found.push(`response.status: expected ${response.status}, found ${status}`);
  }
  found.push(...fieldDifferences('response.headers', response.headers, outcome.headers));
  found.push(...fieldDifferences('response.trailers', response.trailers, outcome.trailers));
  compare('response.body', response.body, textOf(outcome.body), found);
  compare('response.details', response.details, outcome.details, found);
  return found;
}

/** Calls to services that are others than wanted, or more, or fewer. */
export function callDifferences(
  wanted: readonly WantedCall[] | undefined,
  made: readonly MadeCall[],
): string[] {
  if (wanted === undefined) return [];
  const found: string[] = [];
  if (wanted.length !== made.length) {
    const names = made.map(({ service }) => service).join(', ');
    found.push(`calls: expected ${wanted.length}, found ${made.length} (${names})`);
  }
  for (const [index, { service, headers, body, trailers }] of wanted.entries()) {
    const call = made[index];
    if (call === undefined) break;
    const place = `calls[${index}]`;
    compare(`${place}.service`, { kind: 'equals', text: service }, call.service, found);
    found.push(...fieldDifferences(`${place}.headers`, headers, call.headers));
    compare(`${place}.body`, body, textOf(call.body), found);
    found.push(...fieldDifferences(`${place}.trailers`, trailers, call.trailers));
  }
  return found;
}

/** Lines that are missing among those that were logged. */
export function logDifferences(wanted: readonly Wanted[], lines: readonly string[]): string[] {
  let from = 0;
  for (const [index, one] of wanted.entries()) {
    const at = lines.findIndex((line, place) => place >= from && isAsWanted(one, line));
    if (at < 0) return [`logs[${index}]: expected ${describe(one)}, found ${shownLines(lines)}`];
    from = at + 1;
  }
  return [];
}

function shownLines(lines: readonly string[]): string {
  return lines.length === 0 ? 'no line' : lines.map(show).join(', ');
}

function fieldDifferences(
  where: string,
  wanted: WantedHeaders,
  headers: readonly string[],
): string[] {
  const found: string[] = [];
  for (const [name, value] of wanted) {
    const values = headers.filter(
      (_, index) => index % 2 === 1 && headers[index - 1] === name.toLowerCase(),
    );
    const text = values.length === 0 ? undefined : values.join('\n');
    compare(`${where}.${name}`, value, text, found);
  }
  return found;
}

function compare(
  place: string,
  wanted: Wanted | undefined,
  found: string | undefined,
  into: string[],
): void {
  if (wanted === undefined || isAsWanted(wanted, found)) return;
  into.push(`${place}: expected ${describe(wanted)}, found ${show(found)}`);
}

function isAsWanted(wanted: Wanted, found: string | undefined): boolean {
  if (wanted.kind === 'absent') return found === undefined || found === '';
  if (found === undefined) return false;
  if (wanted.kind === 'equals') return found === wanted.text;
  if (wanted.kind === 'contains') return found.includes(wanted.text);
  return wanted.pattern.test(found);
}

function describe(wanted: Wanted): string {
  if (wanted.kind === 'absent') return 'none';
  if (wanted.kind === 'equals') return show(wanted.text);
  if (wanted.kind === 'contains') return `a text with ${show(wanted.text)}`;
  return `a text that matches ${wanted.pattern}`;
}

function show(text: string | undefined): string {
  if (text === undefined) return 'none';
  const short = text.length > SHOWN_SIZE_CHARS_MAX ? `${text.slice(0, 200)}…` : text;
  return JSON.stringify(short);
}

function textOf(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
