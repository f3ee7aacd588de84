// Compiles routes into the bytes of a route table (picture: assembly/shared/router-layout.ts). The
// bytes hold no address, so any thread may compile and the main thread only copies. Refuses to
// write into shared memory itself: a table that fails half-way would lie there.

import { TABLES_SIZE_BYTES } from '../../assembly/shared/memory-map.ts';
import * as layout from '../../assembly/shared/router-layout.ts';
import { GatewayError, ROUTES_COUNT_MAX, type RouteSpec } from '../core/index.ts';
import { RouteNames } from './route-fields.ts';
import { hashBytes, hashHost, hashLiteral, slotKey } from './route-hash.ts';
import { buildTrie, type RouteTrie, type TrieNode } from './route-trie.ts';

/** A reload needs room for two tables at once. */
export const TABLE_SIZE_BYTES_MAX = Math.floor(TABLES_SIZE_BYTES / 2);

/** Compiles routes; a route's index is its place in `specs`. The order of `specs` is the order in
 *  the file. Shape: see router-layout.ts, position-independent.
 *  Errors: GW_CONFIG_LIMIT, GW_CONFIG_BAD_VALUE. Cost: O(all paths), 0.5 s for 100,000 routes. */
export function encodeRouteTable(specs: readonly RouteSpec[]): Uint8Array<ArrayBuffer> {
  if (specs.length > ROUTES_COUNT_MAX) {
    throw new GatewayError(
      'GW_CONFIG_LIMIT',
      `${specs.length} routes, the limit is ${ROUTES_COUNT_MAX}`,
    );
  }
  const encoder = new TableEncoder(specs);
  return encoder.encode();
}

interface Slots {
  readonly offset: number;
  readonly mask: number;
}

class TableEncoder {
  readonly #specs: readonly RouteSpec[];
  readonly #names: RouteNames;
  readonly #trie: RouteTrie;
  readonly #bytes: Buffer<ArrayBuffer>;
  readonly #words: Int32Array;
  readonly #sizeBytes: number;
  /** Where the next record goes; always a multiple of 4. */
  #at = layout.TABLE_HEADER_SIZE_BYTES;

  constructor(specs: readonly RouteSpec[]) {
    this.#specs = specs;
    this.#names = new RouteNames(specs);
    this.#trie = buildTrie(specs);
    this.#sizeBytes = tableSize(specs, this.#trie, this.#names);
    if (this.#sizeBytes > TABLE_SIZE_BYTES_MAX) {
      throw new GatewayError(
        'GW_CONFIG_LIMIT',
        `the route table needs ${this.#sizeBytes} bytes, the limit is ${TABLE_SIZE_BYTES_MAX}`,
      );
    }
    const memory = new ArrayBuffer(this.#sizeBytes);
    this.#bytes = Buffer.from(memory);
    this.#words = new Int32Array(memory);
  }

  encode(): Uint8Array<ArrayBuffer> {
    const { hosts, nodes } = this.#trie;
    const queryCount = queryFieldsCount(this.#names);
    const slots = this.#reserveSlots(literalsCount(nodes));
    const hostSlots = this.#reserveSlots(hosts.size);
    const fieldSlots = this.#reserveSlots(queryCount);
    this.#word(layout.TABLE_SLOTS_OFFSET, slots.offset);
    this.#word(layout.TABLE_SLOT_MASK_OFFSET, slots.mask);
    this.#word(layout.TABLE_HOST_SLOTS_OFFSET, hosts.size === 0 ? 0 : hostSlots.offset);
    this.#word(layout.TABLE_HOST_MASK_OFFSET, hostSlots.mask);
    this.#word(layout.TABLE_FIELD_SLOTS_OFFSET, queryCount === 0 ? 0 : fieldSlots.offset);
    this.#word(layout.TABLE_FIELD_MASK_OFFSET, fieldSlots.mask);
    this.#placeNodes(nodes);
    for (const node of nodes) this.#writeNode(node, slots);
    for (const [host, root] of hosts) this.#writeHost(host, root, hostSlots);
    this.#word(layout.TABLE_FIELDS_OFFSET, this.#at);
    this.#writeFields(fieldSlots);
    this.#word(layout.TABLE_METHODS_OFFSET, this.#at);
    this.#writeMethods();
    this.#writeHeader();
    return new Uint8Array(this.#bytes.buffer);
  }

  #writeHeader(): void {
    this.#word(layout.TABLE_MAGIC_OFFSET, layout.TABLE_MAGIC);
    this.#word(layout.TABLE_VERSION_OFFSET, layout.TABLE_VERSION);
    this.#word(layout.TABLE_SIZE_OFFSET, this.#sizeBytes);
    this.#word(layout.TABLE_ROUTES_COUNT_OFFSET, this.#specs.length);
    this.#word(layout.TABLE_ANY_ROOT_OFFSET, this.#trie.anyRoot?.offset ?? 0);
    this.#word(layout.TABLE_FIELDS_COUNT_OFFSET, this.#names.fields.length);
    this.#word(layout.TABLE_METHODS_COUNT_OFFSET, this.#names.customMethods.length);
  }

  #reserveSlots(count: number): Slots {
    const slots = { offset: this.#at, mask: slotsCount(count) - 1 };
    this.#at += slotsCount(count) * layout.SLOT_SIZE_BYTES;
    return slots;
  }

  /** Children's offsets stand in their parents, so that all are placed before any is written. */
  #placeNodes(nodes: readonly TrieNode[]): void {
    for (const node of nodes) {
      node.offset = this.#at;
      this.#at += nodeSize(node);
    }
  }

  #writeNode(node: TrieNode, slots: Slots): void {
    const { offset, parent, literal } = node;
    const size = this.#writeText(literal, offset + layout.NODE_LITERAL_OFFSET);
    this.#word(offset + layout.NODE_PARENT_OFFSET, parent?.offset ?? 0);
    this.#word(offset + layout.NODE_LITERAL_SIZE_OFFSET, size);
    this.#word(offset + layout.NODE_LITERAL_CHILDREN_COUNT_OFFSET, node.children?.size ?? 0);
    this.#word(offset + layout.NODE_PARAM_CHILD_OFFSET, node.param?.offset ?? 0);
    this.#word(offset + layout.NODE_EXACT_LIST_OFFSET, this.#writeList(node.exact));
    this.#word(offset + layout.NODE_PREFIX_LIST_OFFSET, this.#writeList(node.prefix));
    this.#word(offset + layout.NODE_REGEX_LIST_OFFSET, this.#writeList(node.regex));
    if (parent === null || !node.isLiteral) return;
    const start = (offset + layout.NODE_LITERAL_OFFSET) >> 2;
    const key = slotKey(parent.offset, hashLiteral(this.#words, start, size));
    this.#fillSlot(slots, key, offset);
  }

  #writeList(routes: readonly number[] | null): number {
    if (routes === null) return 0;
    const list = this.#at;
    this.#at += routes.length * layout.ENTRY_SIZE_BYTES;
    routes.forEach((route, index) => {
      const entry = list + index * layout.ENTRY_SIZE_BYTES;
      const spec = this.#specs[route]!;
      const isLast = index === routes.length - 1;
      const [low, high] = this.#names.methodMask(spec.methods);
      this.#word(
        entry + layout.ENTRY_ROUTE_OFFSET,
        isLast ? route | (1 << layout.ENTRY_LAST_BIT) : route,
      );
      this.#word(entry + layout.ENTRY_METHODS_OFFSET, low);
      this.#word(entry + layout.ENTRY_METHODS_OFFSET + 4, high);
      this.#word(entry + layout.ENTRY_CONDITIONS_OFFSET, this.#writeConditions(spec));
    });
    return list;
  }

  #writeConditions({ headers, query }: RouteSpec): number {
    const count = headers.length + query.length;
    if (count === 0) return 0;
    const offset = this.#at;
    this.#word(offset, count);
    this.#at += layout.CONDITIONS_HEADER_SIZE_BYTES;
    for (const field of headers) this.#writeCondition(this.#names.headerIndex(field.name), field);
    for (const field of query) this.#writeCondition(this.#names.queryIndex(field.name), field);
    return offset;
  }

  #writeCondition(field: number, { op, value }: RouteSpec['headers'][number]): void {
    const size = this.#writeText(value, this.#at + layout.CONDITION_VALUE_OFFSET);
    this.#word(this.#at + layout.CONDITION_FIELD_OFFSET, field);
    this.#word(this.#at + layout.CONDITION_OP_OFFSET, CONDITION_OPS[op]);
    this.#word(this.#at + layout.CONDITION_VALUE_SIZE_OFFSET, size);
    this.#at += layout.CONDITION_HEADER_SIZE_BYTES + padded(size);
  }

  #writeHost(host: string, root: TrieNode, slots: Slots): void {
    const record = this.#at;
    const size = this.#writeText(host, record + layout.HOST_BYTES_OFFSET);
    this.#word(record + layout.HOST_ROOT_OFFSET, root.offset);
    this.#word(record + layout.HOST_SIZE_OFFSET, size);
    this.#at += layout.HOST_BYTES_OFFSET + padded(size);
    const start = record + layout.HOST_BYTES_OFFSET;
    const key = hashHost(this.#bytes.subarray(start, start + size));
    this.#fillSlot(slots, key, record);
  }

  #writeFields(slots: Slots): void {
    for (const { index, kind, name } of this.#names.fields) {
      const record = this.#at;
      const start = record + layout.FIELD_NAME_OFFSET;
      const size = this.#writeText(name, start);
      this.#word(record + layout.FIELD_INDEX_OFFSET, index);
      this.#word(record + layout.FIELD_KIND_OFFSET, kind);
      this.#word(record + layout.FIELD_NAME_SIZE_OFFSET, size);
      this.#at += layout.FIELD_NAME_OFFSET + padded(size);
      if (kind !== layout.FIELD_KIND_QUERY) continue;
      this.#fillSlot(slots, hashBytes(this.#bytes.subarray(start, start + size)), record);
    }
  }

  #writeMethods(): void {
    for (const method of this.#names.customMethods) {
      const size = this.#writeText(method, this.#at + 4);
      this.#word(this.#at, size);
      this.#at += 4 + padded(size);
    }
  }

  #fillSlot({ offset, mask }: Slots, key: number, record: number): void {
    let at = key & mask;
    while (this.#words[(offset + at * layout.SLOT_SIZE_BYTES + 4) >> 2] !== 0) at = (at + 1) & mask;
    this.#word(offset + at * layout.SLOT_SIZE_BYTES, key);
    this.#word(offset + at * layout.SLOT_SIZE_BYTES + 4, record);
  }

  #word(offset: number, value: number): void {
    this.#words[offset >> 2] = value;
  }

  #writeText(text: string, offset: number): number {
    return text === '' ? 0 : this.#bytes.write(text, offset, 'utf8');
  }
}

const CONDITION_OPS = {
  equals: layout.CONDITION_OP_EQUALS,
  present: layout.CONDITION_OP_PRESENT,
  prefix: layout.CONDITION_OP_PREFIX,
} as const;

function tableSize(specs: readonly RouteSpec[], trie: RouteTrie, names: RouteNames): number {
  let size = layout.TABLE_HEADER_SIZE_BYTES + layout.TABLE_PADDING_SIZE_BYTES;
  size += slotsCount(literalsCount(trie.nodes)) * layout.SLOT_SIZE_BYTES;
  size += slotsCount(trie.hosts.size) * layout.SLOT_SIZE_BYTES;
  size += slotsCount(queryFieldsCount(names)) * layout.SLOT_SIZE_BYTES;
  for (const node of trie.nodes) size += nodeSize(node);
  for (const host of trie.hosts.keys()) size += layout.HOST_BYTES_OFFSET + textSize(host);
  for (const { name } of names.fields) size += layout.FIELD_NAME_OFFSET + textSize(name);
  for (const method of names.customMethods) size += 4 + textSize(method);
  for (const { headers, query } of specs) {
    size += layout.ENTRY_SIZE_BYTES;
    if (headers.length + query.length > 0) size += layout.CONDITIONS_HEADER_SIZE_BYTES;
    for (const { value } of headers) size += layout.CONDITION_HEADER_SIZE_BYTES + textSize(value);
    for (const { value } of query) size += layout.CONDITION_HEADER_SIZE_BYTES + textSize(value);
  }
  return (size + 7) & ~7;
}

function nodeSize({ literal }: TrieNode): number {
  return layout.NODE_HEADER_SIZE_BYTES + ((Buffer.byteLength(literal) + 7) & ~7);
}

function textSize(text: string): number {
  return padded(Buffer.byteLength(text));
}

function padded(sizeBytes: number): number {
  return (sizeBytes + 3) & ~3;
}

function queryFieldsCount({ fields }: RouteNames): number {
  return fields.filter((field) => field.kind === layout.FIELD_KIND_QUERY).length;
}

function literalsCount(nodes: readonly TrieNode[]): number {
  let count = 0;
  for (const node of nodes) if (node.isLiteral) count++;
  return count;
}

/** A power of two, at least twice `count`, so that a search always meets an empty slot. */
function slotsCount(count: number): number {
  let slots = 2;
  while (slots < count * 2) slots *= 2;
  return slots;
}
