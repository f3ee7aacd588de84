// Hrana's protobuf, read strictly: a field of the wrong wire type is an error, an unknown one is
// ignored. Field numbers: Hrana 3 specification, "Protobuf schema".

import type { SqlValue } from '../contract.ts';
import { malformed, overLimit } from './hrana-error.ts';
import * as limits from './limits.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import type {
  Batch,
  BatchStep,
  Condition,
  CursorBody,
  PipelineBody,
  SocketMessage,
  SocketRequest,
  SqlRef,
  Stmt,
  StreamRequest,
} from './requests.ts';

/** Errors of all of these: HranaError PROTOCOL_ERROR or PROTOCOL_LIMIT. */
export function decodePipelineProtobuf(bytes: Uint8Array): PipelineBody {
  const reader = new ProtobufReader(bytes);
  let baton: string | null = null;
  const requests: StreamRequest[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) baton = reader.text('baton', limits.BATON_SIZE_CHARS_MAX);
    else if (field === 2) {
      push(requests, streamRequest(reader.message()), 'requests', PIPELINE_MAX);
    } else reader.skip();
  }
  return { baton, requests };
}

export function decodeCursorProtobuf(bytes: Uint8Array): CursorBody {
  const reader = new ProtobufReader(bytes);
  let baton: string | null = null;
  let found: Batch | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) baton = reader.text('baton', limits.BATON_SIZE_CHARS_MAX);
    else if (field === 2) found = batch(reader.message());
    else reader.skip();
  }
  return { baton, batch: found ?? { steps: [] } };
}

export function decodeSocketProtobuf(bytes: Uint8Array): SocketMessage {
  const reader = new ProtobufReader(bytes);
  let message: SocketMessage | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) message = hello(reader.message());
    else if (field === 2) message = request(reader.message());
    else reader.skip();
  }
  if (message === null) throw malformed('unknown type of message');
  return message;
}

const PIPELINE_MAX = limits.PIPELINE_REQUESTS_COUNT_MAX;

function hello(reader: ProtobufReader): SocketMessage {
  let jwt: string | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) jwt = reader.text('jwt', limits.JWT_SIZE_CHARS_MAX);
    else reader.skip();
  }
  return { type: 'hello', jwt };
}

const SOCKET_TYPES = [
  'open_stream',
  'close_stream',
  'execute',
  'batch',
  'open_cursor',
  'close_cursor',
  'fetch_cursor',
  'sequence',
  'describe',
  'store_sql',
  'close_sql',
  'get_autocommit',
] as const;

function request(reader: ProtobufReader): SocketMessage {
  let requestId = 0;
  let found: SocketRequest | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    const type = SOCKET_TYPES[field - 2];
    if (field === 1) requestId = reader.int32();
    else if (type === undefined) reader.skip();
    else found = socketRequest(type, reader.message());
  }
  if (found === null) throw malformed('unknown type of request');
  return { type: 'request', requestId, request: found };
}

function socketRequest(type: (typeof SOCKET_TYPES)[number], reader: ProtobufReader): SocketRequest {
  switch (type) {
    case 'open_cursor': {
      const { first, second, batch: read } = numbersAndBatch(reader, 3);
      return { type, streamId: first, cursorId: second, batch: read ?? { steps: [] } };
    }
    case 'batch': {
      const { first, batch: read } = numbersAndBatch(reader, 2);
      return { type, streamId: first, batch: read ?? { steps: [] } };
    }
    case 'fetch_cursor': {
      const { first, second } = numbersAndBatch(reader, 0);
      return { type, cursorId: first, maxCount: second >>> 0 };
    }
    case 'close_cursor':
      return { type, cursorId: numbersAndBatch(reader, 0).first };
    case 'open_stream':
    case 'close_stream':
    case 'get_autocommit':
      return { type, streamId: numbersAndBatch(reader, 0).first };
    case 'close_sql':
      return { type, sqlId: numbersAndBatch(reader, 0).first };
    case 'execute': {
      let streamId = 0;
      let read: Stmt | null = null;
      for (let field = reader.next(); field !== 0; field = reader.next()) {
        if (field === 1) streamId = reader.int32();
        else if (field === 2) read = stmt(reader.message());
        else reader.skip();
      }
      if (read === null) throw malformed('stmt: missing');
      return { type, streamId, stmt: read };
    }
    case 'sequence':
    case 'describe': {
      const { id, sql } = sqlFields(reader, 1);
      return { type, streamId: id, sql };
    }
    case 'store_sql':
      return { type, ...storedSql(reader) };
  }
}

const STREAM_TYPES = [
  'close',
  'execute',
  'batch',
  'sequence',
  'describe',
  'store_sql',
  'close_sql',
  'get_autocommit',
] as const;

function streamRequest(reader: ProtobufReader): StreamRequest {
  let found: StreamRequest | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    const type = STREAM_TYPES[field - 1];
    if (type === undefined) reader.skip();
    else found = oneStreamRequest(type, reader.message());
  }
  if (found === null) throw malformed('unknown type of request');
  return found;
}

function oneStreamRequest(
  type: (typeof STREAM_TYPES)[number],
  reader: ProtobufReader,
): StreamRequest {
  switch (type) {
    case 'close':
    case 'get_autocommit':
      return { type };
    case 'execute': {
      let read: Stmt | null = null;
      for (let field = reader.next(); field !== 0; field = reader.next()) {
        if (field === 1) read = stmt(reader.message());
        else reader.skip();
      }
      if (read === null) throw malformed('stmt: missing');
      return { type, stmt: read };
    }
    case 'batch':
      return { type, batch: numbersAndBatch(reader, 1).batch ?? { steps: [] } };
    case 'sequence':
    case 'describe':
      return { type, sql: sqlFields(reader, 0).sql };
    case 'store_sql':
      return { type, ...storedSql(reader) };
    case 'close_sql':
      return { type, sqlId: numbersAndBatch(reader, 0).first };
  }
}

/** Messages of one or two numbers, with a batch behind them as field `batchField`; 0 for none. */
function numbersAndBatch(
  reader: ProtobufReader,
  batchField: number,
): { first: number; second: number; batch: Batch | null } {
  let first = 0;
  let second = 0;
  let read: Batch | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === batchField) read = batch(reader.message());
    else if (field === 1) first = reader.int32();
    else if (field === 2) second = reader.int32();
    else reader.skip();
  }
  return { first, second, batch: read };
}

/** A stream's id as field `idField` (0 for none), and SQL by text or id behind it. */
function sqlFields(reader: ProtobufReader, idField: number): { id: number; sql: SqlRef } {
  let id = 0;
  let sql: string | null = null;
  let sqlId: number | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === idField) id = reader.int32();
    else if (field === idField + 1) sql = reader.text('sql', limits.SQL_SIZE_CHARS_MAX);
    else if (field === idField + 2) sqlId = reader.int32();
    else reader.skip();
  }
  return { id, sql: oneOf(sql, sqlId) };
}

function storedSql(reader: ProtobufReader): { sqlId: number; sql: string } {
  let sqlId = 0;
  let sql = '';
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) sqlId = reader.int32();
    else if (field === 2) sql = reader.text('sql', limits.SQL_SIZE_CHARS_MAX);
    else reader.skip();
  }
  return { sqlId, sql };
}

function stmt(reader: ProtobufReader): Stmt {
  let sql: string | null = null;
  let sqlId: number | null = null;
  let wantRows = true;
  const args: SqlValue[] = [];
  const namedArgs: Stmt['namedArgs'][number][] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) sql = reader.text('sql', limits.SQL_SIZE_CHARS_MAX);
    else if (field === 2) sqlId = reader.int32();
    else if (field === 3) push(args, sqlValue(reader.message()), 'args', limits.ARGS_COUNT_MAX);
    else if (field === 4) {
      push(namedArgs, namedArg(reader.message()), 'named_args', limits.ARGS_COUNT_MAX);
    } else if (field === 5) wantRows = reader.bool();
    else reader.skip();
  }
  return { ...oneOf(sql, sqlId), args, namedArgs, wantRows };
}

function namedArg(reader: ProtobufReader): Stmt['namedArgs'][number] {
  let name = '';
  let value: SqlValue = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) name = reader.text('name', limits.ARG_NAME_SIZE_CHARS_MAX);
    else if (field === 2) value = sqlValue(reader.message());
    else reader.skip();
  }
  return { name, value };
}

function sqlValue(reader: ProtobufReader): SqlValue {
  let value: SqlValue | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) {
      reader.message();
      value = null;
    } else if (field === 2) value = reader.sint64();
    else if (field === 3) value = reader.double();
    else if (field === 4) value = reader.text('a text', Number.MAX_SAFE_INTEGER);
    else if (field === 5) value = reader.bytes();
    else reader.skip();
  }
  if (value === undefined) throw malformed('unknown type of value');
  return value;
}

function batch(reader: ProtobufReader): Batch {
  const steps: BatchStep[] = [];
  const budget = { nodes: limits.CONDITION_NODES_COUNT_MAX };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) {
      push(steps, batchStep(reader.message(), budget), 'steps', limits.BATCH_STEPS_COUNT_MAX);
    } else reader.skip();
  }
  return { steps };
}

function batchStep(reader: ProtobufReader, budget: { nodes: number }): BatchStep {
  let found: Condition | null = null;
  let read: Stmt | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) found = condition(reader.message(), budget, 0);
    else if (field === 2) read = stmt(reader.message());
    else reader.skip();
  }
  if (read === null) throw malformed('stmt: missing');
  return { condition: found, stmt: read };
}

function condition(reader: ProtobufReader, budget: { nodes: number }, depth: number): Condition {
  if (depth >= limits.CONDITION_DEPTH_MAX) {
    throw overLimit('depth of a condition', depth + 1, limits.CONDITION_DEPTH_MAX);
  }
  budget.nodes -= 1;
  if (budget.nodes < 0) {
    const most = limits.CONDITION_NODES_COUNT_MAX;
    throw overLimit('conditions of a batch', most + 1, most);
  }
  let found: Condition | null = null;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) found = { kind: 'ok', step: reader.uint32() };
    else if (field === 2) found = { kind: 'error', step: reader.uint32() };
    else if (field === 3) {
      found = { kind: 'not', cond: condition(reader.message(), budget, depth + 1) };
    } else if (field === 4 || field === 5) {
      const conds = conditions(reader.message(), budget, depth + 1);
      found = { kind: field === 4 ? 'and' : 'or', conds };
    } else if (field === 6) {
      reader.message();
      found = { kind: 'is_autocommit' };
    } else reader.skip();
  }
  if (found === null) throw malformed('unknown type of condition');
  return found;
}

function conditions(
  reader: ProtobufReader,
  budget: { nodes: number },
  depth: number,
): readonly Condition[] {
  const conds: Condition[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) conds.push(condition(reader.message(), budget, depth));
    else reader.skip();
  }
  return conds;
}

function oneOf(sql: string | null, sqlId: number | null): SqlRef {
  if ((sql === null) === (sqlId === null)) {
    throw malformed(`expected one of sql and sql_id, found ${sql === null ? 'none' : 'both'}`);
  }
  return { sql, sqlId };
}

function push<T>(list: T[], value: T, what: string, countMax: number): void {
  if (list.length >= countMax) throw overLimit(what, countMax + 1, countMax);
  list.push(value);
}
