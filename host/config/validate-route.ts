// Contradictions inside one route: its action, its templates, its keys, the headers it touches.

import type { PathPart, Report } from './issue.ts';
import { checkRedirectTarget, parseRewritePath } from './path-pattern.ts';
import type { HeaderOperationsValue, RouteValue } from './schema.ts';
import { Complaint } from './schema-kit.ts';

/** Headers that belong to a connection or to the framing of a message, not to its meaning.
 *  Source: RFC 9110 section 7.6.1. */
const FRAMING_HEADERS = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Headers that the gateway itself answers with. */
const GATEWAY_HEADERS = {
  // Without the hops that a request has made nobody would see that it goes in circles.
  request: new Set(['cdn-loop']),
  response: new Set(['date', 'x-sluice-reason']),
};

/** Checks what a route's own keys say about each other. */
export function checkRoute(at: readonly PathPart[], route: RouteValue, report: Report): void {
  checkAction(at, route, report);
  checkMethods(at, route, report);
  checkRates(at, route, report);
  checkOperations([...at, 'headers', 'request'], route.headers.request, 'request', report);
  checkOperations([...at, 'headers', 'response'], route.headers.response, 'response', report);
}

function checkAction(at: readonly PathPart[], route: RouteValue, report: Report): void {
  const actions = (['to', 'redirect', 'respond', 'distribution', 'db'] as const).filter(
    (key) => route[key] !== undefined,
  );
  if (actions.length === 0) {
    const message = 'missing; expected to, redirect, respond, distribution or db';
    report.missing([...at, 'to'], 'GW_CONFIG_MISSING', message);
    return;
  }
  if (actions.length > 1) {
    const found = actions.join(' and ');
    const message = `expected one of to, redirect, respond, distribution and db, found ${found}`;
    report.key([...at, actions[1]!], 'GW_CONFIG_CONFLICT', message);
    return;
  }
  if (actions[0] === 'to') checkProxy(at, route, report);
  else checkAnswer(at, route, report);
}

function checkProxy(at: readonly PathPart[], route: RouteValue, report: Report): void {
  if (route.to?.every(({ weight }) => weight === 0) === true) {
    report.value([...at, 'to'], 'GW_CONFIG_CONFLICT', 'every weight is 0');
  }
  const path = route.rewrite?.path;
  if (path === undefined) return;
  const read = parseRewritePath(path, route.match.path);
  if (read instanceof Complaint) report.value([...at, 'rewrite', 'path'], read.code, read.message);
}

/** Redirects, direct answers and the distribution plane never reach an upstream. */
function checkAnswer(at: readonly PathPart[], route: RouteValue, report: Report): void {
  const { redirect, respond, distribution, db, match } = route;
  if (distribution !== undefined && !isPlainPrefix(match.path.text)) {
    const message = `the distribution plane needs a prefix like /r/*, found ${match.path.text}`;
    report.value([...at, 'match', 'path'], 'GW_CONFIG_CONFLICT', message);
  }
  if (db !== undefined && !match.path.text.endsWith('/*')) {
    const message = `databases need a prefix like /db/{database}/*, found ${match.path.text}`;
    report.value([...at, 'match', 'path'], 'GW_CONFIG_CONFLICT', message);
  }
  for (const key of ['rewrite', 'timeouts'] as const) {
    if (route[key] === undefined) continue;
    report.key([...at, key], 'GW_CONFIG_CONFLICT', `only a route with \`to\` has an upstream`);
  }
  if (route.filters.length > 0) {
    const message = 'only a route with `to` runs plugins';
    report.key([...at, 'filters'], 'GW_CONFIG_CONFLICT', message);
  }
  const { set, add, remove } = route.headers.request;
  if (set.length + add.length + remove.length > 0) {
    const message = 'only a route with `to` sends a request on';
    report.key([...at, 'headers', 'request'], 'GW_CONFIG_CONFLICT', message);
  }
  if (redirect !== undefined) {
    const why = checkRedirectTarget(redirect.to, route.match.path);
    if (why !== null) report.value([...at, 'redirect', 'to'], why.code, why.message);
  }
  if (respond === undefined) return;
  if (respond.body !== '' && [204, 205, 304].includes(respond.status)) {
    const message = `a ${respond.status} has no body`;
    report.value([...at, 'respond', 'body'], 'GW_CONFIG_CONFLICT', message);
  }
  for (const [name] of respond.headers) {
    const why = refusal(name, 'response');
    if (why === null) continue;
    report.key([...at, 'respond', 'headers', name], 'GW_CONFIG_BAD_VALUE', why);
  }
}

/** What stands before `/*` is the same for every request. */
function isPlainPrefix(path: string): boolean {
  return path.startsWith('/') && path.endsWith('/*') && !path.includes('{');
}

function checkMethods(at: readonly PathPart[], { match }: RouteValue, report: Report): void {
  const { methods } = match;
  if (methods === undefined || new Set(methods).size === methods.length) return;
  const index = methods.findIndex((method, place) => methods.indexOf(method) < place);
  const message = `${methods[index]} stands twice`;
  report.value([...at, 'match', 'methods', index], 'GW_CONFIG_CONFLICT', message);
}

function checkRates(at: readonly PathPart[], route: RouteValue, report: Report): void {
  if (route.rate.length === 0) return;
  const names = new Set<string>();
  for (const [index, rate] of route.rate.entries()) {
    const name = rate.name ?? `rate-${index}`;
    if (names.has(name)) {
      const message = `the name ${name} is taken in this route`;
      report.value([...at, 'rate', index, 'name'], 'GW_CONFIG_CONFLICT', message);
    }
    names.add(name);
    const { key } = rate;
    if (key.kind !== 'path' || route.match.path.parameters.includes(key.name)) continue;
    const message = `path:${key.name} is not captured by ${route.match.path.text}`;
    report.value([...at, 'rate', index, 'key'], 'GW_CONFIG_BAD_VALUE', message);
  }
}

function checkOperations(
  at: readonly PathPart[],
  operations: HeaderOperationsValue,
  side: 'request' | 'response',
  report: Report,
): void {
  for (const kind of ['set', 'add'] as const) {
    for (const [name] of operations[kind]) {
      const why = refusal(name, side);
      if (why !== null) report.key([...at, kind, name], 'GW_CONFIG_BAD_VALUE', why);
    }
  }
  for (const [index, name] of operations.remove.entries()) {
    const why = refusal(name, side);
    if (why !== null) report.value([...at, 'remove', index], 'GW_CONFIG_BAD_VALUE', why);
  }
}

/** Why a header may not be touched, or null. */
function refusal(name: string, side: 'request' | 'response'): string | null {
  if (FRAMING_HEADERS.has(name)) {
    return `${name} belongs to the connection; the gateway writes it itself`;
  }
  if (side === 'request' && name === 'host') return 'use rewrite.host to change the host';
  if (GATEWAY_HEADERS[side].has(name)) {
    return `${name} is the gateway's own; it writes it itself`;
  }
  return null;
}
