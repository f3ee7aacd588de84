// Who may use the admin server. A browser on the operator's machine can reach loopback too, so an
// open page must neither change anything (Origin) nor reach us under its own name (Host, against
// DNS rebinding). Whoever holds the token may read under any name.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { ErrorCode } from '../core/index.ts';

export interface GuardedRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Values of every Host header; more than one is a smuggling attempt. */
  readonly hosts: readonly string[];
  /** The address on which the connection came in. */
  readonly localAddress: string;
}

export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
}

const READING_METHODS = new Set(['GET', 'HEAD']);
const SHOWN_LENGTH_MAX = 100;

/** Why a request is refused, or null. */
export function refusalOf(request: GuardedRequest, token: string): Refusal | null {
  const { headers, hosts, localAddress, method } = request;
  if (hosts.length !== 1) {
    return { code: 'GW_ADMIN_BAD_REQUEST', detail: `${hosts.length} host headers, expected 1` };
  }
  if (token !== '' && !isBearer(headers.authorization, token)) {
    return { code: 'GW_ADMIN_TOKEN', detail: 'send authorization: Bearer with the admin token' };
  }
  const host = hosts[0]!.toLowerCase();
  const isChange = !READING_METHODS.has(method);
  if ((isChange || token === '') && !isOwnHost(host, localAddress)) {
    const detail = `host ${shown(host)} is neither loopback nor this server`;
    return { code: 'GW_ADMIN_REFUSED', detail };
  }
  if (!isChange) return null;
  const { origin } = headers;
  if (origin !== undefined && origin.toLowerCase() !== `http://${host}`) {
    return { code: 'GW_ADMIN_REFUSED', detail: `origin ${shown(origin)} is not this server` };
  }
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    return { code: 'GW_ADMIN_REFUSED', detail: `sec-fetch-site ${shown(String(site))}` };
  }
  return null;
}

/** Whether an address to listen on is reachable from this machine only. */
export function isLoopbackAddress(address: string): boolean {
  if (address === 'localhost' || address === '::1') return true;
  const unmapped = address.replace(/^::ffff:/i, '');
  return isIP(unmapped) === 4 && unmapped.startsWith('127.');
}

/** Hashes have one length, so that the comparison takes one time. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer +(.*)$/i.exec(authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function isOwnHost(host: string, localAddress: string): boolean {
  const found = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/.exec(host);
  if (found === null) return false;
  const name = found[1]!.replace(/^\[|\]$/g, '');
  return (
    isLoopbackAddress(name) ||
    name === localAddress.replace(/^::ffff:/i, '').toLowerCase() ||
    name === hostname().toLowerCase()
  );
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN_LENGTH_MAX));
}
