// An admin server on a real socket over plain functions, and clients that say what a browser or a
// well-behaved library never would.

import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import {
  type AdminDeps,
  type AdminServer,
  createAdminServer,
  type PluginView,
} from '../../host/admin/index.ts';
import { GatewayError, ManualClock } from '../../host/core/index.ts';
import { SeriesRegistry, StatsReader, StatsWriter } from '../../host/kernels/index.ts';
import { renderMetrics } from '../../host/telemetry/index.ts';
import { endAtLast } from '../support/leftovers.ts';
import { NO_PLUGINS } from '../support/plugin-metrics.ts';
import { edgeImage, edgeInstance } from '../support/wasm.ts';

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface AdminScene {
  readonly server: AdminServer;
  readonly port: number;
  /** What the server asked for, in order. */
  readonly calls: string[];
  readonly errors: string[];
  ask(
    method: string,
    path: string,
    extra?: { headers?: Record<string, string | string[]>; body?: string | Buffer },
  ): Promise<Answered>;
  /** Sends bytes as they are and collects what comes until the socket closes. */
  raw(bytes: string): Promise<string>;
}

export async function adminScene(overrides: Partial<AdminDeps> = {}): Promise<AdminScene> {
  const calls: string[] = [];
  const errors: string[] = [];
  const server = createAdminServer({ ...plainDeps(calls, errors), ...overrides });
  const port = await server.listen(0, '127.0.0.1');
  endAtLast(() => void server.close());
  return {
    server,
    port,
    calls,
    errors,
    ask: (method, path, extra = {}) =>
      new Promise((resolve, reject) => {
        const { body, headers = {} } = extra;
        const request = httpRequest({ port, method, path, headers, agent: false }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode!, headers: response.headers, body: text }),
          );
          response.on('error', reject);
        });
        request.on('error', reject);
        request.end(body);
      }),
    raw: (bytes) =>
      new Promise((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
        let text = '';
        socket.setEncoding('latin1').on('data', (chunk: string) => {
          text += chunk;
        });
        socket.on('close', () => resolve(text));
        socket.on('error', reject);
      }),
  };
}

const PLUGIN: Omit<PluginView, 'name'> = {
  sha256: 'a'.repeat(64),
  source: 'file',
  abi: '0.2.1',
  sdk: 'rust',
  state: 'running',
  since: '2026-01-01T00:00:00.000Z',
  instances: 2,
  streams: 0,
  requests: 10,
  failures: 0,
  traps: 0,
  switchMs: 0,
  canary: null,
  endedCanaries: [],
  pushed: [],
  warnings: [],
};

function plainDeps(calls: string[], errors: string[]): AdminDeps {
  const image = edgeImage();
  const writer = new StatsWriter(edgeInstance(image, 0));
  const reader = new StatsReader(image.memory);
  const clock = new ManualClock(2_000);
  const routes = new SeriesRegistry('route', image.memory);
  const [pay] = routes.assign(1, ['pay', 'a/b c']);
  for (let us = 1_000; us <= 100_000; us += 1_000) writer.record(pay!, -1, -1, 200, 0, us, 1, 1);
  const log = (message: string) => errors.push(message);
  return {
    token: '',
    version: '0.1.0',
    clock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: () =>
      renderMetrics({
        clock,
        reader,
        routes,
        services: new SeriesRegistry('service', image.memory),
        endpoints: new SeriesRegistry('endpoint', image.memory),
        serviceOfRoute: () => '',
        status: () => ({
          version: '0.1.0',
          startWallMs: 1_700_000_000_000,
          configGeneration: 1,
          reloadsTaken: 0,
          reloadsRefused: 0,
          isLastReloadTaken: true,
          lastReloadWallMs: 0,
        }),
        distribution: () => null,
        databases: () => [],
        plugins: () => NO_PLUGINS,
      }),
    readiness: () => ({ isReady: true, detail: '' }),
    config: () => ({ admin: { port: 9901, token: 'hunter2' }, routes: [{ name: 'pay' }] }),
    checkConfig: async (yaml) => {
      calls.push(`check ${yaml.length}`);
      if (yaml.includes('good')) return [];
      return [
        {
          code: 'GW_CONFIG_UNKNOWN_KEY',
          file: 'body',
          line: 2,
          column: 3,
          path: 'listn',
          message: 'listn is not a key, did you mean listen',
        },
      ];
    },
    distribution: () => ({ channels: [{ channel: 'app' }] }),
    replication: () => null,
    promote: async () => null,
    changeDistribution: async (change) => {
      calls.push(`change ${JSON.stringify(change)}`);
      if (change.channel === 'none') throw new GatewayError('GW_DIST_NOT_FOUND', 'none');
    },
    databases: () => null,
    reload: async () => {
      calls.push('reload');
      return { isTaken: true, generation: 2, issues: [] };
    },
    explain: (method, url, headers) => {
      calls.push(`explain ${method} ${url} ${headers.join('|')}`);
      if (url.includes('%zz')) throw new GatewayError('GW_PROTOCOL_MALFORMED', 'bad path');
      return {
        matched: 'pay',
        parameters: { id: '7' },
        candidates: [
          { route: 'gold', isMatch: false, why: 'header x-tier is not gold' },
          { route: 'pay', isMatch: true, why: '' },
        ],
        why: '',
      };
    },
    services: () => [
      { name: 'wallet', balance: 'random', requests: 3, errors: 1, active: 0, endpoints: [] },
    ],
    latency: (route) => {
      const slot = routes.slotOf(route);
      return slot === undefined ? null : reader.histogram(slot);
    },
    plugins: () => [{ ...PLUGIN, name: 'auth' }],
    pushPlugin: async (plugin, bytes, options) => {
      calls.push(`push ${plugin} ${bytes.length} ${JSON.stringify(options)}`);
      if (bytes.length === 3) throw new GatewayError('GW_PLUGIN_NOT_WASM', 'three bytes');
      const previous = PLUGIN.sha256;
      const { canaryShare } = options;
      return { plugin, sha256: previous, previous, canaryShare, switchMs: 2, isUnchanged: false };
    },
    changePlugin: async (change) => {
      calls.push(`change ${JSON.stringify(change)}`);
      if (change.action === 'promote') throw new GatewayError('GW_PLUGIN_CONFLICT', 'no canary');
    },
    drain: () => {
      calls.push('drain');
    },
  };
}
