// The file of cases that `sluice plugin test` reads: what a filter is given, and what must come of
// it.

import { isIP } from 'node:net';
import {
  DURATION,
  dictionary,
  type Infer,
  leaf,
  list,
  object,
  optional,
  PLUGIN_GIVEN,
  required,
  type Schema,
  text,
  withDefault,
} from '../../config/index.ts';

/** Of a body that a case writes down or repeats. */
const BODY_SIZE_BYTES_MAX = 16_777_216;
const CASES_COUNT_MAX = 1_000;
const EXCHANGES_COUNT_MAX = 10_000;
const TEXT = text('a text', { sizeCharsMax: 65_536 });
const { config: ANYTHING, flag: FLAG, environment: ENVIRONMENT } = PLUGIN_GIVEN;

/** Shape: the address without brackets, and the port. */
const CLIENT: Schema<{ readonly address: string; readonly port: number }> = leaf(
  'an address and a port, like 192.0.2.1:40000 or [2001:db8::1]:40000',
  {},
  (value) => {
    const found = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(String(value));
    const [, six = '', four = '', digits = ''] = found ?? [];
    const address = six === '' ? four : six;
    const isAddress = isIP(address) === (six === '' ? 4 : 6);
    const port = Number(digits);
    return isAddress && port <= 65_535 ? { address, port } : undefined;
  },
);

/** A header's values, in order. */
const GIVEN_VALUES: Schema<readonly string[]> = leaf('a text, or a list of them', {}, (value) =>
  typeof value === 'string' ? [value] : isTexts(value) ? value : undefined,
);

const GIVEN_HEADERS = dictionary(text('a header name', { sizeCharsMax: 256 }), GIVEN_VALUES, {
  of: 'headers',
  countMax: 1_024,
});

/** Shape: the chunks in which a body comes; none for no body. */
const GIVEN_BODY: Schema<readonly Uint8Array[]> = leaf(
  'a text, a list of chunks, { base64: TEXT } or { repeat: TEXT, times: N }',
  {},
  (value) => {
    if (typeof value === 'string') return [Buffer.from(value)];
    if (isTexts(value)) return value.map((chunk) => Buffer.from(chunk));
    if (!isMap(value)) return undefined;
    if (typeof value.base64 === 'string' && Object.keys(value).length === 1) {
      return [Buffer.from(value.base64, 'base64')];
    }
    const { repeat, times } = value;
    if (typeof repeat !== 'string' || !Number.isInteger(times)) return undefined;
    const count = times as number;
    if (count < 1 || Buffer.byteLength(repeat) * count > BODY_SIZE_BYTES_MAX) return undefined;
    return Array.from({ length: count }, () => Buffer.from(repeat));
  },
);

/** What a text must be. */
export type Wanted =
  | { readonly kind: 'equals'; readonly text: string }
  | { readonly kind: 'contains'; readonly text: string }
  | { readonly kind: 'matches'; readonly pattern: RegExp }
  | { readonly kind: 'absent' };

const WANTED: Schema<Wanted> = leaf(
  'a text, null for none, { contains: TEXT } or { matches: REGEX }',
  {},
  (value) => {
    if (typeof value === 'string') return { kind: 'equals', text: value };
    if (value === null) return { kind: 'absent' };
    if (isTexts(value)) return { kind: 'equals', text: value.join('\n') };
    if (!isMap(value) || Object.keys(value).length !== 1) return undefined;
    const { contains, matches } = value;
    if (typeof contains === 'string') return { kind: 'contains', text: contains };
    if (typeof matches !== 'string') return undefined;
    try {
      return { kind: 'matches', pattern: new RegExp(matches) };
    } catch {
      return undefined;
    }
  },
);

const WANTED_HEADERS = dictionary(text('a header name', { sizeCharsMax: 256 }), WANTED, {
  of: 'headers',
  countMax: 1_024,
});

const STATUS = leaf('a status from 200 to 599', {}, (value) =>
  Number.isInteger(value) && (value as number) >= 200 && (value as number) <= 599
    ? (value as number)
    : undefined,
);

const REQUEST = object('a map with method, path, headers, body and trailers', {
  method: withDefault(TEXT, 'GET', 'method'),
  path: withDefault(TEXT, '/', 'path with query'),
  authority: withDefault(TEXT, 'example.test', 'host'),
  headers: withDefault(GIVEN_HEADERS, {}, 'headers'),
  body: withDefault(GIVEN_BODY, [], 'body'),
  trailers: withDefault(GIVEN_HEADERS, {}, 'what follows the body'),
});

const UPSTREAM = object('a map with status, headers, body and trailers', {
  status: withDefault(STATUS, 200, 'status'),
  headers: withDefault(GIVEN_HEADERS, {}, 'headers'),
  body: withDefault(GIVEN_BODY, [], 'body'),
  trailers: withDefault(GIVEN_HEADERS, {}, 'what follows the body'),
});

const WANTED_REQUEST_MAP = object('a map with headers, body and trailers', {
  headers: withDefault(WANTED_HEADERS, {}, 'headers, also `:path` and the like'),
  body: optional(WANTED, 'body'),
  trailers: withDefault(WANTED_HEADERS, {}, 'trailers'),
});

/** False: nothing of the request may reach the upstream. */
const WANTED_REQUEST: Schema<false | Infer<typeof WANTED_REQUEST_MAP>> = {
  ...WANTED_REQUEST_MAP,
  expected: 'false, or a map with headers, body and trailers',
  read: (value, at) => (value === false ? false : WANTED_REQUEST_MAP.read(value, at)),
};

const WANTED_RESPONSE = object('a map with what the client gets', {
  status: optional(STATUS, 'status'),
  headers: withDefault(WANTED_HEADERS, {}, 'headers'),
  body: optional(WANTED, 'body'),
  trailers: withDefault(WANTED_HEADERS, {}, 'trailers'),
  details: optional(WANTED, 'what the filter says about its own answer'),
  failure: optional(TEXT, 'code of what went wrong, like GW_PLUGIN_TRAP'),
});

const WANTED_ALL = object('a map with upstream and response', {
  upstream: optional(WANTED_REQUEST, 'what reaches the upstream, or `false`'),
  response: optional(WANTED_RESPONSE, 'what reaches the client'),
});

const EXCHANGE_FIELDS = {
  after: optional(DURATION, 'time that passes before'),
  client: withDefault(CLIENT, '192.0.2.1:40000', 'address and port of the client'),
  route: withDefault(TEXT, 'test', 'name of the route'),
  times: withDefault(
    leaf('a whole number from 1 to 1000', {}, (value) =>
      Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1_000
        ? (value as number)
        : undefined,
    ),
    1,
    'how often it is done',
  ),
  request: withDefault(REQUEST, {}, 'what the client sends'),
  upstream: withDefault(UPSTREAM, {}, 'what the upstream answers'),
  expect: withDefault(WANTED_ALL, {}, 'what must come of it'),
};

const GRPC_STATUS = leaf('a whole number from 0 to 16', {}, (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 16
    ? (value as number)
    : undefined,
);

const GRPC_ANSWER = object('a map with status, message, messages, metadata and trailers', {
  status: withDefault(GRPC_STATUS, 0, 'status'),
  message: withDefault(TEXT, '', "the status's message"),
  messages: withDefault(GIVEN_BODY, [], 'each a message'),
  metadata: withDefault(GIVEN_HEADERS, {}, 'initial metadata'),
  trailers: withDefault(GIVEN_HEADERS, {}, 'trailing metadata'),
});

/** What one call to a service is answered with. */
const ANSWER = object('a map with status, headers, body and trailers, or grpc, or fails', {
  status: withDefault(STATUS, 200, 'status'),
  headers: withDefault(GIVEN_HEADERS, {}, 'headers'),
  body: withDefault(GIVEN_BODY, [], 'body'),
  trailers: withDefault(GIVEN_HEADERS, {}, 'what follows the body'),
  grpc: optional(GRPC_ANSWER, 'what a gRPC service answers, instead of all that'),
  fails: withDefault(FLAG, false, 'whether there is no answer'),
});

const SERVICES = dictionary(
  text('the name of a service', { sizeCharsMax: 256 }),
  list(ANSWER, { of: 'answers', countMin: 1, countMax: EXCHANGES_COUNT_MAX }),
  { of: 'services', countMax: 64 },
);

const WANTED_CALL = object('a map with service, headers, body and trailers', {
  service: required(TEXT, 'name of the service'),
  headers: withDefault(WANTED_HEADERS, {}, 'headers, also `:path`; of gRPC, metadata'),
  body: optional(WANTED, 'body; of gRPC, the messages one behind the other'),
  trailers: withDefault(WANTED_HEADERS, {}, 'trailers'),
});

const CASE = object('a map with name, and request and expect, or exchanges', {
  name: required(TEXT, 'what the case shows'),
  config: optional(ANYTHING, "instead of the file's own"),
  now: withDefault(TEXT, '2026-01-01T00:00:00Z', 'time at which the case begins'),
  refused: withDefault(FLAG, false, 'whether the filter must refuse its configuration'),
  exchanges: optional(
    list(object('a map with request and expect', EXCHANGE_FIELDS), {
      of: 'exchanges',
      countMin: 1,
      countMax: EXCHANGES_COUNT_MAX,
    }),
    'several exchanges with one instance, instead of request, upstream and expect',
  ),
  services: withDefault(SERVICES, {}, 'what services answer, each call the next'),
  calls: optional(
    list(WANTED_CALL, { of: 'calls', countMin: 0, countMax: 1_000 }),
    'all calls to services that must have been made, in order',
  ),
  logs: withDefault(
    list(WANTED, { of: 'log lines', countMin: 0, countMax: 1_000 }),
    [],
    'lines that must be logged, in this order, among others',
  ),
  ...EXCHANGE_FIELDS,
});

export const CASE_FILE = object('a map with cases', {
  rootId: withDefault(TEXT, '', 'root id'),
  config: withDefault(ANYTHING, '', 'configuration; a text as it is, anything else as JSON'),
  vmConfig: withDefault(ANYTHING, '', 'configuration of the virtual machine'),
  env: withDefault(ENVIRONMENT, {}, 'environment variables'),
  allowOnHeadersStopIteration: withDefault(FLAG, false, 'as in the configuration'),
  cases: required(
    list(CASE, { of: 'cases', countMin: 1, countMax: CASES_COUNT_MAX }),
    'what is tried',
  ),
});

export type CaseFile = Infer<typeof CASE_FILE>;
export type Case = Infer<typeof CASE>;
export type Exchange = NonNullable<Case['exchanges']>[number];
export type PlayedAnswer = Infer<typeof ANSWER>;
export type WantedCall = Infer<typeof WANTED_CALL>;
export type WantedHeaders = Infer<typeof WANTED_HEADERS>;

/** Headers as a case gives them, as a list. */
export function flatHeaders(headers: Infer<typeof GIVEN_HEADERS>): string[] {
  return headers.flatMap(([name, values]) =>
    values.flatMap((value) => [name.toLowerCase(), value]),
  );
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
