// Picks of each balancer, and the headers of a proxied request. It does not measure how well load
// is spread (the tests do) nor what an upstream client does with the list.

import Benchmark from 'benchmark';
import type { BalanceKind, EndpointConfig } from '../../host/config/index.ts';
import {
  type Exchange,
  type HeaderList,
  SeededRandom,
  secretBytes,
  systemClock,
} from '../../host/core/index.ts';
import {
  ClientAddress,
  compileKeySource,
  createBalancer,
  createEndpoints,
  ForwardHeaders,
  hash32,
  TraceparentSource,
} from '../../host/mesh/index.ts';

const SEED = 42;
const KINDS: readonly BalanceKind[] = [
  'round-robin',
  'random',
  'least-request',
  'peak-ewma',
  'ring-hash',
  'maglev',
];

/** What a browser behind no proxy sends, roughly. */
const BROWSER_HEADERS: HeaderList = Object.entries({
  host: 'shop.example.com',
  connection: 'keep-alive',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36',
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'accept-encoding': 'gzip, deflate, br, zstd',
  'accept-language': 'en-GB,en;q=0.5',
  cookie: 'theme=dark; session=4bf92f3577b34da6a3ce929d0e0e4736; cart=3',
  'cache-control': 'no-cache',
}).flat();

/** Runs the benchmarks. `sizeFactor`: 1 for real numbers, less for a smoke test. */
export async function run(
  report: (name: string, opsPerSecond: number) => void,
  sizeFactor: number,
): Promise<void> {
  const suite = new Benchmark.Suite();
  const options = { maxTime: 2 * sizeFactor, minSamples: sizeFactor < 1 ? 1 : 5 };
  for (const size of [4, 1000]) {
    for (const kind of KINDS) addPick(suite, kind, size, options);
  }
  addHeaders(suite, options);
  await new Promise<void>((resolve, reject) => {
    suite.on('cycle', (event: Benchmark.Event) => {
      const target = event.target as unknown as Benchmark;
      report(target.name ?? '', target.hz ?? 0);
    });
    suite.on('error', (event: Benchmark.Event) =>
      reject((event.target as unknown as Benchmark).error),
    );
    suite.on('complete', () => resolve());
    suite.run({ async: true });
  });
}

function addPick(
  suite: Benchmark.Suite,
  kind: BalanceKind,
  size: number,
  options: Benchmark.Options,
): void {
  const configs = Array.from({ length: size }, (_, index) => endpointConfig(index));
  const deps = { random: new SeededRandom(SEED), clock: systemClock };
  const balancer = createBalancer(kind, createEndpoints(configs, []), deps);
  let hash = 0;
  const pick = () => {
    hash = (hash + 0x9e3779b9) >>> 0;
    const endpoint = balancer.pick(hash, null);
    if (endpoint === null) throw new Error('nothing was picked');
  };
  suite.add(`pick ${kind} of ${size}`, pick, options);
}

function endpointConfig(index: number): EndpointConfig {
  const host = `10.0.${index >> 8}.${index & 255}`;
  const authority = `${host}:8080`;
  return { protocol: 'http', host, port: 8080, authority, weight: 1 + (index % 3), labels: {} };
}

function addHeaders(suite: Benchmark.Suite, options: Benchmark.Options): void {
  const traceparents = new TraceparentSource(secretBytes);
  const direct = new ClientAddress([]);
  const trusting = new ClientAddress(['192.0.2.0/24']);
  const plain = new ForwardHeaders(direct, traceparents);
  const behind = new ForwardHeaders(trusting, traceparents);
  const browser = requestOf(BROWSER_HEADERS);
  const proxied = requestOf([
    ...BROWSER_HEADERS,
    'x-forwarded-for',
    '198.51.100.7',
    'x-forwarded-proto',
    'https',
    'traceparent',
    traceparents.next(),
  ]);
  const context = { routeName: 'r', parameterNames: [], clientAddress: trusting };
  const cookie = compileKeySource({ kind: 'cookie', name: 'session' }, context);
  const add = (name: string, work: () => unknown) => {
    suite.add(name, () => void work(), options);
  };
  add('forward-headers of a browser', () => plain.build(browser, 'up:1')?.length);
  add('forward-headers behind a trusted proxy', () => behind.build(proxied, 'up:1')?.length);
  add('traceparent', () => traceparents.next());
  add('client.ip behind a trusted proxy', () => trusting.of(proxied));
  add('cookie key and its hash', () => hash32(cookie(browser, []) ?? ''));
}

/** The part of an Exchange that headers are made from. */
function requestOf(list: HeaderList): Exchange {
  // Names and values as a listener makes them: flat strings of their own, not literals that the
  // engine can compare by address.
  const headers = list.map((text) => Buffer.from(text, 'latin1').toString('latin1'));
  const request: Pick<Exchange, 'headers' | 'remoteAddress' | 'authority' | 'scheme'> = {
    headers,
    remoteAddress: '192.0.2.1',
    authority: 'shop.example.com',
    scheme: 'http',
  };
  return request as Exchange;
}
