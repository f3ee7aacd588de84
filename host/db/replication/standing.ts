// What this gateway is to others that have the same databases: their primary, a follower, or a
// former primary that knows of a newer one. It stands in a file beside the databases, so that a
// restart does not forget it, and in memory that all threads share, so that all of them obey at
// once. A term is the count of promotions; it is the epoch that a primary writes its logs with.
//
//     {folder}/replication.json      replaced as a whole, and synced
//
//     primary ◄──promote── follower        the term rises by one
//        └─────hears of a newer term────► fenced

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError, secretBytes } from '../../core/index.ts';
import { LOG_EPOCH_MAX } from '../log/index.ts';
import { SqlError } from '../sql-error.ts';

export type Role = 'primary' | 'follower' | 'fenced';

export interface StandingRecord {
  readonly version: 1;
  readonly role: Role;
  readonly term: number;
  /** Of this gateway. */
  readonly node: string;
  /** What all gateways have in common that follow each other; null before the first contact. */
  readonly cluster: string | null;
  /** What it follows, or followed when it was promoted; `''` for a primary from the start. */
  readonly upstream: string;
  /** Databases that were here before this gateway followed, and that the primary has not yet
   *  accepted as copies of its own: they are never thrown away. */
  readonly unproven: readonly string[];
}

const FILE_NAME = 'replication.json';
const ROLES: readonly Role[] = ['primary', 'follower', 'fenced'];
const ID_SIZE_BYTES = 16;
const ROLE_INDEX = 0;
const TERM_INDEX = 1;

/** Memory for the standing of one gateway, shared by its threads. */
export function standingWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8));
}

export interface StandingPlace {
  readonly folder: string;
  readonly words: Int32Array;
  /** As configured: the primary's URL, or `''`. */
  readonly follow: string;
}

/** Decides at the start of a gateway what it is. Errors: DB_STANDING where its configuration and
 *  what it was do not go together; DB_FORMAT for a file that is no standing. */
export function decideStanding(
  place: StandingPlace,
  options: { readonly replicates: boolean; readonly names: readonly string[] },
): Standing {
  const { folder, follow } = place;
  const { names, replicates } = options;
  const found = readRecord(folder);
  const standing = new Standing(place);
  if (found === null && follow === '' && !replicates) {
    standing.show(newRecord('primary', ''));
    return standing;
  }
  if (found === null) {
    if (follow !== '' && names.length > 0) {
      const detail = `${folder} has databases of its own; a follower begins with an empty folder`;
      throw new GatewayError('DB_STANDING', detail);
    }
    standing.put(newRecord(follow === '' ? 'primary' : 'follower', follow));
  } else if (follow === '' && found.role === 'follower') {
    const detail =
      `${folder} follows ${found.upstream}: put db.follow back, ` +
      'and promote the gateway if it is to be the primary';
    throw new GatewayError('DB_STANDING', detail);
  } else if (follow === '' || follow === found.upstream) {
    standing.show(found);
  } else {
    const unproven = found.role === 'follower' ? found.unproven : names;
    standing.put({ ...found, role: 'follower', upstream: follow, unproven });
  }
  return standing;
}

/** What the gateway of a folder is, for who works with the folder while it does not run. Writes
 *  nothing. Errors: DB_FORMAT for a file that is no standing. */
export function standingOfFolder(folder: string): Standing {
  const found = readRecord(folder);
  const follow = found?.upstream ?? '';
  const standing = new Standing({ folder, words: standingWords(), follow });
  standing.show(found ?? newRecord('primary', ''));
  return standing;
}

export class Standing {
  readonly #place: StandingPlace;

  constructor(place: StandingPlace) {
    this.#place = place;
  }

  get role(): Role {
    return ROLES[Atomics.load(this.#place.words, ROLE_INDEX)]!;
  }

  get term(): number {
    return Atomics.load(this.#place.words, TERM_INDEX) >>> 0;
  }

  /** The configured primary's URL, or `''`. */
  get follow(): string {
    return this.#place.follow;
  }

  /** What stands in the file. */
  get record(): StandingRecord {
    return readRecord(this.#place.folder) ?? newRecord('primary', '');
  }

  /** Why nobody may write here, or null. Cost: one atomic read where anybody may. */
  readonly refusal = (): SqlError | null => {
    const { role } = this;
    if (role === 'primary') return null;
    const message = this.explanation;
    return new SqlError({ code: 'DB_REFUSED', sqlCode: 'SQLITE_READONLY', message });
  };

  /** Who takes writes, for somebody who tried it here. */
  get explanation(): string {
    if (this.role === 'follower') {
      return `this gateway follows ${this.follow}, which takes the writes`;
    }
    return (
      `this gateway was the primary and has learned of a newer one, of term ${this.term}: ` +
      'it takes no writes any more'
    );
  }

  /** Makes a follower the primary, durably. Returns the new term. Errors: DB_STANDING. */
  promote(): number {
    const { record } = this;
    if (record.role !== 'follower') {
      throw new GatewayError('DB_STANDING', `it is ${record.role}, and a follower is promoted`);
    }
    if (record.cluster === null) {
      throw new GatewayError('DB_STANDING', `it has never reached ${record.upstream}`);
    }
    const term = Math.max(record.term, this.term) + 1;
    if (term > LOG_EPOCH_MAX) throw new GatewayError('DB_STANDING', `term ${term} is too many`);
    this.put({ ...record, role: 'primary', term, unproven: [] });
    return term;
  }

  /** Takes notice of a term that somebody else has. A primary whose term is older is fenced,
   *  durably, before this returns. Returns whether that happened. */
  hear(term: number): boolean {
    if (term <= this.term) return false;
    const { record } = this;
    if (record.term >= term) {
      this.show(record);
      return false;
    }
    const role = record.role === 'primary' ? 'fenced' : record.role;
    // Nobody may write while the file is written.
    Atomics.store(this.#place.words, ROLE_INDEX, ROLES.indexOf(role));
    this.put({ ...record, role, term });
    return role === 'fenced' && record.role !== 'fenced';
  }

  /** Joins the primary's cluster at the first contact. Errors: DB_STANDING for any other. */
  join(cluster: string): void {
    const { record } = this;
    if (record.cluster === null) this.put({ ...record, cluster });
    else if (record.cluster !== cluster) {
      const detail = `${this.follow} is of cluster ${cluster}, this gateway of ${record.cluster}`;
      throw new GatewayError('DB_STANDING', detail);
    }
  }

  /** The primary has accepted what is here as a copy of its own. */
  prove(name: string): void {
    const { record } = this;
    if (!record.unproven.includes(name)) return;
    this.put({ ...record, unproven: record.unproven.filter((other) => other !== name) });
  }

  /** Makes a record durable, and then known to all threads. */
  put(record: StandingRecord): void {
    const { folder } = this.#place;
    const path = join(folder, FILE_NAME);
    const temporary = `${path}.${newId()}`;
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(file, `${JSON.stringify(record, null, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    const directory = openSync(folder, 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
    this.show(record);
  }

  show({ role, term }: StandingRecord): void {
    const { words } = this.#place;
    // The term first: whoever sees a new primary sees its term.
    Atomics.store(words, TERM_INDEX, term | 0);
    Atomics.store(words, ROLE_INDEX, ROLES.indexOf(role));
  }
}

function newRecord(role: Role, upstream: string): StandingRecord {
  const cluster = role === 'primary' ? newId() : null;
  return { version: 1, role, term: 1, node: newId(), cluster, upstream, unproven: [] };
}

function newId(): string {
  return Buffer.from(secretBytes(ID_SIZE_BYTES)).toString('hex');
}

function readRecord(folder: string): StandingRecord | null {
  const path = join(folder, FILE_NAME);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const record = parsed(text);
  if (record !== null) return record;
  throw new GatewayError('DB_FORMAT', `${path} is no standing of version 1`);
}

function parsed(text: string): StandingRecord | null {
  try {
    const record = JSON.parse(text) as StandingRecord;
    const isTerm =
      Number.isInteger(record.term) && record.term >= 1 && record.term <= LOG_EPOCH_MAX;
    const isKnown = record.version === 1 && ROLES.includes(record.role) && isTerm;
    return isKnown && Array.isArray(record.unproven) ? record : null;
  } catch {
    return null;
  }
}
