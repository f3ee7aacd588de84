// The JSON body of a change: an object of known fields, or nothing for none.

import { GatewayError } from '../core/index.ts';

/** Errors: GW_ADMIN_BAD_REQUEST for what is not an object of these fields. */
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
    if (names.includes(name)) continue;
    const expected = names.length === 0 ? 'no fields' : names.join(' or ');
    throw bad(JSON.stringify(name.slice(0, 50)), expected);
  }
  return value as Record<string, unknown>;
}

function bad(what: string, expected: string): GatewayError {
  return new GatewayError('GW_ADMIN_BAD_REQUEST', `${what}: expected ${expected}`);
}
