// `sluice db shell`: SQL on a database, typed on a terminal or read from a pipe.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { GatewayError, isGatewayError } from '../../../core/index.ts';
import { type Flags, readFlagFile } from '../../release/flags.ts';
import type { Output } from '../../release/session.ts';
import { dirOf, word } from '../flags.ts';
import type { ReadModule } from '../read-module.ts';
import type { SqlClient } from './client.ts';
import { FolderClient } from './folder-client.ts';
import { HranaClient } from './hrana-client.ts';
import { MODES, type Mode } from './render.ts';
import { Shell } from './shell.ts';

export interface ShellInput extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
}

interface ShellSurroundings {
  readonly output: Output;
  readonly input: ShellInput;
  readonly read: ReadModule;
}

const HISTORY_LINES_COUNT_MAX = 1_000;
const TOKEN_VARIABLE = 'SLUICE_DB_TOKEN';

/** Returns 1 where a script's statement failed, or the database could not be had; else 0. */
export async function shellCommand(
  flags: Flags,
  { output, input, read }: ShellSurroundings,
): Promise<number> {
  const url = flags.text('url');
  if (flags.has('admin')) {
    const detail = 'a shell reaches a gateway by --url, such as http://127.0.0.1:8080/db/NAME/';
    throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
  }
  const name = url === null ? word(flags, 1, 'the name of the database') : labelOf(url);
  const isTerminal = input.isTTY === true;
  const mode = modeOf(flags.text('mode') ?? (isTerminal ? 'table' : 'list'));
  const client = await openClient(flags, name, read);
  try {
    const onError = isTerminal ? 'go-on' : 'stop';
    const shell = new Shell({ client, output, mode, onError });
    if (isTerminal) await talk(shell, { input, name, client });
    else await readAll(shell, input);
    if (client.isInTransaction) output.stderr.write('the open transaction is rolled back\n');
    return !isTerminal && shell.errorsCount > 0 ? 1 : 0;
  } finally {
    await client.close();
  }
}

async function openClient(flags: Flags, name: string, read: ReadModule): Promise<SqlClient> {
  const url = flags.text('url');
  if (url !== null) {
    const path = flags.text('token-file');
    const token =
      path === null ? process.env[TOKEN_VARIABLE] : readFlagFile('token-file', path).toString();
    const client = new HranaClient(url, token?.trim() ?? '');
    // Whatever is wrong with the address is said at once.
    await client.run('SELECT 1');
    return client;
  }
  try {
    const modules = { codec: read('codec.wasm'), sqlite: read('sqlite3.wasm') };
    return await FolderClient.open(dirOf(flags), name, modules);
  } catch (error) {
    if (!isGatewayError(error) || error.code !== 'DB_STORE_LOCKED') throw error;
    const how = `its databases are reached by --url, such as http://127.0.0.1:8080/db/${name}/`;
    throw new GatewayError('DB_STORE_LOCKED', `${error.detail}; ${how}`, error);
  }
}

function modeOf(name: string): Mode {
  const found = MODES.find((mode) => mode === name);
  if (found !== undefined) return found;
  const detail = `--mode: found ${JSON.stringify(name)}, expected one of ${MODES.join(', ')}`;
  throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
}

/** The last segment of a URL's path, for the prompt. */
function labelOf(url: string): string {
  return /([^/]+)\/?$/.exec(url.split('?')[0]!)?.[1] ?? 'sql';
}

async function readAll(shell: Shell, input: ShellInput): Promise<void> {
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) {
    await shell.line(line);
    if (shell.isOver) break;
  }
  lines.close();
  await shell.end();
}

/** Ctrl-C forgets what was begun, or leaves where nothing was; Ctrl-D leaves. */
async function talk(
  shell: Shell,
  { input, name, client }: { input: ShellInput; name: string; client: SqlClient },
): Promise<void> {
  const history = await History.open();
  const lines = createInterface({
    input,
    output: process.stdout,
    history: [...history.lines],
    historySize: HISTORY_LINES_COUNT_MAX,
    removeHistoryDuplicates: true,
  });
  const ask = (): void => {
    const mark = client.isInTransaction ? '*' : '';
    const first = `${name}${mark}> `;
    lines.setPrompt(shell.isInStatement ? `${'...> '.padStart(first.length)}` : first);
    lines.prompt();
  };
  lines.on('history', (all: string[]) => history.changed(all));
  lines.on('SIGINT', () => {
    if (lines.line === '' && !shell.isInStatement) lines.close();
    else {
      shell.cancel();
      lines.write(null, { ctrl: true, name: 'u' });
      process.stdout.write('^C\n');
      ask();
    }
  });
  ask();
  for await (const line of linesOf(lines)) {
    await shell.line(line);
    if (shell.isOver) break;
    ask();
  }
  lines.close();
  await history.close();
}

/** One line at a time: what is pasted waits for the statement before. */
async function* linesOf(lines: Interface): AsyncGenerator<string> {
  const waiting: string[] = [];
  let isClosed = false;
  let wake: () => void = () => {};
  lines.on('line', (line) => {
    waiting.push(line);
    wake();
  });
  lines.on('close', () => {
    isClosed = true;
    wake();
  });
  while (true) {
    const line = waiting.shift();
    if (line !== undefined) yield line;
    else if (isClosed) return;
    else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}

/** Kept for this user alone: it may hold what is in the databases. */
class History {
  readonly #path: string;
  lines: readonly string[];

  private constructor(path: string, lines: readonly string[]) {
    this.#path = path;
    this.lines = lines;
  }

  static async open(): Promise<History> {
    const state = process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state');
    const path = join(state, 'sluice', 'db-history');
    const text = await readFile(path, 'utf8').catch(() => '');
    // The newest first, as readline has it.
    return new History(path, text.split('\n').filter(Boolean).reverse());
  }

  changed(lines: readonly string[]): void {
    this.lines = [...lines];
  }

  /** A history that cannot be written is not worth an error. */
  async close(): Promise<void> {
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      const text = [...this.lines].reverse().map((line) => `${line}\n`);
      await writeFile(this.#path, text.join(''), { mode: 0o600 });
    } catch {
      // Such as a home that is read-only.
    }
  }
}
