// Hrana's JSON, read strictly: a field of the wrong type is an error, an unknown field is ignored.
// The text is parsed by JSON.parse, which does not recurse; what recurses here is bounded.
// Source: Hrana 3 specification.

import type { SqlValue } from '../contract.ts';
import { readExecuteJson, readPipelineJson } from './execute-json.ts';
import { type HranaError, malformed, overLimit } from './hrana-error.ts';
import * as limits from './limits.ts';
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

type Fields = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Errors of all of these: HranaError PROTOCOL_ERROR or PROTOCOL_LIMIT. */
export function decodePipelineJson(bytes: Uint8Array): PipelineBody {
  const read = readPipelineJson(bytes);
  if (read !== null) return read;
  const body = parse(bytes);
  const requests = list(body, 'requests', limits.PIPELINE_REQUESTS_COUNT_MAX);
  return { baton: baton(body), requests: requests.map(streamRequest) };
}

export function decodeCursorJson(bytes: Uint8Array): CursorBody {
  const body = parse(bytes);
  return { baton: baton(body), batch: batch(body) };
}

/** The body of `v1/execute`. */
export function decodeExecuteJson(bytes: Uint8Array): Stmt {
  return stmt(fields(parse(bytes).stmt, 'stmt'));
}

/** The body of `v1/batch`. */
export function decodeBatchJson(bytes: Uint8Array): Batch {
  return batch(parse(bytes));
}

export function decodeSocketJson(bytes: Uint8Array): SocketMessage {
  const execute = readExecuteJson(bytes);
  if (execute !== null) return execute;
  const message = parse(bytes);
  if (message.type === 'hello') {
    return { type: 'hello', jwt: optionalText(message, 'jwt', limits.JWT_SIZE_CHARS_MAX) };
  }
  if (message.type !== 'request') throw unknownType('message', message.type);
  const request = socketRequest(fields(message.request, 'request'));
  return { type: 'request', requestId: int32(message, 'request_id'), request };
}

function parse(bytes: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw malformed(`not JSON: ${(error as Error).message}`);
  }
  return fields(value, 'the message');
}

function streamRequest(value: unknown): StreamRequest {
  const request = fields(value, 'a request');
  const { type } = request;
  switch (type) {
    case 'close':
    case 'get_autocommit':
      return { type };
    case 'execute':
      return { type, stmt: stmt(fields(request.stmt, 'stmt')) };
    case 'batch':
      return { type, batch: batch(request) };
    case 'sequence':
    case 'describe':
      return { type, sql: sqlRef(request) };
    case 'store_sql':
      return { type, sqlId: int32(request, 'sql_id'), sql: sqlText(request) };
    case 'close_sql':
      return { type, sqlId: int32(request, 'sql_id') };
    default:
      throw unknownType('request', type);
  }
}

function socketRequest(request: Fields): SocketRequest {
  const { type } = request;
  switch (type) {
    case 'open_stream':
    case 'close_stream':
    case 'get_autocommit':
      return { type, streamId: int32(request, 'stream_id') };
    case 'execute': {
      const streamId = int32(request, 'stream_id');
      return { type, streamId, stmt: stmt(fields(request.stmt, 'stmt')) };
    }
    case 'batch':
      return { type, streamId: int32(request, 'stream_id'), batch: batch(request) };
    case 'sequence':
    case 'describe':
      return { type, streamId: int32(request, 'stream_id'), sql: sqlRef(request) };
    case 'store_sql':
      return { type, sqlId: int32(request, 'sql_id'), sql: sqlText(request) };
    case 'close_sql':
      return { type, sqlId: int32(request, 'sql_id') };
    case 'open_cursor': {
      const cursorId = int32(request, 'cursor_id');
      return { type, streamId: int32(request, 'stream_id'), cursorId, batch: batch(request) };
    }
    case 'fetch_cursor': {
      const maxCount = uint32(request, 'max_count');
      return { type, cursorId: int32(request, 'cursor_id'), maxCount };
    }
    case 'close_cursor':
      return { type, cursorId: int32(request, 'cursor_id') };
    default:
      throw unknownType('request', type);
  }
}

function stmt(value: Fields): Stmt {
  const args = optionalList(value, 'args');
  const named = optionalList(value, 'named_args');
  const wantRows = value.want_rows ?? true;
  if (typeof wantRows !== 'boolean') throw wrong('want_rows', 'a boolean', wantRows);
  const { sql, sqlId } = sqlRef(value);
  return { sql, sqlId, args: args.map(sqlValue), namedArgs: named.map(namedArg), wantRows };
}

function namedArg(value: unknown): { name: string; value: SqlValue } {
  const arg = fields(value, 'a named argument');
  return { name: text(arg, 'name', limits.ARG_NAME_SIZE_CHARS_MAX), value: sqlValue(arg.value) };
}

function batch(holder: Fields): Batch {
  const steps = list(fields(holder.batch, 'batch'), 'steps', limits.BATCH_STEPS_COUNT_MAX);
  const budget = { nodes: limits.CONDITION_NODES_COUNT_MAX };
  return { steps: steps.map((step) => batchStep(step, budget)) };
}

function batchStep(value: unknown, budget: { nodes: number }): BatchStep {
  const step = fields(value, 'a step');
  const found = step.condition;
  const condition = found === undefined || found === null ? null : readCondition(found, budget, 0);
  return { condition, stmt: stmt(fields(step.stmt, 'stmt')) };
}

function readCondition(value: unknown, budget: { nodes: number }, depth: number): Condition {
  if (depth >= limits.CONDITION_DEPTH_MAX) {
    throw overLimit('depth of a condition', depth + 1, limits.CONDITION_DEPTH_MAX);
  }
  budget.nodes -= 1;
  if (budget.nodes < 0) {
    const most = limits.CONDITION_NODES_COUNT_MAX;
    throw overLimit('conditions of a batch', most + 1, most);
  }
  const found = fields(value, 'a condition');
  const { type } = found;
  switch (type) {
    case 'ok':
    case 'error':
      return { kind: type, step: uint32(found, 'step') };
    case 'not':
      return { kind: type, cond: readCondition(found.cond, budget, depth + 1) };
    case 'and':
    case 'or': {
      const conds = list(found, 'conds', limits.CONDITION_NODES_COUNT_MAX);
      const read = (cond: unknown) => readCondition(cond, budget, depth + 1);
      return { kind: type, conds: conds.map(read) };
    }
    case 'is_autocommit':
      return { kind: type };
    default:
      throw unknownType('condition', type);
  }
}

const INTEGER = /^-?[0-9]{1,19}$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

function sqlValue(found: unknown): SqlValue {
  const holder = fields(found, 'a value');
  const { value } = holder;
  switch (holder.type) {
    case 'null':
      return null;
    case 'integer': {
      if (typeof value !== 'string' || !INTEGER.test(value)) {
        throw wrong('an integer', 'a string of digits', value);
      }
      const integer = BigInt(value);
      if (integer < INT64_MIN || integer > INT64_MAX) {
        throw malformed(`an integer: ${value} does not fit in 64 bits`);
      }
      return integer;
    }
    case 'float':
      if (typeof value !== 'number') throw wrong('a float', 'a number', value);
      return value;
    case 'text':
      if (typeof value !== 'string') throw wrong('a text', 'a string', value);
      return value;
    case 'blob': {
      const { base64 } = holder;
      if (typeof base64 !== 'string') throw wrong('a blob', 'a string', base64);
      return blob(base64);
    }
    default:
      throw unknownType('value', holder.type);
  }
}

function blob(base64: string): Uint8Array {
  if (!BASE64.test(base64)) throw malformed('a blob: not base64');
  const digits = base64.indexOf('=');
  if ((digits < 0 ? base64.length : digits) % 4 === 1) throw malformed('a blob: not base64');
  return Buffer.from(base64, 'base64');
}

function sqlRef(holder: Fields): SqlRef {
  const sql = optionalText(holder, 'sql', limits.SQL_SIZE_CHARS_MAX);
  const hasId = holder.sql_id !== undefined && holder.sql_id !== null;
  const sqlId = hasId ? int32(holder, 'sql_id') : null;
  if ((sql === null) === (sqlId === null)) {
    throw malformed(`expected one of sql and sql_id, found ${sql === null ? 'none' : 'both'}`);
  }
  return { sql, sqlId };
}

function sqlText(holder: Fields): string {
  return text(holder, 'sql', limits.SQL_SIZE_CHARS_MAX);
}

function baton(body: Fields): string | null {
  return optionalText(body, 'baton', limits.BATON_SIZE_CHARS_MAX);
}

// --- fields -------------------------------------------------------------------------------------

function fields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(what, 'an object', value);
  }
  return value as Fields;
}

function list(holder: Fields, name: string, countMax: number): readonly unknown[] {
  const value = holder[name];
  if (!Array.isArray(value)) throw wrong(name, 'a list', value);
  if (value.length > countMax) throw overLimit(name, value.length, countMax);
  return value;
}

const NONE: readonly unknown[] = [];

function optionalList(holder: Fields, name: string): readonly unknown[] {
  const value = holder[name];
  return value === undefined || value === null ? NONE : list(holder, name, limits.ARGS_COUNT_MAX);
}

function text(holder: Fields, name: string, sizeMax: number): string {
  const value = holder[name];
  if (typeof value !== 'string') throw wrong(name, 'a string', value);
  if (value.length > sizeMax) throw overLimit(`characters of ${name}`, value.length, sizeMax);
  return value;
}

function optionalText(holder: Fields, name: string, sizeMax: number): string | null {
  const value = holder[name];
  return value === undefined || value === null ? null : text(holder, name, sizeMax);
}

function int32(holder: Fields, name: string): number {
  const value = holder[name];
  if (typeof value !== 'number' || (value | 0) !== value) {
    throw wrong(name, 'an integer of 32 bits', value);
  }
  return value | 0;
}

function uint32(holder: Fields, name: string): number {
  const value = holder[name];
  if (typeof value !== 'number' || value >>> 0 !== value) {
    throw wrong(name, 'an unsigned integer of 32 bits', value);
  }
  return value >>> 0;
}

function wrong(what: string, expected: string, found: unknown): HranaError {
  return malformed(`${what}: expected ${expected}, found ${shown(found)}`);
}

function unknownType(of: string, found: unknown): HranaError {
  return malformed(`unknown type of ${of}: ${shown(found)}`);
}

/** Enough of a value to find it again. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (typeof value === 'object' && value !== null) return 'an object';
  return value === undefined ? 'nothing' : String(value);
}
