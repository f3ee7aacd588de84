// Routes as one worker runs them. Each is made ready when it is first asked for, so that a hundred
// thousand of them cost a worker nothing until they are used.

import type { RouteConfig, Snapshot } from '../config/index.ts';
import {
  type ExchangeHandler,
  type FilterChain,
  type FilterPlane,
  GatewayError,
  type Random,
  type RoutePlane,
  toByteString,
} from '../core/index.ts';
import type { Limiter, LimiterPolicy } from '../kernels/index.ts';
import type { ClientAddress } from './client-address.ts';
import {
  compileRedirectResponse,
  compileRespond,
  type DirectResponder,
} from './direct-response.ts';
import { type CompiledOperations, compileHeaderOperations } from './header-operations.ts';
import { compileKeySource, type KeyReader } from './key-source.ts';
import { parameterNames } from './path-parameters.ts';
import { RateHeaders } from './rate-headers.ts';
import { RateRefusals } from './rate-refusals.ts';
import { RegexChecks } from './regex-check.ts';
import { compilePathRewrite, type TemplateRenderer } from './rewrite.ts';
import type { ServiceRuntime, ServiceSet } from './services.ts';
import { ServiceSplit } from './split.ts';

export interface RouteRuntime {
  readonly config: RouteConfig;
  readonly seriesSlot: number;
  /** Null unless the path is a regular expression. */
  readonly regex: RegexChecks | null;
  /** Null where nothing is limited. */
  readonly rates: RateRuntime | null;
  /** Null where no plugin runs. */
  readonly filters: FilterChain | null;
  readonly requestOperations: CompiledOperations | null;
  readonly responseOperations: CompiledOperations | null;
  /** Whether anything reads what the path captured. */
  readonly needsCapture: boolean;
  readonly action: RouteActionRuntime;
}

export type RouteActionRuntime =
  | { readonly kind: 'proxy'; readonly proxy: ProxyRuntime }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly bodySizeBytes: number;
      readonly answer: DirectResponder;
    }
  | { readonly kind: 'plane'; readonly handle: ExchangeHandler };

export interface ProxyRuntime {
  readonly split: ServiceSplit;
  /** The reader of each service's `hashOn`, where it has one. */
  readonly hashKeys: ReadonlyMap<ServiceRuntime, KeyReader>;
  readonly rewritePath: TemplateRenderer | null;
  readonly rewriteHost: string;
}

export interface RateRuntime {
  readonly policies: readonly LimiterPolicy[];
  readonly keys: readonly KeyReader[];
  readonly headers: RateHeaders;
  /** What a refused client is told, per policy. */
  readonly refusals: readonly RateRefusals[];
}

export interface RouteDeps {
  readonly limiter: Limiter;
  readonly random: Random;
  /** What answers distribution routes; null where none is configured. */
  readonly distribution: RoutePlane | null;
  /** What runs plugins; null where none is configured. */
  readonly filters: FilterPlane | null;
  /** What answers routes of databases; null where there are none. */
  readonly db: RoutePlane | null;
}

export class RouteSet {
  readonly #snapshot: Snapshot;
  readonly #seriesSlots: Int32Array;
  readonly #services: ServiceSet;
  readonly #clientAddress: ClientAddress;
  readonly #deps: RouteDeps;
  readonly #ready: (RouteRuntime | undefined)[];

  constructor(
    snapshot: Snapshot,
    seriesSlots: Int32Array,
    services: ServiceSet,
    clientAddress: ClientAddress,
    deps: RouteDeps,
  ) {
    this.#snapshot = snapshot;
    this.#seriesSlots = seriesSlots;
    this.#services = services;
    this.#clientAddress = clientAddress;
    this.#deps = deps;
    this.#ready = new Array(snapshot.routeCount);
  }

  /** The service that a request on this route goes to. */
  pickService(proxy: ProxyRuntime): ServiceRuntime {
    return this.#services.service(proxy.split.pick());
  }

  route(index: number): RouteRuntime {
    return this.#ready[index] ?? this.#makeReady(index);
  }

  #makeReady(index: number): RouteRuntime {
    const config = this.#snapshot.route(index);
    const { path } = config.match;
    const responseOperations = compileHeaderOperations(config.responseHeaders);
    const rates = this.#rates(config);
    const action = this.#action(config, responseOperations);
    const route: RouteRuntime = {
      config,
      seriesSlot: this.#seriesSlots[index]!,
      regex: path.startsWith('~') ? new RegexChecks([config.match]) : null,
      rates,
      filters: this.#filters(config),
      requestOperations: compileHeaderOperations(config.requestHeaders),
      responseOperations,
      needsCapture:
        config.action.kind === 'redirect' ||
        (action.kind === 'proxy' &&
          (action.proxy.rewritePath !== null || action.proxy.hashKeys.size > 0)) ||
        config.rate.some((rate) => rate.key.kind === 'path'),
      action,
    };
    this.#ready[index] = route;
    return route;
  }

  #action(config: RouteConfig, operations: CompiledOperations | null): RouteActionRuntime {
    const { action, match } = config;
    switch (action.kind) {
      case 'respond':
        return {
          kind: 'answer',
          status: action.status,
          bodySizeBytes: Buffer.byteLength(action.body),
          answer: compileRespond(action, operations),
        };
      case 'redirect':
        return {
          kind: 'answer',
          status: action.status,
          bodySizeBytes: 0,
          answer: compileRedirectResponse(action, match.path, operations),
        };
      case 'distribution': {
        const { distribution } = this.#deps;
        if (distribution === null) {
          throw new GatewayError('GW_INTERNAL', 'a distribution route without the plane');
        }
        // Only prefixes are configured: `/r/*`.
        const prefix = match.path.slice(0, -2);
        const { channels } = action;
        return { kind: 'plane', handle: distribution.handler({ prefix, channels }) };
      }
      case 'db': {
        const { db } = this.#deps;
        if (db === null) throw new GatewayError('GW_INTERNAL', 'a db route without the plane');
        const prefix = match.path.slice(0, -2);
        return { kind: 'plane', handle: db.handler({ prefix, channels: [] }) };
      }
      case 'proxy': {
        const hashKeys = new Map<ServiceRuntime, KeyReader>();
        for (const target of action.to) {
          const service = this.#services.service(target.service);
          const { hashOn } = service.config;
          if (hashOn !== null) hashKeys.set(service, compileKeySource(hashOn, this.#keys(config)));
        }
        const proxy: ProxyRuntime = {
          split: new ServiceSplit(action.to, this.#deps.random),
          hashKeys,
          rewritePath: compilePathRewrite(action.rewrite.path, match.path),
          rewriteHost: toByteString(action.rewrite.host),
        };
        return { kind: 'proxy', proxy };
      }
    }
  }

  #filters(config: RouteConfig): FilterChain | null {
    if (config.filters.length === 0) return null;
    const { filters } = this.#deps;
    if (filters === null) throw new GatewayError('GW_INTERNAL', 'filters without plugins');
    return filters.chain(config.filters);
  }

  #rates(config: RouteConfig): RateRuntime | null {
    if (config.rate.length === 0) return null;
    const headers = new RateHeaders(config.rate);
    return {
      // The bucket's name holds what a name cannot hold, so that two pairs are never one.
      policies: config.rate.map((rate) =>
        this.#deps.limiter.policy(`${config.name}\n${rate.name}`, rate),
      ),
      keys: config.rate.map((rate) => compileKeySource(rate.key, this.#keys(config))),
      headers,
      refusals: config.rate.map((rate, index) => new RateRefusals(rate, headers, index)),
    };
  }

  #keys(config: RouteConfig) {
    return {
      routeName: config.name,
      parameterNames: parameterNames(config.match.path),
      clientAddress: this.#clientAddress,
    };
  }
}
