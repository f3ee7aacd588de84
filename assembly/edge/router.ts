// The router: finds the routes of a request in the order of their precedence, one at a time. All
// it knows of a request lies in the worker's scratch area, all it knows of routes in a table that
// nobody changes (pictures: assembly/shared/router-layout.ts). It tests no regular expression and
// takes no decision that needs more than bytes: the host does, and asks for the next candidate.

import {
  SCRATCH_OFFSET,
  SCRATCH_STRIDE_BYTES,
  TABLES_OFFSET,
  WORKERS_MAX,
} from '../shared/memory-map';
import {
  FIELD_HEADS_OFFSET,
  FNV_BASIS,
  HOST_AREA_OFFSET,
  HOST_BYTES_OFFSET,
  HOST_ROOT_OFFSET,
  HOST_SIZE_BYTES_MAX,
  HOST_SIZE_OFFSET,
  METHOD_OTHER,
  PATH_SIZE_BYTES_MAX,
  QUERY_SIZE_BYTES_MAX,
  ROOTS_COUNT_MAX,
  ROOTS_OFFSET,
  SLOT_SIZE_BYTES,
  STATE_DEPTH_OFFSET,
  STATE_ENTRY_OFFSET,
  STATE_FIELDS_LOADED_OFFSET,
  STATE_FIRST_ROOT_OFFSET,
  STATE_METHOD_OFFSET,
  STATE_ROOT_OFFSET,
  STATE_TABLE_OFFSET,
  TABLE_ANY_ROOT_OFFSET,
  TABLE_FIELD_SLOTS_OFFSET,
  TABLE_FIELDS_COUNT_OFFSET,
  TABLE_HOST_MASK_OFFSET,
  TABLE_HOST_SLOTS_OFFSET,
  TABLE_MAGIC,
  TABLE_MAGIC_OFFSET,
  TABLE_VERSION,
  TABLE_VERSION_OFFSET,
  VALUES_END_OFFSET,
  VALUES_OFFSET,
} from '../shared/router-layout';
import {
  STATUS_BAD_ARGUMENT,
  STATUS_BAD_TABLE,
  STATUS_OK,
  STATUS_TOO_LONG,
} from '../shared/status';
import { loadQuery } from './router-fields';
import { bytesEqual, fnvStep } from './router-hash';
import { preparePath } from './router-path';
import { nextCandidate, startWalk } from './router-walk';

const DOT: i32 = 0x2e;

/** Makes `table` the one this worker matches against, for any host until routerHost is called.
 *  Errors: STATUS_BAD_ARGUMENT; STATUS_BAD_TABLE. Who calls holds the table. */
export function routerOpen(workerIndex: i32, table: u32): i32 {
  if (!isWorker(workerIndex) || table < <u32>TABLES_OFFSET) return STATUS_BAD_ARGUMENT;
  // In bounds: the worker index is checked; a table the arena placed lies inside its region.
  const scratch = scratchOf(workerIndex);
  if (load<i32>(table + TABLE_MAGIC_OFFSET) != TABLE_MAGIC) return STATUS_BAD_TABLE;
  if (load<i32>(table + TABLE_VERSION_OFFSET) != TABLE_VERSION) return STATUS_BAD_TABLE;
  store<u32>(scratch + STATE_TABLE_OFFSET, table);
  endWalk(scratch);
  const anyRoot = load<i32>(table + TABLE_ANY_ROOT_OFFSET);
  store<i32>(scratch + STATE_FIRST_ROOT_OFFSET, pushRoot(scratch, ROOTS_COUNT_MAX, anyRoot));
  return STATUS_OK;
}

/** Selects the roots for the host whose bytes lie in the host area.
 *  Errors: STATUS_BAD_ARGUMENT; STATUS_TOO_LONG. Cost: O(host), no allocation. */
export function routerHost(workerIndex: i32, sizeBytes: i32): i32 {
  if (!isWorker(workerIndex) || sizeBytes < 0) return STATUS_BAD_ARGUMENT;
  if (sizeBytes > HOST_SIZE_BYTES_MAX) return STATUS_TOO_LONG;
  const scratch = scratchOf(workerIndex);
  const table = <usize>load<u32>(scratch + STATE_TABLE_OFFSET);
  if (table == 0) return STATUS_BAD_ARGUMENT;
  endWalk(scratch);
  let first = pushRoot(scratch, ROOTS_COUNT_MAX, load<i32>(table + TABLE_ANY_ROOT_OFFSET));
  if (load<i32>(table + TABLE_HOST_SLOTS_OFFSET) != 0) {
    const host = scratch + HOST_AREA_OFFSET;
    let hash: i32 = FNV_BASIS;
    let byte: i32 = 0;
    // In bounds: at < sizeBytes <= HOST_SIZE_BYTES_MAX. From the end on, so that each suffix's hash
    // is at hand when its dot is reached, and the longest suffix lands before the shorter ones.
    for (let at = sizeBytes - 1; at >= 0; at--) {
      byte = load<u8>(host + at);
      hash = fnvStep(hash, byte);
      if (byte == DOT && at > 0) {
        first = pushRoot(scratch, first, findHost(table, hash, host + at, sizeBytes - at));
      }
    }
    // A host that begins with a dot must not be taken for the suffix of a wildcard.
    if (byte != DOT) first = pushRoot(scratch, first, findHost(table, hash, host, sizeBytes));
  }
  store<i32>(scratch + STATE_FIRST_ROOT_OFFSET, first);
  return STATUS_OK;
}

/** Finds the first candidate for the path whose bytes lie in the path area.
 *  Shape: a route index, or a status; ROUTER_NEEDS_FIELDS asks for routerFields and routerNext.
 *  Errors: STATUS_BAD_ARGUMENT, STATUS_TOO_LONG, STATUS_BAD_PATH, STATUS_NOT_FOUND.
 *  Cost: O(path + nodes on matching branches), no allocation. */
export function routerMatch(workerIndex: i32, pathSize: i32, method: i32): i32 {
  if (!isWorker(workerIndex) || pathSize < 0) return STATUS_BAD_ARGUMENT;
  if (<u32>method > <u32>METHOD_OTHER) return STATUS_BAD_ARGUMENT;
  if (pathSize > PATH_SIZE_BYTES_MAX) return STATUS_TOO_LONG;
  const scratch = scratchOf(workerIndex);
  const table = <usize>load<u32>(scratch + STATE_TABLE_OFFSET);
  if (table == 0) return STATUS_BAD_ARGUMENT;
  const status = preparePath(scratch, pathSize);
  if (status != STATUS_OK) {
    endWalk(scratch);
    return status;
  }
  store<i32>(scratch + STATE_METHOD_OFFSET, method);
  store<i32>(scratch + STATE_FIELDS_LOADED_OFFSET, 0);
  startWalk(scratch);
  return nextCandidate(scratch, table);
}

/** Finds the next candidate of the same request. Shape and errors: as routerMatch. */
export function routerNext(workerIndex: i32): i32 {
  if (!isWorker(workerIndex)) return STATUS_BAD_ARGUMENT;
  const scratch = scratchOf(workerIndex);
  const table = <usize>load<u32>(scratch + STATE_TABLE_OFFSET);
  if (table == 0) return STATUS_BAD_ARGUMENT;
  return nextCandidate(scratch, table);
}

/** Drops the request: routerNext finds nothing more. */
export function routerEnd(workerIndex: i32): i32 {
  if (!isWorker(workerIndex)) return STATUS_BAD_ARGUMENT;
  endWalk(scratchOf(workerIndex));
  return STATUS_OK;
}

/** Forgets the values of an earlier request, before the host writes those of this one. */
export function routerFieldsClear(workerIndex: i32): i32 {
  if (!isWorker(workerIndex)) return STATUS_BAD_ARGUMENT;
  const scratch = scratchOf(workerIndex);
  const table = <usize>load<u32>(scratch + STATE_TABLE_OFFSET);
  if (table == 0) return STATUS_BAD_ARGUMENT;
  // In bounds: a table has at most FIELDS_COUNT_MAX fields, the count of heads.
  memory.fill(scratch + FIELD_HEADS_OFFSET, 0, load<i32>(table + TABLE_FIELDS_COUNT_OFFSET) << 2);
  return STATUS_OK;
}

/** Takes over the header values that the host wrote up to `valuesEnd`, and cuts the query whose
 *  bytes lie in the query area. Errors: STATUS_BAD_ARGUMENT, STATUS_TOO_LONG. */
export function routerFields(workerIndex: i32, querySize: i32, valuesEnd: i32): i32 {
  if (!isWorker(workerIndex)) return STATUS_BAD_ARGUMENT;
  if (valuesEnd < VALUES_OFFSET || valuesEnd > VALUES_END_OFFSET) return STATUS_BAD_ARGUMENT;
  if (querySize < 0) return STATUS_BAD_ARGUMENT;
  if (querySize > QUERY_SIZE_BYTES_MAX) return STATUS_TOO_LONG;
  const scratch = scratchOf(workerIndex);
  const table = <usize>load<u32>(scratch + STATE_TABLE_OFFSET);
  if (table == 0) return STATUS_BAD_ARGUMENT;
  if (load<i32>(table + TABLE_FIELD_SLOTS_OFFSET) != 0) {
    const status = loadQuery(scratch, table, querySize, valuesEnd);
    if (status != STATUS_OK) {
      endWalk(scratch);
      return status;
    }
  }
  store<i32>(scratch + STATE_FIELDS_LOADED_OFFSET, 1);
  return STATUS_OK;
}

function isWorker(workerIndex: i32): bool {
  return <u32>workerIndex < <u32>WORKERS_MAX;
}

function scratchOf(workerIndex: i32): usize {
  return SCRATCH_OFFSET + workerIndex * SCRATCH_STRIDE_BYTES;
}

/** Leaves nothing for routerNext to find. */
function endWalk(scratch: usize): void {
  store<i32>(scratch + STATE_ENTRY_OFFSET, 0);
  store<i32>(scratch + STATE_DEPTH_OFFSET, -1);
  store<i32>(scratch + STATE_ROOT_OFFSET, ROOTS_COUNT_MAX);
}

/** Puts a root before the others, unless it is 0. Returns the index of the first. */
function pushRoot(scratch: usize, first: i32, root: i32): i32 {
  if (root == 0) return first;
  // In bounds: a host has at most HOST_SIZE_BYTES_MAX suffixes, itself and any host are two more,
  // and ROOTS_COUNT_MAX is larger.
  store<i32>(scratch + ROOTS_OFFSET + ((first - 1) << 2), root);
  return first - 1;
}

/** The root of a host or of a `.suffix`, 0 for none. */
function findHost(table: usize, key: i32, host: usize, sizeBytes: i32): i32 {
  const slots = table + load<u32>(table + TABLE_HOST_SLOTS_OFFSET);
  const mask = load<i32>(table + TABLE_HOST_MASK_OFFSET);
  // In bounds: the mask keeps the slot inside; half of the slots are empty, so the search ends.
  let at = key & mask;
  while (true) {
    const slot = load<u64>(slots + <u32>at * SLOT_SIZE_BYTES);
    at = (at + 1) & mask;
    const record = table + <u32>(slot >> 32);
    if (record == table) return 0;
    if (<i32>slot != key || load<i32>(record + HOST_SIZE_OFFSET) != sizeBytes) continue;
    // In bounds: the host area and the table are padded.
    if (bytesEqual(record + HOST_BYTES_OFFSET, host, sizeBytes)) {
      return load<i32>(record + HOST_ROOT_OFFSET);
    }
  }
}
