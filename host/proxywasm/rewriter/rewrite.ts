// Rewrites a valid module at byte level so that it can be run under limits: steps are counted in a
// global that the host sets, memory and tables are clamped, and the start function becomes an
// export that the host calls when it is ready. No index changes, so a trap still names the
// functions of the source. It takes any bytes and answers what it cannot read with an error that
// says where.

import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { OP_END, OP_I32_CONST, TYPE_I32 } from './instructions.ts';
import { CodeMeter, type Metering } from './meter-code.ts';
import {
  clampMemory,
  clampTables,
  type FunctionType,
  itemsCount,
  placeOf,
  readExportNames,
  readFunctionTypes,
  readImports,
  readSections,
  readTypes,
  SECTION_CODE,
  SECTION_CUSTOM,
  SECTION_EXPORT,
  SECTION_FUNCTION,
  SECTION_GLOBAL,
  SECTION_IMPORT,
  SECTION_MEMORY,
  SECTION_START,
  SECTION_TABLE,
  SECTION_TYPE,
  type Section,
  sectionReader,
} from './sections.ts';
import { type Body, ShortFunctions } from './short-functions.ts';

export interface Rewritten {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The exported global: steps that are left, an i32. */
  readonly fuelExport: string;
  /** What was the start function; `''` for none. */
  readonly startExport: string;
  readonly memoryPages: number;
  readonly memoryPagesMax: number;
  /** Functions that the module defines. */
  readonly functionCount: number;
}

const EXPORT_FUNCTION = 0;
const EXPORT_GLOBAL = 3;
const MUTABLE = 1;
/** Debug information would double what a worker holds, and is not read by anything here. */
const DROPPED_SECTIONS = /^(\.debug|sourceMappingURL|external_debug_info|reloc\.|linking)/;

/** Rewrites a module. `memoryPagesLimit`: what its memory may grow to. `metering`: `none` leaves
 *  the counters out, so that a benchmark can tell what they cost; such a module runs without a
 *  limit. Errors: GW_PLUGIN_NOT_WASM, GW_PLUGIN_INSTRUCTION, GW_PLUGIN_LIMIT, GW_PLUGIN_IMPORT,
 *  each with the byte. Cost: about 100 ms for 1 MiB. */
export function rewriteModule(
  bytes: Uint8Array,
  memoryPagesLimit: number,
  metering: Metering = 'steps',
): Rewritten {
  return new Rewriter(bytes, memoryPagesLimit, metering).run();
}

class Rewriter {
  readonly #bytes: Uint8Array;
  readonly #memoryPagesLimit: number;
  readonly #metering: Metering;
  readonly #sections: Section[];
  readonly #writer: ByteWriter;
  #types: FunctionType[] = [];
  #functionTypes: number[] = [];
  #importedFunctions = 0;
  #fuelGlobal = 0;
  #startFunction = -1;
  #memory = { pages: 0, pagesMax: 0 };
  #fuelExport = 'sluice_steps';
  #startExport = 'sluice_start';

  constructor(bytes: Uint8Array, memoryPagesLimit: number, metering: Metering) {
    this.#bytes = bytes;
    this.#memoryPagesLimit = memoryPagesLimit;
    this.#metering = metering;
    this.#sections = readSections(bytes);
    this.#writer = new ByteWriter(bytes.length + (bytes.length >> 2) + 256);
  }

  run(): Rewritten {
    this.#survey();
    this.#insertMissing(SECTION_GLOBAL);
    this.#insertMissing(SECTION_EXPORT);
    this.#writer.copy(this.#bytes, 0, 8);
    for (const section of this.#sections) this.#rewriteSection(section);
    return {
      bytes: this.#writer.result().slice(),
      fuelExport: this.#fuelExport,
      startExport: this.#startFunction < 0 ? '' : this.#startExport,
      memoryPages: this.#memory.pages,
      memoryPagesMax: this.#memory.pagesMax,
      functionCount: this.#functionTypes.length,
    };
  }

  /** Reads what has to be known before the first byte is written. */
  #survey(): void {
    let definedGlobals = 0;
    let importedGlobals = 0;
    for (const section of this.#sections) {
      const reader = sectionReader(this.#bytes, section);
      if (section.id === SECTION_TYPE) this.#types = readTypes(reader);
      else if (section.id === SECTION_FUNCTION) this.#functionTypes = readFunctionTypes(reader);
      else if (section.id === SECTION_GLOBAL) definedGlobals = itemsCount(reader);
      else if (section.id === SECTION_START) this.#startFunction = reader.u32();
      else if (section.id === SECTION_IMPORT) {
        const imports = readImports(reader);
        this.#importedFunctions = imports.functionsCount;
        importedGlobals = imports.globalsCount;
      } else if (section.id === SECTION_EXPORT) {
        const names = readExportNames(reader);
        while (names.has(this.#fuelExport)) this.#fuelExport += '_';
        while (names.has(this.#startExport)) this.#startExport += '_';
      }
    }
    this.#fuelGlobal = importedGlobals + definedGlobals;
    const functions = this.#importedFunctions + this.#functionTypes.length;
    if (this.#startFunction >= functions) {
      new ByteReader(this.#bytes).fail(`the start function is ${this.#startFunction}`);
    }
  }

  #insertMissing(id: number): void {
    if (this.#sections.some((section) => section.id === id)) return;
    this.#sections.splice(placeOf(this.#sections, id), 0, { id, start: 0, end: 0 });
  }

  #rewriteSection(section: Section): void {
    if (section.id === SECTION_START || this.#isDropped(section)) return;
    const writer = this.#writer;
    const reader = sectionReader(this.#bytes, section);
    writer.byte(section.id);
    const place = writer.beginSized();
    switch (section.id) {
      case SECTION_TABLE:
        clampTables(reader, writer);
        break;
      case SECTION_MEMORY:
        this.#memory = clampMemory(reader, writer, this.#memoryPagesLimit);
        break;
      case SECTION_GLOBAL:
        this.#writeGlobals(reader);
        break;
      case SECTION_EXPORT:
        this.#writeExports(reader);
        break;
      case SECTION_CODE:
        this.#writeCode(reader);
        break;
      default:
        writer.copy(this.#bytes, section.start, section.end);
    }
    writer.endSized(place);
  }

  #isDropped(section: Section): boolean {
    if (section.id !== SECTION_CUSTOM) return false;
    return DROPPED_SECTIONS.test(sectionReader(this.#bytes, section).name());
  }

  #writeGlobals(reader: ByteReader): void {
    const writer = this.#writer;
    writer.u32((reader.isAtEnd ? 0 : itemsCount(reader)) + 1);
    writer.copy(this.#bytes, reader.offset, reader.end);
    writer.byte(TYPE_I32);
    writer.byte(MUTABLE);
    writer.byte(OP_I32_CONST);
    writer.positive(0);
    writer.byte(OP_END);
  }

  #writeExports(reader: ByteReader): void {
    const writer = this.#writer;
    const added = this.#startFunction < 0 ? 1 : 2;
    writer.u32((reader.isAtEnd ? 0 : itemsCount(reader)) + added);
    writer.copy(this.#bytes, reader.offset, reader.end);
    writer.name(this.#fuelExport);
    writer.byte(EXPORT_GLOBAL);
    writer.u32(this.#fuelGlobal);
    if (this.#startFunction < 0) return;
    writer.name(this.#startExport);
    writer.byte(EXPORT_FUNCTION);
    writer.u32(this.#startFunction);
  }

  #writeCode(reader: ByteReader): void {
    const writer = this.#writer;
    const count = itemsCount(reader);
    if (count !== this.#functionTypes.length) {
      reader.fail(`${count} bodies for ${this.#functionTypes.length} functions`);
    }
    const bodies: Body[] = [];
    for (const [index, typeIndex] of this.#functionTypes.entries()) {
      const type = this.#types[typeIndex];
      if (type === undefined) throw reader.fail(`function ${index} has an unknown type`);
      const { offset, end } = reader.part();
      bodies.push({ start: offset, end, type });
    }
    if (!reader.isAtEnd) reader.fail('the code section goes on behind its end');
    const shorts = new ShortFunctions(this.#bytes, bodies, this.#importedFunctions);
    const meter = new CodeMeter(this.#fuelGlobal, shorts, this.#metering);
    writer.u32(count);
    for (const [index, { start, end, type }] of bodies.entries()) {
      const body = new ByteReader(this.#bytes, start, end);
      meter.rewrite(body, this.#importedFunctions + index, type.parametersCount, writer);
    }
  }
}
