// What is wrong with a configuration: issues with a place, collected all at once and bounded.
// Places are paths of keys first; lines and columns are looked up only when there are issues.

import { ERRORS, type ErrorCode } from '../core/index.ts';
import { ISSUES_COUNT_MAX } from './limits.ts';

export interface ConfigIssue {
  readonly code: ErrorCode;
  readonly file: string;
  /** 1-based; 0 when the place is the whole file. */
  readonly line: number;
  readonly column: number;
  /** Like `services.wallet.endpoints[1].weight`; `''` for the whole file. */
  readonly path: string;
  /** Names the value and the limit or what was expected; lower case, no full stop. */
  readonly message: string;
}

export type PathPart = string | number;

/** Which part of a key the issue is about: its name, its value, or that it is not there. */
export type IssueFocus = 'key' | 'value' | 'missing';

/** An issue that knows its key but not its line. */
export interface FoundIssue {
  readonly code: ErrorCode;
  readonly path: readonly PathPart[];
  readonly focus: IssueFocus;
  readonly message: string;
}

/** Collects issues up to ISSUES_COUNT_MAX and drops the rest. */
export class IssueSink {
  readonly found: FoundIssue[] = [];

  get isFull(): boolean {
    return this.found.length >= ISSUES_COUNT_MAX;
  }

  add(issue: FoundIssue): void {
    if (!this.isFull) this.found.push(issue);
  }
}

/** Tells the sink about a place. */
export class Report {
  readonly #sink: IssueSink;

  constructor(sink: IssueSink) {
    this.#sink = sink;
  }

  get isFull(): boolean {
    return this.#sink.isFull;
  }

  value(path: readonly PathPart[], code: ErrorCode, message: string): void {
    this.#add(path, code, message, 'value');
  }

  key(path: readonly PathPart[], code: ErrorCode, message: string): void {
    this.#add(path, code, message, 'key');
  }

  missing(path: readonly PathPart[], code: ErrorCode, message: string): void {
    this.#add(path, code, message, 'missing');
  }

  #add(path: readonly PathPart[], code: ErrorCode, message: string, focus: IssueFocus): void {
    this.#sink.add({ path, code, message, focus });
  }
}

const PLAIN_KEY = /^[A-Za-z0-9_-]+$/;

/** Longer keys and messages are cut: a key may have as many characters as the file. */
const KEY_SHOWN_CHARS_MAX = 128;
const MESSAGE_SHOWN_CHARS_MAX = 1_000;

/** Writes a path as people read it. Shape: `routes[3].match.path`, `headers["x y"]`. */
export function formatPath(path: readonly PathPart[]): string {
  let text = '';
  for (const whole of path) {
    const part = typeof whole === 'number' ? whole : cut(whole, KEY_SHOWN_CHARS_MAX);
    if (typeof part === 'number') text += `[${part}]`;
    else if (PLAIN_KEY.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** A message as it is shown. */
export function formatMessage(message: string): string {
  return cut(message, MESSAGE_SHOWN_CHARS_MAX);
}

function cut(text: string, sizeCharsMax: number): string {
  return text.length <= sizeCharsMax ? text : `${text.slice(0, sizeCharsMax - 3)}...`;
}

/** One line for a person. Shape: `sluice.yaml:12:5: log.level: expected ..., found "loud"
 *  (GW_CONFIG_BAD_VALUE, reason 403)`. */
export function formatIssue(issue: ConfigIssue): string {
  const place = issue.line === 0 ? issue.file : `${issue.file}:${issue.line}:${issue.column}`;
  const key = issue.path === '' ? '' : `${issue.path}: `;
  const { reason } = ERRORS[issue.code];
  return `${place}: ${key}${issue.message} (${issue.code}, reason ${reason})`;
}

/** Shows a value in a message: short, on one line, and never a secret's length of text. */
export function showValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a map';
  const text = JSON.stringify(value) ?? String(value);
  return cut(text, 60);
}

/** The candidate that a misspelt word probably meant, or undefined. Cost: O(candidates). */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const lowered = word.toLowerCase().slice(0, 64);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(lowered.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(lowered, candidate.toLowerCase().slice(0, 64));
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** `; did you mean "x"?`, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const candidate = nearest(word, candidates);
  return candidate === undefined ? '' : `; did you mean ${JSON.stringify(candidate)}?`;
}

/** Optimal string alignment: insertions, deletions, substitutions, swapped neighbours. */
function editDistance(left: string, right: string): number {
  let twoAbove: number[] = [];
  let above = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const isSame = left[row - 1] === right[column - 1];
      let distance = Math.min(
        above[column]! + 1,
        current[column - 1]! + 1,
        above[column - 1]! + (isSame ? 0 : 1),
      );
      const isSwapped =
        row > 1 &&
        column > 1 &&
        left[row - 1] === right[column - 2] &&
        left[row - 2] === right[column - 1];
      if (isSwapped) distance = Math.min(distance, twoAbove[column - 2]! + 1);
      current.push(distance);
    }
    twoAbove = above;
    above = current;
  }
  return above[right.length]!;
}
