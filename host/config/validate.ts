// Questions about the configuration that need two keys at once: references, duplicates,
// contradictions. Runs on what the schema has read; parts that it refused are holes here.

import { ENDPOINTS_COUNT_MAX } from '../core/index.ts';
import { type IssueSink, type PathPart, Report, suggestion } from './issue.ts';
import type { FileValue, RouteValue, ServiceValue } from './schema.ts';
import { checkFilters, checkPlugins } from './validate-plugins.ts';
import { checkRoute } from './validate-route.ts';

/** What the schema has read, with holes where it refused something. */
export interface Draft {
  readonly listen: readonly (FileValue['listen'][number] | undefined)[] | undefined;
  readonly admin: FileValue['admin'] | undefined;
  readonly distribution: FileValue['distribution'] | undefined;
  readonly plugins: FileValue['plugins'] | undefined;
  readonly db: FileValue['db'] | undefined;
  readonly services: readonly (readonly [string, ServiceValue | undefined])[] | undefined;
  readonly routes: readonly (RouteValue | undefined)[] | undefined;
}

/** Checks everything that one key alone cannot tell. Cost: O(routes + services). */
export function validate(draft: Draft, sink: IssueSink): void {
  const report = new Report(sink);
  checkListeners(draft, report);
  if (draft.db?.follow !== undefined && draft.db.replication === undefined) {
    const message = 'missing; the primary asks whoever follows it for its token';
    report.missing(['db', 'replication'], 'GW_CONFIG_CONFLICT', message);
  }
  checkServices(draft, report);
  const services = draft.services === undefined ? undefined : new Map(draft.services);
  checkPlugins(draft.plugins ?? [], services, report);
  checkRoutes(draft, report);
}

function checkListeners(draft: Draft, report: Report): void {
  const ports = new Map<number, { readonly address: string; readonly owner: string }[]>();
  for (const [index, listener] of (draft.listen ?? []).entries()) {
    if (listener === undefined) continue;
    const at = ['listen', index] as const;
    claimPort(ports, { ...listener, owner: `listen[${index}]`, path: [...at, 'port'] }, report);
    if (listener.engine === 'uws' && listener.tls?.clientCa !== undefined) {
      const message = 'client certificates need engine: node; uws cannot ask for them';
      report.value([...at, 'tls', 'clientCa'], 'GW_CONFIG_CONFLICT', message);
    }
    const hosts = new Set<string>();
    for (const [entry, { host }] of (listener.tls?.sni ?? []).entries()) {
      if (hosts.has(host)) {
        const message = `a certificate for ${host} stands twice`;
        report.value([...at, 'tls', 'sni', entry, 'host'], 'GW_CONFIG_CONFLICT', message);
      }
      hosts.add(host);
    }
  }
  const { admin } = draft;
  if (admin === undefined) return;
  claimPort(ports, { ...admin, owner: 'admin', path: ['admin', 'port'] }, report);
  if (admin.token === '' && !isLoopback(admin.address)) {
    const message = `missing; the admin API on ${admin.address} is not loopback and needs a token`;
    report.missing(['admin', 'token'], 'GW_CONFIG_CONFLICT', message);
  }
}

function claimPort(
  ports: Map<number, { readonly address: string; readonly owner: string }[]>,
  claim: {
    readonly port: number;
    readonly address: string;
    readonly owner: string;
    readonly path: readonly PathPart[];
  },
  report: Report,
): void {
  if (claim.port === 0) return;
  const others = ports.get(claim.port) ?? [];
  const other = others.find(({ address }) => isOverlapping(address, claim.address));
  if (other !== undefined) {
    const message = `port ${claim.port} is taken by ${other.owner}`;
    report.value(claim.path, 'GW_CONFIG_CONFLICT', message);
    return;
  }
  ports.set(claim.port, [...others, claim]);
}

function isOverlapping(left: string, right: string): boolean {
  if (left === right || isWildcard(left) || isWildcard(right)) return true;
  // What localhost resolves to is not known here.
  return (left === 'localhost' && isLoopback(right)) || (right === 'localhost' && isLoopback(left));
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || /^[0:]+$/.test(address);
}

/** Whether an address is reached from this machine alone. */
export function isLoopback(address: string): boolean {
  if (address === 'localhost' || /^127(\.\d+){3}$/.test(address)) return true;
  return /^(0*:)+0*1$/.test(address);
}

function checkServices(draft: Draft, report: Report): void {
  let endpointCount = 0;
  for (const [name, service] of draft.services ?? []) {
    if (service === undefined) continue;
    endpointCount += service.endpoints.length;
    checkService(['services', name], service, report);
  }
  if (endpointCount > ENDPOINTS_COUNT_MAX) {
    const message = `${endpointCount} endpoints in all, the limit is ${ENDPOINTS_COUNT_MAX}`;
    report.value(['services'], 'GW_CONFIG_LIMIT', message);
  }
}

function checkService(at: readonly PathPart[], service: ServiceValue, report: Report): void {
  const isHashing = service.balance === 'ring-hash' || service.balance === 'maglev';
  if (isHashing && service.hashOn === undefined) {
    const message = `missing; balance: ${service.balance} needs to know what to hash`;
    report.missing([...at, 'hashOn'], 'GW_CONFIG_CONFLICT', message);
  }
  if (!isHashing && service.hashOn !== undefined) {
    const message = `balance: ${service.balance} does not hash; expected ring-hash or maglev`;
    report.key([...at, 'hashOn'], 'GW_CONFIG_CONFLICT', message);
  }
  if (service.endpoints.every(({ weight }) => weight === 0)) {
    report.value([...at, 'endpoints'], 'GW_CONFIG_CONFLICT', 'every weight is 0');
  }
  if (service.tls !== undefined && service.endpoints.every(({ url }) => url.protocol === 'http')) {
    report.key([...at, 'tls'], 'GW_CONFIG_CONFLICT', 'no endpoint is https');
  }
  if (service.tls?.serverName?.startsWith('*') === true) {
    const message = `expected one name, found "${service.tls.serverName}"`;
    report.value([...at, 'tls', 'serverName'], 'GW_CONFIG_BAD_VALUE', message);
  }
  const seen = new Set<string>();
  for (const [index, { url }] of service.endpoints.entries()) {
    const text = `${url.protocol}://${url.authority}`;
    if (seen.has(text)) {
      const message = `${text} stands twice; give it a larger weight instead`;
      report.value([...at, 'endpoints', index], 'GW_CONFIG_CONFLICT', message);
    }
    seen.add(text);
  }
}

function checkRoutes(draft: Draft, report: Report): void {
  const services = new Map(draft.services ?? []);
  // A plugin that could not be read may be the one that a route means.
  const isEachPluginKnown = draft.plugins?.every((one) => one !== undefined) ?? false;
  const plugins = new Map((draft.plugins ?? []).map((one) => [one?.name ?? '', one!]));
  const names = new Map<string, number>();
  const matches = new Map<string, number>();
  for (const [index, route] of (draft.routes ?? []).entries()) {
    if (route === undefined) continue;
    if (report.isFull) return;
    const at = ['routes', index] as const;
    const name = route.name ?? `route-${index}`;
    const namesake = names.get(name);
    if (namesake !== undefined) {
      const message = `the name ${name} is taken by routes[${namesake}]`;
      report.value([...at, 'name'], 'GW_CONFIG_CONFLICT', message);
    }
    names.set(name, index);
    const key = matchKey(route);
    const twin = matches.get(key);
    if (twin === undefined) matches.set(key, index);
    else {
      const message = `never matches: routes[${twin}] matches exactly the same and comes first`;
      report.value([...at, 'match'], 'GW_CONFIG_CONFLICT', message);
    }
    if (draft.services !== undefined) checkTargets(at, route, services, report);
    if (route.distribution !== undefined && draft.distribution === undefined) {
      const message = 'the file has no `distribution` that says where the store is';
      report.key([...at, 'distribution'], 'GW_CONFIG_CONFLICT', message);
    }
    if (isEachPluginKnown) checkFilters(at, route.filters, plugins, report);
    if (route.db !== undefined && draft.db === undefined) {
      const message = 'the file has no `db` that says where the databases are';
      report.key([...at, 'db'], 'GW_CONFIG_CONFLICT', message);
    }
    checkRoute(at, route, report);
  }
}

/** Two routes with the same key match the same requests. Names of parameters do not count. */
function matchKey({ match }: RouteValue): string {
  const { path, headers, query, host, methods } = match;
  const text = path.parameters.length === 0 ? path.text : path.text.replace(/\{[^/]+\}/g, '{}');
  if (methods === undefined && headers.length === 0 && query.length === 0) {
    return `${host ?? ''} ${text}`;
  }
  const conditions = [headers, query].map((list) => list.map((one) => JSON.stringify(one)).sort());
  return `${host ?? ''} ${text} ${JSON.stringify([[...(methods ?? [])].sort(), conditions])}`;
}

function checkTargets(
  at: readonly PathPart[],
  route: RouteValue,
  services: ReadonlyMap<string, ServiceValue | undefined>,
  report: Report,
): void {
  const targets = route.to ?? [];
  const seen = new Set<string>();
  for (const [index, { service: name }] of targets.entries()) {
    const path = [...at, 'to', index, 'service'];
    if (!services.has(name)) {
      const hint = suggestion(name, services.keys());
      const message = `no service is called ${JSON.stringify(name)}${hint}`;
      report.value(path, 'GW_CONFIG_BAD_VALUE', message);
      continue;
    }
    if (seen.has(name)) {
      const message = `the service ${name} stands twice; add up the weights`;
      report.value(path, 'GW_CONFIG_CONFLICT', message);
    }
    seen.add(name);
    const hashOn = services.get(name)?.hashOn;
    if (hashOn?.kind === 'path' && !route.match.path.parameters.includes(hashOn.name)) {
      const message = `${name} hashes on path:${hashOn.name}, which ${route.match.path.text} lacks`;
      report.value(path, 'GW_CONFIG_CONFLICT', message);
    }
  }
  checkTimeouts(at, route, services, report);
}

/** A route that overrides some timeouts takes the others from its services, which must agree. */
function checkTimeouts(
  at: readonly PathPart[],
  route: RouteValue,
  services: ReadonlyMap<string, ServiceValue | undefined>,
  report: Report,
): void {
  const own = route.timeouts;
  if (own === undefined) return;
  for (const key of ['connect', 'request', 'idle'] as const) {
    if (own[key] !== undefined) continue;
    const values = new Set<number>();
    for (const { service } of route.to ?? []) {
      const found = services.get(service);
      if (found !== undefined) values.add(found.timeouts[key]);
    }
    if (values.size <= 1) continue;
    const message = `missing; the route's services differ in it: ${[...values].join('ms, ')}ms`;
    report.missing([...at, 'timeouts', key], 'GW_CONFIG_CONFLICT', message);
  }
}
