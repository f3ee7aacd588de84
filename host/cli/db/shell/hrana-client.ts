// SQL on a database of a gateway that runs, over Hrana 3 in JSON: one stream over HTTP, held by its
// baton, so that a transaction goes over many statements.

import { GatewayError } from '../../../core/index.ts';
import { type Answer, type Cell, type SqlClient, StatementError } from './client.ts';

type HranaValue =
  | { readonly type: 'null' }
  | { readonly type: 'integer'; readonly value: string }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'blob'; readonly base64: string };

interface ExecuteResult {
  readonly cols: readonly { readonly name: string | null }[];
  readonly rows: readonly (readonly HranaValue[])[];
  readonly affected_row_count: number;
}

type StreamResult =
  | { readonly type: 'ok'; readonly response: Readonly<Record<string, unknown>> }
  | { readonly type: 'error'; readonly error: HranaFault };

interface HranaFault {
  readonly message: string;
  readonly code?: string;
}

interface PipelineReply {
  readonly baton: string | null;
  readonly results: readonly StreamResult[];
}

/** The stream is gone with its transaction; the next statement begins another. */
const GONE = ['BATON_INVALID', 'BATON_REPLAYED', 'STREAM_EXPIRED', 'STREAM_CLOSED'];
const REPLY_MS_MAX = 600_000;

export class HranaClient implements SqlClient {
  readonly #url: string;
  readonly #token: string;
  #baton: string | null = null;
  isInTransaction = false;

  /** `url`: of the database, with http, https, ws or wss: both kinds are served at one place.
   *  `token`: a JWT, or '' for none. Errors: GW_FLAG_BAD_VALUE. */
  constructor(url: string, token: string) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    const scheme = parsed?.protocol.replace(/^ws/, 'http') ?? '';
    if (parsed === null || !/^https?:$/.test(scheme)) {
      const expected = 'expected a URL such as http://127.0.0.1:8080/db/NAME/';
      const detail = `--url: found ${JSON.stringify(url)}, ${expected}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    const path = parsed.pathname.endsWith('/') ? parsed.pathname : `${parsed.pathname}/`;
    this.#url = `${scheme}//${parsed.host}${path}v3/pipeline`;
    this.#token = token;
  }

  async run(sql: string): Promise<Answer> {
    const requests = [{ type: 'execute', stmt: { sql } }, { type: 'get_autocommit' }];
    const { results } = await this.#ask(requests);
    const [executed, autocommit] = results;
    if (autocommit?.type === 'ok')
      this.isInTransaction = autocommit.response.is_autocommit !== true;
    if (executed?.type === 'error') throw this.#refusalOf(executed.error);
    const { cols, rows, affected_row_count } = executed!.response.result as ExecuteResult;
    return {
      columns: cols.map(({ name }) => name ?? ''),
      rows: rows.map((row) => row.map(cellOf)),
      affectedCount: affected_row_count,
    };
  }

  async close(): Promise<void> {
    // It would be closed without a word too, later.
    if (this.#baton !== null) await this.#ask([{ type: 'close' }]).catch(() => {});
  }

  async #ask(requests: readonly object[]): Promise<PipelineReply> {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (this.#token !== '') headers.authorization = `Bearer ${this.#token}`;
    const body = JSON.stringify({ baton: this.#baton, requests });
    const signal = AbortSignal.timeout(REPLY_MS_MAX);
    let status: number;
    let text: string;
    try {
      const answer = await fetch(this.#url, { method: 'POST', headers, body, signal });
      status = answer.status;
      text = await answer.text();
    } catch (error) {
      this.#forget();
      const { message, cause } = error as Error;
      const why = cause instanceof Error && cause.message !== '' ? cause.message : message;
      throw new GatewayError('DB_UNAVAILABLE', `${this.#url}: ${why}`, error);
    }
    const reply = parsed(text);
    if ('message' in reply) {
      throw this.#refusalOf({ ...reply, message: `${reply.message} (HTTP ${status})` });
    }
    this.#baton = reply.baton;
    return reply;
  }

  #refusalOf({ message, code = 'INTERNAL' }: HranaFault): StatementError {
    if (GONE.includes(code)) this.#forget();
    return new StatementError(code, message);
  }

  #forget(): void {
    this.#baton = null;
    this.isInTransaction = false;
  }
}

function parsed(text: string): PipelineReply | HranaFault {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'message' in value)
      return value as HranaFault;
    if (typeof value === 'object' && value !== null && 'results' in value) {
      return value as PipelineReply;
    }
  } catch {
    // None of ours answers so.
  }
  return { message: JSON.stringify(text.slice(0, 200)) };
}

function cellOf(value: HranaValue): Cell {
  switch (value.type) {
    case 'null':
      return null;
    case 'integer':
      return BigInt(value.value);
    case 'blob':
      return Buffer.from(value.base64, 'base64');
    default:
      return value.value;
  }
}
