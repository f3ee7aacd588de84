// Gateways that follow each other, over the admin API:
//
//     GET  /replication             primary, follower or fenced; the term; how far the copies are
//     POST /replication/promote     makes a follower the primary

import { GatewayError } from '../core/index.ts';
import type { AdminDeps } from './deps.ts';
import type { Reply, Resource } from './resources.ts';

export const REPLICATION_RESOURCES: readonly Resource[] = [
  { path: '/replication', methods: { GET: (deps) => json(replicationOf(deps)) } },
  { path: '/replication/promote', methods: { POST: promote } },
];

async function promote(deps: AdminDeps): Promise<Reply> {
  replicationOf(deps);
  return json(await deps.promote());
}

function replicationOf(deps: AdminDeps): unknown {
  const view = deps.replication();
  if (view !== null) return view;
  throw new GatewayError('GW_ADMIN_NOT_FOUND', 'there is no `db` in the configuration');
}

function json(value: unknown): Reply {
  const body = `${JSON.stringify(value, null, 2)}\n`;
  return { status: 200, contentType: 'application/json', body };
}
