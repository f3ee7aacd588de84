// `POST /distribution/{channel}/{action}` with a JSON body: `{ "version": "1.4.0" }`, and for a
// rollout `{ "rollout": 2500 }`, in devices of 10,000. Without a version the newest release is
// meant; a rollback has to name the one that it brings back.

import { GatewayError } from '../core/index.ts';
import type { DistributionChange } from './deps.ts';
import { readFields } from './json-fields.ts';

const PATH = /^([a-z0-9._-]{1,64})\/(rollout|pause|resume|rollback)$/;
const VERSION_LENGTH_MAX = 64;
const ROLLOUT_MAX = 10_000;

/** Errors: GW_ADMIN_NOT_FOUND for another path, GW_ADMIN_BAD_REQUEST for another body. */
export function readDistributionChange(rest: string, body: string): DistributionChange {
  const found = PATH.exec(rest);
  if (found === null) {
    const detail = `/distribution/${rest.slice(0, 200)}, expected /distribution/{channel}/{action}`;
    throw new GatewayError('GW_ADMIN_NOT_FOUND', detail);
  }
  const channel = found[1]!;
  const action = found[2] as DistributionChange['action'];
  const fields = readFields(body, action === 'rollout' ? ['version', 'rollout'] : ['version']);
  const version = readVersion(fields.version);
  if (action === 'rollback' && version === null) throw bad('version', 'the release to bring back');
  if (action !== 'rollout') return { channel, version, action };
  const { rollout } = fields;
  if (!Number.isInteger(rollout) || (rollout as number) < 0 || (rollout as number) > ROLLOUT_MAX) {
    throw bad('rollout', `an integer from 0 to ${ROLLOUT_MAX}`);
  }
  return { channel, version, action, rollout: rollout as number };
}

function readVersion(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' && value !== '' && value.length <= VERSION_LENGTH_MAX) return value;
  throw bad('version', `a string of 1 to ${VERSION_LENGTH_MAX} characters`);
}

function bad(what: string, expected: string): GatewayError {
  return new GatewayError('GW_ADMIN_BAD_REQUEST', `${what}: expected ${expected}`);
}
