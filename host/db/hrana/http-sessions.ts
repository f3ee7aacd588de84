// Hrana over HTTP: each request is a pipeline, a cursor, or one statement of version 1, on a new
// stream or on the one that its baton names. Source: Hrana 3 specification, "Hrana over HTTP".

import type { Batons } from './batons.ts';
import { faultOf, HranaError, type HranaFault, isHranaError } from './hrana-error.ts';
import { RunJob } from './jobs.ts';
import {
  decodeBatchJson,
  decodeCursorJson,
  decodeExecuteJson,
  decodePipelineJson,
} from './json-decode.ts';
import { HTTP_SQL_COUNT_MAX } from './limits.ts';
import { decodeCursorProtobuf, decodePipelineProtobuf } from './protobuf-decode.ts';
import { cursorWriter, type ReplyWriter, recycle, replyWriter } from './reply-writer.ts';
import type { Encoding, StreamRequest } from './requests.ts';
import { type Run, runCursor, runPipeline, runRequest } from './run-requests.ts';
import type { Access } from './session-database.ts';
import type { Sessions } from './sessions.ts';
import { SqlStore } from './sql-store.ts';
import type { SqlStream } from './sql-stream.ts';

export type Endpoint = 'execute' | 'batch' | 'pipeline' | 'cursor';

export interface HttpRequest {
  readonly endpoint: Endpoint;
  readonly encoding: Encoding;
  readonly access: Access;
  readonly body: Uint8Array;
}

export interface HttpReply {
  readonly status: number;
  /** Valid until the caller returns. */
  readonly body: Uint8Array;
  readonly form: 'message' | 'lines' | 'error';
}

type Reply = (answer: HttpReply) => void;

interface HttpStream {
  readonly id: number;
  readonly stream: SqlStream;
  readonly texts: SqlStore;
  sequence: number;
}

/** The statuses of refusals; every other one is 400. */
const STATUSES: Readonly<Record<string, number>> = {
  AUTH_FORBIDDEN: 403,
  STREAM_LIMIT: 503,
  INTERNAL: 500,
};

export class HttpSessions {
  readonly #sessions: Sessions;
  readonly #batons: Batons;
  readonly #streams = new Map<number, HttpStream>();
  #lastId = 0;

  constructor(sessions: Sessions, batons: Batons) {
    this.#sessions = sessions;
    this.#batons = batons;
  }

  take(request: HttpRequest, reply: Reply): void {
    try {
      switch (request.endpoint) {
        case 'pipeline':
          this.#pipeline(request, reply);
          return;
        case 'cursor':
          this.#cursor(request, reply);
          return;
        default:
          this.#plain(request, reply);
      }
    } catch (error) {
      if (!isHranaError(error)) throw error;
      reply(refusal(error));
    }
  }

  /** Closes the stream that has been idle for the longest time, at least `idleMs`, of all or of
   *  those that have a connection. */
  expireOne(idleMs: number, which: 'any' | 'connected' = 'any'): boolean {
    const latestMs = this.#sessions.clock.nowMs() - idleMs;
    for (const held of this.#streams.values()) {
      const { stream } = held;
      // In the order in which they were last used.
      if (!stream.isIdle) continue;
      if (stream.idleSinceMs > latestMs) return false;
      if (which === 'connected' && !stream.hasConnection) continue;
      this.#forget(held);
      return true;
    }
    return false;
  }

  expire(idleMs: number): void {
    while (this.expireOne(idleMs));
  }

  #pipeline(request: HttpRequest, reply: Reply): void {
    const { encoding, body } = request;
    const isJson = encoding === 'json';
    const { baton, requests } = isJson ? decodePipelineJson(body) : decodePipelineProtobuf(body);
    const held = this.#open(baton, request.access);
    const writer = replyWriter(encoding);
    this.#run(held, runPipeline(held.stream, held.texts, requests, writer), writer, reply, () => {
      writer.endPipeline(this.#keep(held));
      return { status: 200, body: writer.take(), form: 'message' };
    });
  }

  #cursor(request: HttpRequest, reply: Reply): void {
    const { encoding, body } = request;
    const decoded = encoding === 'json' ? decodeCursorJson(body) : decodeCursorProtobuf(body);
    const held = this.#open(decoded.baton, request.access);
    const writer = cursorWriter(encoding);
    held.sequence += 1;
    writer.head(this.#batons.make({ streamId: held.id, sequence: held.sequence }));
    this.#moveBehind(held);
    const run = runCursor(held.stream, held.texts, decoded.batch, writer);
    this.#run(held, run, null, reply, () => {
      this.#moveBehind(held);
      return { status: 200, body: writer.take(), form: 'lines' };
    });
  }

  /** Version 1: one statement or batch on a stream of its own. */
  #plain(request: HttpRequest, reply: Reply): void {
    const { body, encoding } = request;
    const one: StreamRequest =
      request.endpoint === 'execute'
        ? { type: 'execute', stmt: decodeExecuteJson(body) }
        : { type: 'batch', batch: decodeBatchJson(body) };
    const held = this.#open(null, request.access);
    const writer = replyWriter(encoding);
    let fault: HranaFault | null = null;
    const run = function* (): Run {
      writer.beginPlain();
      try {
        yield* runRequest(held.stream, held.texts, one, writer);
      } catch (error) {
        fault = faultOf(error);
      }
      held.stream.close();
    };
    this.#run(held, run(), writer, reply, () => {
      if (fault !== null) return refusal(fault);
      writer.endPlain();
      return { status: 200, body: writer.take(), form: 'message' };
    });
  }

  #run(
    { stream }: HttpStream,
    run: Run,
    writer: ReplyWriter | null,
    reply: Reply,
    finish: () => HttpReply,
  ): void {
    const done = () => {
      const answer = finish();
      stream.settle((failure) => {
        if (failure === null) {
          reply(answer);
          if (writer !== null) recycle(writer);
        } else reply({ ...refusal(faultOf(failure)), status: 500 });
      });
    };
    stream.enqueue(new RunJob(run, done));
  }

  /** Errors: BATON_INVALID, BATON_REPLAYED, STREAM_EXPIRED, AUTH_FORBIDDEN, STREAM_LIMIT. */
  #open(baton: string | null, access: Access): HttpStream {
    if (baton === null) {
      const stream = this.#sessions.openStream(access);
      this.#lastId = (this.#lastId + 1) >>> 0;
      const texts = new SqlStore(HTTP_SQL_COUNT_MAX);
      return { id: this.#lastId, stream, texts, sequence: 0 };
    }
    const named = this.#batons.read(baton);
    if (named === null) throw new HranaError('BATON_INVALID', 'the baton is not of this database');
    const held = this.#streams.get(named.streamId);
    if (held === undefined) throw new HranaError('STREAM_EXPIRED', 'the stream has expired');
    if (held.sequence !== named.sequence || !held.stream.isIdle) {
      throw new HranaError('BATON_REPLAYED', 'the baton has been used before');
    }
    if (held.stream.access !== access) {
      throw new HranaError('AUTH_FORBIDDEN', 'the stream was opened with other rights');
    }
    return held;
  }

  /** The baton for the next request; null where the stream is closed. */
  #keep(held: HttpStream): string | null {
    if (held.stream.isClosed) {
      this.#streams.delete(held.id);
      return null;
    }
    held.sequence += 1;
    this.#moveBehind(held);
    return this.#batons.make({ streamId: held.id, sequence: held.sequence });
  }

  /** Behind all others: the first is the one that has been idle for the longest time. */
  #moveBehind(held: HttpStream): void {
    this.#streams.delete(held.id);
    this.#streams.set(held.id, held);
  }

  #forget(held: HttpStream): void {
    this.#streams.delete(held.id);
    held.stream.abandon();
  }
}

/** In JSON whatever the encoding: that is what clients read of a refusal. */
function refusal(fault: HranaFault): HttpReply {
  const writer = replyWriter('json');
  writer.plainError(fault);
  return { status: STATUSES[fault.code] ?? 400, body: writer.take(), form: 'error' };
}
