// The programs that are compared and how each is told to do the same job. Every contender gets one
// worker, no access log, keep-alive on both sides and X-Forwarded-* headers; where one cannot do a
// scenario, it is left out of it and the table says so.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { DELIVERY_PATH, type Delivery } from './delivery.ts';
import { programPath } from './programs.ts';
import { isDelivery, ROUTES_COUNT, type ScenarioName } from './scenarios.ts';

export type ContenderName = 'nginx' | 'haproxy' | 'skeleton' | 'sluice';

export interface ContenderPlace {
  readonly scenario: ScenarioName;
  /** An empty folder of its own. */
  readonly folder: string;
  readonly listenPort: number;
  readonly adminPort: number;
  readonly upstreamPort: number;
  /** What is to be delivered; null where the answers come from the upstream. */
  readonly delivery: Delivery | null;
  /** How sluice is started, without its sub-command. */
  readonly sluiceCommand: readonly string[];
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** Which contenders can do a scenario: nginx and HAProxy do not pipeline to an upstream, so they
 *  do the plain job there; HAProxy serves no files; the skeleton has no routes. */
export function canTakePart(name: ContenderName, scenario: ScenarioName): boolean {
  if (name === 'haproxy' && isDelivery(scenario)) return false;
  return name !== 'skeleton' || scenario !== 'routes-10k';
}

/** Writes what the contender needs and returns its command line. Errors: sluice is not built. */
export function prepareContender(name: ContenderName, place: ContenderPlace): readonly string[] {
  mkdirSync(place.folder, { recursive: true });
  switch (name) {
    case 'nginx':
      return prepareNginx(place);
    case 'haproxy':
      return prepareHaproxy(place);
    case 'skeleton':
      return prepareSkeleton(place);
    case 'sluice':
      return prepareSluice(place);
  }
}

/** The upstream that every contender shares. */
export function prepareUpstream(folder: string, listenPort: number): readonly string[] {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'upstream.conf');
  writeFileSync(path, fromTemplate('nginx-upstream.conf', { folder, listenPort }));
  return [programPath('nginx'), '-e', join(folder, 'error.log'), '-c', path];
}

/** Bundles a program of this folder, so that a child is plain node without a loader's threads. */
export function bundleProgram(name: string): string {
  const outfile = join(root, 'build', `bench-${name}.mjs`);
  if (bundled.has(name)) return outfile;
  bundled.add(name);
  buildSync({
    entryPoints: [join(root, 'bench', `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
  return outfile;
}

/** Programs bundled by this process, so that a round does not wait for the bundler. */
const bundled = new Set<string>();

function prepareNginx(place: ContenderPlace): readonly string[] {
  if (place.delivery !== null) return prepareNginxFiles(place, place.delivery);
  const { folder, listenPort, upstreamPort, scenario } = place;
  const zone =
    scenario === 'refusal'
      ? 'limit_req_zone $binary_remote_addr zone=one:10m rate=1r/s; limit_req_status 429; ' +
        'limit_req_log_level info;'
      : '';
  const text = fromTemplate('nginx.conf', {
    folder,
    listenPort,
    upstreamPort,
    zone,
    locations: nginxLocations(scenario),
  });
  const path = join(folder, 'nginx.conf');
  writeFileSync(path, text);
  return [programPath('nginx'), '-e', join(folder, 'error.log'), '-c', path];
}

/** The bytes lie where the scenario's path says. */
function prepareNginxFiles({ folder, listenPort }: ContenderPlace, delivery: Delivery) {
  const file = join(folder, 'files', DELIVERY_PATH);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, delivery.body);
  const path = join(folder, 'nginx.conf');
  writeFileSync(path, fromTemplate('nginx-files.conf', { folder, listenPort }));
  // A worker that gives up root could not read a folder that only root may enter.
  const user = process.getuid?.() === 0 ? ['-g', 'user root;'] : [];
  return [programPath('nginx'), '-e', join(folder, 'error.log'), ...user, '-c', path];
}

function nginxLocations(scenario: ScenarioName): string {
  if (scenario === 'refusal') return 'location / { limit_req zone=one; proxy_pass http://up; }';
  if (scenario !== 'routes-10k') return 'location / { proxy_pass http://up; }';
  const locations = routePaths().map((path) => `location ${path}/ { proxy_pass http://up; }`);
  return locations.join('\n    ');
}

function prepareHaproxy(place: ContenderPlace): readonly string[] {
  const { folder, listenPort, upstreamPort, scenario } = place;
  let rules = 'default_backend up';
  if (scenario === 'refusal') {
    rules =
      'stick-table type ip size 100k expire 10s store http_req_rate(1s)\n' +
      '  http-request track-sc0 src\n' +
      '  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1 }\n' +
      '  default_backend up';
  }
  if (scenario === 'routes-10k') {
    const map = join(folder, 'routes.map');
    writeFileSync(
      map,
      routePaths()
        .map((path) => `${path}/ up\n`)
        .join(''),
    );
    rules = `use_backend %[path,map_beg(${map})]`;
  }
  const path = join(folder, 'haproxy.cfg');
  writeFileSync(path, fromTemplate('haproxy.cfg', { listenPort, upstreamPort, rules }));
  return [programPath('haproxy'), '-db', '-f', path];
}

/** Requests in flight on a pipelined connection: what the sluice configuration asks for too. */
const PIPELINE_DEPTH = 16;

function prepareSkeleton(place: ContenderPlace): readonly string[] {
  const depths: Partial<Record<ScenarioName, number>> = {
    refusal: 0,
    'proxy-pipelined': PIPELINE_DEPTH,
  };
  const depth = depths[place.scenario] ?? 1;
  const ports = [place.listenPort, place.upstreamPort, depth].map(String);
  const program = [process.execPath, bundleProgram('skeleton'), ...ports];
  if (place.delivery === null) return program;
  const file = join(place.folder, 'body');
  writeFileSync(file, place.delivery.body);
  return [...program, file];
}

function prepareSluice(place: ContenderPlace): readonly string[] {
  const { sluiceCommand, folder } = place;
  const script = sluiceCommand.at(-1)!;
  if (script.includes('/') && !existsSync(script)) {
    throw new Error(`${script} does not exist: run npm run build, or name another with --sluice`);
  }
  const path = join(folder, 'sluice.yaml');
  writeFileSync(path, JSON.stringify(sluiceConfig(place), null, 2));
  return [...sluiceCommand, 'serve', '-c', path];
}

/** YAML holds JSON, so the configuration is written as data. */
function sluiceConfig(place: ContenderPlace): object {
  const { scenario, delivery } = place;
  const up = {
    endpoints: [`http://127.0.0.1:${place.upstreamPort}`],
    ...(scenario === 'proxy-pipelined' ? { pipeline: PIPELINE_DEPTH } : {}),
  };
  const limit = { name: 'all', limit: 1, per: '1s', burst: 1, key: 'client.ip' };
  const rate = scenario === 'refusal' ? { rate: [limit] } : {};
  const paths = scenario === 'routes-10k' ? routePaths().map((path) => `${path}/*`) : ['/*'];
  const common = {
    listen: [{ port: place.listenPort, address: '127.0.0.1' }],
    admin: { port: place.adminPort, address: '127.0.0.1' },
    workers: { io: 1 },
    log: { access: 'off' },
  };
  if (delivery !== null) {
    const { storeDir: dir, headKey, signingKey } = delivery;
    const routes = [{ match: { path: '/r/*' }, distribution: {} }];
    return { ...common, distribution: { dir, headKey, signingKey }, routes };
  }
  return {
    ...common,
    services: { up },
    routes: paths.map((path) => ({ match: { path }, to: 'up', ...rate })),
  };
}

function routePaths(): string[] {
  return Array.from({ length: ROUTES_COUNT }, (_, index) => `/service-${index}`);
}

function fromTemplate(name: string, values: Readonly<Record<string, string | number>>): string {
  const text = readFileSync(new URL(`./rivals/${name}`, import.meta.url), 'utf8');
  return text.replace(/\{\{(\w+)\}\}/g, (whole, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`bench/rivals/${name} asks for ${whole}`);
    return String(value);
  });
}
