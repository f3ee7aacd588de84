// The fast reader of single statements and the writers of results against what is slow and plain:
// messages that a grammar makes, valid, nearly valid and hostile, mean the same to both; results of
// any values are what JSON.stringify and a reader of protobuf make of them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import type { RowSink, SqlColumn } from '../../host/db/contract.ts';
import { readExecuteJson, readPipelineJson } from '../../host/db/hrana/execute-json.ts';
import { isHranaError } from '../../host/db/hrana/hrana-error.ts';
import { decodePipelineJson, decodeSocketJson } from '../../host/db/hrana/json-decode.ts';
import { JsonCursorWriter, JsonWriter } from '../../host/db/hrana/json-writer.ts';
import { ProtobufReader } from '../../host/db/hrana/protobuf-reader.ts';
import { ProtobufWriter } from '../../host/db/hrana/protobuf-writer.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

const NUMBERS = [
  ...['0', '1', '7', '-1', '-0', '-00', '00', '007', '-007', '+1', '1.0', '1.5', '1e2', '1E400'],
  ...['-1e400', '2147483647', '2147483648', '-2147483648', '-2147483649', '4294967295', '1e-9'],
  ...['123456789', '1234567890', '-123456789', '999999999999999', '9007199254740993', '.5', '5.'],
  ...['NaN', 'null', 'true', '"1"', '0x10', '1_0', '', '-', '--1', '1 ', '[]', '1e', '0.0'],
];
const INTEGERS = [
  ...['0', '-0', '007', '-007', '42', '-42', '123456789012345', '-123456789012345'],
  ...['1234567890123456', '9223372036854775807', '9223372036854775808', '-9223372036854775808'],
  ...['-9223372036854775809', '', '-', '--1', '+1', ' 1', '1 ', '1.0', '1e2', '0x10', '١'],
];
const TEXTS = [
  ...['""', '"a"', '"it\'s {}[],:"', '"\\u0041"', '"\\n"', '"\\ud800"', '"\\udc00\\ud800"', '"é"'],
  ...['"\\u0000"', '"\\"', '"\u007f"', '"\t"', '"\n"', '"😀"', '"\ufeff"', "'a'", '"a', 'a"', 'a'],
  ...['"\\\\"', '"\\x"', '"\\u12"', '" "', '"}"', '"]}"', 'null', '1', '{}'],
];
const BASE64 = [
  '',
  'AA==',
  'AAA=',
  'AAAA',
  'AA',
  'AAA',
  'A',
  'A===',
  'AA=A',
  '=',
  'AA==AA',
  '-_',
  'é',
];
const TRUTHS = ['true', 'false', 'null', 'True', '0', '"true"', 'truefalse', ''];
const NOISE = [' ', '\n', ',', '\ufeff', '{', '}', '[', ']', '\0', '//', 'null', '\ud800', '  '];

/** A grammar of messages: now and then it says something else than it should. */
class Messages {
  readonly #random: SeededRandom;
  /** One in so many choices is a bad one. */
  readonly #badRate: number;

  constructor(random: SeededRandom, badRate: number) {
    this.#random = random;
    this.#badRate = badRate;
  }

  socket(): string {
    const request = this.#object([
      ['type', '"execute"'],
      ['stream_id', this.#number()],
      ['stmt', this.#stmt()],
    ]);
    return this.#object([
      ['type', '"request"'],
      ['request_id', this.#number()],
      ['request', request],
    ]);
  }

  pipeline(): string {
    const requests = Array.from({ length: this.#count(4) }, () =>
      this.#chance(4)
        ? this.#object([['type', '"close"']])
        : this.#object([
            ['type', '"execute"'],
            ['stmt', this.#stmt()],
          ]),
    );
    const list = `[${this.#joined(requests)}]`;
    const baton: [string, string][] = this.#chance(2)
      ? [['baton', this.#isBad() ? this.#pick(TEXTS) : 'null']]
      : [];
    return this.#object([...baton, ['requests', list]]);
  }

  #stmt(): string {
    const fields: [string, string][] = [
      this.#chance(2) ? ['sql_id', this.#number()] : ['sql', this.#text()],
    ];
    if (this.#isBad()) fields.push(['sql_id', this.#number()]);
    if (this.#chance(2)) {
      const values = Array.from({ length: this.#count(5) }, () => this.#value());
      fields.push(['args', `[${this.#joined(values)}]`]);
    }
    if (this.#chance(2)) {
      const named = this.#object([
        ['name', this.#text()],
        ['value', this.#value()],
      ]);
      fields.push(['named_args', this.#isBad() ? `[${named}]` : '[]']);
    }
    if (this.#chance(2)) {
      fields.push([
        'want_rows',
        this.#isBad() ? this.#pick(TRUTHS) : this.#pick(['true', 'false']),
      ]);
    }
    return this.#object(fields);
  }

  #value(): string {
    const type = this.#pick([
      'null',
      'integer',
      'float',
      'text',
      ...(this.#isBad() ? ['blob'] : []),
    ]);
    const said = this.#isBad() ? this.#pick(['"blob"', '"Null"', '"bool"', '1']) : `"${type}"`;
    switch (type) {
      case 'integer':
        return this.#object([
          ['type', said],
          ['value', `"${this.#pick(this.#isBad() ? INTEGERS : ['0', '-5', '12'])}"`],
        ]);
      case 'float':
        return this.#object([
          ['type', said],
          ['value', this.#number()],
        ]);
      case 'text':
        return this.#object([
          ['type', said],
          ['value', this.#text()],
        ]);
      case 'blob':
        return this.#object([
          ['type', said],
          ['base64', `"${this.#pick(BASE64)}"`],
        ]);
      default:
        return this.#object([['type', said]]);
    }
  }

  #number(): string {
    return this.#isBad() ? this.#pick(NUMBERS) : this.#pick(['0', '1', '-1', '123456789']);
  }

  #text(): string {
    return this.#isBad() ? this.#pick(TEXTS) : this.#pick(['""', '"SELECT ?"', '"a b"']);
  }

  /** Sometimes with a field twice, in another order, unknown, or not there. */
  #object(fields: readonly (readonly [string, string])[]): string {
    const list = fields.map(([name, value]) => `"${name}":${value}`);
    if (this.#isBad()) list.push(list[this.#count(list.length - 1)]!);
    if (this.#isBad()) list.push(`"${this.#pick(['other', '__proto__', 'type', ''])}":1`);
    if (this.#isBad()) list.reverse();
    if (this.#isBad()) list.splice(this.#count(list.length - 1), 1);
    return `{${this.#joined(list)}}`;
  }

  #joined(parts: readonly string[]): string {
    const joint = () => (this.#isBad() ? this.#pick([', ', ',,', '', ' ,', ';']) : ',');
    const noise = () => (this.#isBad() ? this.#pick(NOISE) : '');
    return parts.map((part, index) => (index === 0 ? '' : joint()) + part).join('') + noise();
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.uint32() % list.length]!;
  }

  /** From 0 to `most`. */
  #count(most: number): number {
    return this.#random.uint32() % (most + 1);
  }

  #chance(one: number): boolean {
    return this.#random.uint32() % one === 0;
  }

  #isBad(): boolean {
    return this.#random.uint32() % this.#badRate === 0;
  }
}

/** What a decoder says of bytes: the message, or the code of the refusal. */
function said(decode: (bytes: Uint8Array) => unknown, bytes: Buffer): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    assert.ok(isHranaError(error), String((error as Error).stack));
    // Places in texts that are no JSON are different, for there is a space before the other one.
    return { code: error.code, message: error.message.replace(/^not JSON: .*/s, 'not JSON') };
  }
}

describe('the fast reader of statements', () => {
  for (const [name, read, decode] of [
    ['socket', readExecuteJson, decodeSocketJson],
    ['pipeline', readPipelineJson, decodePipelineJson],
  ] as const) {
    it(`reads what the general one reads: ${name}`, () => {
      const random = new SeededRandom(testSeed(`hrana fast ${name}`));
      let fastCount = 0;
      let refusedCount = 0;
      for (const endMs = Date.now() + FUZZ_TIME_MS; Date.now() < endMs; ) {
        for (let round = 0; round < 200; round++) {
          const messages = new Messages(random, [20, 100, 1_000_000][round % 3]!);
          const bytes = Buffer.from(messages[name]() + (round % 50 === 0 ? ' x' : ''));
          // A space is something that only the general one takes.
          const plain = said(decode, Buffer.concat([Buffer.from(' '), bytes]));
          assert.deepEqual(said(decode, bytes), plain, bytes.toString());
          if (read(bytes) !== null) fastCount += 1;
          if (Object.hasOwn(plain as object, 'code')) refusedCount += 1;
        }
      }
      assert.ok(fastCount > 0 && refusedCount > 0, `${fastCount} fast, ${refusedCount} refused`);
    });
  }
});

type Value =
  | null
  | number
  | bigint
  | { readonly float: number }
  | Uint8Array
  | { text: Uint8Array };

const FLOATS = [
  0,
  -0,
  0.1,
  -1.5,
  1e21,
  1e-7,
  5e-324,
  1.7976931348623157e308,
  1 / 0,
  -1 / 0,
  2 ** 53,
];
const WHOLES = [0, 1, -1, 9, 10, 999_999_999, 1e9, -1e9, 2 ** 51, -(2 ** 51), 2 ** 53 - 1];
const LARGE = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -(2n ** 53n) - 1n];

function anyValue(random: SeededRandom): Value {
  const pick = <T>(list: readonly T[]): T => list[random.uint32() % list.length]!;
  const bytes = () => {
    const size = pick([0, 1, 2, 3, 30, 126, 127, 128, 129, 1_030, 17_000]);
    const kind = random.uint32() % 4;
    return Uint8Array.from({ length: size }, () => {
      if (kind === 0) return 0x20 + (random.uint32() % 0x5f);
      return kind === 1 ? random.uint32() % 0x40 : random.uint32() % 256;
    });
  };
  switch (random.uint32() % 6) {
    case 0:
      return null;
    case 1:
      return pick(WHOLES);
    case 2:
      return pick(LARGE);
    case 3:
      return { float: pick(FLOATS) };
    case 4:
      return { text: bytes() };
    default:
      return bytes();
  }
}

function pass(sink: RowSink, row: readonly Value[]): void {
  sink.beginRow();
  for (const value of row) {
    if (value === null) sink.nullValue();
    else if (typeof value === 'number' || typeof value === 'bigint') sink.integer(value);
    else if (value instanceof Uint8Array) sink.blob(value);
    else if ('float' in value) sink.float(value.float);
    else sink.text(value.text);
  }
  sink.endRow();
}

/** As the protocol says it in JSON, parsed. */
function jsonOf(value: Value): unknown {
  if (value === null) return { type: 'null' };
  if (typeof value === 'number' || typeof value === 'bigint') {
    return { type: 'integer', value: String(value) };
  }
  if (value instanceof Uint8Array) {
    return { type: 'blob', base64: Buffer.from(value).toString('base64').replace(/=+$/, '') };
  }
  if ('float' in value) return { type: 'float', value: value.float };
  return { type: 'text', value: new TextDecoder('utf-8', { ignoreBOM: true }).decode(value.text) };
}

/** The value of a protobuf message. */
function protobufValue(reader: ProtobufReader): Value {
  switch (reader.next()) {
    case 1:
      reader.message();
      return null;
    case 2:
      return reader.sint64();
    case 3:
      return { float: reader.double() };
    case 4:
      return { text: Buffer.from(reader.text('a text', 1e9)) };
    default:
      return Uint8Array.from(reader.bytes());
  }
}

/** A value as a client of protobuf gets it. */
function protobufOf(value: Value): Value {
  if (typeof value === 'number') return BigInt(value);
  if (value === null || typeof value === 'bigint' || value instanceof Uint8Array) return value;
  if ('float' in value) return value;
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(value.text);
  return { text: Buffer.from(text) };
}

describe('the writers of results', () => {
  const columns: readonly SqlColumn[] = [
    { name: 'a"\\\u0001é\ud800[', declaredType: 'INT[' },
    { name: null, declaredType: null },
  ];
  const outcome = { affectedRowCount: 3, lastInsertRowid: -5n, rowsRead: 7, rowsWritten: 1e10 };

  it('say any values as JSON.stringify and protobuf do', () => {
    const random = new SeededRandom(testSeed('hrana writers'));
    for (const endMs = Date.now() + FUZZ_TIME_MS; Date.now() < endMs; ) {
      const rows = Array.from({ length: random.uint32() % 5 }, () =>
        Array.from({ length: random.uint32() % 4 }, () => anyValue(random)),
      );
      const json = new JsonWriter();
      json.beginSocketOk(-7, 'execute');
      json.beginResult();
      json.columns(columns);
      for (const row of rows) pass(json, row);
      json.endResult(outcome);
      json.endSocketOk();
      const text = new TextDecoder('utf-8', { fatal: true }).decode(json.take());
      const { request_id: requestId, response } = JSON.parse(text);
      assert.equal(requestId, -7);
      assert.deepEqual(
        response.result.rows,
        rows.map((row) => row.map(jsonOf)),
      );
      assert.equal(response.result.cols[0].name, columns[0]!.name);
      assert.equal(response.result.rows_written, 1e10);

      const cursor = new JsonCursorWriter();
      cursor.columns(columns);
      for (const row of rows) pass(cursor, row);
      cursor.stepEnd(outcome);
      const lines = Buffer.from(cursor.take()).toString().split('\n').slice(1, -2);
      assert.deepEqual(
        lines.map((line) => JSON.parse(line).row),
        rows.map((row) => row.map(jsonOf)),
      );

      const protobuf = new ProtobufWriter();
      protobuf.beginResult();
      for (const row of rows) pass(protobuf, row);
      protobuf.endResult(outcome);
      assert.deepEqual(
        protobufRows(protobuf.take()),
        rows.map((row) => row.map(protobufOf)),
      );
    }
  });
});

/** The rows of a result as field 1. */
function protobufRows(bytes: Uint8Array): Value[][] {
  const outer = new ProtobufReader(bytes);
  outer.next();
  const result = outer.message();
  const rows: Value[][] = [];
  for (let field = result.next(); field !== 0; field = result.next()) {
    if (field !== 2) {
      result.skip();
      continue;
    }
    const row = result.message();
    const values: Value[] = [];
    while (row.next() !== 0) values.push(protobufValue(row.message()));
    rows.push(values);
  }
  return rows;
}
