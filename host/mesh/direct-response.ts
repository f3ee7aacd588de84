// Responses that the gateway gives itself, made ready once for a route: a fixed answer, or a
// redirect whose only changing part is Location.

import type { RouteAction } from '../config/index.ts';
import { type Exchange, type HeaderList, toByteString } from '../core/index.ts';
import {
  applyHeaderOperations,
  type CompiledOperations,
  cleanResponseHeaders,
} from './header-operations.ts';
import type { PathCapture } from './path-parameters.ts';
import { compileRedirect } from './rewrite.ts';

/** Answers an exchange, with `extra` headers behind the route's own ([] for none). False, and
 *  nothing is sent, when a path parameter does not fit: the request is malformed. */
export type DirectResponder = (
  exchange: Exchange,
  capture: PathCapture,
  extra: readonly string[],
) => boolean;

/** Makes a fixed answer ready: header values as byte strings, the body as UTF-8. A body without a
 *  content-type is text. */
export function compileRespond(
  action: Extract<RouteAction, { kind: 'respond' }>,
  operations: CompiledOperations | null,
): DirectResponder {
  const headers: HeaderList = action.headers.map(toByteString);
  const hasType = headers.some((name, index) => index % 2 === 0 && name === 'content-type');
  if (action.body !== '' && !hasType) headers.push('content-type', 'text/plain; charset=utf-8');
  cleanResponseHeaders(headers, operations);
  const body = new TextEncoder().encode(action.body);
  return (exchange, _capture, extra) => {
    // A copy, because a listener may add to the list it is given.
    exchange.respond(action.status, headers.concat(extra), body);
    return true;
  };
}

/** Makes a redirect ready. */
export function compileRedirectResponse(
  action: Extract<RouteAction, { kind: 'redirect' }>,
  routePath: string,
  operations: CompiledOperations | null,
): DirectResponder {
  const render = compileRedirect(action.to, routePath);
  return (exchange, capture, extra) => {
    const location = render(capture, exchange.query);
    if (location === null) return false;
    const headers: HeaderList = ['location', location];
    applyHeaderOperations(headers, operations);
    exchange.respond(action.status, headers.concat(extra), '');
    return true;
  };
}
