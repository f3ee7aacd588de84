// The databases over the admin API:
//
//     GET    /databases                   all, as /databases/{name} shows each
//     GET    /databases/{name}            sizes, states that are kept, branches
//     PUT    /databases/{name}            makes it: empty, or of the database file in the body
//     DELETE /databases/{name}            removes it
//     GET    /databases/{name}/backup     the file of SQLite that it is now
//     POST   /databases/{name}/check      reads all of it
//     POST   /databases/{name}/branch     `{ "as": "other" }`, and to go back `"lsn"` or `"time"`

import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../core/index.ts';
import type { AdminDatabases, AdminDeps, DatabaseMoment } from './deps.ts';
import { readFields } from './json-fields.ts';
import { readBodyText } from './request-body.ts';
import type { Question, Reply, Resource } from './resources.ts';

const PATH = /^([^/]{1,200})(?:\/(backup|check|branch))?$/;
const NAME_LENGTH_MAX = 64;

export const DATABASE_RESOURCES: readonly Resource[] = [
  { path: '/databases', lane: 'databases', methods: { GET: list } },
  {
    path: '/databases/',
    lane: 'databases',
    methods: { GET: read, PUT: put, POST: act, DELETE: remove },
  },
];

async function list(deps: AdminDeps): Promise<Reply> {
  return json({ databases: await databasesOf(deps).list() });
}

async function read(deps: AdminDeps, question: Question): Promise<Reply> {
  const databases = databasesOf(deps);
  const { name, action } = placeOf(question);
  if (action === '') return json(await databases.overview(name));
  if (action !== 'backup') throw wrongMethod(question, 'POST');
  // It would keep a state for nobody.
  if (question.request.method === 'HEAD') throw wrongMethod(question, 'GET');
  const { lsn, sizeBytes, pieces } = await databases.backup(name);
  return {
    status: 200,
    contentType: 'application/vnd.sqlite3',
    headers: { 'x-sluice-lsn': String(lsn), 'content-length': String(sizeBytes) },
    body: pieces,
  };
}

async function put(deps: AdminDeps, question: Question): Promise<Reply> {
  const databases = databasesOf(deps);
  const { name, action } = placeOf(question);
  if (action !== '') throw wrongMethod(question, action === 'backup' ? 'GET' : 'POST');
  const { request } = question;
  if (hasBody(request)) await databases.importFile(name, request);
  else await databases.create(name);
  return json(await databases.overview(name), 201);
}

async function act(deps: AdminDeps, question: Question): Promise<Reply> {
  const databases = databasesOf(deps);
  const { name, action } = placeOf(question);
  const body = await readBodyText(question.request);
  if (action === 'check') {
    readFields(body, []);
    return json(await databases.check(name));
  }
  if (action !== 'branch') throw wrongMethod(question, action === '' ? 'GET, PUT, DELETE' : 'GET');
  const fields = readFields(body, ['as', 'lsn', 'time']);
  const as = nameIn(fields.as);
  const lsn = await databases.branch(name, { as, moment: momentOf(fields) });
  return json({ name: as, parent: name, lsn }, 201);
}

async function remove(deps: AdminDeps, question: Question): Promise<Reply> {
  const databases = databasesOf(deps);
  const { name, action } = placeOf(question);
  if (action !== '') throw wrongMethod(question, action === 'backup' ? 'GET' : 'POST');
  await databases.remove(name);
  return json({ removed: name });
}

function databasesOf(deps: AdminDeps): AdminDatabases {
  const databases = deps.databases();
  if (databases !== null) return databases;
  throw new GatewayError('GW_ADMIN_NOT_FOUND', 'there is no `db` in the configuration');
}

function placeOf({ rest }: Question): { readonly name: string; readonly action: string } {
  const [, name, action = ''] = PATH.exec(rest) ?? [];
  if (name !== undefined) return { name, action };
  const expected = 'expected /databases/{name}, and /backup, /check or /branch behind it';
  throw new GatewayError('GW_ADMIN_NOT_FOUND', `/databases/${rest.slice(0, 200)}, ${expected}`);
}

function wrongMethod({ request, rest }: Question, expected: string): GatewayError {
  const detail = `${request.method} on /databases/${rest.slice(0, 200)}, use ${expected}`;
  return new GatewayError('GW_ADMIN_METHOD', detail);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function nameIn(value: unknown): string {
  if (typeof value === 'string' && value.length <= NAME_LENGTH_MAX) return value;
  throw bad('as', `the branch's name, up to ${NAME_LENGTH_MAX} characters`);
}

/** Null for now. */
function momentOf({ lsn, time }: Record<string, unknown>): DatabaseMoment | null {
  if (lsn !== undefined && time !== undefined) throw bad('lsn and time', 'one of them');
  if (lsn !== undefined) {
    if (Number.isSafeInteger(lsn) && (lsn as number) >= 0) return { lsn: lsn as number };
    throw bad('lsn', 'the number of a commit');
  }
  if (time === undefined) return null;
  const timeMs = typeof time === 'string' && /^\d{4}-\d\d-\d\d/.test(time) ? Date.parse(time) : NaN;
  if (Number.isFinite(timeMs)) return { timeMs };
  throw bad('time', 'a date such as 2026-01-31T12:00Z');
}

function bad(what: string, expected: string): GatewayError {
  return new GatewayError('GW_ADMIN_BAD_REQUEST', `${what}: expected ${expected}`);
}

function json(value: unknown, status = 200): Reply {
  const body = `${JSON.stringify(value, null, 2)}\n`;
  return { status, contentType: 'application/json', body };
}
