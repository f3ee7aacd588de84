// The routes as a trie of path segments per host, in plain objects: the first half of compiling a
// route table. Refuses what the table has no room for, naming the route; it does not judge whether
// a route makes sense, which the configuration has done.

import { SEGMENTS_COUNT_MAX } from '../../assembly/shared/router-layout.ts';
import { GatewayError, PATH_PARAMETERS_COUNT_MAX, type RouteSpec } from '../core/index.ts';

/** A distinct path prefix below one host. Lists hold route indexes. */
export interface TrieNode {
  readonly parent: TrieNode | null;
  /** The segment; `''` for a parameter's node and for a root, which have none. */
  readonly literal: string;
  readonly isLiteral: boolean;
  children: Map<string, TrieNode> | null;
  param: TrieNode | null;
  exact: number[] | null;
  prefix: number[] | null;
  /** Only at a root. */
  regex: number[] | null;
  /** Where the node lies in the table; 0 until it is placed. */
  offset: number;
}

export interface RouteTrie {
  /** Every node, each after its parent. */
  readonly nodes: readonly TrieNode[];
  /** By host: `example.com`, or `.example.com` for `*.example.com`. */
  readonly hosts: ReadonlyMap<string, TrieNode>;
  readonly anyRoot: TrieNode | null;
}

/** Builds the trie; lists are in the order of precedence. Cost: O(all paths), one object a node. */
export function buildTrie(specs: readonly RouteSpec[]): RouteTrie {
  const builder = new TrieBuilder();
  specs.forEach((spec, route) => {
    builder.add(spec, route);
  });
  builder.sortLists(specs);
  return builder;
}

class TrieBuilder implements RouteTrie {
  readonly nodes: TrieNode[] = [];
  readonly hosts = new Map<string, TrieNode>();
  anyRoot: TrieNode | null = null;

  add(spec: RouteSpec, route: number): void {
    const root = this.#root(spec, route);
    if (spec.path.startsWith('~')) {
      root.regex ??= [];
      root.regex.push(route);
      return;
    }
    const segments = segmentsOf(spec, route);
    const isPrefix = segments.at(-1) === '*';
    if (isPrefix) segments.pop();
    let node = root;
    for (const segment of segments) node = this.#child(node, segment);
    if (isPrefix) {
      node.prefix ??= [];
      node.prefix.push(route);
    } else {
      node.exact ??= [];
      node.exact.push(route);
    }
  }

  sortLists(specs: readonly RouteSpec[]): void {
    for (const { exact, prefix, regex } of this.nodes) {
      for (const list of [exact, prefix, regex]) {
        if (list !== null && list.length > 1) {
          list.sort((left, right) => compareInList(specs[left]!, specs[right]!) || left - right);
        }
      }
    }
  }

  #root(spec: RouteSpec, route: number): TrieNode {
    if (spec.host === '') {
      this.anyRoot ??= this.#push(null, '', 'other');
      return this.anyRoot;
    }
    const host = spec.host.startsWith('*.') ? spec.host.slice(1) : spec.host;
    if (host === '.' || (host.startsWith('.') && host === spec.host)) {
      throw new GatewayError('GW_CONFIG_BAD_VALUE', `route ${route} has the host '${spec.host}'`);
    }
    let root = this.hosts.get(host);
    if (root === undefined) {
      root = this.#push(null, '', 'other');
      this.hosts.set(host, root);
    }
    return root;
  }

  #child(node: TrieNode, segment: string): TrieNode {
    if (isParameter(segment)) {
      node.param ??= this.#push(node, '', 'other');
      return node.param;
    }
    node.children ??= new Map();
    let child = node.children.get(segment);
    if (child === undefined) {
      child = this.#push(node, segment, 'literal');
      node.children.set(segment, child);
    }
    return child;
  }

  #push(parent: TrieNode | null, literal: string, kind: 'literal' | 'other'): TrieNode {
    const node: TrieNode = {
      parent,
      literal,
      isLiteral: kind === 'literal',
      children: null,
      param: null,
      exact: null,
      prefix: null,
      regex: null,
      offset: 0,
    };
    this.nodes.push(node);
    return node;
  }
}

/** Routes of one path: a named method first, then more conditions; the file's order is the rest. */
function compareInList(left: RouteSpec, right: RouteSpec): number {
  const leftAny = left.methods.length === 0 ? 1 : 0;
  const rightAny = right.methods.length === 0 ? 1 : 0;
  if (leftAny !== rightAny) return leftAny - rightAny;
  return right.headers.length + right.query.length - left.headers.length - left.query.length;
}

function segmentsOf({ path }: RouteSpec, route: number): string[] {
  if (!path.startsWith('/')) {
    throw new GatewayError(
      'GW_CONFIG_BAD_VALUE',
      `route ${route} has the path '${path}', which begins with neither '/' nor '~'`,
    );
  }
  const segments = path.slice(1).split('/');
  if (segments.length > SEGMENTS_COUNT_MAX) {
    throw new GatewayError(
      'GW_CONFIG_LIMIT',
      `route ${route} has ${segments.length} path segments, the limit is ${SEGMENTS_COUNT_MAX}`,
    );
  }
  let count = 0;
  for (const segment of segments) if (isParameter(segment)) count++;
  if (count > PATH_PARAMETERS_COUNT_MAX) {
    throw new GatewayError(
      'GW_CONFIG_LIMIT',
      `route ${route} has ${count} path parameters, the limit is ${PATH_PARAMETERS_COUNT_MAX}`,
    );
  }
  return segments;
}

function isParameter(segment: string): boolean {
  return segment.length > 2 && segment.startsWith('{') && segment.endsWith('}');
}
