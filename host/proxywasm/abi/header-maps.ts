// Header maps: the exchange's own, and those that a call to a service brought. Names are lower
// case; what a filter writes is checked here, so that nothing it makes can split a message.

import {
  type HeaderList,
  headerValue,
  isHeaderValue,
  isToken,
  joinedHeaderValue,
  removeHeader,
} from '../../core/index.ts';
import {
  FREE_SEARCH_TEXTS_COUNT,
  HOST_TEXT_SIZE_BYTES_LOG2,
  PAIRS_COUNT_MAX,
  PAIRS_SIZE_BYTES_MAX,
} from '../limits.ts';
import type { Vm } from '../vm.ts';
import type { HostFunctions } from './function.ts';
import { pairsSizeBytes, readPairs, writePairs } from './pairs.ts';
import {
  BAD_ARGUMENT,
  INVALID_MEMORY_ACCESS,
  MAP_CALL_TRAILERS,
  MAP_GRPC_INITIAL,
  MAP_RESPONSE_TRAILERS,
  NOT_FOUND,
  OK,
  PARSE_FAILURE,
  SERIALIZATION_FAILURE,
} from './values.ts';

const NO_VALUE = '';
const NO_HEADERS: HeaderList = [];
/** A cookie's commas are its own: these lines cannot be joined. */
const NEVER_JOINED = 'set-cookie';

export function headerFunctions(vm: Vm): HostFunctions {
  return { ...wholeMapFunctions(vm), ...valueFunctions(vm) };
}

function wholeMapFunctions(vm: Vm): HostFunctions {
  return {
    proxy_get_header_map_pairs(map: number, outPtr: number, outSizePtr: number): number {
      const headers = readableOrEmpty(vm, map);
      if (typeof headers === 'number') return headers;
      const sizeBytes = pairsSizeBytes(headers);
      if (sizeBytes > PAIRS_SIZE_BYTES_MAX) return SERIALIZATION_FAILURE;
      vm.charge(sizeBytes >> HOST_TEXT_SIZE_BYTES_LOG2);
      return vm.memory.giveWritten(sizeBytes, outPtr, outSizePtr, (target, offset) => {
        writePairs(headers, target, offset);
      });
    },
    proxy_set_header_map_pairs(map: number, ptr: number, sizeBytes: number): number {
      const headers = writable(vm, map);
      if (typeof headers === 'number') return headers;
      const bytes = vm.memory.textBytes(ptr, sizeBytes);
      if (bytes === null) return INVALID_MEMORY_ACCESS;
      const given = readPairs(bytes);
      if (given === null) return PARSE_FAILURE;
      if (!given.every((text, index) => (index % 2 === 0 ? isName(text) : isHeaderValue(text)))) {
        return BAD_ARGUMENT;
      }
      headers.splice(0, headers.length, ...given);
      return OK;
    },
    proxy_get_header_map_size(map: number, outPtr: number): number {
      const headers = readable(vm, map);
      if (typeof headers === 'number') return headers;
      chargeSearch(vm, headers);
      return vm.memory.setU32(outPtr, pairsSizeBytes(headers));
    },
  };
}

function valueFunctions(vm: Vm): HostFunctions {
  return {
    proxy_get_header_map_value(
      map: number,
      keyPtr: number,
      keySizeBytes: number,
      outPtr: number,
      outSizePtr: number,
    ): number {
      const headers = readableOrEmpty(vm, map);
      if (typeof headers === 'number') return headers;
      const key = vm.memory.text(keyPtr, keySizeBytes);
      if (key === null) return INVALID_MEMORY_ACCESS;
      const value = headerOf(vm, headers, key.toLowerCase());
      if (value !== undefined) return vm.memory.giveText(value, outPtr, outSizePtr);
      if (vm.module.report.abi !== '0.1.0') return NOT_FOUND;
      return vm.memory.giveText(NO_VALUE, outPtr, outSizePtr);
    },
    proxy_add_header_map_value(
      map: number,
      keyPtr: number,
      keySizeBytes: number,
      valuePtr: number,
      valueSizeBytes: number,
    ): number {
      return change(vm, map, keyPtr, keySizeBytes, valuePtr, valueSizeBytes, 'add');
    },
    proxy_replace_header_map_value(
      map: number,
      keyPtr: number,
      keySizeBytes: number,
      valuePtr: number,
      valueSizeBytes: number,
    ): number {
      return change(vm, map, keyPtr, keySizeBytes, valuePtr, valueSizeBytes, 'replace');
    },
    proxy_remove_header_map_value(map: number, keyPtr: number, keySizeBytes: number): number {
      const headers = writable(vm, map);
      if (typeof headers === 'number') return headers;
      const key = vm.memory.text(keyPtr, keySizeBytes);
      if (key === null) return INVALID_MEMORY_ACCESS;
      chargeSearch(vm, headers);
      removeHeader(headers, key.toLowerCase());
      return OK;
    },
  };
}

/** What it costs to look through a map: a guest may fill one, and ask it again and again. */
function chargeSearch(vm: Vm, headers: HeaderList): void {
  if (headers.length > FREE_SEARCH_TEXTS_COUNT) vm.charge(headers.length >> 3);
}

function headerOf(vm: Vm, headers: HeaderList, key: string): string | undefined {
  chargeSearch(vm, headers);
  if (key === NEVER_JOINED || vm.spec.repeatedHeaders === 'first') return headerValue(headers, key);
  return joinedHeaderValue(headers, key);
}

function change(
  vm: Vm,
  map: number,
  keyPtr: number,
  keySizeBytes: number,
  valuePtr: number,
  valueSizeBytes: number,
  how: 'add' | 'replace',
): number {
  const headers = writable(vm, map);
  if (typeof headers === 'number') return headers;
  const given = vm.memory.text(keyPtr, keySizeBytes);
  const value = vm.memory.text(valuePtr, valueSizeBytes);
  if (given === null || value === null) return INVALID_MEMORY_ACCESS;
  const key = given.toLowerCase();
  if (!isName(key) || !isHeaderValue(value)) return BAD_ARGUMENT;
  chargeSearch(vm, headers);
  if (pairsSizeBytes(headers) + key.length + value.length + 10 > PAIRS_SIZE_BYTES_MAX) {
    return BAD_ARGUMENT;
  }
  if (how === 'replace') replaceHeader(headers, key, value);
  else if (headers.length / 2 >= PAIRS_COUNT_MAX) return BAD_ARGUMENT;
  else headers.push(key, value);
  return OK;
}

/** Replaces in place, so that pseudo headers stay in front. */
function replaceHeader(headers: HeaderList, name: string, value: string): void {
  let kept = 0;
  let isFound = false;
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === name) {
      if (isFound) continue;
      isFound = true;
      headers[kept] = name;
      headers[kept + 1] = value;
    } else {
      headers[kept] = headers[index]!;
      headers[kept + 1] = headers[index + 1]!;
    }
    kept += 2;
  }
  headers.length = kept;
  if (!isFound) headers.push(name, value);
}

/** A token, or one behind a colon. */
function isName(name: string): boolean {
  return isToken(name.startsWith(':') ? name.slice(1) : name);
}

/** A map to read, or why there is none. */
function readable(vm: Vm, map: number): HeaderList | number {
  if (map >= MAP_GRPC_INITIAL && map <= MAP_CALL_TRAILERS) {
    return vm.root.callMaps[map - MAP_GRPC_INITIAL] ?? NOT_FOUND;
  }
  if (map < 0 || map > MAP_CALL_TRAILERS) return BAD_ARGUMENT;
  const context = vm.effective;
  return context.kind === 'stream' ? (context.exchange.maps[map] ?? NOT_FOUND) : NOT_FOUND;
}

/** The same, where a map that is not there has nothing in it: a stream may end without a response,
 *  and the SDK for Rust ends a filter that is told NOT_FOUND of a whole map. */
function readableOrEmpty(vm: Vm, map: number): HeaderList | number {
  const headers = readable(vm, map);
  return headers === NOT_FOUND ? NO_HEADERS : headers;
}

/** A map to change. */
function writable(vm: Vm, map: number): HeaderList | number {
  if (map < 0 || map > MAP_RESPONSE_TRAILERS) return BAD_ARGUMENT;
  const context = vm.effective;
  if (context.kind !== 'stream') return NOT_FOUND;
  const headers = context.exchange.maps[map];
  if (headers === null || headers === undefined) return NOT_FOUND;
  return context.isLogging || !context.exchange.isWritable[map] ? BAD_ARGUMENT : headers;
}
