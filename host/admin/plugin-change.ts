// `PUT /plugins/{name}` with a module, and `POST /plugins/{name}/{action}`. A push may say what the
// bytes must be, by `?sha256=` or by the Content-Digest field of RFC 9530, and that it is a canary,
// by `?canary=5%`.

import type { IncomingMessage } from 'node:http';
import { GatewayError, parsePercentage } from '../core/index.ts';
import type { PluginChange, PluginPushOptions } from './deps.ts';
import { readFields } from './json-fields.ts';

const NAME = /^[A-Za-z0-9_.-]{1,63}$/;
const ACTION = /^([A-Za-z0-9_.-]{1,63})\/(rollback|canary|promote|abort)$/;
const SHA256 = /^[0-9a-f]{64}$/i;
const DIGEST = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/i;
const QUERY_KEYS = ['canary', 'sha256'];

/** Errors: GW_ADMIN_NOT_FOUND for another path. */
export function readPluginName(rest: string): string {
  if (NAME.test(rest)) return rest;
  const detail = `/plugins/${rest.slice(0, 200)}, expected /plugins/{name}`;
  throw new GatewayError('GW_ADMIN_NOT_FOUND', detail);
}

/** Errors: GW_ADMIN_BAD_REQUEST. */
export function readPushOptions(url: URL, { headers }: IncomingMessage): PluginPushOptions {
  for (const key of url.searchParams.keys()) {
    if (!QUERY_KEYS.includes(key)) throw bad(JSON.stringify(key.slice(0, 50)), 'canary or sha256');
  }
  const canary = url.searchParams.get('canary');
  const sha256 = url.searchParams.get('sha256') ?? digestOf(headers['content-digest']);
  if (sha256 !== '' && !SHA256.test(sha256)) throw bad('sha256', '64 hexadecimal digits');
  const canaryShare = canary === null ? null : readShare('canary', canary);
  return { canaryShare, sha256: sha256.toLowerCase() };
}

/** Errors: GW_ADMIN_NOT_FOUND for another path, GW_ADMIN_BAD_REQUEST for another body. */
export function readPluginChange(rest: string, body: string): PluginChange {
  const found = ACTION.exec(rest);
  if (found === null) {
    const detail = `/plugins/${rest.slice(0, 200)}, expected /plugins/{name}/{action}`;
    throw new GatewayError('GW_ADMIN_NOT_FOUND', detail);
  }
  const plugin = found[1]!;
  const action = found[2] as PluginChange['action'];
  const fields = readFields(body, action === 'canary' ? ['share'] : []);
  if (action !== 'canary') return { plugin, action };
  return { plugin, action, share: readShare('share', fields.share) };
}

function digestOf(field: string | string[] | undefined): string {
  if (field === undefined) return '';
  const found = DIGEST.exec(String(field));
  // A digest of another kind is none that could be checked, and not to check it would be a lie.
  if (found === null) throw bad('content-digest', 'sha-256=:BASE64:');
  return Buffer.from(found[1]!, 'base64').toString('hex');
}

function readShare(what: string, value: unknown): number {
  const share = typeof value === 'string' ? parsePercentage(value) : null;
  if (share !== null && share > 0 && share < 1) return share;
  throw bad(what, 'a share above 0% and below 100%, such as 5%');
}

function bad(what: string, expected: string): GatewayError {
  return new GatewayError('GW_ADMIN_BAD_REQUEST', `${what}: expected ${expected}`);
}
