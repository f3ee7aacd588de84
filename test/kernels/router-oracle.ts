// What the router should find, said slowly: every route tested one by one in the order of
// precedence. Requests are byte strings, one character per byte; routes are Unicode text and are
// made byte strings first. Shares no code with the kernel or with the compiler of tables.

import type { FieldCondition, RouteSpec } from '../../host/core/index.ts';

export interface RouterRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
  readonly headers: readonly string[];
}

export interface Candidate {
  readonly route: number;
  readonly needsHostCheck: boolean;
  readonly params: readonly string[];
  readonly suffix: string;
}

export interface Outcome {
  readonly candidates: readonly Candidate[];
  /** What ends the sequence: not-found, unless the request is refused. */
  readonly end: 'not-found' | 'bad-path' | 'too-long';
  readonly normalisedPath: string;
}

/** All candidates of a request, in order. */
export function oracleOutcome(routes: readonly RouteSpec[], request: RouterRequest): Outcome {
  const specs = routes.map(specAsBytes);
  const refusal = (end: Outcome['end']) => ({ candidates: [], end, normalisedPath: request.path });
  if (request.path.length + request.query.length > 8192) return refusal('too-long');
  if (request.authority.length > 261) return refusal('too-long');
  if (request.path === '*') return refusal('not-found');
  const path = oracleNormalisedPath(request.path);
  if (path === null) return refusal('bad-path');
  if (path.split('/').length - 1 > 128) {
    return { candidates: [], end: 'too-long', normalisedPath: path };
  }
  const host = /^(\[[^\]]*\])?[^:]*/.exec(request.authority)![0];
  const candidates = specs
    .map((spec, route) => ({ spec, route }))
    .sort((left, right) => compare(left.spec, right.spec) || left.route - right.route)
    .filter(({ spec }) => matchesHost(spec.host, host) && matchesRest(spec, request))
    .map(({ spec, route }) => candidateOf(spec.path, path, route))
    .filter((candidate) => candidate !== null);
  return { candidates, end: 'not-found', normalisedPath: path };
}

/** A path as routes see it, null when it is refused. */
export function oracleNormalisedPath(path: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (!path.startsWith('/') || /[\x00-\x1f\x7f\\#]/.test(path)) return null;
  if (/%(?![0-9a-f]{2})/i.test(path) || path.includes('%00')) return null;
  const decoded = path.replace(/%[0-9a-f]{2}/gi, (triplet) => {
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : triplet;
  });
  return withoutDotSegments(decoded);
}

/** RFC 3986 section 5.2.4, step by step as written there (2A and 2D cannot happen after `/`). */
function withoutDotSegments(path: string): string {
  let input = path;
  let output = '';
  while (input !== '') {
    if (input.startsWith('/./')) input = input.slice(2);
    else if (input === '/.') input = '/';
    else if (input.startsWith('/../') || input === '/..') {
      input = input === '/..' ? '/' : input.slice(3);
      output = output.slice(0, Math.max(0, output.lastIndexOf('/')));
    } else {
      const end = input.indexOf('/', 1);
      output += end < 0 ? input : input.slice(0, end);
      input = end < 0 ? '' : input.slice(end);
    }
  }
  return output;
}

function compare(left: RouteSpec, right: RouteSpec): number {
  return (
    hostRank(left.host) - hostRank(right.host) ||
    compareText(pathRank(left.path), pathRank(right.path)) ||
    Number(left.methods.length === 0) - Number(right.methods.length === 0) ||
    right.headers.length + right.query.length - left.headers.length - left.query.length
  );
}

/** Exact hosts, then wildcards from the longest to the shortest, then any. */
function hostRank(host: string): number {
  if (host === '') return 10_000;
  return host.startsWith('*.') ? 1_000 - host.length : 0;
}

/** A letter per segment, so that the order of letters is the order of precedence. */
function pathRank(path: string): string {
  if (path.startsWith('~')) return 'z';
  return path
    .slice(1)
    .split('/')
    .map((segment, index, all) => {
      if (segment === '*' && index === all.length - 1) return 'c';
      return isParameter(segment) ? 'b' : 'a';
    })
    .join('');
}

function compareText(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function matchesHost(pattern: string, host: string): boolean {
  if (pattern === '') return true;
  if (!pattern.startsWith('*.')) return pattern === host;
  const suffix = pattern.slice(1);
  return host.length > suffix.length && host.endsWith(suffix);
}

function matchesRest(spec: RouteSpec, request: RouterRequest): boolean {
  if (spec.methods.length > 0 && !spec.methods.includes(request.method)) return false;
  const headers: [string, string][] = [];
  for (let index = 0; index < request.headers.length; index += 2) {
    headers.push([request.headers[index]!, request.headers[index + 1]!]);
  }
  const query: [string, string][] = request.query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=');
      if (equals < 0) return [decoded(part), ''];
      return [decoded(part.slice(0, equals)), decoded(part.slice(equals + 1))];
    });
  return (
    spec.headers.every((wanted) => holds(wanted, headers)) &&
    spec.query.every((wanted) => holds(wanted, query))
  );
}

function holds({ name, op, value }: FieldCondition, fields: [string, string][]): boolean {
  return fields.some(([fieldName, fieldValue]) => {
    if (fieldName !== name) return false;
    if (op === 'present') return true;
    return op === 'equals' ? fieldValue === value : fieldValue.startsWith(value);
  });
}

/** A query's name or value, decoded to bytes, one character per byte. */
function decoded(text: string): string {
  return text
    .replace(/\+/g, ' ')
    .replace(/%[0-9a-f]{2}/gi, (triplet) =>
      String.fromCharCode(Number.parseInt(triplet.slice(1), 16)),
    );
}

/** A text as the bytes of its UTF-8 form, one character per byte. */
export function utf8Bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function specAsBytes(spec: RouteSpec): RouteSpec {
  const asBytes = (condition: FieldCondition): FieldCondition => ({
    name: utf8Bytes(condition.name),
    op: condition.op,
    value: utf8Bytes(condition.value),
  });
  return {
    host: utf8Bytes(spec.host),
    path: utf8Bytes(spec.path),
    methods: spec.methods.map(utf8Bytes),
    headers: spec.headers.map(asBytes),
    query: spec.query.map(asBytes),
  };
}

/** A request written as Unicode text, as its bytes. */
export function requestAsBytes(request: RouterRequest): RouterRequest {
  const { method, authority, path, query, headers } = request;
  return {
    method: utf8Bytes(method),
    authority: utf8Bytes(authority),
    path: utf8Bytes(path),
    query: utf8Bytes(query),
    headers: headers.map(utf8Bytes),
  };
}

function candidateOf(pattern: string, path: string, route: number): Candidate | null {
  if (pattern.startsWith('~')) return { route, needsHostCheck: true, params: [], suffix: '' };
  const wanted = pattern.slice(1).split('/');
  const given = path.slice(1).split('/');
  const isPrefix = wanted.at(-1) === '*';
  if (isPrefix) wanted.pop();
  if (isPrefix ? given.length < wanted.length : given.length !== wanted.length) return null;
  const params: string[] = [];
  for (const [index, segment] of wanted.entries()) {
    const value = given[index]!;
    if (isParameter(segment) && value !== '') params.push(value);
    else if (isParameter(segment) || segment !== value) return null;
  }
  const suffix = given
    .slice(wanted.length)
    .map((segment) => `/${segment}`)
    .join('');
  return { route, needsHostCheck: false, params, suffix };
}

function isParameter(segment: string): boolean {
  return /^\{.+\}$/.test(segment);
}
