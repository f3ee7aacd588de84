// A database as SQL that makes it again: in one transaction, so that it is one state.

import { GatewayError } from '../../../core/index.ts';
import { isStatementError, type SqlClient } from './client.ts';
import { quotedName } from './render.ts';

type Print = (text: string) => void;

/** Rows asked for at a time; fewer where their values are too much for one answer. */
const ROWS_COUNT_MAX = 500;

/** `table`: '' for all. Errors: GW_FLAG_BAD_VALUE for a table that is not there. */
export async function dump(client: SqlClient, table: string, print: Print): Promise<void> {
  const isOwn = !client.isInTransaction;
  if (isOwn) await client.run('BEGIN');
  try {
    await dumpAll(client, table, print);
  } finally {
    if (isOwn && client.isInTransaction) await client.run('ROLLBACK');
  }
}

async function dumpAll(client: SqlClient, table: string, print: Print): Promise<void> {
  const { rows } = await client.run(`SELECT s.type, s.name, s.tbl_name, s.sql, coalesce(l.type, ''),
    coalesce(l.wr, 0) FROM sqlite_schema AS s LEFT JOIN pragma_table_list AS l
    ON l.schema = 'main' AND l.name = s.name AND s.type = 'table'
    WHERE s.sql IS NOT NULL ORDER BY s.rowid`);
  const wanted = rows.filter(([, , owner]) => table === '' || same(String(owner), table));
  if (table !== '' && wanted.length === 0) {
    throw new GatewayError('GW_FLAG_BAD_VALUE', `.dump ${table}: there is no such table`);
  }
  print('PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n');
  for (const [type, name, , sql, kind, isWithoutRowid] of wanted) {
    // What belongs to a virtual table is made with it.
    if (type !== 'table' || kind === 'shadow' || /^sqlite_/i.test(String(name))) continue;
    print(`${sql};\n`);
    const pages = isWithoutRowid === 1n || kind === 'virtual' ? 'offset' : 'rowid';
    await dumpRows(client, String(name), pages, print);
  }
  if (table === '' && rows.some(([, name]) => name === 'sqlite_sequence')) {
    print('DELETE FROM sqlite_sequence;\n');
    await dumpRows(client, 'sqlite_sequence', 'rowid', print);
  }
  // Triggers last: they would act on the rows above.
  for (const [type, , , sql] of wanted) if (type === 'index') print(`${sql};\n`);
  for (const [type, , , sql] of wanted) {
    if (type === 'view' || type === 'trigger') print(`${sql};\n`);
  }
  print('COMMIT;\n');
}

async function dumpRows(
  client: SqlClient,
  name: string,
  pages: 'rowid' | 'offset',
  print: Print,
): Promise<void> {
  const literal = `'${name.replaceAll("'", "''")}'`;
  const { rows: found } = await client.run(`SELECT name FROM pragma_table_info(${literal})`);
  const columns = found.map(([column]) => quotedName(String(column)));
  if (columns.length === 0) return;
  const values = columns.map((column) => `quote(${column})`).join(', ');
  const rowid = pages === 'rowid' ? rowidOf(columns) : null;
  const target = `INSERT INTO ${quotedName(name)}(${columns.join(', ')}) VALUES`;
  let limit = ROWS_COUNT_MAX;
  let last: bigint | null = null;
  for (let offset = 0; ; ) {
    const from = `FROM ${quotedName(name)}`;
    const where: string = last === null ? '' : `WHERE ${rowid} > ${last}`;
    const sql =
      rowid === null
        ? `SELECT 0, ${values} ${from} LIMIT ${limit} OFFSET ${offset}`
        : `SELECT ${rowid}, ${values} ${from} ${where} ORDER BY ${rowid} LIMIT ${limit}`;
    const rows: readonly (readonly unknown[])[] | null = await rowsOf(client, sql, limit);
    if (rows === null) {
      limit = Math.ceil(limit / 4);
      continue;
    }
    for (const [, ...row] of rows) print(`${target}(${row.join(',')});\n`);
    if (rows.length < limit) return;
    offset += rows.length;
    last = rowid === null ? null : (rows.at(-1)![0] as bigint);
  }
}

/** Null where the answer would be too large and fewer rows may do. */
async function rowsOf(client: SqlClient, sql: string, limit: number) {
  try {
    return (await client.run(sql)).rows;
  } catch (error) {
    if (limit > 1 && isStatementError(error) && error.code === 'RESPONSE_TOO_LARGE') return null;
    throw error;
  }
}

/** A name of the rowid that no column has; null where all are taken. */
function rowidOf(columns: readonly string[]): string | null {
  const taken = columns.map((column) => column.toLowerCase());
  return ['rowid', '_rowid_', 'oid'].find((name) => !taken.includes(`"${name}"`)) ?? null;
}

function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
