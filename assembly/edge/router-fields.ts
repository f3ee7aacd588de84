// Conditions on headers and on the query. Values arrive only when a candidate asks for them, and
// only those of names that some condition uses: the host writes header values, loadQuery cuts the
// query. Refuses to keep a value twice or to cut one short: what does not fit is STATUS_TOO_LONG.

import {
  CONDITION_FIELD_OFFSET,
  CONDITION_HEADER_SIZE_BYTES,
  CONDITION_OP_EQUALS,
  CONDITION_OP_OFFSET,
  CONDITION_OP_PRESENT,
  CONDITION_VALUE_OFFSET,
  CONDITION_VALUE_SIZE_OFFSET,
  CONDITIONS_HEADER_SIZE_BYTES,
  FIELD_HEADS_OFFSET,
  FIELD_INDEX_OFFSET,
  FIELD_NAME_OFFSET,
  FIELD_NAME_SIZE_OFFSET,
  QUERY_OFFSET,
  SLOT_SIZE_BYTES,
  TABLE_FIELD_MASK_OFFSET,
  TABLE_FIELD_SLOTS_OFFSET,
  VALUE_BYTES_OFFSET,
  VALUE_NEXT_OFFSET,
  VALUE_SIZE_OFFSET,
  VALUES_END_OFFSET,
} from '../shared/router-layout';
import { STATUS_OK, STATUS_TOO_LONG } from '../shared/status';
import { bytesEqual, fnv } from './router-hash';
import { decodeTriplet } from './router-path';

const AMPERSAND: i32 = 0x26;
const EQUALS: i32 = 0x3d;
const PERCENT: i32 = 0x25;
const PLUS: i32 = 0x2b;
const SPACE: i32 = 0x20;

/** Whether all conditions of a route hold. Cost: O(conditions x occurrences of their names). */
export function conditionsHold(scratch: usize, conditions: usize): bool {
  // In bounds: the encoder wrote `count` records in a row; values are padded to 4 and followed by
  // at least 8 bytes of the table.
  let condition = conditions + CONDITIONS_HEADER_SIZE_BYTES;
  for (let left = load<i32>(conditions); left > 0; left--) {
    if (!conditionHolds(scratch, condition)) return false;
    const size = load<i32>(condition + CONDITION_VALUE_SIZE_OFFSET);
    condition += CONDITION_HEADER_SIZE_BYTES + ((size + 3) & ~3);
  }
  return true;
}

function conditionHolds(scratch: usize, condition: usize): bool {
  const op = load<i32>(condition + CONDITION_OP_OFFSET);
  const wanted = condition + CONDITION_VALUE_OFFSET;
  const wantedSize = load<i32>(condition + CONDITION_VALUE_SIZE_OFFSET);
  // In bounds: a field index is below FIELDS_COUNT_MAX, the count of heads; the chain's places were
  // written for this request inside the values area.
  let value = load<i32>(
    scratch + FIELD_HEADS_OFFSET + (load<i32>(condition + CONDITION_FIELD_OFFSET) << 2),
  );
  while (value != 0) {
    if (op == CONDITION_OP_PRESENT) return true;
    const ptr = scratch + value;
    const size = load<i32>(ptr + VALUE_SIZE_OFFSET);
    const fits = op == CONDITION_OP_EQUALS ? size == wantedSize : size >= wantedSize;
    if (fits && bytesEqual(ptr + VALUE_BYTES_OFFSET, wanted, wantedSize)) return true;
    value = load<i32>(ptr + VALUE_NEXT_OFFSET);
  }
  return false;
}

/** Cuts the query at `&`, decodes names and values, and keeps the values that conditions ask for
 *  from `valuesStart` on. A `%` without two hex digits stands for itself.
 *  Errors: STATUS_TOO_LONG. Cost: O(query), no allocation. */
export function loadQuery(scratch: usize, table: usize, querySize: i32, valuesStart: i32): i32 {
  const query = scratch + QUERY_OFFSET;
  let valuesEnd = valuesStart;
  let start = 0;
  // In bounds: start <= end <= querySize, which the caller checked.
  while (start < querySize) {
    let end = start;
    while (end < querySize && load<u8>(query + end) != AMPERSAND) end++;
    if (end > start) {
      let nameEnd = start;
      while (nameEnd < end && load<u8>(query + nameEnd) != EQUALS) nameEnd++;
      const nameSize = decodeField(query + start, nameEnd - start, query + start);
      const field = findField(table, query + start, nameSize);
      if (field >= 0) {
        const valueStart = nameEnd < end ? nameEnd + 1 : end;
        valuesEnd = keepValue(scratch, field, query + valueStart, end - valueStart, valuesEnd);
        if (valuesEnd < 0) return valuesEnd;
      }
    }
    start = end + 1;
  }
  return STATUS_OK;
}

/** Decodes a value to the end of the values area and links it. Returns the area's new end. */
function keepValue(scratch: usize, field: i32, source: usize, size: i32, at: i32): i32 {
  // In bounds: a decoded value is no longer than its source, and eight more bytes of the scratch
  // area follow VALUES_END_OFFSET.
  if (at + VALUE_BYTES_OFFSET + size > VALUES_END_OFFSET) return STATUS_TOO_LONG;
  const ptr = scratch + at;
  const valueSize = decodeField(source, size, ptr + VALUE_BYTES_OFFSET);
  const head = scratch + FIELD_HEADS_OFFSET + (field << 2);
  store<i32>(ptr + VALUE_NEXT_OFFSET, load<i32>(head));
  store<i32>(ptr + VALUE_SIZE_OFFSET, valueSize);
  store<i32>(head, at);
  return at + VALUE_BYTES_OFFSET + ((valueSize + 3) & ~3);
}

/** Decodes `%XX` and `+`. The target may be the source. Returns the decoded size. */
function decodeField(source: usize, sizeBytes: i32, target: usize): i32 {
  let size = 0;
  // In bounds: size <= index < sizeBytes; a triplet is read only when it lies before sizeBytes.
  for (let index = 0; index < sizeBytes; index++) {
    let byte: i32 = load<u8>(source + index);
    if (byte == PLUS) byte = SPACE;
    if (byte == PERCENT && index + 2 < sizeBytes) {
      const value = decodeTriplet(source + index);
      if (value >= 0) {
        byte = value;
        index += 2;
      }
    }
    store<u8>(target + size, byte);
    size++;
  }
  return size;
}

/** The index of a query name that conditions use, -1 for the others. */
function findField(table: usize, name: usize, sizeBytes: i32): i32 {
  const key = fnv(name, sizeBytes);
  const slots = table + load<u32>(table + TABLE_FIELD_SLOTS_OFFSET);
  const mask = load<i32>(table + TABLE_FIELD_MASK_OFFSET);
  // In bounds: the mask keeps the slot inside; half of the slots are empty, so the search ends.
  let at = key & mask;
  while (true) {
    const slot = load<u64>(slots + <u32>at * SLOT_SIZE_BYTES);
    at = (at + 1) & mask;
    const record = table + <u32>(slot >> 32);
    if (record == table) return -1;
    if (<i32>slot != key || load<i32>(record + FIELD_NAME_SIZE_OFFSET) != sizeBytes) continue;
    // In bounds: the query area and the table are padded.
    if (bytesEqual(record + FIELD_NAME_OFFSET, name, sizeBytes)) {
      return load<i32>(record + FIELD_INDEX_OFFSET);
    }
  }
}
