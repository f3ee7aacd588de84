// Explains a match: which route takes a request, and why others whose host and path fit do not. It
// asks the router kernel for the answer itself and looks at every route one by one for the reasons,
// which no request ever waits for. At most CANDIDATES_COUNT_MAX are named. Question and answer are
// Unicode text; to the kernel goes what a client would send, the bytes of its UTF-8 form.

import type { Snapshot } from '../config/index.ts';
import {
  type FieldCondition,
  fromByteString,
  GatewayError,
  joinedHeaderValue,
  type RouteSpec,
  toByteString,
} from '../core/index.ts';
import { type Matcher, STATUS_BAD_PATH, STATUS_TOO_LONG } from '../kernels/index.ts';
import { isPrefixPath, isRegexPath, parameterNames } from './path-parameters.ts';
import { RegexChecks } from './regex-check.ts';

export interface MatchQuestion {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
  readonly headers: readonly string[];
}

export interface MatchExplanation {
  readonly matched: string | null;
  readonly parameters: Readonly<Record<string, string>>;
  /** Those that fit first, in the order in which they are tried; then those passed over. */
  readonly candidates: readonly MatchCandidate[];
  /** Why there is no candidate; `''` where there is one. */
  readonly why: string;
}

export interface MatchCandidate {
  readonly route: string;
  readonly isMatch: boolean;
  /** `''` for a match. */
  readonly why: string;
}

const CANDIDATES_COUNT_MAX = 50;

/** Explains a request against a snapshot whose table is the matcher's active one. Errors:
 *  GW_PROTOCOL_MALFORMED for a target that is refused. Cost: O(routes). */
export function explainMatch(
  matcher: Matcher,
  snapshot: Snapshot,
  question: MatchQuestion,
): MatchExplanation {
  matcher.acquire();
  try {
    return explain(matcher, snapshot, question);
  } finally {
    matcher.release();
  }
}

function explain(matcher: Matcher, snapshot: Snapshot, question: MatchQuestion): MatchExplanation {
  const { method, authority, path, query, headers } = question;
  const candidates: MatchCandidate[] = [];
  const fitting = new Set<number>();
  let matched: string | null = null;
  let parameters: Record<string, string> = {};
  let index = matcher.match(
    method,
    toByteString(authority),
    toByteString(path),
    toByteString(query),
    headers.map(toByteString),
  );
  if (index === STATUS_BAD_PATH || index === STATUS_TOO_LONG) {
    throw new GatewayError('GW_PROTOCOL_MALFORMED', `the path of ${path} is not allowed`);
  }
  const bytes = matcher.normalisedPath;
  const normalised = fromByteString(bytes);
  for (; index >= 0 && candidates.length < CANDIDATES_COUNT_MAX; index = matcher.next()) {
    const { name, match } = snapshot.route(index);
    fitting.add(index);
    const isMatch = !matcher.needsHostCheck || new RegexChecks([match]).matches(0, bytes);
    const why = isMatch ? '' : `the regular expression does not match ${normalised}`;
    candidates.push({ route: name, isMatch, why });
    if (isMatch && matched === null) {
      matched = name;
      const names = parameterNames(match.path);
      const values = names.map((_, place) => fromByteString(matcher.param(place)));
      parameters = Object.fromEntries(names.map((key, place) => [key, values[place]!]));
    }
  }
  for (let route = 0; route < snapshot.routeCount; route++) {
    if (candidates.length >= CANDIDATES_COUNT_MAX) break;
    if (fitting.has(route)) continue;
    const { name, match } = snapshot.route(route);
    if (!hostFits(match.host, authority) || !pathFits(match.path, normalised)) continue;
    candidates.push({ route: name, isMatch: false, why: whyNot(match, question) });
  }
  const why = candidates.length > 0 ? '' : whyNone(snapshot, authority, normalised);
  return { matched, parameters, candidates, why };
}

function whyNone(snapshot: Snapshot, authority: string, path: string): string {
  for (let route = 0; route < snapshot.routeCount; route++) {
    const { name, match } = snapshot.route(route);
    if (!pathFits(match.path, path)) continue;
    const given = authority === '' ? 'no host is given' : `the host is ${authority}`;
    return `route ${name} has this path for host ${match.host}, and ${given}`;
  }
  return `none of ${snapshot.routeCount} routes has the path ${path}`;
}

function hostFits(host: string, authority: string): boolean {
  const name = authority.replace(/:\d*$/, '');
  if (host === '') return true;
  return host.startsWith('*.') ? name.endsWith(host.slice(1)) : name === host;
}

function pathFits(pattern: string, path: string): boolean {
  if (isRegexPath(pattern)) return false;
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (isPrefixPath(pattern)) wanted.pop();
  else if (wanted.length !== given.length) return false;
  return wanted.every((segment, place) => {
    const actual = given[place];
    return segment.startsWith('{') ? actual !== undefined && actual !== '' : segment === actual;
  });
}

function whyNot(match: RouteSpec, question: MatchQuestion): string {
  if (match.methods.length > 0 && !match.methods.includes(question.method)) {
    return `method ${question.method} is none of ${match.methods.join(', ')}`;
  }
  for (const condition of match.headers) {
    const value = joinedHeaderValue(question.headers, condition.name);
    if (!conditionHolds(condition, value)) return wanted('header', condition);
  }
  const query = new URLSearchParams(question.query);
  for (const condition of match.query) {
    const values = query.getAll(condition.name);
    const holds = values.some((value) => conditionHolds(condition, value));
    if (!holds) return wanted('query parameter', condition);
  }
  return 'a more specific route comes first';
}

function conditionHolds(condition: FieldCondition, value: string | undefined): boolean {
  if (value === undefined) return false;
  if (condition.op === 'equals') return value === condition.value;
  return condition.op === 'present' || value.startsWith(condition.value);
}

function wanted(what: string, { name, op, value }: FieldCondition): string {
  if (op === 'present') return `${what} ${name} is absent`;
  return op === 'equals'
    ? `${what} ${name} is not ${value}`
    : `${what} ${name} does not begin with ${value}`;
}
