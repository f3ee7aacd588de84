// The kernel behind the same face as the oracle: a table is compiled, published and walked to the
// end of its candidates.

import {
  STATUS_BAD_PATH,
  STATUS_NOT_FOUND,
  STATUS_TOO_LONG,
} from '../../assembly/shared/status.ts';
import type { RouteSpec } from '../../host/core/index.ts';
import { type EdgeInstance, Matcher, RouteTables } from '../../host/kernels/index.ts';
import { edgeInstance } from '../support/wasm.ts';
import type { Candidate, Outcome, RouterRequest } from './router-oracle.ts';

const ENDS: Readonly<Record<number, Outcome['end']>> = {
  [STATUS_NOT_FOUND]: 'not-found',
  [STATUS_BAD_PATH]: 'bad-path',
  [STATUS_TOO_LONG]: 'too-long',
};

export class RouterSubject {
  readonly instance: EdgeInstance;
  readonly tables: RouteTables;
  readonly matcher: Matcher;

  constructor(instance = edgeInstance()) {
    this.instance = instance;
    this.tables = new RouteTables(instance);
    this.matcher = new Matcher(instance);
  }

  load(specs: readonly RouteSpec[]): void {
    this.tables.publish(this.tables.compile(specs));
    this.matcher.acquire();
    this.tables.freeRetired();
  }

  outcome(request: RouterRequest): Outcome {
    const { method, authority, path, query, headers } = request;
    const candidates: Candidate[] = [];
    let status = this.matcher.match(method, authority, path, query, headers);
    const normalisedPath = this.matcher.normalisedPath;
    while (status >= 0) {
      candidates.push(this.#candidate(status));
      status = this.matcher.next();
    }
    const end = ENDS[status];
    if (end === undefined) throw new Error(`the kernel answered ${status}`);
    return { candidates, end, normalisedPath };
  }

  #candidate(route: number): Candidate {
    const params: string[] = [];
    for (let index = 0; index < this.matcher.paramCount; index++) {
      params.push(this.matcher.param(index));
    }
    return {
      route,
      needsHostCheck: this.matcher.needsHostCheck,
      params,
      suffix: this.matcher.suffix,
    };
  }
}
