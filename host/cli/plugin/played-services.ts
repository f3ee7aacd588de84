// Services as a case plays them: each call to one gets its next answer, the last one again, and is
// written down. Answers come when the runner says so, never within the filter's own call.

import {
  GRPC_STATUS,
  type GrpcCall,
  type GrpcHandler,
  type GrpcRequest,
  type HeaderList,
  passableTrailers,
  type ServiceCaller,
  type ServiceReply,
  type ServiceRequest,
} from '../../core/index.ts';
import { flatHeaders, type PlayedAnswer } from './case-schema.ts';

/** Answers that lead to calls that lead to answers: more is a filter that never ends. */
const ANSWERS_COUNT_MAX = 1_000;

/** What a filter asked for. */
export interface MadeCall {
  readonly service: string;
  readonly headers: HeaderList;
  /** Of a gRPC call, its messages one behind the other. */
  readonly body: Uint8Array[];
  readonly trailers: HeaderList;
}

export class PlayedServices implements ServiceCaller {
  readonly calls: MadeCall[] = [];
  readonly #answers: ReadonlyMap<string, readonly PlayedAnswer[]>;
  readonly #counts = new Map<string, number>();
  #pending: (() => void)[] = [];

  constructor(answers: readonly (readonly [string, readonly PlayedAnswer[]])[]) {
    this.#answers = new Map(answers);
  }

  knows(service: string): boolean {
    return this.#answers.has(service);
  }

  call(
    { service, headers, body, trailers }: ServiceRequest,
    _replySizeBytesMax: number,
    onReply: (reply: ServiceReply | null) => void,
  ): () => void {
    this.calls.push({ service, headers, body: [body], trailers });
    const answer = this.#next(service);
    let isWanted = true;
    this.#pending.push(() => {
      if (isWanted) onReply(replyOf(answer));
    });
    return () => {
      isWanted = false;
    };
  }

  grpc({ service, path, metadata }: GrpcRequest, handler: GrpcHandler): GrpcCall {
    const body: Uint8Array[] = [];
    this.calls.push({ service, headers: [':path', path, ...metadata], body, trailers: [] });
    const answer = this.#next(service);
    let isWanted = true;
    this.#pending.push(() => tell(answer, handler, () => isWanted));
    return {
      waitingSizeBytes: 0,
      send: (message) => {
        body.push(message.slice());
        return true;
      },
      end() {},
      cancel: () => {
        isWanted = false;
      },
    };
  }

  /** Gives every answer that is due, and those that they lead to. */
  deliver(): void {
    for (let count = 0; count < ANSWERS_COUNT_MAX; count++) {
      const next = this.#pending.shift();
      if (next === undefined) return;
      next();
    }
  }

  #next(service: string): PlayedAnswer {
    const answers = this.#answers.get(service)!;
    const count = this.#counts.get(service) ?? 0;
    this.#counts.set(service, count + 1);
    return answers[Math.min(count, answers.length - 1)]!;
  }
}

/** Null where a case says that there is none, or has a gRPC answer for a call of HTTP. */
function replyOf({
  fails,
  grpc,
  status,
  headers,
  body,
  trailers,
}: PlayedAnswer): ServiceReply | null {
  if (fails || grpc !== undefined) return null;
  return {
    headers: [':status', String(status), ...flatHeaders(headers)],
    body: Buffer.concat(body),
    trailers: passableTrailers(flatHeaders(trailers)),
  };
}

/** `isWanted`: a filter may give a call up in any of its callbacks. */
function tell({ grpc }: PlayedAnswer, handler: GrpcHandler, isWanted: () => boolean): void {
  if (!isWanted()) return;
  if (grpc === undefined) {
    handler.onClose(GRPC_STATUS.unavailable, 'the case has no gRPC answer');
    return;
  }
  handler.onInitialMetadata([':status', '200', ...flatHeaders(grpc.metadata)]);
  for (const message of grpc.messages) {
    if (isWanted()) handler.onMessage(message.slice());
  }
  const trailers = ['grpc-status', String(grpc.status), ...flatHeaders(grpc.trailers)];
  if (isWanted()) handler.onTrailingMetadata(trailers);
  if (isWanted()) handler.onClose(grpc.status, grpc.message);
}
