// `sluice db`: the databases of a folder that no gateway has. It takes the folder's lock for as
// long as it runs, so that it never touches what a running gateway owns.

import { stat } from 'node:fs/promises';
import { GatewayError, systemClock } from '../../core/index.ts';
import { DatabaseCatalog, exportSqliteFile } from '../../db/index.ts';
import { compileCodec } from '../../kernels/index.ts';
import { readWasm } from '../../workers/index.ts';
import { Flags } from '../release/flags.ts';
import { ProgressBar } from '../release/progress.ts';
import { type Output, withReasons } from '../release/session.ts';
import { grouped } from '../release/table.ts';
import { DB_FLAGS, dirOf, momentOf, word } from './flags.ts';
import { overviewText, readOverview, statsText } from './report.ts';

/** What a store may take while only commands use it: nothing that a gateway wrote is refused. */
const SIZE_BYTES_MAX = 2 ** 50;
/** Commands forget no state: how long they are kept is the gateway's business. */
const RETENTION_MS = Number.POSITIVE_INFINITY;

interface Context {
  readonly catalog: DatabaseCatalog;
  readonly flags: Flags;
  readonly output: Output;
}

type Action = (context: Context) => Promise<number>;

const ACTIONS: Readonly<Record<string, Action>> = {
  list,
  create,
  delete: remove,
  check,
  backup,
  restore,
  branch,
  stats,
};

export const DB_ACTIONS: readonly string[] = Object.keys(ACTIONS);

export function dbCommand(
  argv: readonly string[],
  output: Output = process,
  readCodec: () => Uint8Array<ArrayBuffer> = () => readWasm('codec.wasm'),
): Promise<number> {
  return withReasons(output, async () => {
    const flags = new Flags(argv, DB_FLAGS, { positionalsMax: 3 });
    const name = flags.positionals[0] ?? '';
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action === undefined) {
      const detail = `found "${name}", expected one of ${DB_ACTIONS.join(', ')}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    const folder = dirOf(flags);
    // A folder that is not there has no databases; only what makes one makes it.
    if (name !== 'create' && name !== 'restore') await assertFolder(folder);
    const catalog = await DatabaseCatalog.open({
      folder,
      codecModule: compileCodec(readCodec()),
      clock: systemClock,
      sizeBytesMax: SIZE_BYTES_MAX,
      retentionMs: RETENTION_MS,
    });
    try {
      return await action({ catalog, flags, output });
    } finally {
      await catalog.close();
    }
  });
}

async function assertFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory() === true) return;
  throw new GatewayError('DB_NOT_FOUND', `there is no folder ${folder}`);
}

async function list({ catalog, flags, output }: Context): Promise<number> {
  const rows = [];
  for (const name of await catalog.list()) rows.push(await readOverview(catalog, name));
  const text = flags.isSet('json') ? `${JSON.stringify(rows, null, 2)}\n` : overviewText(rows);
  output.stdout.write(text);
  return 0;
}

async function create({ catalog, flags, output }: Context): Promise<number> {
  const name = word(flags, 1, 'the name of the database');
  const from = flags.text('from');
  if (from === null) await catalog.create(name);
  else await catalog.importFile(name, from);
  output.stdout.write(`${name} is made${from === null ? '' : ` of ${from}`}\n`);
  return 0;
}

async function remove({ catalog, flags, output }: Context): Promise<number> {
  const name = word(flags, 1, 'the name of the database');
  await catalog.delete(name);
  output.stdout.write(`${name} is deleted\n`);
  return 0;
}

/** Reads every record of the store, and every group of the log by opening it whole. */
async function check({ catalog, flags, output }: Context): Promise<number> {
  const given = flags.positionals[1];
  const names = given === undefined ? await catalog.list() : [given];
  let badCount = 0;
  for (const name of names) {
    const { store, close } = await catalog.openWhole(name);
    try {
      const { recordsCount, findings, findingsCount } = await store.check();
      for (const finding of findings) output.stdout.write(`${name}: ${finding}\n`);
      const verdict = findingsCount === 0 ? 'good' : `${findingsCount} bad`;
      const where = `at lsn ${store.lsn}`;
      output.stdout.write(`${name}: ${grouped(recordsCount)} records ${where}, ${verdict}\n`);
      badCount += findingsCount;
    } finally {
      await close();
    }
  }
  return badCount === 0 ? 0 : 1;
}

async function backup({ catalog, flags, output }: Context): Promise<number> {
  const name = word(flags, 1, 'the name of the database');
  const path = word(flags, 2, 'the file to write');
  const { store, close } = await catalog.openWhole(name);
  const bar = new ProgressBar(output.stderr, () => systemClock.nowMs());
  try {
    const lsn = await exportSqliteFile(store, store.lsn, path, (doneCount, totalCount) =>
      bar.show({ label: 'pages', doneCount, totalCount }),
    );
    bar.clear();
    output.stdout.write(`${path} is ${name} at lsn ${lsn}, ${grouped(store.pageCount)} pages\n`);
    return 0;
  } finally {
    await close();
  }
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

async function branchAs({ catalog, flags, output }: Context, name: string): Promise<number> {
  const from = word(flags, 1, 'the name of the database');
  const moment = momentOf(flags) ?? { lsn: Number.POSITIVE_INFINITY };
  const lsn = await catalog.branchAt(from, name, moment);
  output.stdout.write(`${name} is ${from} at lsn ${lsn}\n`);
  return 0;
}

async function stats({ catalog, flags, output }: Context): Promise<number> {
  const overview = await readOverview(catalog, word(flags, 1, 'the name of the database'));
  const text = flags.isSet('json') ? `${JSON.stringify(overview, null, 2)}\n` : statsText(overview);
  output.stdout.write(text);
  return 0;
}
