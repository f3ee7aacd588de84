// Limits requests by a token bucket for each key. Buckets lie in the host's shared data, so that
// all instances which share it count together; a change is written only over what it was made from.

import {
  Context,
  FilterHeadersStatusValues,
  get_current_time_nanoseconds,
  get_property,
  get_shared_data,
  HeaderPair,
  makeHeaderPair,
  RootContext,
  registerRootContext,
  set_shared_data,
  stream_context,
  WasmResultValues,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { refuse } from '../kit/answer';
import { Filter, FilterRoot, LOG_ERROR, LOG_WARN } from '../kit/filter';
import { hashOf } from '../kit/hash';
import { writeLog } from '../kit/process';
import { isHeaderValue, Settings } from '../kit/settings';
import { Policy, Taken, take, WAYS_SIZE_BYTES } from './buckets';

export * from '../kit/callbacks';

/** Another worker is between the read and the write for about ten microseconds. */
const TRIES_MAX: i32 = 64;
/** No entry has it: with it a write is taken only where there is none yet. The ABI does not say so;
 *  the hosts of Envoy and this one do. */
const ABSENT_CAS: u32 = 0xffffffff;

class BucketRoot extends FilterRoot {
  policy: Policy = new Policy();
  name: string = '';
  keyHeader: string = '';
  sets: u64 = 0;
  isOpenOnFailure: bool = true;
  isTelling: bool = true;

  configure(settings: Settings): void {
    this.name = settings.text('name', 'default', 64);
    if (!isHeaderValue(this.name) || this.name.includes('"') || this.name.includes('\\')) {
      settings.complain('name', 'expected ASCII without quotes');
    }
    const limit = settings.whole('limit', 0, 1, 1_000_000_000);
    if (!settings.has('limit')) settings.complain('limit', 'missing, expected a whole number');
    const seconds = settings.whole('perSeconds', 1, 1, 86_400);
    this.policy.capacity = settings.whole('burst', limit, 1, 1_000_000_000);
    this.policy.perSecond = limit / seconds;
    this.policy.windowSeconds = seconds;
    const key = settings.text('key', 'client', 160);
    if (key.startsWith('header:')) this.keyHeader = key.slice(7).toLowerCase();
    else if (key != 'client' && key != 'route') {
      settings.complain('key', 'expected client, route or header:NAME, found "' + key + '"');
    }
    this.keyHeader = key == 'client' || key == 'route' ? '' : this.keyHeader;
    this.isRoute = key == 'route';
    this.sets = <u64>settings.whole('sets', 512, 1, 4096);
    this.isOpenOnFailure = settings.choice('onFailure', 'open', ['open', 'close']) == 'open';
    this.isTelling = settings.flag('headers', true);
  }

  isRoute: bool = false;

  createContext(id: u32): Context {
    return new Bucket(id, this);
  }
}

class Bucket extends Filter {
  private telling: string = '';

  onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as BucketRoot;
    const taken = takeShared(root, this.key(root));
    if (taken === null) {
      writeLog(LOG_WARN, 'buckets could not be written');
      if (root.isOpenOnFailure) return FilterHeadersStatusValues.Continue;
      refuse(503, 'Service Unavailable', 'the limit cannot be checked', []);
      return FilterHeadersStatusValues.StopIteration;
    }
    // RateLimit header fields for HTTP, draft 10: what is left, and seconds until there is more.
    this.telling =
      '"' +
      root.name +
      '";r=' +
      (<i64>taken.left).toString() +
      ';t=' +
      (<i64>Math.ceil(taken.waitSeconds)).toString();
    if (taken.isAllowed) return FilterHeadersStatusValues.Continue;
    const wait = max<i64>(1, <i64>Math.ceil(taken.waitSeconds));
    const headers: HeaderPair[] = [makeHeaderPair('retry-after', wait.toString())];
    if (root.isTelling) headers.push(makeHeaderPair('ratelimit', this.telling));
    refuse(429, 'Too Many Requests', 'rate limit ' + root.name, headers);
    return FilterHeadersStatusValues.StopIteration;
  }

  onResponseHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as BucketRoot;
    if (root.isTelling && this.telling != '') {
      stream_context.headers.response.replace('ratelimit', this.telling);
    }
    return FilterHeadersStatusValues.Continue;
  }

  /** Who shares a bucket. Requests without the header share one. */
  private key(root: BucketRoot): string {
    if (root.keyHeader != '') return stream_context.headers.request.get(root.keyHeader);
    if (root.isRoute) return '';
    // `address:port`, of which the port is another for each connection.
    const address = String.UTF8.decode(get_property('source\0address'));
    const end = address.lastIndexOf(':');
    return end < 0 ? address : address.slice(0, end);
  }
}

/** Takes a token in shared data; null when others were faster each time, or there is no room. */
function takeShared(root: BucketRoot, key: string): Taken | null {
  const hash = hashOf(key);
  const place = 'bucket:' + root.name + ':' + (hash % root.sets).toString();
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const now = <f64>get_current_time_nanoseconds() / 1e9;
    const found = get_shared_data(place);
    const value = found.value;
    const isThere = found.result == WasmResultValues.Ok && value !== null;
    const old = isThere ? value! : new ArrayBuffer(0);
    const ways = old.byteLength == WAYS_SIZE_BYTES ? old : new ArrayBuffer(WAYS_SIZE_BYTES);
    const taken = take(changetype<usize>(ways), hash, now, root.policy);
    const status = set_shared_data(place, ways, isThere ? found.cas : ABSENT_CAS);
    if (status == WasmResultValues.Ok) return taken;
    if (status != WasmResultValues.CasMismatch) {
      writeLog(LOG_ERROR, 'shared data: status ' + status.toString());
      return null;
    }
  }
  return null;
}

registerRootContext((id: u32): RootContext => new BucketRoot(id), 'token-bucket');
