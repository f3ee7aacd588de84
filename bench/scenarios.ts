// What is measured, and the bar each number is held to. A scenario says what load is made and what
// a correct answer is; how a contender does the job is in contenders.ts.

import { DELIVERY_PATH, DELTA_HEADERS, FILE_HEADERS } from './delivery.ts';

export const ROUTES_COUNT = 10_000;

export type ScenarioName =
  | 'proxy'
  | 'proxy-pipelined'
  | 'refusal'
  | 'routes-10k'
  | 'latency'
  | 'deliver-file'
  | 'deliver-delta';

export interface Scenario {
  readonly name: ScenarioName;
  readonly title: string;
  readonly path: string;
  /** Headers that every request has, `name: value` each. */
  readonly headers: readonly string[];
  /** Whether the answers are 2xx or refusals; anything else makes the round void. */
  readonly expects: 'success' | 'refusal';
  /** The most sluice may cost, as a multiple of nginx's processor time per request. */
  readonly barOverNginx: number | null;
}

/** DESIGN section 6 sets the bars. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'proxy',
    title: 'proxied request, keep-alive, one in flight per upstream connection',
    path: '/hello',
    headers: [],
    expects: 'success',
    barOverNginx: 1.25,
  },
  {
    name: 'proxy-pipelined',
    title: 'proxied request, pipelined to the upstream (nginx and HAProxy: one in flight)',
    path: '/hello',
    headers: [],
    expects: 'success',
    barOverNginx: 1,
  },
  {
    name: 'refusal',
    title: 'request refused by a rate limit (429)',
    path: '/hello',
    headers: [],
    expects: 'refusal',
    barOverNginx: 1.2,
  },
  {
    name: 'routes-10k',
    title: 'proxied request with 10,000 routes, spread over all of them',
    path: '/service-7341/items',
    headers: [],
    expects: 'success',
    barOverNginx: null,
  },
  {
    name: 'latency',
    title: 'latency at a fixed rate, half of what the slowest contender can do',
    path: '/hello',
    headers: [],
    expects: 'success',
    barOverNginx: null,
  },
  {
    name: 'deliver-file',
    title: 'file of 16 KiB of a release, held in memory (nginx: sendfile)',
    path: DELIVERY_PATH,
    headers: FILE_HEADERS,
    expects: 'success',
    barOverNginx: 0.65,
  },
  {
    name: 'deliver-delta',
    title: 'delta of 2.5 KB chosen by the base of the client (nginx: the delta as a file)',
    path: DELIVERY_PATH,
    headers: DELTA_HEADERS,
    expects: 'success',
    barOverNginx: 0.65,
  },
];

/** Whether the answers come from a release and not from an upstream. */
export function isDelivery(name: ScenarioName): boolean {
  return name === 'deliver-file' || name === 'deliver-delta';
}
