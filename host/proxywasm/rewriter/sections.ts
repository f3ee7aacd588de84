// A module's sections: where each lies, and what the rewriter has to know of them.
// Source: WebAssembly core specification 2.0, section 5.5.

import { LOCALS_COUNT_MAX, MODULE_ITEMS_COUNT_MAX, TABLE_ENTRIES_COUNT_MAX } from '../limits.ts';
import { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';

export const SECTION_CUSTOM = 0;
export const SECTION_TYPE = 1;
export const SECTION_IMPORT = 2;
export const SECTION_FUNCTION = 3;
export const SECTION_TABLE = 4;
export const SECTION_MEMORY = 5;
export const SECTION_GLOBAL = 6;
export const SECTION_EXPORT = 7;
export const SECTION_START = 8;
export const SECTION_CODE = 10;

/** Section ids in the order in which they must stand; custom ones stand anywhere. */
const ORDER: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];

export interface Section {
  readonly id: number;
  /** Of the contents, behind id and size. */
  readonly start: number;
  readonly end: number;
}

export interface Imports {
  readonly functionsCount: number;
  readonly globalsCount: number;
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const TYPE_FUNCTION = 0x60;

/** Splits a module. Errors: GW_PLUGIN_NOT_WASM; GW_PLUGIN_INSTRUCTION for unknown sections. */
export function readSections(bytes: Uint8Array): Section[] {
  const reader = new ByteReader(bytes);
  for (const expected of MAGIC) {
    if (reader.isAtEnd || reader.byte() !== expected) {
      reader.offset = 0;
      reader.fail('it does not begin as a module of version 1');
    }
  }
  const sections: Section[] = [];
  let before = -1;
  while (!reader.isAtEnd) {
    const id = reader.byte();
    if (id !== SECTION_CUSTOM) {
      const place = ORDER.indexOf(id);
      if (place < 0) {
        const name = id === 13 ? 'exception handling' : `a section of kind ${id}`;
        reader.fail(`it uses ${name}`, 'GW_PLUGIN_INSTRUCTION');
      }
      if (place <= before) reader.fail('its sections are out of order');
      before = place;
    }
    const part = reader.part();
    sections.push({ id, start: part.offset, end: part.end });
  }
  return sections;
}

/** Where a section that is missing would have to stand. */
export function placeOf(sections: readonly Section[], id: number): number {
  const order = ORDER.indexOf(id);
  const place = sections.findIndex(
    (section) => section.id !== SECTION_CUSTOM && ORDER.indexOf(section.id) > order,
  );
  return place < 0 ? sections.length : place;
}

export function sectionReader(bytes: Uint8Array, section: Section): ByteReader {
  return new ByteReader(bytes, section.start, section.end);
}

export function itemsCount(reader: ByteReader): number {
  const count = reader.u32();
  if (count > MODULE_ITEMS_COUNT_MAX) {
    const limit = `the limit is ${MODULE_ITEMS_COUNT_MAX}`;
    reader.fail(`a section has ${count} entries, ${limit}`, 'GW_PLUGIN_LIMIT');
  }
  return count;
}

export interface FunctionType {
  readonly parametersCount: number;
  readonly resultsCount: number;
}

/** How many parameters and results each type has. */
export function readTypes(reader: ByteReader): FunctionType[] {
  const types: FunctionType[] = [];
  for (let left = itemsCount(reader); left > 0; left--) {
    if (reader.byte() !== TYPE_FUNCTION) {
      reader.fail('it uses garbage collection', 'GW_PLUGIN_INSTRUCTION');
    }
    const parametersCount = reader.u32();
    for (let index = 0; index < parametersCount; index++) reader.skipNumber(5);
    const resultsCount = reader.u32();
    for (let index = 0; index < resultsCount; index++) reader.skipNumber(5);
    types.push({ parametersCount, resultsCount });
  }
  return types;
}

/** The type of each function that the module defines. */
export function readFunctionTypes(reader: ByteReader): number[] {
  const types: number[] = [];
  for (let left = itemsCount(reader); left > 0; left--) types.push(reader.u32());
  return types;
}

/** Passes the groups of locals in front of a function's code. Returns how many locals they are. */
export function skipLocals(body: ByteReader, groupsCount: number): number {
  let count = 0;
  for (let index = 0; index < groupsCount; index++) {
    count += body.u32();
    if (count > LOCALS_COUNT_MAX) {
      body.fail(`a function has ${count} locals, the limit is ${LOCALS_COUNT_MAX}`);
    }
    body.skipNumber(5);
  }
  return count;
}

export function readImports(reader: ByteReader): Imports {
  let functionsCount = 0;
  let globalsCount = 0;
  for (let left = itemsCount(reader); left > 0; left--) {
    reader.name();
    const name = reader.name();
    const kind = reader.byte();
    if (kind === 0) {
      reader.skipNumber(5);
      functionsCount += 1;
    } else if (kind === 3) {
      reader.skipNumber(5);
      reader.skip(1);
      globalsCount += 1;
    } else {
      const what = kind === 1 ? 'table' : kind === 2 ? 'memory' : 'tag';
      reader.fail(`it imports the ${what} ${name}`, 'GW_PLUGIN_IMPORT');
    }
  }
  return { functionsCount, globalsCount };
}

/** Names of everything exported. */
export function readExportNames(reader: ByteReader): Set<string> {
  const names = new Set<string>();
  for (let left = itemsCount(reader); left > 0; left--) {
    names.add(reader.name());
    reader.skip(1);
    reader.skipNumber(5);
  }
  return names;
}

interface MemoryBounds {
  readonly pages: number;
  /** As the module asked; Infinity for no bound. */
  readonly pagesMax: number;
}

/** Writes the memory with its maximum clamped. Errors: GW_PLUGIN_LIMIT where it begins above. */
export function clampMemory(
  reader: ByteReader,
  writer: ByteWriter,
  pagesLimit: number,
): MemoryBounds {
  const count = itemsCount(reader);
  if (count > 1) reader.fail('it uses several memories', 'GW_PLUGIN_INSTRUCTION');
  writer.u32(count);
  if (count === 0) return { pages: 0, pagesMax: 0 };
  const bounds = readBounds(reader);
  if (bounds.minimum > pagesLimit) {
    const limit = `the limit is ${pagesLimit}`;
    reader.fail(`its memory begins at ${bounds.minimum} pages, ${limit}`, 'GW_PLUGIN_LIMIT');
  }
  writer.byte(1);
  writer.u32(bounds.minimum);
  writer.u32(Math.min(bounds.maximum, pagesLimit));
  return { pages: bounds.minimum, pagesMax: bounds.maximum };
}

/** Writes the tables with their maxima clamped. Errors: GW_PLUGIN_LIMIT where one begins above. */
export function clampTables(reader: ByteReader, writer: ByteWriter): void {
  const count = itemsCount(reader);
  writer.u32(count);
  for (let index = 0; index < count; index++) {
    const type = reader.byte();
    if (type !== 0x70 && type !== 0x6f) {
      reader.fail('it uses typed function references', 'GW_PLUGIN_INSTRUCTION');
    }
    writer.byte(type);
    const bounds = readBounds(reader);
    if (bounds.minimum > TABLE_ENTRIES_COUNT_MAX) {
      const limit = `the limit is ${TABLE_ENTRIES_COUNT_MAX}`;
      reader.fail(`a table begins at ${bounds.minimum} entries, ${limit}`, 'GW_PLUGIN_LIMIT');
    }
    writer.byte(1);
    writer.u32(bounds.minimum);
    writer.u32(Math.min(bounds.maximum, TABLE_ENTRIES_COUNT_MAX));
  }
}

function readBounds(reader: ByteReader): { minimum: number; maximum: number } {
  const flags = reader.byte();
  if (flags === 2 || flags === 3) reader.fail('it uses threads', 'GW_PLUGIN_INSTRUCTION');
  if (flags > 3) reader.fail('it uses 64-bit memory', 'GW_PLUGIN_INSTRUCTION');
  const minimum = reader.u32();
  return { minimum, maximum: flags === 1 ? reader.u32() : Infinity };
}
