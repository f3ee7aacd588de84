// Route lookup: the kernel with all that a request costs (hold the table, write the path, match,
// read a parameter's place) against find-my-way and against the test oracle, on one table and one
// row of requests. Does not measure hosts, conditions, or a cold cache. `sizeFactor` 1 is real; a
// small one proves only that the benchmark still runs.

import { pathToFileURL } from 'node:url';
import Benchmark from 'benchmark';
import findMyWay from 'find-my-way';
import { type RouteSpec, SeededRandom } from '../../host/core/index.ts';
import { Matcher, RouteTables } from '../../host/kernels/index.ts';
import { oracleOutcome } from '../../test/kernels/router-oracle.ts';
import { edgeInstance } from '../../test/support/wasm.ts';

const ROUTES_COUNTS = [100, 10_000, 100_000];
const REQUESTS_COUNT = 1024;
const SEED = 42;
const SECONDS_EACH = 3;
const TURNS = 7;

/** What the design demands. */
export const bars = [
  { over: 'router/kernel/10000', under: 'router/find-my-way/10000', atLeast: 3 },
];

/** Reports lookups per second, named `router/<subject>/<routes>`. */
export async function run(
  report: (name: string, opsPerSecond: number) => void,
  sizeFactor: number,
): Promise<void> {
  for (const fullCount of ROUTES_COUNTS) {
    const count = Math.max(20, Math.round(fullCount * sizeFactor));
    const specs = routeSpecs(count);
    const paths = requestPaths(count);
    const subjects = {
      kernel: kernelLookup(specs),
      'find-my-way': findMyWayLookup(specs),
      oracle: oracleLookup(specs),
    };
    const hash = checkEqual(subjects, paths);
    const medians = measureInTurn(subjects, paths, SECONDS_EACH * sizeFactor);
    for (const [name, opsPerSecond] of Object.entries(medians)) {
      report(`router/${name}/${fullCount}`, opsPerSecond);
    }
    console.log(`# router, ${count} routes: result hash ${hash}`);
    // A turn of the event loop, so that a runner may print or stop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

type Lookup = (path: string) => number;

/** Four routes per service: one literal, two with a parameter, one with a parameter inside. */
function routeSpecs(count: number): RouteSpec[] {
  const tails = ['users', 'users/{id}', 'orders/{id}', 'items/{id}/lines'];
  return Array.from({ length: count }, (_, index) => ({
    host: '',
    path: `/api/service-${index >> 2}/${tails[index & 3]}`,
    methods: ['GET'],
    headers: [],
    query: [],
  }));
}

function requestPaths(count: number): string[] {
  const random = new SeededRandom(SEED);
  return Array.from({ length: REQUESTS_COUNT }, () => {
    const service = random.uint32() % (count >> 2);
    const path = `/api/service-${service}/users/${random.uint32() % 100_000}`;
    // A flat string, as a parser of requests makes it, not a rope.
    return Buffer.from(path).toString('latin1');
  });
}

function kernelLookup(specs: readonly RouteSpec[]): Lookup {
  const instance = edgeInstance();
  const tables = new RouteTables(instance);
  const matcher = new Matcher(instance);
  tables.publish(tables.compile(specs));
  const headers = ['host', 'shop.example.com', 'user-agent', 'bench'];
  return (path) => {
    matcher.acquire();
    const route = matcher.match('GET', 'shop.example.com:8080', path, '', headers);
    return matcher.paramCount === 1 ? route : -1;
  };
}

function findMyWayLookup(specs: readonly RouteSpec[]): Lookup {
  const router = findMyWay();
  specs.forEach(({ path }, route) => {
    router.on('GET', path.replace('{id}', ':id'), () => {}, route);
  });
  return (path) => {
    const found = router.find('GET', path);
    return found === null || found.params.id === undefined ? -1 : (found.store as number);
  };
}

function oracleLookup(specs: readonly RouteSpec[]): Lookup {
  return (path) => {
    const request = { method: 'GET', authority: '', path, query: '', headers: [] };
    const first = oracleOutcome(specs, request).candidates[0];
    return first === undefined || first.params.length !== 1 ? -1 : first.route;
  };
}

/** All subjects find the same; the slow oracle is asked only a few times. */
function checkEqual(subjects: Readonly<Record<string, Lookup>>, paths: readonly string[]): number {
  let hash = 0;
  paths.forEach((path, index) => {
    const wanted = subjects['find-my-way']!(path);
    for (const [name, lookup] of Object.entries(subjects)) {
      if (name === 'oracle' && index > 2) continue;
      const found = lookup(path);
      if (found < 0 || found !== wanted) {
        throw new Error(`${name} finds ${found} for ${path}, find-my-way ${wanted}`);
      }
    }
    hash = (Math.imul(hash, 31) + wanted) >>> 0;
  });
  return hash;
}

/** Runs the subjects in turn, several times, so that a busy moment of the machine strikes each of
 *  them; returns their medians. */
function measureInTurn(
  subjects: Readonly<Record<string, Lookup>>,
  paths: readonly string[],
  seconds: number,
): Record<string, number> {
  const samples = Object.entries(subjects).map(([name, lookup]) => ({
    name,
    lookup,
    rates: [] as number[],
  }));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const { lookup, rates } of samples) rates.push(measure(lookup, paths, seconds / TURNS));
  }
  return Object.fromEntries(
    samples.map(({ name, rates }) => {
      rates.sort((left, right) => left - right);
      return [name, rates[TURNS >> 1]!];
    }),
  );
}

function measure(lookup: Lookup, paths: readonly string[], seconds: number): number {
  let index = 0;
  let sum = 0;
  const bench = new Benchmark(
    () => {
      sum += lookup(paths[index++ & (REQUESTS_COUNT - 1)]!);
    },
    { maxTime: seconds, minSamples: 1, minTime: Math.min(0.05, seconds / 10) },
  );
  bench.run();
  if (sum < 0) throw new Error('a lookup failed while measured');
  return bench.hz;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run(
    (name, opsPerSecond) => {
      console.log(name.padEnd(32), Math.round(opsPerSecond).toLocaleString('en'));
    },
    Number(process.argv[2] ?? 1),
  );
}
