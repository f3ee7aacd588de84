// The shell itself: statements and dot commands, one after the other, and what they print. It knows
// no terminal: lines come from whoever calls.

import { readFile } from 'node:fs/promises';
import { GatewayError, isGatewayError } from '../../../core/index.ts';
import type { Output } from '../../release/session.ts';
import { isStatementError, type SqlClient } from './client.ts';
import { dump } from './dump.ts';
import { MODES, type Mode, render } from './render.ts';
import { StatementReader } from './statements.ts';

export interface ShellOptions {
  readonly client: SqlClient;
  readonly output: Output;
  readonly mode: Mode;
  /** `stop`: the first error ends it, as in a script. */
  readonly onError: 'stop' | 'go-on';
}

const HELP = `.dump [TABLE]   the schema and the rows as SQL
.help           this list
.mode [NAME]    how rows are shown: ${MODES.join(', ')}
.quit           leave; what is not committed is rolled back
.read FILE      run the statements of a file
.schema [NAME]  the SQL that made a table, or all
.tables         tables and views
`;
/** Files that read files. */
const READ_DEPTH_MAX = 8;

export class Shell {
  readonly #options: ShellOptions;
  #reader = new StatementReader();
  #mode: Mode;
  #readDepth = 0;
  errorsCount = 0;
  /** Nothing more is to be given to it. */
  isOver = false;

  constructor(options: ShellOptions) {
    this.#options = options;
    this.#mode = options.mode;
  }

  /** Whether a statement has begun that the lines so far do not end. */
  get isInStatement(): boolean {
    return this.#reader.isOpen;
  }

  /** Takes a line without its end, and runs what it completes. */
  async line(text: string): Promise<void> {
    if (this.isOver) return;
    if (!this.isInStatement && /^\s*\./.test(text)) {
      this.#reader.takeRest();
      await this.#guarded(() => this.#dotCommand(text.trim()));
      return;
    }
    await this.#runAll(this.#reader.add(`${text}\n`));
  }

  /** What was begun is forgotten. */
  cancel(): void {
    this.#reader.takeRest();
  }

  /** The input has ended: a statement without its semicolon is run too. */
  async end(): Promise<void> {
    const rest = this.isOver ? '' : this.#reader.takeRest();
    if (rest !== '') await this.#runAll([rest]);
    this.isOver = true;
  }

  async #runAll(statements: readonly string[]): Promise<void> {
    for (const sql of statements) {
      if (this.isOver) return;
      await this.#guarded(() => this.#run(sql));
    }
  }

  async #run(sql: string): Promise<void> {
    const answer = await this.#options.client.run(sql);
    this.#print(render(answer, this.#mode));
  }

  /** Errors of statements and commands are told; the shell goes on, or is over. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.errorsCount += 1;
      if (this.#options.onError === 'stop') this.isOver = true;
      this.#options.output.stderr.write(`${textOf(error)}\n`);
    }
  }

  async #dotCommand(text: string): Promise<void> {
    const [, command = '', argument = ''] = /^\.(\S*)\s*(.*?);?$/.exec(text) ?? [];
    switch (command) {
      case 'quit':
      case 'exit':
        this.isOver = true;
        return;
      case 'help':
        this.#print(HELP);
        return;
      case 'mode':
        this.#setMode(argument);
        return;
      case 'tables':
        await this.#list(`SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')
          AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name`);
        return;
      case 'schema':
        await this.#schema(argument);
        return;
      case 'read':
        await this.#read(argument);
        return;
      case 'dump':
        await dump(this.#options.client, argument, (line) => this.#print(line));
        return;
      default: {
        const detail = `.${command}, expected one of the commands that .help lists`;
        throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
      }
    }
  }

  #setMode(name: string): void {
    if (name === '') {
      this.#print(`${this.#mode}\n`);
      return;
    }
    const found = MODES.find((mode) => mode === name);
    if (found === undefined) {
      const detail = `.mode ${name}, expected one of ${MODES.join(', ')}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    this.#mode = found;
  }

  async #list(sql: string): Promise<void> {
    const { rows } = await this.#options.client.run(sql);
    this.#print(rows.map(([name]) => `${name}\n`).join(''));
  }

  async #schema(name: string): Promise<void> {
    const literal = `'${name.replaceAll("'", "''")}'`;
    const where = name === '' ? '' : `AND lower(tbl_name) = lower(${literal})`;
    await this.#list(`SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL
      AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ${where} ORDER BY rowid`);
  }

  async #read(path: string): Promise<void> {
    if (path === '') throw new GatewayError('GW_FLAG_BAD_VALUE', '.read, expected a file');
    if (this.#readDepth >= READ_DEPTH_MAX) {
      const detail = `.read ${path}, ${READ_DEPTH_MAX} files deep, the limit`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    const text = await readFile(path, 'utf8');
    const outer = this.#reader;
    this.#reader = new StatementReader();
    this.#readDepth += 1;
    try {
      for (const line of text.split('\n')) await this.line(line.replace(/\r$/, ''));
      const rest = this.#reader.takeRest();
      if (rest !== '') await this.#runAll([rest]);
    } finally {
      this.#readDepth -= 1;
      this.#reader = outer;
    }
  }

  #print(text: string): void {
    this.#options.output.stdout.write(text);
  }
}

function textOf(error: unknown): string {
  if (isStatementError(error)) return `${error.message} (${error.code})`;
  if (isGatewayError(error)) return `${error.message} (${error.code}, reason ${error.reason})`;
  if (error instanceof Error && 'syscall' in error) return error.message;
  throw error;
}
