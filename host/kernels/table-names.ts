// Reads the names that a placed table asks for back into maps, once per table and worker. Query
// names are not read: the kernel looks them up itself.

import {
  FIELD_INDEX_OFFSET,
  FIELD_KIND_HEADER,
  FIELD_KIND_OFFSET,
  FIELD_NAME_OFFSET,
  FIELD_NAME_SIZE_OFFSET,
  METHOD_FIRST_CUSTOM,
  TABLE_FIELDS_COUNT_OFFSET,
  TABLE_FIELDS_OFFSET,
  TABLE_METHODS_COUNT_OFFSET,
  TABLE_METHODS_OFFSET,
} from '../../assembly/shared/router-layout.ts';

/** Field index by name of header, for the headers that conditions of the table look at. */
export function readHeaderFields(memory: Buffer, table: number): Map<string, number> {
  const fields = new Map<string, number>();
  let record = table + memory.readInt32LE(table + TABLE_FIELDS_OFFSET);
  for (let left = memory.readInt32LE(table + TABLE_FIELDS_COUNT_OFFSET); left > 0; left--) {
    const start = record + FIELD_NAME_OFFSET;
    const sizeBytes = memory.readInt32LE(record + FIELD_NAME_SIZE_OFFSET);
    if (memory.readInt32LE(record + FIELD_KIND_OFFSET) === FIELD_KIND_HEADER) {
      const name = memory.toString('utf8', start, start + sizeBytes);
      fields.set(name, memory.readInt32LE(record + FIELD_INDEX_OFFSET));
    }
    record = start + ((sizeBytes + 3) & ~3);
  }
  return fields;
}

/** Method id by name, for the methods of the table that have no fixed id. */
export function readCustomMethods(memory: Buffer, table: number): Map<string, number> {
  const methods = new Map<string, number>();
  const count = memory.readInt32LE(table + TABLE_METHODS_COUNT_OFFSET);
  let record = table + memory.readInt32LE(table + TABLE_METHODS_OFFSET);
  for (let index = 0; index < count; index++) {
    const sizeBytes = memory.readInt32LE(record);
    const name = memory.toString('utf8', record + 4, record + 4 + sizeBytes);
    methods.set(name, METHOD_FIRST_CUSTOM + index);
    record += 4 + ((sizeBytes + 3) & ~3);
  }
  return methods;
}
