// The names that a set of routes asks for - header and query names in conditions, methods outside
// the common ones - numbered once per table. Refuses more than a table's fixed widths can hold.

import {
  FIELD_KIND_HEADER,
  FIELD_KIND_QUERY,
  FIELDS_COUNT_MAX,
  METHOD_FIRST_CUSTOM,
  METHOD_OTHER,
} from '../../assembly/shared/router-layout.ts';
import { GatewayError, type RouteSpec } from '../core/index.ts';

export interface RouteField {
  readonly index: number;
  readonly kind: number;
  readonly name: string;
}

/** The number of a method with a fixed number, -1 for the others. Source: RFC 9110, RFC 5789. */
export function commonMethodId(method: string): number {
  switch (method) {
    case 'GET':
      return 0;
    case 'HEAD':
      return 1;
    case 'POST':
      return 2;
    case 'PUT':
      return 3;
    case 'DELETE':
      return 4;
    case 'PATCH':
      return 5;
    case 'OPTIONS':
      return 6;
    case 'CONNECT':
      return 7;
    case 'TRACE':
      return 8;
    default:
      return -1;
  }
}

/** Names and numbers of one table. */
export class RouteNames {
  readonly fields: RouteField[] = [];
  readonly customMethods: string[] = [];
  readonly #headers = new Map<string, RouteField>();
  readonly #query = new Map<string, RouteField>();
  readonly #methods = new Map<string, number>();

  constructor(specs: readonly RouteSpec[]) {
    for (const spec of specs) {
      for (const { name } of spec.headers) this.#addField(this.#headers, FIELD_KIND_HEADER, name);
      for (const { name } of spec.query) this.#addField(this.#query, FIELD_KIND_QUERY, name);
      for (const method of spec.methods) this.#addMethod(method);
    }
  }

  headerIndex(name: string): number {
    return this.#headers.get(name)!.index;
  }

  queryIndex(name: string): number {
    return this.#query.get(name)!.index;
  }

  /** The low and high half of the set of methods; all bits for any method. */
  methodMask(methods: readonly string[]): readonly [number, number] {
    if (methods.length === 0) return [-1, -1];
    let low = 0;
    let high = 0;
    for (const method of methods) {
      const common = commonMethodId(method);
      const id = common >= 0 ? common : this.#methods.get(method)!;
      if (id < 32) low |= 1 << id;
      else high |= 1 << (id - 32);
    }
    return [low, high];
  }

  #addField(known: Map<string, RouteField>, kind: number, name: string): void {
    if (known.has(name)) return;
    const index = this.fields.length;
    if (index === FIELDS_COUNT_MAX) {
      throw new GatewayError(
        'GW_CONFIG_LIMIT',
        `conditions name more than ${FIELDS_COUNT_MAX} headers and query parameters at '${name}'`,
      );
    }
    const field = { index, kind, name };
    known.set(name, field);
    this.fields.push(field);
  }

  #addMethod(method: string): void {
    if (commonMethodId(method) >= 0 || this.#methods.has(method)) return;
    const limit = METHOD_OTHER - METHOD_FIRST_CUSTOM;
    if (this.customMethods.length === limit) {
      throw new GatewayError(
        'GW_CONFIG_LIMIT',
        `routes name more than ${limit} uncommon methods at '${method}'`,
      );
    }
    this.#methods.set(method, METHOD_FIRST_CUSTOM + this.customMethods.length);
    this.customMethods.push(method);
  }
}
