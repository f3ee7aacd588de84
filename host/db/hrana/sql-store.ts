// SQL texts that a client has stored, to name them by a number.

import { HranaError } from './hrana-error.ts';
import { STORED_SQL_SIZE_CHARS_MAX } from './limits.ts';
import type { SqlRef } from './requests.ts';

export class SqlStore {
  readonly #countMax: number;
  readonly #texts = new Map<number, string>();
  #sizeChars = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Errors: SQL_EXISTS, SQL_STORE_LIMIT. */
  store(sqlId: number, sql: string): void {
    if (this.#texts.has(sqlId)) {
      throw new HranaError('SQL_EXISTS', `the SQL text ${sqlId} is stored already`);
    }
    if (this.#texts.size >= this.#countMax) {
      const message = `${this.#countMax} SQL texts are stored, the limit`;
      throw new HranaError('SQL_STORE_LIMIT', message);
    }
    if (this.#sizeChars + sql.length > STORED_SQL_SIZE_CHARS_MAX) {
      const message = `stored SQL texts have ${STORED_SQL_SIZE_CHARS_MAX} characters at most`;
      throw new HranaError('SQL_STORE_LIMIT', message);
    }
    this.#texts.set(sqlId, sql);
    this.#sizeChars += sql.length;
  }

  /** Of a number that is not used: nothing. */
  close(sqlId: number): void {
    this.#sizeChars -= this.#texts.get(sqlId)?.length ?? 0;
    this.#texts.delete(sqlId);
  }

  /** Errors: SQL_NOT_FOUND. */
  resolve({ sql, sqlId }: SqlRef): string {
    const text = sql ?? this.#texts.get(sqlId!);
    if (text === undefined) {
      throw new HranaError('SQL_NOT_FOUND', `no SQL text ${sqlId} is stored`);
    }
    return text;
  }
}
