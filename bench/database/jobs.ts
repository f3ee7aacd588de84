// What is asked of a database, once in each one's own words. Both hold the same rows on the same
// disk and promise the same: an acknowledged commit survives a power cut.

export const ROWS_COUNT = 100_000;
export const STOCK_AT_START = 1_000_000_000;

export type JobName = 'read' | 'commit' | 'hot-row';
export type Transport = 'websocket' | 'http';

export interface Job {
  readonly name: JobName;
  readonly title: string;
  /** For SQLite: `?` is the number of the row, where the job has one. */
  readonly sql: string;
  /** For PostgreSQL, as a script of pgbench. */
  readonly script: string;
  /** Whether each run is about a row drawn at random. */
  readonly drawsRow: boolean;
  /** Least rate over PostgreSQL's with 64 clients; null where the bar is about CPU. */
  readonly rateOverPostgresAtLeast: number | null;
  /** Least rate with 64 clients, on its own. */
  readonly rateAtLeast: number | null;
  /** Most processor time of the server over PostgreSQL's with 64 clients. */
  readonly cpuOverPostgresAtMost: number | null;
}

const DRAW = `\\set id random(1, ${ROWS_COUNT})\n`;

/** DESIGN section 6 sets the bars. */
export const JOBS: readonly Job[] = [
  {
    name: 'read',
    title: 'point read',
    sql: 'SELECT number, note FROM items WHERE id = ?',
    script: `${DRAW}SELECT number, note FROM items WHERE id = :id;`,
    drawsRow: true,
    rateOverPostgresAtLeast: null,
    rateAtLeast: null,
    cpuOverPostgresAtMost: 0.67,
  },
  {
    name: 'commit',
    title: 'durable commit of one row, rows drawn at random',
    sql: 'UPDATE items SET number = number + 1 WHERE id = ?',
    script: `${DRAW}UPDATE items SET number = number + 1 WHERE id = :id;`,
    drawsRow: true,
    rateOverPostgresAtLeast: null,
    rateAtLeast: null,
    cpuOverPostgresAtMost: null,
  },
  {
    name: 'hot-row',
    title: 'durable commit of one hot row',
    sql:
      'UPDATE stock SET left_count = left_count - 1 WHERE id = 1 AND left_count > 0 ' +
      'RETURNING left_count',
    script:
      'UPDATE stock SET left_count = left_count - 1 WHERE id = 1 AND left_count > 0 ' +
      'RETURNING left_count;',
    drawsRow: false,
    rateOverPostgresAtLeast: 10,
    rateAtLeast: 20_000,
    cpuOverPostgresAtMost: null,
  },
];

/** The schema, for both: what differs between the two is the words for generating rows. */
export const SCHEMA: readonly string[] = [
  'CREATE TABLE items (id INTEGER PRIMARY KEY, number INTEGER NOT NULL, note TEXT NOT NULL)',
  'CREATE TABLE stock (id INTEGER PRIMARY KEY, left_count INTEGER NOT NULL)',
  `INSERT INTO stock (id, left_count) VALUES (1, ${STOCK_AT_START})`,
];

/** A note of about 100 bytes. */
export const NOTE_SQL =
  "'note of row ' || i || ' which is as long as a short message usually is, give or take a word'";
