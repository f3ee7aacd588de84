// The checks that every request head passes, on both engines: neither parser is trusted. It works
// on flat header lists, once per request, and keeps its findings in one record that is reused,
// because this is the hot path. What it refuses is malformed; what is unwelcome is the planes'.

import {
  AUTHORITY_SIZE_BYTES_MAX,
  BODY_SIZE_UNKNOWN,
  type ErrorCode,
  HEADERS_COUNT_MAX,
  HEADERS_SIZE_BYTES_MAX,
  type HeaderList,
  isToken,
  shownByteString,
  TARGET_SIZE_BYTES_MAX,
  toByteString,
} from '../core/index.ts';
import { isLowerToken, isPlainTarget, isPlainValue } from './text-checks.ts';

/** How the engine gives bytes above 0x7f: uWS as decoded UTF-8, with U+FFFD for what is none, node
 *  as one char per byte. */
export type TextForm = 'utf8' | 'bytes';

/** What the checks found out about one request. Valid until the next call. */
export interface RequestFacts {
  /** Null when the request is fit to be handled. */
  refusal: ErrorCode | null;
  /** Names what was refused and the limit. */
  detail: string;
  path: string;
  query: string;
  authority: string;
  isAscii: boolean;
  bodySizeBytes: number;
  hasTransferEncoding: boolean;
  isWebSocketUpgrade: boolean;
}

const facts: RequestFacts = {
  refusal: null,
  detail: '',
  path: '',
  query: '',
  authority: '',
  isAscii: true,
  bodySizeBytes: 0,
  hasTransferEncoding: false,
  isWebSocketUpgrade: false,
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL_OR_SPACE = /[\x00-\x20\x7f]/;
const AUTHORITY = /^(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,255})(?::[0-9]{1,5})?$/;
const CONTENT_LENGTH = /^[0-9]{1,15}$/;
const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{22}==$/;

/** One client asks for one host many times: the text that was last found good, and its form. */
let goodHost: string | null = null;
let goodAuthority = '';

/** What was last found good of headers that nearly all clients of a kind send alike: to compare is
 *  cheaper than to look at each character. None of them is a secret, since a comparison takes the
 *  longer the more of a text is right. */
let goodAccept = '';
let goodUserAgent = '';
let goodAcceptEncoding = '';
let goodAcceptLanguage = '';
let goodAvailableDictionary = '';

let hostCount = 0;
let lengthCount = 0;
let encodingCount = 0;
let hasUpgrade = false;
let webSocketKey = '';
let webSocketVersion = '';
let connection = '';

/** Checks a request head. `headers` has lower-case names; in the form `utf8`, values beyond ASCII
 *  are rewritten in place as byte strings.
 *  Errors: GW_PROTOCOL_MALFORMED and GW_PROTOCOL_HEADERS_TOO_LARGE, in the record.
 *  Cost: about 40 ns a header. */
export function inspectRequest(
  method: string,
  path: string,
  query: string,
  headers: HeaderList,
  form: TextForm,
): RequestFacts {
  facts.refusal = null;
  facts.detail = '';
  facts.path = path;
  facts.query = query;
  facts.authority = '';
  facts.isAscii = true;
  facts.bodySizeBytes = 0;
  facts.hasTransferEncoding = false;
  facts.isWebSocketUpgrade = false;
  hostCount = 0;
  lengthCount = 0;
  encodingCount = 0;
  hasUpgrade = false;
  webSocketKey = '';
  webSocketVersion = '';
  connection = '';
  inspectHeaders(headers, form);
  inspectTarget(method, form);
  if (hostCount !== 1) {
    refuse('GW_PROTOCOL_MALFORMED', `${hostCount} host headers, one is needed`);
  }
  if (encodingCount > 0 && lengthCount > 0) {
    refuse('GW_PROTOCOL_MALFORMED', 'both transfer-encoding and content-length');
  }
  facts.isWebSocketUpgrade = hasUpgrade && facts.refusal === null && isUpgradeComplete(method);
  return facts;
}

/** Refuses the request of the last inspectRequest() if its body is chunked: for a listener whose
 *  engine does not read chunks as everybody else does, or whose client must say a size. */
export function refuseChunked(): void {
  if (!facts.hasTransferEncoding) return;
  refuse('GW_PROTOCOL_CHUNKED', 'this listener takes bodies with a content-length only');
}

/** Whether a comma-separated list holds a token, in any case. `token` is in lower case. */
export function listHolds(list: string, token: string): boolean {
  if (list === '') return false;
  return list.split(',').some((item) => item.trim().toLowerCase() === token);
}

function refuse(code: ErrorCode, detail: string): void {
  if (facts.refusal !== null) return;
  facts.refusal = code;
  facts.detail = detail;
}

function inspectHeaders(headers: HeaderList, form: TextForm): void {
  let sizeBytes = 0;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    let value = headers[index + 1]!;
    if (isKnownGood(name, value)) {
      sizeBytes += name.length + value.length + 4;
      continue;
    }
    if (isPlainValue(value)) noteGood(name, value);
    else {
      value = byteString(value, form, 'a header value');
      headers[index + 1] = value;
      if (CONTROL.test(value)) {
        refuse('GW_PROTOCOL_MALFORMED', `a control character in header "${shown(name)}"`);
      }
    }
    if (!isLowerToken(name)) {
      refuse('GW_PROTOCOL_MALFORMED', `header name "${shown(name)}" is not a token`);
    }
    sizeBytes += name.length + value.length + 4;
    inspectHeader(name, value);
  }
  if (headers.length > HEADERS_COUNT_MAX * 2) {
    const count = headers.length / 2;
    refuse('GW_PROTOCOL_HEADERS_TOO_LARGE', `${count} headers, the limit is ${HEADERS_COUNT_MAX}`);
  }
  if (sizeBytes > HEADERS_SIZE_BYTES_MAX) {
    refuse(
      'GW_PROTOCOL_HEADERS_TOO_LARGE',
      `${sizeBytes} bytes of headers, the limit is ${HEADERS_SIZE_BYTES_MAX}`,
    );
  }
}

/** Whether a header is, name and value, one that was found good before; a host is taken then. */
function isKnownGood(name: string, value: string): boolean {
  switch (name.length) {
    case 4:
      if (value !== goodHost || name !== 'host') return false;
      hostCount++;
      facts.authority = goodAuthority;
      return true;
    case 6:
      return value === goodAccept && name === 'accept';
    case 10:
      return value === goodUserAgent && name === 'user-agent';
    case 15:
      if (value === goodAcceptEncoding) return name === 'accept-encoding';
      return value === goodAcceptLanguage && name === 'accept-language';
    case 20:
      return value === goodAvailableDictionary && name === 'available-dictionary';
    default:
      return false;
  }
}

function noteGood(name: string, value: string): void {
  switch (name.length) {
    case 6:
      if (name === 'accept') goodAccept = value;
      break;
    case 10:
      if (name === 'user-agent') goodUserAgent = value;
      break;
    case 15:
      if (name === 'accept-encoding') goodAcceptEncoding = value;
      else if (name === 'accept-language') goodAcceptLanguage = value;
      break;
    case 20:
      if (name === 'available-dictionary') goodAvailableDictionary = value;
      break;
  }
}

/** The switch on the length keeps headers without a meaning here at one comparison. */
function inspectHeader(name: string, value: string): void {
  switch (name.length) {
    case 4:
      if (name === 'host') inspectHost(value);
      break;
    case 7:
      if (name === 'upgrade' && listHolds(value, 'websocket')) hasUpgrade = true;
      break;
    case 10:
      if (name === 'connection') connection = connection === '' ? value : `${connection},${value}`;
      break;
    case 14:
      if (name === 'content-length') inspectLength(value);
      break;
    case 17:
      if (name === 'transfer-encoding') inspectEncoding(value);
      else if (name === 'sec-websocket-key') webSocketKey = value;
      break;
    case 21:
      if (name === 'sec-websocket-version') webSocketVersion = value;
      break;
  }
}

function inspectHost(value: string): void {
  hostCount++;
  const lower = value.toLowerCase();
  if (value.length > AUTHORITY_SIZE_BYTES_MAX || !AUTHORITY.test(lower)) {
    refuse('GW_PROTOCOL_MALFORMED', `host "${shown(value)}" is not an authority`);
    return;
  }
  goodHost = value;
  goodAuthority = lower;
  facts.authority = lower;
}

function inspectLength(value: string): void {
  if (++lengthCount > 1) refuse('GW_PROTOCOL_MALFORMED', 'more than one content-length');
  if (!CONTENT_LENGTH.test(value)) {
    refuse('GW_PROTOCOL_MALFORMED', `content-length "${shown(value)}" is not a size`);
    return;
  }
  facts.bodySizeBytes = Number(value);
}

function inspectEncoding(value: string): void {
  facts.hasTransferEncoding = true;
  facts.bodySizeBytes = BODY_SIZE_UNKNOWN;
  if (++encodingCount > 1 || value.toLowerCase() !== 'chunked') {
    refuse('GW_PROTOCOL_MALFORMED', `transfer-encoding "${shown(value)}" is not just chunked`);
  }
}

function inspectTarget(method: string, form: TextForm): void {
  if (!isServed(method)) {
    refuse('GW_PROTOCOL_MALFORMED', `method "${shown(method)}" is not served`);
  }
  facts.path = targetText(facts.path, form);
  if (facts.query !== '') facts.query = targetText(facts.query, form);
  const { path } = facts;
  if (path.charCodeAt(0) !== 0x2f && !(path === '*' && method === 'OPTIONS')) {
    refuse('GW_PROTOCOL_MALFORMED', `target "${shown(path)}" is not a path`);
  }
  const sizeBytes = path.length + facts.query.length;
  if (sizeBytes > TARGET_SIZE_BYTES_MAX) {
    refuse(
      'GW_PROTOCOL_HEADERS_TOO_LARGE',
      `a target of ${sizeBytes} bytes, the limit is ${TARGET_SIZE_BYTES_MAX}`,
    );
  }
}

/** GET, as most requests are, needs no closer look. */
function isServed(method: string): boolean {
  if (method === 'GET') return true;
  return isToken(method) && method !== 'CONNECT' && method !== 'TRACE';
}

function targetText(text: string, form: TextForm): string {
  if (isPlainTarget(text)) return text;
  if (CONTROL_OR_SPACE.test(text)) {
    refuse('GW_PROTOCOL_MALFORMED', 'a control character or a space in the target');
  }
  return byteString(text, form, 'the target');
}

function byteString(text: string, form: TextForm, what: string): string {
  if (form === 'utf8') {
    if (text.includes('\ufffd')) refuse('GW_PROTOCOL_MALFORMED', `${what} is not UTF-8`);
    text = toByteString(text);
  }
  facts.isAscii = false;
  return text;
}

/** Source: RFC 6455 section 4.2.1. An upgrade with a body is served as an ordinary request. */
function isUpgradeComplete(method: string): boolean {
  return (
    method === 'GET' &&
    facts.bodySizeBytes === 0 &&
    webSocketVersion === '13' &&
    WEBSOCKET_KEY.test(webSocketKey) &&
    listHolds(connection, 'upgrade')
  );
}

/** What a client sent, short enough to be shown to it. */
function shown(bytes: string): string {
  const text = shownByteString(bytes);
  return text.length <= 64 ? text : `${text.slice(0, 64).replace(/[\ud800-\udbff]$/, '')}…`;
}
