// Which database a request is for, and what of it: by the path where the route has `{database}`,
// else by the `x-namespace` header or the first label of the host.

import { type Exchange, headerValue } from '../../core/index.ts';
import { DATABASE_NAME_EXPECTED, isDatabaseName } from '../catalog/names.ts';
import type { Encoding, Endpoint } from '../hrana/index.ts';
import { REPLICATION_ACTIONS, REPLICATION_SEGMENT } from '../replication/index.ts';

const PARAMETER = '{database}';
/** What stands behind the database in a URL whose client has dropped its name. */
const VERSIONS = new Set(['v1', 'v2', 'v3', 'v3-protobuf']);

export interface RouteShape {
  /** Segments before what the protocol adds. */
  readonly segmentsCount: number;
  /** Which of them is the database; -1 for none. */
  readonly databaseIndex: number;
}

export type Target =
  | { readonly kind: 'found'; readonly database: string; readonly rest: string }
  /** A follower's question. `action`: a place in REPLICATION_ACTIONS. */
  | { readonly kind: 'replication'; readonly action: number; readonly database: string }
  | { readonly kind: 'refused'; readonly message: string };

/** `prefix`: of the route, as `/db/{database}`. */
export function routeShape(prefix: string): RouteShape {
  const segments = prefix.split('/').slice(1);
  const isEmpty = prefix === '' || prefix === '/';
  return {
    segmentsCount: isEmpty ? 0 : segments.length,
    databaseIndex: segments.indexOf(PARAMETER),
  };
}

export function findTarget(exchange: Exchange, shape: RouteShape): Target {
  const segments = exchange.path.split('/').slice(1);
  const rest = segments.slice(shape.segmentsCount).join('/');
  if (shape.databaseIndex < 0) {
    const [first = '', ...others] = rest.split('/');
    if (first === REPLICATION_SEGMENT) return questionOf(others);
    return named(headerName(exchange), rest);
  }
  const name = segments[shape.databaseIndex] ?? '';
  if (name === REPLICATION_SEGMENT) return questionOf(rest.split('/'));
  if (VERSIONS.has(name)) {
    const message =
      `"${name}" is no database: a URL of a database ends with a slash, ` +
      `http://host/…/NAME/, or its client drops the name`;
    return { kind: 'refused', message };
  }
  return named(name, rest);
}

function questionOf([word = '', database = '', ...more]: readonly string[]): Target {
  const action = (REPLICATION_ACTIONS as readonly string[]).indexOf(word);
  const isNamed = word === 'state' ? database === '' : isDatabaseName(database);
  if (action >= 0 && isNamed && more.length === 0) return { kind: 'replication', action, database };
  return { kind: 'refused', message: 'no question of a follower' };
}

function named(database: string, rest: string): Target {
  if (isDatabaseName(database)) return { kind: 'found', database, rest };
  const shown = JSON.stringify(database.slice(0, 80));
  const message = `${shown} is no name of a database, expected ${DATABASE_NAME_EXPECTED}`;
  return { kind: 'refused', message };
}

function headerName(exchange: Exchange): string {
  const { authority } = exchange;
  return headerValue(exchange.headers, 'x-namespace') ?? authority.split(/[.:]/, 1)[0]!;
}

export interface Call {
  readonly endpoint: Endpoint;
  readonly encoding: Encoding;
}

/** What is asked of a database, by method and the rest of the path. */
export const CALLS: ReadonlyMap<string, Call> = new Map([
  ['v1/execute', { endpoint: 'execute', encoding: 'json' }],
  ['v1/batch', { endpoint: 'batch', encoding: 'json' }],
  ['v2/pipeline', { endpoint: 'pipeline', encoding: 'json' }],
  ['v3/pipeline', { endpoint: 'pipeline', encoding: 'json' }],
  ['v3/cursor', { endpoint: 'cursor', encoding: 'json' }],
  ['v3-protobuf/pipeline', { endpoint: 'pipeline', encoding: 'protobuf' }],
  ['v3-protobuf/cursor', { endpoint: 'cursor', encoding: 'protobuf' }],
]);

/** What a client asks to learn what is served. */
export const CHECKS: ReadonlySet<string> = new Set([
  'v1',
  'v2',
  'v3',
  'v3-protobuf',
  'health',
  'version',
]);
