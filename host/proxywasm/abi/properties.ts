// Properties, in Envoy's encodings: text as its bytes, whole numbers and times as 8 bytes,
// little-endian (times in ns), booleans as one byte, maps as pairs. A path is a list of names with
// a zero between them.

import { headerValue, joinedHeaderValue } from '../../core/index.ts';
import type { ExchangeMaps } from '../contexts.ts';
import {
  HOST_COPY_SIZE_BYTES_LOG2,
  HOST_TEXT_SIZE_BYTES_LOG2,
  PATH_SIZE_BYTES_LOG2,
  PROPERTIES_COUNT_MAX,
  PROPERTY_PATH_SIZE_BYTES_MAX,
  PROPERTY_VALUE_SIZE_BYTES_MAX,
} from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { pairsSizeBytes, writePairs } from './pairs.ts';
import {
  BAD_ARGUMENT,
  INVALID_MEMORY_ACCESS,
  MAP_REQUEST_HEADERS,
  MAP_REQUEST_TRAILERS,
  MAP_RESPONSE_HEADERS,
  MAP_RESPONSE_TRAILERS,
  NOT_FOUND,
  OK,
} from './values.ts';

/** A property's value: bytes, or a byte string. Undefined where there is none. */
type Value = Uint8Array | string | undefined;

const NANOSECONDS_PER_MS = 1_000_000;
const DIRECTION_INBOUND = 1;

export function propertyFunctions(vm: Vm): HostFunctions {
  return {
    proxy_get_property(
      pathPtr: number,
      pathSizeBytes: number,
      outPtr: number,
      outSizePtr: number,
    ): number {
      const path = vm.memory.text(pathPtr, pathSizeBytes);
      if (path === null) return INVALID_MEMORY_ACCESS;
      if (path.length > PROPERTY_PATH_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      vm.charge(path.length >> PATH_SIZE_BYTES_LOG2);
      const value = propertyOf(vm, path);
      if (value === undefined) return NOT_FOUND;
      if (typeof value === 'string') return vm.memory.giveText(value, outPtr, outSizePtr);
      vm.charge(value.length >> HOST_TEXT_SIZE_BYTES_LOG2);
      return vm.memory.give(value, outPtr, outSizePtr);
    },
    proxy_set_property(
      pathPtr: number,
      pathSizeBytes: number,
      valuePtr: number,
      valueSizeBytes: number,
    ): number {
      const path = vm.memory.text(pathPtr, pathSizeBytes);
      const value = vm.memory.bytes(valuePtr, valueSizeBytes);
      if (path === null || value === null) return INVALID_MEMORY_ACCESS;
      if (path === '' || path.length > PROPERTY_PATH_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      if (value.length > PROPERTY_VALUE_SIZE_BYTES_MAX) return BAD_ARGUMENT;
      vm.charge(value.length >> HOST_COPY_SIZE_BYTES_LOG2);
      const context = vm.effective;
      const owner = context.kind === 'stream' ? context.exchange : context;
      owner.properties ??= new Map();
      const kept = owner.properties;
      const name = withoutEnd(path);
      if (!kept.has(name) && kept.size >= PROPERTIES_COUNT_MAX) return BAD_ARGUMENT;
      kept.set(name, Uint8Array.from(value));
      return OK;
    },
  };
}

/** Some SDKs end a path with a zero. */
function withoutEnd(path: string): string {
  return path.endsWith('\0') ? path.slice(0, -1) : path;
}

function propertyOf(vm: Vm, given: string): Value {
  const path = withoutEnd(given);
  const names = path.split('\0');
  const context = vm.effective;
  const own = pluginProperty(vm, names);
  if (own !== undefined) return own;
  if (context.kind === 'stream') {
    const found = exchangeProperty(context.exchange, names);
    if (found !== undefined) return found;
  }
  const owner = context.kind === 'stream' ? context.exchange : context;
  return owner.properties?.get(path);
}

function pluginProperty(vm: Vm, names: readonly string[]): Value {
  if (names.length > 1) return undefined;
  switch (names[0]) {
    case 'plugin_root_id':
      return vm.spec.rootId;
    case 'plugin_name':
      return vm.spec.name;
    case 'plugin_vm_id':
      return vm.spec.vmId;
    case 'listener_direction':
      return integer(DIRECTION_INBOUND);
    default:
      return undefined;
  }
}

function exchangeProperty(exchange: ExchangeMaps, names: readonly string[]): Value {
  const { facts } = exchange;
  const [first, second] = names;
  switch (first) {
    case 'route_name':
      return facts.routeName;
    case 'cluster_name':
      return filled(facts.serviceName);
    case 'xds':
      if (second === 'route_name') return facts.routeName;
      return second === 'cluster_name' ? filled(facts.serviceName) : undefined;
    case 'request':
      return requestProperty(exchange, second, names[2]);
    case 'response':
      return responseProperty(exchange, second, names[2]);
    case 'source':
      return addressProperty(second, facts.peerAddress, facts.peerPort);
    case 'destination':
      return addressProperty(second, facts.localAddress, facts.localPort);
    case 'upstream':
      return second === 'address' ? filled(facts.endpointAddress) : undefined;
    case 'connection':
      return second === 'mtls' ? Uint8Array.of(0) : undefined;
    default:
      return undefined;
  }
}

function requestProperty(exchange: ExchangeMaps, name?: string, key?: string): Value {
  const { facts, maps } = exchange;
  const headers = maps[MAP_REQUEST_HEADERS] ?? [];
  const header = (wanted: string): Value => headerValue(headers, wanted);
  switch (name) {
    case 'path':
      return header(':path');
    case 'url_path':
      return headerValue(headers, ':path')?.split('?', 1)[0];
    case 'query':
      return /\?(.*)$/s.exec(headerValue(headers, ':path') ?? '')?.[1] ?? '';
    case 'host':
      return header(':authority');
    case 'method':
      return header(':method');
    case 'scheme':
      return header(':scheme');
    case 'referer':
      return header('referer');
    case 'useragent':
      return header('user-agent');
    case 'id':
      return header('x-request-id');
    case 'protocol':
      return facts.httpVersion === '2.0' ? 'HTTP/2' : 'HTTP/1.1';
    case 'time':
      return integer(facts.startWallMs * NANOSECONDS_PER_MS);
    case 'duration':
      return integer(facts.durationMs * NANOSECONDS_PER_MS);
    case 'size':
      return integer(facts.requestBodySizeBytes);
    case 'total_size':
      return integer(facts.requestBodySizeBytes + headersSizeBytes(headers));
    case 'headers':
      return mapProperty(headers, key);
    case 'trailers':
      return mapProperty(maps[MAP_REQUEST_TRAILERS] ?? [], key);
    default:
      return undefined;
  }
}

function responseProperty(exchange: ExchangeMaps, name?: string, key?: string): Value {
  const { facts, maps } = exchange;
  const headers = maps[MAP_RESPONSE_HEADERS];
  if (headers === null || headers === undefined) return undefined;
  switch (name) {
    case 'code':
    case 'status':
      return integer(Number(headerValue(headers, ':status') ?? 0));
    case 'code_details':
      return exchange.responseDetails === '' ? 'via_upstream' : exchange.responseDetails;
    case 'flags':
      return integer(0);
    case 'grpc_status': {
      const status = headerValue(headers, 'grpc-status');
      return status === undefined ? undefined : integer(Number(status) || 0);
    }
    case 'content_type':
      return headerValue(headers, 'content-type');
    case 'size':
      return integer(facts.responseBodySizeBytes);
    case 'total_size':
      return integer(facts.responseBodySizeBytes + headersSizeBytes(headers));
    case 'headers':
      return mapProperty(headers, key);
    case 'trailers':
      return mapProperty(maps[MAP_RESPONSE_TRAILERS] ?? [], key);
    default:
      return undefined;
  }
}

function addressProperty(name: string | undefined, address: string, port: number): Value {
  if (name === 'port') return integer(port);
  if (name !== 'address' || address === '') return undefined;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** One header, or all of them as pairs. */
function mapProperty(headers: readonly string[], key: string | undefined): Value {
  if (key !== undefined) return joinedHeaderValue(headers, key.toLowerCase());
  const bytes = Buffer.alloc(pairsSizeBytes(headers));
  writePairs(headers, bytes, 0);
  return bytes;
}

function headersSizeBytes(headers: readonly string[]): number {
  return headers.reduce((sum, text) => sum + text.length, 0);
}

function filled(text: string): Value {
  return text === '' ? undefined : text;
}

function integer(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(Math.round(value)));
  return bytes;
}
