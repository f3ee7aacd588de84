// A request's body as a JSON object whose fields are known.

import { GatewayError } from '../core/index.ts';

/** An empty body is an empty object. Errors: GW_ADMIN_BAD_REQUEST, also for a field of another
 *  name. */
export function readFields(body: string, names: readonly string[]): Record<string, unknown> {
  let value: unknown;
  try {
    value = body.trim() === '' ? {} : JSON.parse(body);
  } catch {
    throw bad('the body', 'JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad('the body', 'an object');
  }
  for (const name of Object.keys(value)) {
    const expected = names.length === 0 ? 'no fields' : names.join(' or ');
    if (!names.includes(name)) throw bad(JSON.stringify(name.slice(0, 50)), expected);
  }
  return value as Record<string, unknown>;
}

function bad(what: string, expected: string): GatewayError {
  return new GatewayError('GW_ADMIN_BAD_REQUEST', `${what}: expected ${expected}`);
}
