// Assigns visitors to the variants of experiments, and remembers it in a cookie. Who comes with a
// known id gets the same variant on every device; who has none gets one by chance.

import {
  Context,
  FilterHeadersStatusValues,
  RootContext,
  registerRootContext,
  stream_context,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { fillRandom } from '../kit/chance';
import { cookieOf, isCookieText } from '../kit/cookies';
import { Filter, FilterRoot } from '../kit/filter';
import { hashOf } from '../kit/hash';
import { Settings } from '../kit/settings';

export * from '../kit/callbacks';

const EXPERIMENTS_COUNT_MAX: i32 = 16;
const VARIANTS_COUNT_MAX: i32 = 16;
const WEIGHT_MAX: f64 = 10_000;

class Experiment {
  name: string = '';
  cookie: string = '';
  header: string = '';
  attributes: string = '';
  variants: string[] = [];
  weights: u32[] = [];
  weightSum: u32 = 0;

  /** The variant at a place of the scale from 0 to the sum of weights. */
  pick(hash: u64): string {
    let rest = <u32>((hash >> 32) % <u64>this.weightSum);
    let index = 0;
    while (rest >= this.weights[index]) rest -= this.weights[index++];
    return this.variants[index];
  }
}

class AbRoot extends FilterRoot {
  experiments: Experiment[] = [];
  unitHeader: string = '';
  unitCookie: string = '';

  configure(settings: Settings): void {
    this.unitHeader = settings.has('unitHeader') ? settings.headerName('unitHeader', '') : '';
    this.unitCookie = settings.has('unitCookie') ? settings.text('unitCookie', '', 128) : '';
    const list = settings.maps('experiments', EXPERIMENTS_COUNT_MAX);
    const names: string[] = [];
    const cookies: string[] = [];
    for (let index = 0; index < list.length; index++) {
      const one = readExperiment(list[index]);
      if (names.includes(one.name)) list[index].complain('name', one.name + ' stands twice');
      if (cookies.includes(one.cookie))
        list[index].complain('cookie', one.cookie + ' stands twice');
      names.push(one.name);
      cookies.push(one.cookie);
      this.experiments.push(one);
    }
    if (list.length == 0 && settings.problems.length == 0) {
      settings.complain('experiments', 'missing, expected a list of maps');
    }
  }

  createContext(id: u32): Context {
    return new Ab(id, this);
  }
}

function readExperiment(settings: Settings): Experiment {
  const one = new Experiment();
  one.name = settings.text('name', null, 64);
  if (!isCookieText(one.name)) settings.complain('name', 'expected letters, digits, - . and _');
  one.cookie = settings.text('cookie', 'ab_' + one.name, 128);
  if (!isCookieText(one.cookie)) settings.complain('cookie', 'expected letters, digits, - . and _');
  one.header = settings.headerName('header', 'x-ab-' + one.name.toLowerCase());
  const seconds = settings.whole('maxAgeSeconds', 2_592_000, 60, 31_536_000);
  one.attributes = '; Path=/; Max-Age=' + (<i64>seconds).toString();
  one.attributes += '; SameSite=' + settings.choice('sameSite', 'Lax', ['Lax', 'Strict', 'None']);
  if (settings.flag('secure', true)) one.attributes += '; Secure';
  if (settings.flag('httpOnly', true)) one.attributes += '; HttpOnly';
  const variants = settings.maps('variants', VARIANTS_COUNT_MAX);
  for (let index = 0; index < variants.length; index++) {
    const name = variants[index].text('name', null, 64);
    if (!isCookieText(name)) {
      variants[index].complain('name', 'expected letters, digits, - . and _');
    }
    if (one.variants.includes(name)) variants[index].complain('name', name + ' stands twice');
    one.variants.push(name);
    one.weights.push(<u32>variants[index].whole('weight', 1, 0, WEIGHT_MAX));
    one.weightSum += one.weights[index];
    variants[index].finish();
  }
  if (one.weightSum == 0) settings.complain('variants', 'expected a weight above 0');
  settings.finish();
  return one;
}

class Ab extends Filter {
  private newCookies: string[] = [];

  onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as AbRoot;
    const headers = stream_context.headers.request;
    const cookies = headers.get('cookie');
    let unit = root.unitHeader == '' ? '' : headers.get(root.unitHeader);
    if (unit == '' && root.unitCookie != '') unit = cookieOf(cookies, root.unitCookie);
    for (let index = 0; index < root.experiments.length; index++) {
      const one = root.experiments[index];
      let variant = cookieOf(cookies, one.cookie);
      // A variant that was taken away, or never was: whoever has it is assigned anew.
      const place = variant == '' ? -1 : one.variants.indexOf(variant);
      if (place < 0 || one.weights[place] == 0) {
        variant = one.pick(unit == '' ? chance() : hashOf(one.name + '\0' + unit));
        this.newCookies.push(one.cookie + '=' + variant + one.attributes);
      }
      headers.replace(one.header, variant);
    }
    return FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const headers = stream_context.headers.response;
    for (let index = 0; index < this.newCookies.length; index++) {
      headers.add('set-cookie', this.newCookies[index]);
    }
    return FilterHeadersStatusValues.Continue;
  }
}

function chance(): u64 {
  const bytes = new Uint8Array(8);
  fillRandom(bytes);
  return load<u64>(bytes.dataStart);
}

registerRootContext((id: u32): RootContext => new AbRoot(id), 'ab-cookie');
