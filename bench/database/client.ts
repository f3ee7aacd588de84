// The load on a Hrana server, run as a child on a core of its own: a closed loop of clients, each
// with a WebSocket or a kept HTTP connection, each sending its next statement when the last one is
// answered. Prints a LoadResult as JSON, and how often the statement found something to change.
//
//     node client.mjs '{"url":…,"transport":…,"sql":…,"rowsCount":…,"clients":…,"durationMs":…}'

import { build } from 'hdr-histogram-js';
import type { LoadResult } from './load-result.ts';
import { openHttpWire, openWebSocketWire, type Wire } from './wire.ts';

export interface ClientOrder {
  /** `http://127.0.0.1:PORT/db/NAME/`. */
  readonly url: string;
  readonly transport: 'websocket' | 'http';
  readonly sql: string;
  /** Rows to draw from; 0 where the statement has no parameter. */
  readonly rowsCount: number;
  readonly clients: number;
  readonly durationMs: number;
}

export interface ClientOutcome extends LoadResult {
  /** Answers whose statement changed a row: for a read 0. */
  readonly changedCount: number;
}

const LATENCY_US_MAX = 60_000_000;

interface Client {
  /** Sends a statement; the answer's text comes to the callback. */
  send(row: number, onAnswer: (text: string) => void): void;
  close(): void;
}

class Loop {
  readonly histogram = build({
    highestTrackableValue: LATENCY_US_MAX,
    numberOfSignificantValueDigits: 3,
  });
  readonly #order: ClientOrder;
  #errorCount = 0;
  #changedCount = 0;
  #endMs = 0;
  #running = 0;
  #onEnd: (() => void) | null = null;
  firstError = '';

  constructor(order: ClientOrder) {
    this.#order = order;
  }

  async run(clients: readonly Client[]): Promise<ClientOutcome> {
    const startMs = performance.now();
    this.#endMs = startMs + this.#order.durationMs;
    this.#running = clients.length;
    await new Promise<void>((resolve) => {
      this.#onEnd = resolve;
      for (const client of clients) this.#next(client);
    });
    const seconds = (performance.now() - startMs) / 1_000;
    const at = (percentile: number) => this.histogram.getValueAtPercentile(percentile);
    const answeredCount = this.histogram.totalCount;
    return {
      answeredCount,
      errorCount: this.#errorCount,
      changedCount: this.#changedCount,
      ratePerSecond: answeredCount / seconds,
      p50Us: at(50),
      p99Us: at(99),
      p999Us: at(99.9),
    };
  }

  #next(client: Client): void {
    const sentMs = performance.now();
    if (sentMs >= this.#endMs) {
      this.#running -= 1;
      if (this.#running === 0) this.#onEnd!();
      return;
    }
    const { rowsCount } = this.#order;
    const row = rowsCount === 0 ? 0 : 1 + Math.floor(Math.random() * rowsCount);
    client.send(row, (text) => {
      this.#take(text, (performance.now() - sentMs) * 1_000);
      this.#next(client);
    });
  }

  #take(text: string, latencyUs: number): void {
    this.histogram.recordValue(Math.min(LATENCY_US_MAX, Math.max(1, Math.round(latencyUs))));
    // Reading it as JSON would cost more than the server spends on it.
    if (text.includes('"affected_row_count":1')) this.#changedCount += 1;
    if (text.includes('"type":"response_ok"') || text.includes('"type":"ok"')) return;
    this.#errorCount += 1;
    if (this.firstError === '') this.firstError = text.slice(0, 500);
  }
}

function argsOf(order: ClientOrder, row: number): string {
  return order.rowsCount === 0 ? '[]' : `[{"type":"integer","value":"${row}"}]`;
}

async function openWebSocket(order: ClientOrder): Promise<Client> {
  const wire = await openWebSocketWire(new URL(order.url), 'hrana2');
  const ask = (text: string) =>
    new Promise<void>((resolve, reject) => {
      wire.onAnswer = (answer) => {
        if (/error|closed/.test(answer)) reject(new Error(answer));
        else resolve();
      };
      wire.send(text);
    });
  const sql = JSON.stringify(order.sql);
  await ask('{"type":"hello","jwt":null}');
  for (const inner of [
    '{"type":"open_stream","stream_id":1}',
    `{"type":"store_sql","sql_id":1,"sql":${sql}}`,
  ]) {
    await ask(`{"type":"request","request_id":1,"request":${inner}}`);
  }
  return clientOf(
    wire,
    (row) =>
      '{"type":"request","request_id":9,"request":{"type":"execute","stream_id":1,' +
      `"stmt":{"sql_id":1,"args":${argsOf(order, row)},"want_rows":true}}}`,
  );
}

function openHttp(order: ClientOrder): Client {
  const sql = JSON.stringify(order.sql);
  return clientOf(openHttpWire(new URL('v2/pipeline', order.url)), (row) => {
    const stmt = `{"sql":${sql},"args":${argsOf(order, row)},"want_rows":true}`;
    return `{"baton":null,"requests":[{"type":"execute","stmt":${stmt}},{"type":"close"}]}`;
  });
}

function clientOf(wire: Wire, messageOf: (row: number) => string): Client {
  return {
    send(row, onAnswer) {
      wire.onAnswer = onAnswer;
      wire.send(messageOf(row));
    },
    close: () => wire.close(),
  };
}

async function main(): Promise<void> {
  const order = JSON.parse(process.argv[2]!) as ClientOrder;
  const opening = Array.from({ length: order.clients }, () => {
    return order.transport === 'http' ? openHttp(order) : openWebSocket(order);
  });
  const clients = await Promise.all(opening);
  const loop = new Loop(order);
  const outcome = await loop.run(clients);
  for (const client of clients) client.close();
  if (loop.firstError !== '') console.error(loop.firstError);
  console.log(JSON.stringify(outcome));
}

await main();
