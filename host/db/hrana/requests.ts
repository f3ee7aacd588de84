// What a client of Hrana can ask for, decoded: the same whatever version and encoding it came in.
// Source: Hrana 3 specification, "Requests" and "Shared structures".

import type { SqlValue } from '../contract.ts';

export type Encoding = 'json' | 'protobuf';

/** SQL by text or by the id of a stored text: exactly one is not null. */
export interface SqlRef {
  readonly sql: string | null;
  readonly sqlId: number | null;
}

export interface Stmt extends SqlRef {
  readonly args: readonly SqlValue[];
  readonly namedArgs: readonly { readonly name: string; readonly value: SqlValue }[];
  readonly wantRows: boolean;
}

export type Condition =
  | { readonly kind: 'ok' | 'error'; readonly step: number }
  | { readonly kind: 'not'; readonly cond: Condition }
  | { readonly kind: 'and' | 'or'; readonly conds: readonly Condition[] }
  | { readonly kind: 'is_autocommit' };

export interface BatchStep {
  readonly condition: Condition | null;
  readonly stmt: Stmt;
}

export interface Batch {
  readonly steps: readonly BatchStep[];
}

/** What runs on a stream. */
export type StreamRequest =
  | { readonly type: 'close' }
  | { readonly type: 'execute'; readonly stmt: Stmt }
  | { readonly type: 'batch'; readonly batch: Batch }
  | { readonly type: 'sequence' | 'describe'; readonly sql: SqlRef }
  | { readonly type: 'store_sql'; readonly sqlId: number; readonly sql: string }
  | { readonly type: 'close_sql'; readonly sqlId: number }
  | { readonly type: 'get_autocommit' };

export interface PipelineBody {
  readonly baton: string | null;
  readonly requests: readonly StreamRequest[];
}

export interface CursorBody {
  readonly baton: string | null;
  readonly batch: Batch;
}

/** What is asked for over a WebSocket. */
export type SocketRequest =
  | { readonly type: 'open_stream' | 'close_stream'; readonly streamId: number }
  | { readonly type: 'execute'; readonly streamId: number; readonly stmt: Stmt }
  | { readonly type: 'batch'; readonly streamId: number; readonly batch: Batch }
  | {
      readonly type: 'sequence' | 'describe';
      readonly streamId: number;
      readonly sql: SqlRef;
    }
  | { readonly type: 'store_sql'; readonly sqlId: number; readonly sql: string }
  | { readonly type: 'close_sql'; readonly sqlId: number }
  | { readonly type: 'get_autocommit'; readonly streamId: number }
  | {
      readonly type: 'open_cursor';
      readonly streamId: number;
      readonly cursorId: number;
      readonly batch: Batch;
    }
  | { readonly type: 'fetch_cursor'; readonly cursorId: number; readonly maxCount: number }
  | { readonly type: 'close_cursor'; readonly cursorId: number };

export type SocketMessage =
  | { readonly type: 'hello'; readonly jwt: string | null }
  | { readonly type: 'request'; readonly requestId: number; readonly request: SocketRequest };

export type RequestType = StreamRequest['type'] | SocketRequest['type'];
