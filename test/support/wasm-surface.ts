// Reads what a Wasm module shows and holds, from its bytes: WebAssembly.Module tells names and
// kinds but neither signatures nor limits nor how many globals and data segments there are.
// Source: WebAssembly core specification 2.0, chapter 5 (binary format).

export interface WasmSurface {
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  readonly memories: readonly string[];
  readonly mutableGlobalsCount: number;
  readonly dataSegmentsCount: number;
}

const SECTION = { type: 1, import: 2, function: 3, memory: 5, global: 6, export: 7, data: 11 };
const KINDS = ['function', 'table', 'memory', 'global'];
const VALUE_TYPES: Readonly<Record<number, string>> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  123: 'v128',
  112: 'funcref',
  111: 'externref',
};

class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    if (this.at >= this.end) throw new RangeError(`the module ends early, at ${this.at}`);
    return this.bytes[this.at++]!;
  }

  /** An unsigned LEB128 number. */
  number(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError(`a number is too long, at ${this.at}`);
  }

  name(): string {
    const sizeBytes = this.number();
    this.at += sizeBytes;
    return new TextDecoder().decode(this.bytes.subarray(this.at - sizeBytes, this.at));
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.number() }, read);
  }

  valueType(): string {
    const code = this.byte();
    return VALUE_TYPES[code] ?? `0x${code.toString(16)}`;
  }

  functionType(): string {
    if (this.byte() !== 0x60) throw new RangeError(`not a function type, at ${this.at}`);
    const parameters = this.list(() => this.valueType());
    const results = this.list(() => this.valueType());
    return `(${parameters.join(', ')}) -> (${results.join(', ')})`;
  }

  limits(): string {
    const flags = this.byte();
    const initial = this.number();
    const maximum = (flags & 1) === 0 ? '' : `..${this.number()}`;
    return `${initial}${maximum}${(flags & 2) === 0 ? '' : ' shared'}`;
  }
}

function sectionsOf(bytes: Uint8Array): Map<number, Reader> {
  const reader = new Reader(bytes, 8);
  const sections = new Map<number, Reader>();
  while (reader.at < bytes.length) {
    const id = reader.byte();
    const sizeBytes = reader.number();
    sections.set(id, new Reader(bytes, reader.at, reader.at + sizeBytes));
    reader.at += sizeBytes;
  }
  return sections;
}

function readImport(reader: Reader, types: readonly string[], functions: string[]): string {
  const name = `${reader.name()}.${reader.name()}`;
  const kind = reader.byte();
  if (kind === 0) {
    functions.push(types[reader.number()]!);
    return `${name}: function ${functions.at(-1)}`;
  }
  if (kind === 2) return `${name}: memory ${reader.limits()}`;
  throw new RangeError(`${name} imports a ${KINDS[kind]}, which no kernel does`);
}

/** A global is its type, whether it changes, and a constant that ends with 0x0b. */
function countMutable(reader: Reader | undefined): number {
  if (reader === undefined) return 0;
  const globals = reader.list(() => {
    reader.valueType();
    const isMutable = reader.byte() === 1;
    while (reader.byte() !== 0x0b);
    return isMutable;
  });
  return globals.filter(Boolean).length;
}

/** The surface of a module. Errors: RangeError for what no kernel of ours holds. */
export function wasmSurface(bytes: Uint8Array): WasmSurface {
  const sections = sectionsOf(bytes);
  const read = <T>(id: number, entry: (reader: Reader) => T): T[] => {
    const reader = sections.get(id);
    return reader === undefined ? [] : reader.list(() => entry(reader));
  };
  const types = read(SECTION.type, (reader) => reader.functionType());
  const functions: string[] = [];
  const imports = read(SECTION.import, (reader) => readImport(reader, types, functions));
  functions.push(...read(SECTION.function, (reader) => types[reader.number()]!));
  const exports = read(SECTION.export, (reader) => {
    const name = reader.name();
    const kind = KINDS[reader.byte()]!;
    const index = reader.number();
    return kind === 'function' ? `${name}: function ${functions[index]}` : `${name}: ${kind}`;
  });
  return {
    imports: imports.sort(),
    exports: exports.sort(),
    memories: read(SECTION.memory, (reader) => reader.limits()),
    mutableGlobalsCount: countMutable(sections.get(SECTION.global)),
    dataSegmentsCount: sections.get(SECTION.data)?.number() ?? 0,
  };
}
