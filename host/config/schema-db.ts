// The keys of the database plane: where databases are, who may use them, and what each may take.

import * as defaults from './defaults.ts';
import { choice, DURATION, integer, parsed, RETENTION, SIZE, text } from './leaves.ts';
import * as limits from './limits.ts';
import { FOLDER, withDefault } from './schema-common.ts';
import { Complaint, mapped, object, optional, required } from './schema-kit.ts';

export const DB_ROUTE = object('{}', {});

const PUBLIC_KEY = mapped(
  text('a public key', { sizeCharsMax: limits.PUBLIC_KEY_SIZE_CHARS_MAX }),
  (key) =>
    isPublicKey(key)
      ? key
      : new Complaint('expected an Ed25519 public key: PEM, or 32 bytes in base64url'),
);

const RAW_KEY = /^[A-Za-z0-9_-]{43}$/;

function isPublicKey(key: string): boolean {
  return RAW_KEY.test(key) || /^\s*-----BEGIN PUBLIC KEY-----[\s\S]+-----END/.test(key);
}

const AUTH = object('a map with publicKey', {
  publicKey: required(PUBLIC_KEY, 'Ed25519 key that tokens are checked with: PEM, or base64url'),
});

const LOG_SIZE = mapped(SIZE, (sizeBytes) =>
  sizeBytes < limits.DB_LOG_SIZE_BYTES_MIN
    ? new Complaint(`expected at least ${limits.DB_LOG_SIZE_BYTES_MIN / 1_048_576}MiB`)
    : sizeBytes,
);

const DB_LIMITS = object('a map with statement, transaction, idle, queue, streams, …', {
  statement: withDefault(DURATION, defaults.DB_STATEMENT, 'a statement is stopped after this'),
  transaction: withDefault(
    DURATION,
    defaults.DB_TRANSACTION,
    'how long a transaction may keep the writer while others wait for it',
  ),
  idle: withDefault(DURATION, defaults.DB_IDLE, 'a stream over HTTP without a request is closed'),
  queue: withDefault(
    integer({ min: 1, max: limits.DB_QUEUE_MAX }),
    defaults.DB_QUEUE,
    'statements of one database that wait to write; further ones are refused at once',
  ),
  streams: withDefault(
    integer({ min: 1, max: limits.DB_STREAMS_MAX }),
    defaults.DB_STREAMS,
    'streams of one database that are open',
  ),
  open: withDefault(
    integer({ min: 1, max: limits.DB_OPEN_MAX }),
    defaults.DB_OPEN,
    'databases that one db worker has open; where one follows another, all of them are, at both',
  ),
  request: withDefault(SIZE, defaults.DB_REQUEST, 'body of one request over HTTP'),
  result: withDefault(SIZE, defaults.DB_RESULT, 'one reply, and the values of one result'),
  size: withDefault(SIZE, defaults.DB_SIZE, 'one database'),
  log: withDefault(
    LOG_SIZE,
    defaults.DB_LOG,
    'log of one database that is kept for restores; the oldest of it goes first',
  ),
});

const REPLICATION_TEXT = text('a token', { sizeCharsMax: limits.REPLICATION_TOKEN_CHARS_MAX });

/** A secret: no message ever shows it. */
const TOKEN = mapped(REPLICATION_TEXT, (token) =>
  token.length >= limits.REPLICATION_TOKEN_CHARS_MIN && /^[\x21-\x7e]*$/.test(token)
    ? token
    : new Complaint(
        `expected ${limits.REPLICATION_TOKEN_CHARS_MIN} or more visible ASCII characters`,
      ),
);

const REPLICATION = object('a map with token', {
  token: required(TOKEN, 'what gateways that follow each other know, and nobody else'),
  keep: withDefault(
    SIZE,
    defaults.DB_REPLICATION_KEEP,
    'log of one database that is kept for followers that are behind',
  ),
  keepFor: withDefault(
    DURATION,
    defaults.DB_REPLICATION_KEEP_FOR,
    'how long log is kept for a follower that does not ask for it',
  ),
});

const FOLLOW_URL = parsed(
  'a URL like http://primary:8080/db',
  { maxLength: limits.FOLLOW_URL_CHARS_MAX },
  (value) => {
    if (!/^https?:\/\/[!-~]+$/.test(value) || !URL.canParse(value)) return undefined;
    const { username, search, hash } = new URL(value);
    if (username !== '' || search !== '' || hash !== '') return undefined;
    return value.replace(/\/+$/, '');
  },
);

export const DB = object('a map with dir', {
  dir: required(FOLDER, 'folder of the databases'),
  auth: optional(AUTH, 'who may use them; without it, whoever reaches the route'),
  create: withDefault(
    choice(['never', 'on-first-use']),
    defaults.DB_CREATE,
    'whether the first client that may write makes a database',
  ),
  follow: optional(
    FOLLOW_URL,
    'the gateway whose databases this one follows: its route, up to where the name stands',
  ),
  replication: optional(REPLICATION, 'who may follow; without it, nobody'),
  retention: withDefault(
    RETENTION,
    defaults.DB_RETENTION,
    'how far back a database can be restored, as far as limits.log reaches; 0s for not at all',
  ),
  limits: withDefault(DB_LIMITS, {}, 'what each database may take'),
});
