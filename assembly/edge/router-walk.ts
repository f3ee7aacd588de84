// Walks the trie of a host depth-first in the order of precedence: literal, parameter, then what
// ends here. Refuses recursion: the frames lie in the scratch area, so that the walk can stop at a
// candidate and go on from there. A walk visits each node at most once.

import {
  ENTRY_CONDITIONS_OFFSET,
  ENTRY_LAST_BIT,
  ENTRY_METHODS_OFFSET,
  ENTRY_ROUTE_MASK,
  ENTRY_SIZE_BYTES,
  FRAME_SIZE_BYTES,
  FRAME_STAGE_OFFSET,
  FRAMES_OFFSET,
  LIST_EXACT,
  LIST_PREFIX,
  LIST_REGEX,
  NODE_EXACT_LIST_OFFSET,
  NODE_LITERAL_CHILDREN_COUNT_OFFSET,
  NODE_LITERAL_OFFSET,
  NODE_LITERAL_SIZE_OFFSET,
  NODE_PARAM_CHILD_OFFSET,
  NODE_PARENT_OFFSET,
  NODE_PREFIX_LIST_OFFSET,
  NODE_REGEX_LIST_OFFSET,
  PATH_OFFSET,
  RESULT_FLAG_HOST_CHECK,
  RESULT_FLAGS_OFFSET,
  RESULT_PARAMS_COUNT_OFFSET,
  RESULT_PARAMS_OFFSET,
  RESULT_PATH_SIZE_OFFSET,
  RESULT_SUFFIX_START_OFFSET,
  ROOTS_COUNT_MAX,
  ROOTS_OFFSET,
  ROUTER_NEEDS_FIELDS,
  SLOT_SIZE_BYTES,
  STATE_DEPTH_OFFSET,
  STATE_ENTRY_OFFSET,
  STATE_FIELDS_LOADED_OFFSET,
  STATE_FIRST_ROOT_OFFSET,
  STATE_LIST_OFFSET,
  STATE_METHOD_OFFSET,
  STATE_PARAMS_COUNT_OFFSET,
  STATE_PARAMS_OFFSET,
  STATE_ROOT_OFFSET,
  STATE_SEGMENTS_COUNT_OFFSET,
  TABLE_SLOT_MASK_OFFSET,
  TABLE_SLOTS_OFFSET,
} from '../shared/router-layout';
import { STATUS_NOT_FOUND } from '../shared/status';
import { conditionsHold } from './router-fields';
import { bytesEqual, hashSegment, slotKey } from './router-hash';
import { segmentHashPtr, segmentStart } from './router-path';

// What is left to try at a node: its literal child, its parameter's child, what ends here. A node
// whose parameter's child is being walked waits at GIVEN_BACK: coming back to it, the walk drops
// the captured parameter.
const STAGE_LITERAL: i32 = 0;
const STAGE_PARAM: i32 = 1;
const STAGE_GIVEN_BACK: i32 = 2;
const STAGE_PREFIX: i32 = 3;
const STAGE_DONE: i32 = 4;

/** Puts the walk before the first candidate of the first root. */
export function startWalk(scratch: usize): void {
  store<i32>(scratch + STATE_ENTRY_OFFSET, 0);
  startRoot(scratch, load<i32>(scratch + STATE_FIRST_ROOT_OFFSET));
}

function startRoot(scratch: usize, root: i32): void {
  store<i32>(scratch + STATE_ROOT_OFFSET, root);
  store<i32>(scratch + STATE_PARAMS_COUNT_OFFSET, 0);
  if (root >= ROOTS_COUNT_MAX) {
    store<i32>(scratch + STATE_DEPTH_OFFSET, -1);
    return;
  }
  store<i32>(scratch + STATE_DEPTH_OFFSET, 0);
  // In bounds: root is below the count of places.
  storeFrame(scratch, 0, load<i32>(scratch + ROOTS_OFFSET + (root << 2)), STAGE_LITERAL);
}

/** The next candidate whose method and conditions hold.
 *  Errors: STATUS_NOT_FOUND; ROUTER_NEEDS_FIELDS. Cost: O(nodes on matching branches). */
export function nextCandidate(scratch: usize, table: usize): i32 {
  const method = <u64>load<i32>(scratch + STATE_METHOD_OFFSET);
  let entry = <usize>load<u32>(scratch + STATE_ENTRY_OFFSET);
  while (true) {
    while (entry != 0) {
      // In bounds: an entry is 16 bytes inside the table, and the last of a list says so.
      const route = load<i32>(entry);
      const isLast = <u32>route >> ENTRY_LAST_BIT;
      const following: usize = isLast ? <usize>0 : entry + ENTRY_SIZE_BYTES;
      if ((load<u64>(entry + ENTRY_METHODS_OFFSET) >> method) & 1) {
        const conditions = load<u32>(entry + ENTRY_CONDITIONS_OFFSET);
        if (conditions != 0 && load<i32>(scratch + STATE_FIELDS_LOADED_OFFSET) == 0) {
          store<u32>(scratch + STATE_ENTRY_OFFSET, <u32>entry);
          return ROUTER_NEEDS_FIELDS;
        }
        if (conditions == 0 || conditionsHold(scratch, table + conditions)) {
          store<u32>(scratch + STATE_ENTRY_OFFSET, <u32>following);
          writeResult(scratch);
          return route & ENTRY_ROUTE_MASK;
        }
      }
      entry = following;
    }
    const list = nextList(scratch, table);
    if (list == 0) {
      store<u32>(scratch + STATE_ENTRY_OFFSET, 0);
      return STATUS_NOT_FOUND;
    }
    entry = table + list;
  }
}

/** Walks to the next node that ends a route; returns its list of routes, 0 when there is none.
 *  The frame being looked at lives in locals; it is stored when the walk goes down or stops. */
function nextList(scratch: usize, table: usize): i32 {
  const segments = load<i32>(scratch + STATE_SEGMENTS_COUNT_OFFSET);
  let depth = load<i32>(scratch + STATE_DEPTH_OFFSET);
  if (depth < 0) {
    depth = nextRoot(scratch);
    if (depth < 0) return 0;
  }
  let node = frameNode(scratch, depth);
  let stage = frameStage(scratch, depth);
  while (true) {
    if (depth < segments) {
      if (stage == STAGE_LITERAL) {
        stage = STAGE_PARAM;
        if (load<i32>(table + node + NODE_LITERAL_CHILDREN_COUNT_OFFSET) != 0) {
          const child = literalChild(scratch, table, node, depth);
          if (child != 0) {
            storeFrame(scratch, depth++, node, STAGE_PARAM);
            node = child;
            stage = STAGE_LITERAL;
            continue;
          }
        }
      }
      if (stage == STAGE_PARAM) {
        const child = load<i32>(table + node + NODE_PARAM_CHILD_OFFSET);
        if (child != 0 && segmentStart(scratch, depth + 1) - segmentStart(scratch, depth) > 1) {
          pushParam(scratch, depth);
          storeFrame(scratch, depth++, node, STAGE_GIVEN_BACK);
          node = child;
          stage = STAGE_LITERAL;
          continue;
        }
      }
      if (stage == STAGE_GIVEN_BACK) popParam(scratch);
    } else if (stage < STAGE_PREFIX) {
      const list = load<i32>(table + node + NODE_EXACT_LIST_OFFSET);
      if (list != 0) return stopAt(scratch, depth, node, STAGE_PREFIX, LIST_EXACT, list);
    }
    if (stage < STAGE_DONE) {
      const list = load<i32>(table + node + NODE_PREFIX_LIST_OFFSET);
      if (list != 0) return stopAt(scratch, depth, node, STAGE_DONE, LIST_PREFIX, list);
    }
    if (--depth < 0) {
      // The root's trie is done: its regular expressions come last, then the next root.
      const list = load<i32>(table + node + NODE_REGEX_LIST_OFFSET);
      if (list != 0) return stopAt(scratch, depth, node, STAGE_DONE, LIST_REGEX, list);
      depth = nextRoot(scratch);
      if (depth < 0) return 0;
    }
    node = frameNode(scratch, depth);
    stage = frameStage(scratch, depth);
  }
}

/** Goes on to the next root. Returns its depth, 0, or -1 when there is none. */
function nextRoot(scratch: usize): i32 {
  const root = load<i32>(scratch + STATE_ROOT_OFFSET);
  if (root >= ROOTS_COUNT_MAX) return -1;
  startRoot(scratch, root + 1);
  return load<i32>(scratch + STATE_DEPTH_OFFSET);
}

/** Remembers where the walk stopped. */
function stopAt(scratch: usize, depth: i32, node: i32, stage: i32, kind: i32, list: i32): i32 {
  store<i32>(scratch + STATE_DEPTH_OFFSET, depth);
  store<i32>(scratch + STATE_LIST_OFFSET, kind);
  // A depth of -1 stands for a root whose trie is done, which has no frame to keep.
  if (depth >= 0) storeFrame(scratch, depth, node, stage);
  return list;
}

// In bounds, here and below: depth <= the count of segments <= SEGMENTS_COUNT_MAX, and there is one
// frame more than that.
function storeFrame(scratch: usize, depth: i32, node: i32, stage: i32): void {
  const frame = scratch + FRAMES_OFFSET + depth * FRAME_SIZE_BYTES;
  store<i32>(frame, node);
  store<i32>(frame + FRAME_STAGE_OFFSET, stage);
}

function frameNode(scratch: usize, depth: i32): i32 {
  return load<i32>(scratch + FRAMES_OFFSET + depth * FRAME_SIZE_BYTES);
}

function frameStage(scratch: usize, depth: i32): i32 {
  return load<i32>(scratch + FRAMES_OFFSET + depth * FRAME_SIZE_BYTES + FRAME_STAGE_OFFSET);
}

function pushParam(scratch: usize, segment: i32): void {
  const count = load<i32>(scratch + STATE_PARAMS_COUNT_OFFSET);
  // In bounds: no route of a table has more than 16 parameters, and a branch belongs to a route.
  store<i32>(scratch + STATE_PARAMS_OFFSET + (count << 2), segment);
  store<i32>(scratch + STATE_PARAMS_COUNT_OFFSET, count + 1);
}

function popParam(scratch: usize): void {
  const ptr = scratch + STATE_PARAMS_COUNT_OFFSET;
  store<i32>(ptr, load<i32>(ptr) - 1);
}

/** The child for the segment at `depth`, 0 for none. */
function literalChild(scratch: usize, table: usize, node: i32, depth: i32): i32 {
  const start = segmentStart(scratch, depth);
  const size = segmentStart(scratch, depth + 1) - start - 1;
  const segment = scratch + PATH_OFFSET + start;
  const hashPtr = segmentHashPtr(scratch, depth);
  let hash = load<i32>(hashPtr);
  if (hash == 0) {
    hash = hashSegment(segment, size);
    store<i32>(hashPtr, hash);
  }
  const key = slotKey(node, hash);
  const slots = table + load<u32>(table + TABLE_SLOTS_OFFSET);
  const mask = load<i32>(table + TABLE_SLOT_MASK_OFFSET);
  // In bounds: the mask keeps the slot inside; half of the slots are empty, so the search ends.
  let at = key & mask;
  while (true) {
    const slot = load<u64>(slots + <u32>at * SLOT_SIZE_BYTES);
    at = (at + 1) & mask;
    const child = <i32>(slot >> 32);
    if (child == 0) return 0;
    if (<i32>slot != key) continue;
    const record = table + child;
    if (load<i32>(record + NODE_PARENT_OFFSET) != node) continue;
    if (load<i32>(record + NODE_LITERAL_SIZE_OFFSET) != size) continue;
    // In bounds: both literals are inside their areas, and each area is padded.
    if (bytesEqual(record + NODE_LITERAL_OFFSET, segment, size)) return child;
  }
}

function writeResult(scratch: usize): void {
  const kind = load<i32>(scratch + STATE_LIST_OFFSET);
  const depth = load<i32>(scratch + STATE_DEPTH_OFFSET);
  const isRegex = kind == LIST_REGEX;
  const count = isRegex ? 0 : load<i32>(scratch + STATE_PARAMS_COUNT_OFFSET);
  store<i32>(scratch + RESULT_FLAGS_OFFSET, isRegex ? RESULT_FLAG_HOST_CHECK : 0);
  store<i32>(scratch + RESULT_PARAMS_COUNT_OFFSET, count);
  const suffixStart =
    kind == LIST_PREFIX
      ? segmentStart(scratch, depth) - 1
      : load<i32>(scratch + RESULT_PATH_SIZE_OFFSET);
  store<i32>(scratch + RESULT_SUFFIX_START_OFFSET, suffixStart);
  for (let index = 0; index < count; index++) {
    // In bounds: count <= 16, the places of both rows; the segment lies before the end mark.
    const segment = load<i32>(scratch + STATE_PARAMS_OFFSET + (index << 2));
    const place = scratch + RESULT_PARAMS_OFFSET + (index << 3);
    store<i32>(place, segmentStart(scratch, segment));
    store<i32>(place + 4, segmentStart(scratch, segment + 1) - 1);
  }
}
