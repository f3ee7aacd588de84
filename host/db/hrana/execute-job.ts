// One statement of a WebSocket, which is most of what comes: without the generators that batches
// need.

import type { SqlStatement } from '../contract.ts';
import { faultOf, type HranaFault } from './hrana-error.ts';
import type { Job, JobState } from './jobs.ts';
import { type ReplyWriter, replyWriter } from './reply-writer.ts';
import type { Encoding } from './requests.ts';
import { isBusy } from './run-requests.ts';
import type { SqlStream } from './sql-stream.ts';

/** One of the two for each request, once. */
export interface Answers {
  readonly encoding: Encoding;
  /** The writer is the receiver's. */
  readonly reply: (writer: ReplyWriter) => void;
  readonly fail: (requestId: number, fault: HranaFault) => void;
}

export class ExecuteJob implements Job {
  readonly #answers: Answers;
  readonly #requestId: number;
  readonly #stream: SqlStream;
  readonly #statement: SqlStatement;
  readonly #writer: ReplyWriter;
  #fault: HranaFault | null = null;

  constructor(answers: Answers, requestId: number, stream: SqlStream, statement: SqlStatement) {
    this.#answers = answers;
    this.#requestId = requestId;
    this.#stream = stream;
    this.#statement = statement;
    this.#writer = replyWriter(answers.encoding);
  }

  resume(error: Error | null): JobState {
    if (error !== null) {
      this.#fault = faultOf(error);
      return 'ended';
    }
    const writer = this.#writer;
    const stream = this.#stream;
    try {
      writer.beginSocketOk(this.#requestId, 'execute');
      writer.beginResult();
      writer.endResult(stream.run(this.#statement, writer));
      stream.checkReplySize(writer.size);
      writer.endSocketOk();
    } catch (thrown) {
      if (isBusy(thrown)) {
        writer.rewind(0);
        return 'writer';
      }
      this.#fault = faultOf(thrown);
    }
    return 'ended';
  }

  done(): void {
    this.#stream.settle((failure) => {
      const told = failure === null ? this.#fault : faultOf(failure);
      if (told === null) this.#answers.reply(this.#writer);
      else this.#answers.fail(this.#requestId, told);
    });
  }

  cancel(): void {}
}
