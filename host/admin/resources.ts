// The resources of the admin API: one function each, from a request to a reply. They return plain
// replies and throw GatewayErrors; writing to the socket is the server's.

import type { IncomingMessage } from 'node:http';
import {
  ADMIN_PLUGIN_SIZE_BYTES_MAX,
  GatewayError,
  type HeaderList,
  isHeaderValue,
  isToken,
} from '../core/index.ts';
import {
  latencyHgrm,
  latencyHistogram,
  latencySummary,
  METRICS_CONTENT_TYPE,
} from '../telemetry/index.ts';
import { DATABASE_RESOURCES } from './databases.ts';
import type { AdminDeps, PluginView } from './deps.ts';
import { readDistributionChange } from './distribution-change.ts';
import { INDEX_PAGE } from './index-page.ts';
import { maskSecrets } from './mask.ts';
import { readPluginChange, readPluginName, readPushOptions } from './plugin-change.ts';
import { REPLICATION_RESOURCES } from './replication.ts';
import { readBodyBytes, readBodyText } from './request-body.ts';

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | AsyncIterable<string | Uint8Array>;
}

export interface Question {
  readonly request: IncomingMessage;
  readonly url: URL;
  /** What follows the resource's path, still percent-encoded. */
  readonly rest: string;
}

export type Answer = (deps: AdminDeps, question: Question) => Reply | Promise<Reply>;

export interface Resource {
  /** Ends in `/` when it takes what follows. */
  readonly path: string;
  /** Changes of one lane wait for none of another: those of databases may take minutes. */
  readonly lane?: 'databases';
  readonly methods: Readonly<Record<string, Answer>>;
}

const EXPLAIN_HEADERS_COUNT_MAX = 32;

export const RESOURCES: readonly Resource[] = [
  { path: '/', methods: { GET: () => html(INDEX_PAGE) } },
  { path: '/metrics', methods: { GET: metrics } },
  { path: '/healthz', methods: { GET: () => text(200, 'ok\n') } },
  { path: '/readyz', methods: { GET: readyz } },
  { path: '/config', methods: { GET: (deps) => json(200, maskSecrets(deps.config())) } },
  { path: '/config/check', methods: { POST: checkConfig } },
  { path: '/reload', methods: { POST: reload } },
  { path: '/routes', methods: { GET: explain } },
  { path: '/services', methods: { GET: (deps) => json(200, { services: deps.services() }) } },
  { path: '/latency/', methods: { GET: latency } },
  { path: '/drain', methods: { POST: drain } },
  { path: '/distribution', methods: { GET: distribution } },
  { path: '/distribution/', methods: { POST: changeDistribution } },
  ...DATABASE_RESOURCES,
  { path: '/plugins', methods: { GET: (deps) => json(200, { plugins: deps.plugins() }) } },
  { path: '/plugins/', methods: { GET: plugin, PUT: pushPlugin, POST: changePlugin } },
  ...REPLICATION_RESOURCES,
];

function metrics(deps: AdminDeps): Reply {
  return { status: 200, contentType: METRICS_CONTENT_TYPE, body: deps.metrics() };
}

function readyz(deps: AdminDeps): Reply {
  const { detail, isReady } = deps.readiness();
  if (!isReady) throw new GatewayError('GW_ADMIN_NOT_READY', detail);
  return text(200, 'ready\n');
}

async function checkConfig(deps: AdminDeps, { request }: Question): Promise<Reply> {
  const issues = await deps.checkConfig(await readBodyText(request));
  return json(200, { valid: issues.length === 0, issues });
}

async function reload(deps: AdminDeps): Promise<Reply> {
  const { generation, isTaken, issues } = await deps.reload();
  return json(isTaken ? 200 : 422, { taken: isTaken, generation, issues });
}

function drain(deps: AdminDeps): Reply {
  deps.drain();
  return json(202, { draining: true });
}

function distribution(deps: AdminDeps): Reply {
  const found = deps.distribution();
  if (found === null) throw new GatewayError('GW_ADMIN_NOT_FOUND', 'nothing is distributed');
  return json(200, found);
}

/** `POST /distribution/{channel}/rollout|pause|resume|rollback`. */
async function changeDistribution(deps: AdminDeps, { request, rest }: Question): Promise<Reply> {
  if (deps.distribution() === null) {
    throw new GatewayError('GW_ADMIN_NOT_FOUND', 'nothing is distributed');
  }
  await deps.changeDistribution(readDistributionChange(rest, await readBodyText(request)));
  return json(200, deps.distribution());
}

function plugin(deps: AdminDeps, { rest }: Question): Reply {
  return json(200, pluginNamed(deps, readPluginName(rest)));
}

function pluginNamed(deps: AdminDeps, name: string): PluginView {
  const found = deps.plugins().find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new GatewayError('GW_ADMIN_NOT_FOUND', `no plugin ${JSON.stringify(name)}`);
}

/** `PUT /plugins/{name}` with a module. */
async function pushPlugin(deps: AdminDeps, { request, url, rest }: Question): Promise<Reply> {
  const plugin = readPluginName(rest);
  const options = readPushOptions(url, request);
  const bytes = await readBodyBytes(request, ADMIN_PLUGIN_SIZE_BYTES_MAX);
  return json(200, await deps.pushPlugin(plugin, bytes, options));
}

/** `POST /plugins/{name}/rollback|canary|promote|abort`. */
async function changePlugin(deps: AdminDeps, { request, rest }: Question): Promise<Reply> {
  const change = readPluginChange(rest, await readBodyText(request));
  await deps.changePlugin(change);
  return json(200, pluginNamed(deps, change.plugin));
}

/** `?match=GET+/path` or `?match=GET+https://host/path`, and any number of `&header=name:value`. */
function explain(deps: AdminDeps, { url }: Question): Reply {
  const match = url.searchParams.get('match') ?? '';
  const [, method, target] = /^(\S+) (\S+)$/.exec(match) ?? [];
  if (method === undefined || target === undefined || !isToken(method)) {
    const detail = `match=${JSON.stringify(match.slice(0, 200))}, expected METHOD+URL`;
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', detail);
  }
  if (!target.startsWith('/') && !/^https?:\/\/[^/]/i.test(target)) {
    const detail = `url ${JSON.stringify(target.slice(0, 200))}, expected /path or http://host/`;
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', detail);
  }
  return json(200, deps.explain(method, target, explainedHeaders(url)));
}

function explainedHeaders(url: URL): HeaderList {
  const given = url.searchParams.getAll('header');
  if (given.length > EXPLAIN_HEADERS_COUNT_MAX) {
    const detail = `${given.length} headers, the limit is ${EXPLAIN_HEADERS_COUNT_MAX}`;
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', detail);
  }
  const headers: HeaderList = [];
  for (const line of given) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (!isToken(name) || !isHeaderValue(value)) {
      const detail = `header=${JSON.stringify(line.slice(0, 200))}, expected name:value`;
      throw new GatewayError('GW_ADMIN_BAD_REQUEST', detail);
    }
    headers.push(name, value);
  }
  return headers;
}

function latency(deps: AdminDeps, { rest }: Question): Reply {
  const wanted = decoded(rest);
  const isHgrm = wanted.endsWith('.hgrm');
  const route = isHgrm ? wanted.slice(0, -'.hgrm'.length) : wanted;
  const buckets = deps.latency(route);
  if (buckets === null) {
    throw new GatewayError('GW_ADMIN_NOT_FOUND', `no route ${JSON.stringify(route.slice(0, 200))}`);
  }
  const histogram = latencyHistogram(buckets);
  if (isHgrm) return text(200, latencyHgrm(histogram));
  return json(200, { route, ...latencySummary(histogram) });
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    const detail = `${JSON.stringify(part.slice(0, 200))} is not percent-encoded UTF-8`;
    throw new GatewayError('GW_ADMIN_BAD_REQUEST', detail);
  }
}

function json(status: number, value: unknown): Reply {
  const body = `${JSON.stringify(value, null, 2)}\n`;
  return { status, contentType: 'application/json', body };
}

function text(status: number, body: string): Reply {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}

function html(body: string): Reply {
  return { status: 200, contentType: 'text/html; charset=utf-8', body };
}
