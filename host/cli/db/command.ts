// `sluice db`: works with the databases of a folder, or with those of the gateway that has it.

import { GatewayError, isGatewayError, systemClock } from '../../core/index.ts';
import { findAdminUrl } from '../../db/index.ts';
import { readWasm } from '../../workers/index.ts';
import { Flags } from '../release/flags.ts';
import { ProgressBar } from '../release/progress.ts';
import { type Output, withReasons } from '../release/session.ts';
import { grouped } from '../release/table.ts';
import type { Databases } from './databases.ts';
import { adminTokenOf, DB_FLAGS, dirOf, momentOf, word } from './flags.ts';
import { FolderDatabases } from './folder-databases.ts';
import { GatewayDatabases } from './gateway-databases.ts';
import type { ReadModule } from './read-module.ts';
import { overviewText, statsText } from './report.ts';
import { type ShellInput, shellCommand } from './shell/command.ts';

interface Context {
  readonly databases: Databases;
  readonly flags: Flags;
  readonly output: Output;
}

interface Action {
  /** What stands behind its name. */
  readonly usage: string;
  readonly run: (context: Context) => Promise<number>;
  /** Words behind the action's own: one too many is a mistake, such as a flag without dashes. */
  readonly wordsMax: number;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  list: { usage: '[--json]', run: list, wordsMax: 0 },
  create: { usage: 'NAME [--from FILE]', run: create, wordsMax: 1 },
  delete: { usage: 'NAME', run: remove, wordsMax: 1 },
  check: { usage: '[NAME]', run: check, wordsMax: 1 },
  backup: { usage: 'NAME FILE', run: backup, wordsMax: 2 },
  restore: {
    usage: 'NAME --at MOMENT --as OTHER, or NAME --from FILE',
    run: restore,
    wordsMax: 1,
  },
  branch: { usage: 'NAME OTHER [--at MOMENT]', run: branch, wordsMax: 2 },
  stats: { usage: 'NAME [--json]', run: stats, wordsMax: 1 },
  promote: { usage: '', run: promote, wordsMax: 0 },
};

export const DB_ACTIONS: readonly string[] = [...Object.keys(ACTIONS), 'shell'];

const SHELL_USAGE = 'shell NAME, or shell --url URL';

/** A line for each action, for the help. */
export const DB_USAGE: string = [
  ...Object.entries(ACTIONS).map(([name, { usage }]) => `${name} ${usage}`.trimEnd()),
  SHELL_USAGE,
]
  .map((line) => `  $ sluice db ${line}`)
  .join('\n');

export function dbCommand(
  argv: readonly string[],
  output: Output = process,
  read: ReadModule = readWasm,
  input: ShellInput = process.stdin,
): Promise<number> {
  return withReasons(output, async () => {
    const flags = new Flags(argv, DB_FLAGS, { positionalsMax: 3 });
    const name = flags.positionals[0] ?? '';
    if (name === 'shell') return shellCommand(flags, { output, input, read });
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action === undefined) {
      const detail = `found "${name}", expected one of ${DB_ACTIONS.join(', ')}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    const extra = flags.positionals[action.wordsMax + 1];
    if (extra !== undefined) {
      throw new GatewayError('GW_FLAG_BAD_VALUE', `db ${name}: "${extra}" is too much`);
    }
    const databases = await openDatabases(flags, name, read);
    try {
      return await action.run({ databases, flags, output });
    } finally {
      await databases.close();
    }
  });
}

/** The gateway that is named or has the folder; else the folder itself. Errors: DB_STORE_LOCKED
 *  where another process has it and has not said how it can be asked. */
async function openDatabases(flags: Flags, action: string, read: ReadModule): Promise<Databases> {
  const token = adminTokenOf(flags);
  const url = flags.text('admin');
  if (url !== null && flags.has('dir')) {
    throw new GatewayError('GW_FLAG_BAD_VALUE', 'a command takes either --dir or --admin');
  }
  if (url !== null) return new GatewayDatabases({ url, token });
  const folder = dirOf(flags);
  const isFilled = action === 'create' || (action === 'restore' && flags.has('from'));
  const missing = isFilled ? 'make' : 'refuse';
  try {
    return await FolderDatabases.open({ folder, read, missing });
  } catch (error) {
    if (!isGatewayError(error) || error.code !== 'DB_STORE_LOCKED') throw error;
    const found = await findAdminUrl(folder);
    if (found === null) throw error;
    return new GatewayDatabases({ url: found, token });
  }
}

/** Returns 1 where one of them cannot be opened. */
async function list({ databases, flags, output }: Context): Promise<number> {
  const rows = await databases.list();
  const text = flags.isSet('json') ? `${JSON.stringify(rows, null, 2)}\n` : overviewText(rows);
  output.stdout.write(text);
  if (rows.length === 0) output.stderr.write('there are no databases\n');
  return rows.every(({ error }) => error === undefined) ? 0 : 1;
}

async function create({ databases, flags, output }: Context): Promise<number> {
  const name = word(flags, 1, 'the name of the database');
  const from = flags.text('from');
  if (from === null) await databases.create(name);
  else await databases.importFile(name, from);
  const { newFolder } = databases;
  const where = newFolder === null ? '' : `, in the new folder ${newFolder}`;
  output.stdout.write(`${name} is made${from === null ? '' : ` of ${from}`}${where}\n`);
  return 0;
}

async function remove({ databases, flags, output }: Context): Promise<number> {
  const name = word(flags, 1, 'the name of the database');
  await databases.remove(name);
  output.stdout.write(`${name} is deleted\n`);
  return 0;
}

/** Reads every record of the store, and every group of the log. */
async function check({ databases, flags, output }: Context): Promise<number> {
  const given = flags.positionals[1];
  const names = given === undefined ? await databases.names() : [given];
  let badCount = 0;
  for (const name of names) {
    try {
      const { recordsCount, findings, findingsCount, lsn } = await databases.check(name);
      for (const finding of findings) output.stdout.write(`${name}: ${finding}\n`);
      const verdict = findingsCount === 0 ? 'good' : `${findingsCount} bad`;
      output.stdout.write(`${name}: ${grouped(recordsCount)} records at lsn ${lsn}, ${verdict}\n`);
      badCount += findingsCount;
    } catch (error) {
      // The others are looked at all the same.
      if (given !== undefined || !isGatewayError(error)) throw error;
      output.stdout.write(`${name}: cannot be read: ${error.message} (${error.code})\n`);
      badCount += 1;
    }
  }
  return badCount === 0 ? 0 : 1;
}

async function backup({ databases, flags, output }: Context): Promise<number> {
  const name = word(flags, 1, 'the name of the database');
  const path = word(flags, 2, 'the file to write');
  const bar = new ProgressBar(output.stderr, () => systemClock.nowMs());
  const { lsn, pageCount } = await databases
    .backup(name, path, (doneCount, totalCount) =>
      bar.show({ label: 'pages', doneCount, totalCount }),
    )
    .finally(() => bar.clear());
  output.stdout.write(`${path} is ${name} at lsn ${lsn}, ${grouped(pageCount)} pages\n`);
  return 0;
}

/** From a file, or to a moment of a database's past, and then under another name. */
async function restore(context: Context): Promise<number> {
  const { flags } = context;
  const isFile = flags.has('from');
  if (isFile === flags.has('at')) {
    throw new GatewayError(
      'GW_FLAG_BAD_VALUE',
      'a restore takes either --from FILE or --at MOMENT',
    );
  }
  return isFile ? create(context) : branchAs(context, flags.required('as'));
}

async function branch(context: Context): Promise<number> {
  return branchAs(context, word(context.flags, 2, 'the name of the branch'));
}

async function branchAs({ databases, flags, output }: Context, name: string): Promise<number> {
  const from = word(flags, 1, 'the name of the database');
  const lsn = await databases.branch(from, name, momentOf(flags));
  output.stdout.write(`${name} is ${from} at lsn ${lsn}\n`);
  return 0;
}

/** Of a gateway that follows another one. */
async function promote({ databases, output }: Context): Promise<number> {
  const term = await databases.promote();
  output.stdout.write(`the gateway is the primary, of term ${term}\n`);
  return 0;
}

async function stats({ databases, flags, output }: Context): Promise<number> {
  const overview = await databases.overview(word(flags, 1, 'the name of the database'));
  const text = flags.isSet('json') ? `${JSON.stringify(overview, null, 2)}\n` : statsText(overview);
  output.stdout.write(text);
  return 0;
}
