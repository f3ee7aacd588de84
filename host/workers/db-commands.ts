// Commands on their way to a db worker and back: each is answered once, also when the worker ends.

import { type ErrorCode, GatewayError } from '../core/index.ts';
import type { DatabaseCommand, DatabaseOutcomes } from '../db/index.ts';
import type { FromDbWorker, ToDbWorker } from './messages.ts';

interface Waiting {
  readonly resolve: (outcome: never) => void;
  readonly reject: (error: GatewayError) => void;
}

/** What a command of a kind looks like, and gives. */
export type CommandOf<K extends DatabaseCommand['kind']> = Extract<
  DatabaseCommand,
  { readonly kind: K }
>;

export class CommandDesk {
  readonly #waiting = new Map<number, Waiting>();
  #id = 0;

  /** Sends a command. Errors: what the worker refused it with, and what `fail` says. */
  send<K extends DatabaseCommand['kind']>(
    command: CommandOf<K>,
    post: (message: ToDbWorker) => void,
  ): Promise<DatabaseOutcomes[K]> {
    return this.#ask((id) => post({ kind: 'command', id, command }));
  }

  /** Has the worker obey a new standing. Errors: as for send. */
  turn(post: (message: ToDbWorker) => void): Promise<null> {
    return this.#ask((id) => post({ kind: 'turn', id }));
  }

  #ask<T>(post: (id: number) => void): Promise<T> {
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      post(id);
    });
  }

  /** Takes an answer. */
  take(message: Extract<FromDbWorker, { readonly kind: 'outcome' | 'refused' }>): void {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return;
    this.#waiting.delete(message.id);
    if (message.kind === 'outcome') waiting.resolve(message.outcome as never);
    else waiting.reject(new GatewayError(message.code, message.detail));
  }

  /** Nothing that waits is answered any more. */
  fail(code: ErrorCode, detail: string): void {
    for (const { reject } of this.#waiting.values()) reject(new GatewayError(code, detail));
    this.#waiting.clear();
  }
}
