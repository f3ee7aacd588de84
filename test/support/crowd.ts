// A crowd of clients of one database: each reads and appends to lists, moves money, buys what is in
// stock, over @libsql/client, and keeps a record of what it asked for and what it was told. What
// must be true of the record is checked at the end, whatever happened to the gateway meanwhile.

import assert from 'node:assert/strict';
import { type Client, createClient, type ResultSet, type Transaction } from '@libsql/client';
import type { SeededRandom } from '../../host/core/index.ts';
import { checkHistory, type Micro, type Transaction as Recorded } from './list-append.ts';

const LISTS_COUNT = 6;
const ACCOUNTS_COUNT = 8;
const START_BALANCE = 1_000;
const START_STOCK = 100_000;
const PAUSE_MS = 5;

/** Of these, nothing has happened; of other errors nobody knows. */
const REFUSALS = /^(SQLITE_BUSY|SQLITE_CONSTRAINT|TRANSACTION_BUSY|TRANSACTION_TIMEOUT|BLOCKED)/;

const APPEND =
  'INSERT INTO list VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value || ? || excluded.value';
const READ = 'SELECT value FROM list WHERE key = ?';
const SALE = 'UPDATE stock SET n = n - 1 WHERE id = 1 AND n > 0 RETURNING n';

interface Statement {
  readonly sql: string;
  readonly args: (string | number)[];
}

interface Wish {
  readonly kind: 'append' | 'read';
  readonly key: number;
  readonly value: number;
}

type Outcome = Recorded['outcome'];

export class Crowd {
  readonly history: Recorded[] = [];
  /** What clients were told beside answers, and how often. */
  readonly errors = new Map<string, number>();
  readonly #transfers = new Map<number, Outcome>();
  /** The stock that each sale was told, or how many sales nobody answered. */
  readonly #soldAt: number[] = [];
  #salesUnknownCount = 0;
  readonly #random: SeededRandom;
  #moment = 0;
  #lastValue = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** What each outcome was of, for a test to see that it has had all. */
  counts(): Record<Outcome | 'sold' | 'moved', number> {
    const count = (wanted: Outcome) =>
      this.history.filter(({ outcome }) => outcome === wanted).length;
    return {
      committed: count('committed'),
      aborted: count('aborted'),
      unknown: count('unknown'),
      sold: this.#soldAt.length,
      moved: [...this.#transfers.values()].filter((outcome) => outcome === 'committed').length,
    };
  }

  /** Makes the tables, once. */
  async found(url: string): Promise<void> {
    const client = createClient({ url });
    const accounts = Array.from({ length: ACCOUNTS_COUNT }, (_, id) => `(${id}, ${START_BALANCE})`);
    await client.batch(
      [
        'CREATE TABLE list(key INTEGER PRIMARY KEY, value TEXT NOT NULL)',
        'CREATE TABLE account(id INTEGER PRIMARY KEY, balance INT NOT NULL)',
        'CREATE TABLE transfer(id INTEGER PRIMARY KEY, source INT, target INT, amount INT)',
        'CREATE TABLE stock(id INTEGER PRIMARY KEY, n INT NOT NULL)',
        `INSERT INTO account VALUES ${accounts.join(', ')}`,
        `INSERT INTO stock VALUES (1, ${START_STOCK})`,
      ],
      'write',
    );
    client.close();
  }

  /** One client, which goes on while it is told to. Its errors are part of its record. */
  async live(url: string, goesOn: () => boolean): Promise<void> {
    const client = createClient({ url });
    while (goesOn()) {
      await this.#pick([
        () => this.#transaction(client, 'write'),
        () => this.#transaction(client, 'deferred'),
        () => this.#transaction(client, 'read'),
        () => this.#batch(client, 'write'),
        () => this.#batch(client, 'read'),
        () => this.#single(client),
        () => this.#move(client),
        () => this.#audit(client),
        () => this.#buy(client),
      ])();
    }
    client.close();
  }

  /** Reads everything once more, and holds the whole record against it. */
  async conclude(url: string): Promise<void> {
    const client = createClient({ url });
    await this.#lists(client);
    await this.#audit(client);
    const [intact, moved, stock] = await client.batch(
      ['PRAGMA integrity_check', 'SELECT id FROM transfer', 'SELECT n FROM stock'],
      'read',
    );
    client.close();
    assert.equal(intact!.rows[0]![0], 'ok');
    assert.deepEqual(checkHistory(this.history), []);
    this.#checkTransfers(new Set(moved!.rows.map((row) => Number(row[0]))));
    this.#checkSales(Number(stock!.rows[0]![0]));
  }

  // --- lists -------------------------------------------------------------------------------------

  #wishes(mode: 'read' | 'write'): Wish[] {
    return Array.from({ length: 1 + this.#below(4) }, () => ({
      kind: mode === 'read' || this.#below(2) === 0 ? 'read' : 'append',
      key: this.#below(LISTS_COUNT),
      value: ++this.#lastValue,
    }));
  }

  async #transaction(client: Client, mode: 'write' | 'deferred' | 'read'): Promise<void> {
    const wishes = this.#wishes(mode === 'read' ? 'read' : 'write');
    const isRolledBack = this.#below(10) === 0;
    const micros: Micro[] = [];
    const beganAt = ++this.#moment;
    let outcome: Outcome = 'aborted';
    let transaction: Transaction | null = null;
    try {
      transaction = await client.transaction(mode);
      for (const wish of wishes) {
        if (wish.kind === 'append') micros.push(appended(wish));
        const result = await transaction.execute(statementOf(wish));
        if (wish.kind === 'read') micros.push(seen(wish, result));
      }
      if (isRolledBack) await transaction.rollback();
      else {
        outcome = 'unknown';
        await transaction.commit();
        outcome = 'committed';
      }
    } catch (error) {
      if (await this.#failed(error)) outcome = 'aborted';
    }
    this.history.push({ micros, outcome, beganAt, endedAt: ++this.#moment });
    transaction?.close();
  }

  async #batch(client: Client, mode: 'write' | 'read'): Promise<void> {
    const wishes = this.#wishes(mode);
    await this.#record(wishes, async () => {
      const results = await client.batch(wishes.map(statementOf), mode);
      return wishes.map((wish, at) =>
        wish.kind === 'append' ? appended(wish) : seen(wish, results[at]!),
      );
    });
  }

  /** One statement that appends and reads. */
  async #single(client: Client): Promise<void> {
    const [key, value] = [this.#below(LISTS_COUNT), ++this.#lastValue];
    const wish: Wish = { kind: 'append', key, value };
    await this.#record([wish], async () => {
      const { sql, args } = statementOf(wish);
      const result = await client.execute({ sql: `${sql} RETURNING value`, args });
      return [appended(wish), seen(wish, result)];
    });
  }

  /** All lists in one statement. */
  async #lists(client: Client): Promise<void> {
    await this.#record([], async () => {
      const { rows } = await client.execute('SELECT key, value FROM list');
      const values = new Map(rows.map((row) => [Number(row[0]), String(row[1])]));
      return Array.from({ length: LISTS_COUNT }, (_, key) => ({
        kind: 'read',
        key,
        values: numbersIn(values.get(key)),
      }));
    });
  }

  async #record(wishes: readonly Wish[], ask: () => Promise<Micro[]>): Promise<void> {
    const beganAt = ++this.#moment;
    let micros = wishes.filter(({ kind }) => kind === 'append').map(appended);
    let outcome: Outcome = 'unknown';
    try {
      micros = await ask();
      outcome = 'committed';
    } catch (error) {
      if (await this.#failed(error)) outcome = 'aborted';
    }
    this.history.push({ micros, outcome, beganAt, endedAt: ++this.#moment });
  }

  // --- money -------------------------------------------------------------------------------------

  async #move(client: Client): Promise<void> {
    const id = ++this.#lastValue;
    const source = this.#below(ACCOUNTS_COUNT);
    const target = (source + 1 + this.#below(ACCOUNTS_COUNT - 1)) % ACCOUNTS_COUNT;
    const amount = 1 + this.#below(50);
    let outcome: Outcome = 'aborted';
    let transaction: Transaction | null = null;
    try {
      transaction = await client.transaction('write');
      const change = 'UPDATE account SET balance = balance + ? WHERE id = ?';
      await transaction.execute({ sql: change, args: [-amount, source] });
      await transaction.execute({ sql: change, args: [amount, target] });
      const sql = 'INSERT INTO transfer VALUES (?, ?, ?, ?)';
      await transaction.execute({ sql, args: [id, source, target, amount] });
      outcome = 'unknown';
      await transaction.commit();
      outcome = 'committed';
    } catch (error) {
      if (await this.#failed(error)) outcome = 'aborted';
    }
    this.#transfers.set(id, outcome);
    transaction?.close();
  }

  /** Whenever anyone looks, each account is what its transfers have made it. */
  async #audit(client: Client): Promise<void> {
    let found: ResultSet[];
    try {
      found = await client.batch(
        [
          'SELECT sum(balance) FROM account',
          `SELECT id FROM account AS a WHERE balance <> ${START_BALANCE}
             + (SELECT coalesce(sum(amount), 0) FROM transfer WHERE target = a.id)
             - (SELECT coalesce(sum(amount), 0) FROM transfer WHERE source = a.id)`,
        ],
        'read',
      );
    } catch (error) {
      await this.#failed(error);
      return;
    }
    assert.equal(found[0]!.rows[0]![0], ACCOUNTS_COUNT * START_BALANCE);
    assert.equal(found[1]!.rows.length, 0, 'accounts that are not what their transfers made');
  }

  #checkTransfers(happened: ReadonlySet<number>): void {
    for (const [id, outcome] of this.#transfers) {
      if (outcome === 'committed') assert.ok(happened.has(id), `transfer ${id} is lost`);
      if (outcome === 'aborted') assert.ok(!happened.has(id), `transfer ${id} was refused`);
    }
    for (const id of happened) assert.ok(this.#transfers.has(id), `transfer ${id} is nobody's`);
  }

  // --- stock -------------------------------------------------------------------------------------

  async #buy(client: Client): Promise<void> {
    try {
      const { rows } = await client.execute(SALE);
      this.#soldAt.push(Number(rows[0]![0]));
    } catch (error) {
      if (!(await this.#failed(error))) this.#salesUnknownCount += 1;
    }
  }

  #checkSales(left: number): void {
    assert.ok(left >= 0);
    assert.equal(new Set(this.#soldAt).size, this.#soldAt.length, 'one piece was sold twice');
    for (const stock of this.#soldAt) assert.ok(stock >= left, `the sale at ${stock} is lost`);
    const unanswered = START_STOCK - left - this.#soldAt.length;
    assert.ok(unanswered >= 0 && unanswered <= this.#salesUnknownCount, `${unanswered} too many`);
  }

  /** Whether what failed has not happened. A client that fails does not try again at once. */
  async #failed(error: unknown): Promise<boolean> {
    const { code = '', message = '' } = error as { code?: string; message?: string };
    const text = `${code}: ${message}`;
    this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    return REFUSALS.test(code);
  }

  #below(count: number): number {
    return this.#random.uint32() % count;
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }
}

function statementOf({ kind, key, value }: Wish): Statement {
  if (kind === 'read') return { sql: READ, args: [key] };
  return { sql: APPEND, args: [key, String(value), ','] };
}

function appended({ key, value }: Wish): Micro {
  return { kind: 'append', key, value };
}

function seen({ key }: Wish, { rows }: ResultSet): Micro {
  return { kind: 'read', key, values: numbersIn(rows[0]?.[0]) };
}

function numbersIn(list: unknown): number[] {
  return list === undefined || list === null ? [] : String(list).split(',').map(Number);
}
