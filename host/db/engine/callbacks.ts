// Puts JavaScript functions where C expects function pointers. A table takes only functions of
// Wasm, so a module of trampolines is written here, byte by byte: one function per callback that
// calls its import. 64-bit arguments pass as floats (exact to 2^53): a BigInt costs 30 ns.

/** `i`: 32 bits, `j`: 64 bits that arrive as a float. A callback returns 32 bits, or, where its
 *  shape ends with `v`, nothing. */
export interface Callback {
  readonly parameters: string;
  readonly run: (...args: number[]) => unknown;
}

const TYPE_I32 = 0x7f;
const TYPE_I64 = 0x7e;
const TYPE_F64 = 0x7c;
const OP_LOCAL_GET = 0x20;
const OP_CALL = 0x10;
const NOTHING = 'v';
const OP_END = 0x0b;
const OP_F64_CONVERT_I64_S = 0xb9;

/** Appends the callbacks to a table. Shape: table indexes, in the order of the callbacks. */
export function installCallbacks(
  table: WebAssembly.Table,
  callbacks: readonly Callback[],
): readonly number[] {
  const imports = callbacks.map(({ run }, index) => [String(index), run] as const);
  const module = new WebAssembly.Module(trampolines(callbacks.map((each) => each.parameters)));
  const instance = new WebAssembly.Instance(module, { c: Object.fromEntries(imports) });
  const first = table.grow(callbacks.length);
  return callbacks.map((_, index) => {
    table.set(first + index, instance.exports[String(index)]);
    return first + index;
  });
}

/** Source: WebAssembly core specification 1.0, chapter 5 (binary format). */
function trampolines(shapes: readonly string[]): Uint8Array<ArrayBuffer> {
  // Types come in pairs: 2k is the import of callback k, 2k + 1 its trampoline.
  const types = shapes.flatMap((shape) => [
    functionType(shape, TYPE_F64),
    functionType(shape, TYPE_I64),
  ]);
  const imports = shapes.map((_, index) => [
    ...name('c'),
    ...name(String(index)),
    0x00,
    ...unsigned(2 * index),
  ]);
  const functions = shapes.map((_, index) => unsigned(2 * index + 1));
  const exports = shapes.map((_, index) => [
    ...name(String(index)),
    0x00,
    ...unsigned(shapes.length + index),
  ]);
  const codes = shapes.map((shape, index) => sized(body(shape, index)));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, types),
    ...section(2, imports),
    ...section(3, functions),
    ...section(7, exports),
    ...section(10, codes),
  ]);
}

function functionType(shape: string, wide: number): number[] {
  const parameters = argumentsOf(shape).map((kind) => (kind === 'j' ? wide : TYPE_I32));
  const results = shape.endsWith(NOTHING) ? [0] : [1, TYPE_I32];
  return [0x60, ...unsigned(parameters.length), ...parameters, ...results];
}

function body(shape: string, importIndex: number): number[] {
  const pushes = argumentsOf(shape).flatMap((kind, index) => [
    OP_LOCAL_GET,
    index,
    ...(kind === 'j' ? [OP_F64_CONVERT_I64_S] : []),
  ]);
  return [0, ...pushes, OP_CALL, ...unsigned(importIndex), OP_END];
}

function argumentsOf(shape: string): string[] {
  return [...shape].filter((kind) => kind !== NOTHING);
}

function section(id: number, entries: readonly number[][]): number[] {
  return [id, ...sized([...unsigned(entries.length), ...entries.flat()])];
}

function sized(bytes: number[]): number[] {
  return [...unsigned(bytes.length), ...bytes];
}

function name(text: string): number[] {
  return sized([...text].map((letter) => letter.charCodeAt(0)));
}

/** LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return [...bytes, rest];
}
