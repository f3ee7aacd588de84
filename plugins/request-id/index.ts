// Gives every request an id, and every response the headers that browsers protect people with.

import {
  Context,
  FilterHeadersStatusValues,
  RootContext,
  registerRootContext,
  stream_context,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { fillRandom } from '../kit/chance';
import { Filter, FilterRoot } from '../kit/filter';
import { JSON_NULL, JSON_TEXT } from '../kit/json';
import { isHeaderName, isHeaderValue, Settings } from '../kit/settings';

export * from '../kit/callbacks';

/** What a browser should be told unless the site says otherwise. */
const SECURITY_HEADERS: string[][] = [
  ['strict-transport-security', 'max-age=31536000; includeSubDomains'],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'strict-origin-when-cross-origin'],
];
const HEADERS_COUNT_MAX: i32 = 32;
/** An id from outside that is longer than this is not taken over. */
const ID_LENGTH_MAX: i32 = 128;
const HEX: string = '0123456789abcdef';

class RequestIdRoot extends FilterRoot {
  header: string = '';
  isTrusting: bool = false;
  isEchoing: bool = true;
  isReplacing: bool = false;
  names: string[] = [];
  values: string[] = [];

  configure(settings: Settings): void {
    this.header = settings.headerName('header', 'x-request-id');
    this.isTrusting = settings.flag('trustIncoming', false);
    this.isEchoing = settings.flag('echo', true);
    this.isReplacing = settings.choice('existing', 'keep', ['keep', 'replace']) == 'replace';
    for (let index = 0; index < SECURITY_HEADERS.length; index++) {
      this.names.push(SECURITY_HEADERS[index][0]);
      this.values.push(SECURITY_HEADERS[index][1]);
    }
    this.readHeaders(settings.map('securityHeaders'));
  }

  /** A name with a text is added or changed, a name with null is left out. */
  private readHeaders(settings: Settings): void {
    const names = settings.names();
    if (names.length > HEADERS_COUNT_MAX) {
      settings.complain('', 'more than ' + HEADERS_COUNT_MAX.toString() + ' headers');
      return;
    }
    for (let index = 0; index < names.length; index++) {
      const name = names[index].toLowerCase();
      const value = settings.json.items[index];
      if (!isHeaderName(name)) settings.complain(names[index], 'not a header name');
      const old = this.names.indexOf(name);
      if (old >= 0) {
        this.names.splice(old, 1);
        this.values.splice(old, 1);
      }
      if (value.kind == JSON_TEXT && isHeaderValue(value.text)) {
        this.names.push(name);
        this.values.push(value.text);
      } else if (value.kind != JSON_NULL) {
        settings.refuse(names[index], 'a header value in ASCII, or null', value);
      }
    }
  }

  createContext(id: u32): Context {
    return new RequestId(id, this);
  }
}

class RequestId extends Filter {
  id: string = '';

  onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as RequestIdRoot;
    const headers = stream_context.headers.request;
    const given = headers.get(root.header);
    this.id = root.isTrusting && isPlainId(given) ? given : makeId();
    headers.replace(root.header, this.id);
    return FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as RequestIdRoot;
    const headers = stream_context.headers.response;
    if (root.isEchoing && this.id != '') headers.replace(root.header, this.id);
    for (let index = 0; index < root.names.length; index++) {
      const name = root.names[index];
      if (root.isReplacing || headers.get(name) == '') headers.replace(name, root.values[index]);
    }
    return FilterHeadersStatusValues.Continue;
  }
}

/** Whether an id from outside is one that logs and other systems can stand. */
function isPlainId(text: string): bool {
  if (text.length == 0 || text.length > ID_LENGTH_MAX) return false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const lower = code | 0x20;
    const isWord = (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39);
    if (!isWord && code != 0x2d && code != 0x5f && code != 0x2e) return false;
  }
  return true;
}

/** A version 4 UUID (RFC 9562 section 5.4). */
function makeId(): string {
  const bytes = new Uint8Array(16);
  fillRandom(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  let text = '';
  for (let index = 0; index < 16; index++) {
    if (index == 4 || index == 6 || index == 8 || index == 10) text += '-';
    text += HEX.charAt(bytes[index] >> 4) + HEX.charAt(bytes[index] & 15);
  }
  return text;
}

registerRootContext((id: u32): RootContext => new RequestIdRoot(id), 'request-id');
