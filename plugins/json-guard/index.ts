// Guards JSON bodies: refuses requests that are not JSON of an expected shape, and cuts the values
// of named fields out of requests and responses.

import {
  BufferTypeValues,
  Context,
  FilterDataStatusValues,
  FilterHeadersStatusValues,
  get_buffer_bytes,
  RootContext,
  registerRootContext,
  set_buffer_bytes,
  stream_context,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { refuse } from '../kit/answer';
import { Filter, FilterRoot, LOG_WARN } from '../kit/filter';
import { JSON_TEXT } from '../kit/json';
import { writeLog } from '../kit/process';
import { isHeaderValue, Settings } from '../kit/settings';
import { nameBytes } from './name-buffer';
import { Scanner } from './scanner';
import { KINDS, Shape } from './shape';

export * from '../kit/body-callbacks';
export * from '../kit/callbacks';

const NAMES_COUNT_MAX: i32 = 64;
/** With the levels' stack of each stream in mind; writers of JSON stop at about 100 themselves. */
const DEPTH_MAX: f64 = 256;

class GuardRoot extends FilterRoot {
  isChecking: bool = false;
  isOtherRefused: bool = true;
  depthMax: i32 = 0;
  valuesMax: i32 = 0;
  isIgnoringCase: bool = false;
  requestNames: Uint8Array[] = [];
  responseNames: Uint8Array[] = [];
  replacement: Uint8Array = new Uint8Array(0);
  hasShape: bool = false;
  isClosed: bool = false;
  fieldNames: Uint8Array[] = [];
  labels: string[] = [];
  kinds: i32[] = [];
  isOptional: bool[] = [];

  configure(settings: Settings): void {
    this.depthMax = <i32>settings.whole('depth', 32, 1, DEPTH_MAX);
    this.valuesMax = <i32>settings.whole('values', 100_000, 1, 10_000_000);
    this.isIgnoringCase = settings.flag('ignoreCase', false);
    const text = settings.text('replacement', '[redacted]', 64);
    if (!isPlainText(text)) settings.complain('replacement', 'expected ASCII without quotes');
    this.replacement = Uint8Array.wrap(String.UTF8.encode('"' + text + '"'));
    const request = settings.map('request');
    this.isChecking = request.flag('check', false);
    this.isOtherRefused = request.choice('otherTypes', 'refuse', ['refuse', 'pass']) == 'refuse';
    this.requestNames = this.names(request);
    this.readFields(request);
    request.finish();
    const response = settings.map('response');
    this.responseNames = this.names(response);
    response.finish();
    if (!this.isChecking && this.requestNames.length + this.responseNames.length == 0) {
      settings.complain('', 'nothing to do; expected request.check or a list redact');
    }
  }

  private names(settings: Settings): Uint8Array[] {
    return nameBytes(settings.texts('redact', 128, NAMES_COUNT_MAX), this.isIgnoringCase);
  }

  /** `fields: { id: text, note: "text?" }`. */
  private readFields(settings: Settings): void {
    this.hasShape = settings.has('fields');
    const fields = settings.map('fields');
    this.isClosed = settings.flag('closed', false);
    if (!this.hasShape) {
      if (this.isClosed) settings.complain('closed', 'needs fields');
      return;
    }
    if (!this.isChecking) settings.complain('fields', 'needs check: true');
    this.labels = fields.names();
    if (this.labels.length > NAMES_COUNT_MAX) fields.complain('', 'more than 64 fields');
    this.fieldNames = nameBytes(this.labels, this.isIgnoringCase);
    for (let index = 0; index < this.labels.length; index++) {
      const found = fields.json.items[index];
      const isOptional = found.kind == JSON_TEXT && found.text.endsWith('?');
      const word = isOptional ? found.text.slice(0, found.text.length - 1) : found.text;
      const kind = found.kind == JSON_TEXT ? KINDS.indexOf(word) : -1;
      if (kind < 0) {
        fields.refuse(
          this.labels[index],
          'one of ' + KINDS.join(', ') + ', with ? for optional',
          found,
        );
      }
      if (!isPlainText(this.labels[index])) {
        fields.complain(this.labels[index], 'expected a name in ASCII without quotes');
      }
      this.kinds.push(kind);
      this.isOptional.push(isOptional);
    }
  }

  scanner(names: Uint8Array[], isShaped: bool): Scanner {
    let shape: Shape | null = null;
    if (isShaped && this.hasShape) {
      shape = new Shape(this.fieldNames, this.labels, this.kinds, this.isOptional, this.isClosed);
    }
    const depthMax = this.depthMax;
    const valuesMax = this.valuesMax;
    return new Scanner(depthMax, valuesMax, names, this.replacement, shape, this.isIgnoringCase);
  }

  createContext(id: u32): Context {
    return new Guard(id, this);
  }
}

class Guard extends Filter {
  private request: Scanner | null = null;
  private response: Scanner | null = null;
  private isRefused: bool = false;
  /** Of a request that is held: what has been read of it. */
  private seenSize: i32 = 0;
  private kept: Uint8Array = new Uint8Array(0);

  onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as GuardRoot;
    const headers = stream_context.headers.request;
    // What is packed cannot be read, and nobody packs without being asked to.
    if (root.responseNames.length > 0) headers.remove('accept-encoding');
    if (isLast || (!root.isChecking && root.requestNames.length == 0)) {
      return FilterHeadersStatusValues.Continue;
    }
    if (!isJson(headers.get('content-type'))) {
      if (!root.isChecking || !root.isOtherRefused) return FilterHeadersStatusValues.Continue;
      return this.refuseHead(415, 'the body is not application/json');
    }
    const encoding = headers.get('content-encoding');
    if (encoding != '' && encoding != 'identity') {
      return this.refuseHead(415, 'the body is encoded');
    }
    this.request = root.scanner(root.requestNames, root.isChecking);
    if (root.requestNames.length > 0) headers.remove('content-length');
    return FilterHeadersStatusValues.Continue;
  }

  private refuseHead(status: u32, detail: string): FilterHeadersStatusValues {
    this.isRefused = true;
    refuse(status, 'Unsupported Media Type', detail, []);
    return FilterHeadersStatusValues.StopIteration;
  }

  onRequestBody(size: usize, isLast: bool): FilterDataStatusValues {
    if (this.isRefused) return FilterDataStatusValues.StopIterationNoBuffer;
    const scanner = this.request;
    if (scanner === null) return FilterDataStatusValues.Continue;
    const root = this.root_context as GuardRoot;
    const start = this.seenSize;
    const bytes = get_buffer_bytes(BufferTypeValues.HttpRequestBody, start, <i32>size - start);
    scanner.push(Uint8Array.wrap(bytes));
    if (isLast) scanner.finish();
    if (scanner.problem != '') {
      this.isRefused = true;
      refuse(400, 'Bad Request', scanner.problem, []);
      return FilterDataStatusValues.StopIterationNoBuffer;
    }
    const isCutting = root.requestNames.length > 0;
    if (!root.isChecking) {
      replaceBody(BufferTypeValues.HttpRequestBody, <u32>size, scanner.take());
      return FilterDataStatusValues.Continue;
    }
    // A body that is checked is held until its end is known to be good.
    this.seenSize = <i32>size;
    if (isCutting) this.keep(scanner.take());
    if (!isLast) return FilterDataStatusValues.StopIterationAndBuffer;
    if (isCutting) replaceBody(BufferTypeValues.HttpRequestBody, <u32>size, this.kept);
    return FilterDataStatusValues.Continue;
  }

  private keep(bytes: Uint8Array): void {
    const larger = new Uint8Array(this.kept.length + bytes.length);
    larger.set(this.kept);
    larger.set(bytes, this.kept.length);
    this.kept = larger;
  }

  onResponseHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as GuardRoot;
    if (isLast || this.isRefused || root.responseNames.length == 0) {
      return FilterHeadersStatusValues.Continue;
    }
    const headers = stream_context.headers.response;
    if (!isJson(headers.get('content-type'))) return FilterHeadersStatusValues.Continue;
    const encoding = headers.get('content-encoding');
    if (encoding != '' && encoding != 'identity') {
      this.isRefused = true;
      refuse(502, 'Bad Gateway', 'the response is encoded and cannot be read', []);
      return FilterHeadersStatusValues.StopIteration;
    }
    this.response = root.scanner(root.responseNames, false);
    headers.remove('content-length');
    // It is of a text that the client does not get.
    headers.remove('etag');
    return FilterHeadersStatusValues.Continue;
  }

  onResponseBody(size: usize, isLast: bool): FilterDataStatusValues {
    const scanner = this.response;
    if (scanner === null) return FilterDataStatusValues.Continue;
    const wasGood = scanner.problem == '';
    const bytes = get_buffer_bytes(BufferTypeValues.HttpResponseBody, 0, <u32>size);
    scanner.push(Uint8Array.wrap(bytes));
    if (isLast) scanner.finish();
    // Nothing passes that was not read: a body that is not JSON ends where it stops being it.
    replaceBody(BufferTypeValues.HttpResponseBody, <u32>size, scanner.take());
    if (wasGood && scanner.problem != '') {
      writeLog(LOG_WARN, 'response cut short: ' + scanner.problem);
    }
    return FilterDataStatusValues.Continue;
  }
}

function replaceBody(type: BufferTypeValues, size: u32, bytes: Uint8Array): void {
  set_buffer_bytes(
    type,
    0,
    size,
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
  );
}

function isJson(contentType: string): bool {
  const end = contentType.indexOf(';');
  const type = (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  return type == 'application/json' || type.endsWith('+json');
}

function isPlainText(text: string): bool {
  return isHeaderValue(text) && !text.includes('"') && !text.includes('\\');
}

registerRootContext((id: u32): RootContext => new GuardRoot(id), 'json-guard');
