// Hostile messages: whatever the bytes, the decoders of JSON and protobuf answer with a message of
// the protocol or a HranaError, and a session that gets them serves its other streams as before.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { readExecuteJson, readPipelineJson } from '../../host/db/hrana/execute-json.ts';
import { isHranaError } from '../../host/db/hrana/hrana-error.ts';
import {
  decodeBatchJson,
  decodeCursorJson,
  decodeExecuteJson,
  decodePipelineJson,
  decodeSocketJson,
} from '../../host/db/hrana/json-decode.ts';
import { CONDITION_DEPTH_MAX } from '../../host/db/hrana/limits.ts';
import {
  decodeCursorProtobuf,
  decodePipelineProtobuf,
  decodeSocketProtobuf,
} from '../../host/db/hrana/protobuf-decode.ts';
import { HranaScene } from '../support/hrana.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

const JSON_DECODERS = [
  decodePipelineJson,
  decodeCursorJson,
  decodeExecuteJson,
  decodeBatchJson,
  decodeSocketJson,
];
const PROTOBUF_DECODERS = [decodePipelineProtobuf, decodeCursorProtobuf, decodeSocketProtobuf];

const stmt = {
  sql: 'SELECT ?, :a',
  args: [
    { type: 'integer', value: '-9223372036854775808' },
    { type: 'float', value: 1.5 },
    { type: 'blob', base64: 'AAEC' },
    { type: 'text', value: 'é' },
    { type: 'null' },
  ],
  named_args: [{ name: 'a', value: { type: 'null' } }],
  want_rows: true,
};
const condition = { type: 'and', conds: [{ type: 'ok', step: 0 }, { type: 'is_autocommit' }] };
const batch = { steps: [{ stmt }, { condition: { type: 'not', cond: condition }, stmt }] };
const JSON_SAMPLES = [
  {
    baton: 'x',
    requests: [{ type: 'execute', stmt }, { type: 'batch', batch }, { type: 'close' }],
  },
  { baton: null, batch },
  { stmt },
  { type: 'hello', jwt: 'a.b.c' },
  {
    type: 'request',
    request_id: 1,
    request: { type: 'open_cursor', stream_id: 1, cursor_id: 2, batch },
  },
  { type: 'request', request_id: -1, request: { type: 'store_sql', sql_id: 3, sql: 'SELECT 1' } },
].map((sample) => Buffer.from(JSON.stringify(sample)));

/** As clients write them: all of them are read without JSON.parse. */
const STMTS = [
  { sql_id: 7, args: [], want_rows: true },
  { sql_id: 0, args: [{ type: 'integer', value: '12' }], named_args: [], want_rows: false },
  {
    sql: 'SELECT ?, ?, ?',
    args: [
      { type: 'null' },
      { type: 'text', value: "it's {}[], 5" },
      { type: 'integer', value: '-123456789012345' },
      { type: 'float', value: -42 },
    ],
    named_args: [],
    want_rows: true,
  },
  { sql: '' },
  { sql_id: -123456789, want_rows: false },
];
const EXECUTES = STMTS.map((one, index) => {
  const request = { type: 'execute', stream_id: index * 1000 - 1000, stmt: one };
  return Buffer.from(JSON.stringify({ type: 'request', request_id: index - 1, request }));
});
const PIPELINES = [
  { requests: [{ type: 'execute', stmt: STMTS[1] }, { type: 'close' }] },
  { baton: null, requests: STMTS.map((one) => ({ type: 'execute', stmt: one })) },
  { baton: null, requests: [{ type: 'close' }] },
].map((body) => Buffer.from(JSON.stringify(body)));

/** A protobuf field of bytes. */
function field(number: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
}
const varint = (number: number, value: number) => Buffer.from([number << 3, value]);

const protobufStmt = [
  field(1, Buffer.from('SELECT ?')),
  field(3, varint(2, 5)),
  field(3, Buffer.from([(3 << 3) | 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f])),
  field(4, field(1, Buffer.from('a')), field(2, field(4, Buffer.from('é')))),
  varint(5, 1),
];
const protobufBatch = field(1, field(1, field(3, field(6))), field(2, ...protobufStmt));
const PROTOBUF_SAMPLES = [
  Buffer.concat([field(1, Buffer.from('baton')), field(2, field(2, field(1, ...protobufStmt)))]),
  Buffer.concat([field(2, protobufBatch)]),
  field(1, field(1, Buffer.from('a.b.c'))),
  field(2, varint(1, 1), field(6, varint(1, 1), varint(2, 2), field(3, protobufBatch))),
  field(2, varint(1, 7), field(11, varint(1, 1), field(2, Buffer.from('SELECT 1')))),
];

function mutated(random: SeededRandom, samples: readonly Buffer[]): Buffer {
  const pick = (count: number) => random.uint32() % count;
  let bytes = Buffer.from(samples[pick(samples.length)]!);
  for (let count = 1 + pick(4); count > 0; count--) {
    const at = pick(bytes.length + 1);
    switch (pick(5)) {
      case 0:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(8))]);
        break;
      case 1:
        if (at < bytes.length) bytes[at] = pick(256);
        break;
      case 2: {
        const from = samples[pick(samples.length)]!;
        const start = pick(from.length);
        const piece = from.subarray(start, start + pick(40));
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
        break;
      }
      case 3:
        bytes = bytes.subarray(0, at);
        break;
      default:
        if (at < bytes.length) bytes[at]! ^= 1 << pick(8);
    }
  }
  return bytes;
}

function assertDecoded(decode: (bytes: Uint8Array) => unknown, bytes: Buffer): void {
  try {
    decode(bytes);
  } catch (error) {
    assert.ok(isHranaError(error), `${bytes.toString('hex')}: ${(error as Error).stack}`);
  }
}

describe('hostile messages', () => {
  let scene: HranaScene;
  before(async () => {
    scene = await HranaScene.open();
    await scene.pipeline(['CREATE TABLE t(v)', { type: 'close' }]);
  });
  after(() => scene.close());

  it('the samples themselves are good', () => {
    for (const [index, sample] of JSON_SAMPLES.entries()) {
      const decode =
        [decodePipelineJson, decodeCursorJson, decodeExecuteJson][index] ?? decodeSocketJson;
      assert.ok(decode(sample));
    }
    for (const [index, sample] of PROTOBUF_SAMPLES.entries()) {
      assert.ok(
        ([decodePipelineProtobuf, decodeCursorProtobuf][index] ?? decodeSocketProtobuf)(sample),
      );
    }
  });

  for (const [name, decoders, samples] of [
    ['JSON', JSON_DECODERS, JSON_SAMPLES],
    ['protobuf', PROTOBUF_DECODERS, PROTOBUF_SAMPLES],
  ] as const) {
    it(`of ${name} are refused by name`, () => {
      const random = new SeededRandom(testSeed(`hrana ${name}`));
      for (const endMs = Date.now() + FUZZ_TIME_MS; Date.now() < endMs; ) {
        for (let round = 0; round < 100; round++) {
          const bytes = mutated(random, samples);
          for (const decode of decoders) assertDecoded(decode, bytes);
        }
      }
    });
  }

  // The most frequent messages have a reader of their own, which must not know better than JSON.
  for (const [name, read, decode, samples] of [
    ['an execute', readExecuteJson, decodeSocketJson, EXECUTES],
    ['a pipeline', readPipelineJson, decodePipelineJson, PIPELINES],
  ] as const) {
    it(`that look like ${name} are read as what they are`, () => {
      const random = new SeededRandom(testSeed(`hrana ${name}`));
      const asJson = (bytes: Buffer): unknown => {
        try {
          // A space is something that only the decoder of everything takes.
          return decode(Buffer.concat([Buffer.from(' '), bytes]));
        } catch {
          return null;
        }
      };
      for (const sample of samples) {
        assert.notEqual(read(sample), null, sample.toString());
        assert.deepEqual(read(sample), asJson(sample), sample.toString());
      }
      let readCount = 0;
      for (const endMs = Date.now() + FUZZ_TIME_MS; Date.now() < endMs; ) {
        for (let round = 0; round < 100; round++) {
          const bytes = mutated(random, samples);
          const found = read(bytes);
          if (found === null) continue;
          readCount += 1;
          assert.deepEqual(found, asJson(bytes), bytes.toString('latin1'));
        }
      }
      assert.ok(readCount > 0);
    });
  }

  it('do not touch other streams', async () => {
    const random = new SeededRandom(testSeed('hrana sessions'));
    const { baton } = await scene.pipeline(['BEGIN IMMEDIATE', 'INSERT INTO t VALUES (1)']);
    for (let round = 0; round < 300; round++) {
      const isJson = random.unit() < 0.5;
      const bytes = mutated(random, isJson ? JSON_SAMPLES : PROTOBUF_SAMPLES);
      const endpoint = random.unit() < 0.7 ? 'pipeline' : 'cursor';
      const { status } = await scene.raw(
        endpoint,
        bytes,
        isJson ? 'json' : 'protobuf',
        'read-only',
      );
      assert.ok(status === 200 || status === 400, String(status));
      const socket = scene.socket();
      socket.send({ type: 'hello' });
      socket.session.message(mutated(random, JSON_SAMPLES), 'text');
      socket.session.close();
    }
    const last = await scene.pipeline(['COMMIT', { type: 'close' }], baton);
    assert.equal(last.results[0].type, 'ok');
    assert.deepEqual(await scene.rows('SELECT v FROM t'), [['1']]);
  });

  it('cannot nest conditions deeper than the limit', () => {
    let cond: object = { type: 'is_autocommit' };
    for (let depth = 1; depth <= CONDITION_DEPTH_MAX; depth++) {
      const body = { batch: { steps: [{ condition: cond, stmt }] }, baton: null };
      assert.ok(decodeCursorJson(Buffer.from(JSON.stringify(body))));
      cond = { type: 'not', cond };
    }
    const body = { batch: { steps: [{ condition: cond, stmt }] }, baton: null };
    assert.throws(
      () => decodeCursorJson(Buffer.from(JSON.stringify(body))),
      /depth of a condition/,
    );
    const deep = `${'{"type":"not","cond":'.repeat(50_000)}{}${'}'.repeat(50_000)}`;
    const text = `{"batch":{"steps":[{"stmt":{"sql":""},"condition":${deep}}]}}`;
    assert.throws(() => decodeCursorJson(Buffer.from(text)), isHranaError);
  });
});
