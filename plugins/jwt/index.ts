// Lets requests pass that carry a good JSON Web Token, and tells the upstream whose it is.

import {
  Context,
  FilterHeadersStatusValues,
  get_current_time_nanoseconds,
  makeHeaderPair,
  RootContext,
  registerRootContext,
  stream_context,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { refuse } from '../kit/answer';
import { cookieOf } from '../kit/cookies';
import { Filter, FilterRoot } from '../kit/filter';
import { JSON_FALSE, JSON_NUMBER, JSON_TEXT, JSON_TRUE, Json } from '../kit/json';
import { isHeaderName, isHeaderValue, Settings } from '../kit/settings';
import { readKey } from './keys';
import { checkToken, Rules } from './token';

export * from '../kit/callbacks';

/** A token that names eight keys costs eight checks. */
const KEYS_COUNT_MAX: i32 = 8;
const FORWARDS_COUNT_MAX: i32 = 16;
const FORWARD_LENGTH_MAX: i32 = 1024;

class JwtRoot extends FilterRoot {
  rules: Rules = new Rules();
  header: string = '';
  cookie: string = '';
  realm: string = '';
  isOptional: bool = false;
  isForwardingToken: bool = false;
  claims: string[] = [];
  headers: string[] = [];

  configure(settings: Settings): void {
    const rules = this.rules;
    const keys = settings.maps('keys', KEYS_COUNT_MAX);
    for (let index = 0; index < keys.length; index++) rules.keys.push(readKey(keys[index]));
    if (keys.length == 0 && settings.problems.length == 0) {
      settings.complain('keys', 'missing, expected a list of JSON Web Keys');
    }
    rules.issuers = settings.texts('issuer', 512, 16);
    rules.audiences = settings.texts('audience', 512, 16);
    rules.leewaySeconds = settings.whole('leewaySeconds', 30, 0, 600);
    rules.isExpiryRequired = settings.flag('requireExpiry', true);
    rules.tokenLengthMax = <i32>settings.whole('tokenLengthMax', 8192, 64, 65536);
    this.header = settings.headerName('header', 'authorization');
    this.cookie = settings.has('cookie') ? settings.text('cookie', '', 128) : '';
    this.realm = settings.text('realm', 'api', 64);
    if (!isHeaderValue(this.realm) || this.realm.includes('"') || this.realm.includes('\\')) {
      settings.complain('realm', 'expected ASCII without quotes');
    }
    this.isOptional = settings.flag('optional', false);
    this.isForwardingToken = settings.flag('forwardToken', true);
    this.readForwards(settings.map('forward'));
  }

  private readForwards(settings: Settings): void {
    const names = settings.names();
    if (names.length > FORWARDS_COUNT_MAX) settings.complain('', 'more than 16 claims');
    for (let index = 0; index < names.length; index++) {
      const target = settings.json.items[index];
      if (target.kind == JSON_TEXT && isHeaderName(target.text)) {
        this.claims.push(names[index]);
        this.headers.push(target.text.toLowerCase());
      } else settings.refuse(names[index], 'a header name', target);
    }
  }

  createContext(id: u32): Context {
    return new Jwt(id, this);
  }
}

class Jwt extends Filter {
  onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const root = this.root_context as JwtRoot;
    const headers = stream_context.headers.request;
    // What the upstream takes for a claim must never come from outside.
    for (let index = 0; index < root.headers.length; index++) headers.remove(root.headers[index]);
    const token = this.findToken(root);
    if (token == '') {
      if (root.isOptional) return FilterHeadersStatusValues.Continue;
      return this.deny('', 'no token');
    }
    const now = <f64>get_current_time_nanoseconds() / 1e9;
    const verdict = checkToken(token, root.rules, now);
    if (verdict.claims === null) return this.deny('invalid_token', verdict.problem);
    for (let index = 0; index < root.claims.length; index++) {
      const claim = verdict.claims!.get(root.claims[index]);
      if (claim === null) continue;
      const text = claimText(claim);
      if (text == '') return this.deny('invalid_token', 'a claim that no header can hold');
      headers.add(root.headers[index], text);
    }
    if (!root.isForwardingToken) headers.remove(root.header);
    return FilterHeadersStatusValues.Continue;
  }

  /** '' for none. A header that is there and holds something else is a bad token, not none. */
  private findToken(root: JwtRoot): string {
    const value = stream_context.headers.request.get(root.header);
    if (value != '') {
      if (root.header != 'authorization') return value;
      return value.slice(0, 7).toLowerCase() == 'bearer ' ? value.slice(7).trim() : '.';
    }
    if (root.cookie == '') return '';
    return cookieOf(stream_context.headers.request.get('cookie'), root.cookie);
  }

  private deny(error: string, problem: string): FilterHeadersStatusValues {
    const root = this.root_context as JwtRoot;
    let challenge = 'Bearer realm="' + root.realm + '"';
    if (error != '') challenge += ', error="' + error + '", error_description="' + problem + '"';
    refuse(401, 'Unauthorized', problem, [makeHeaderPair('www-authenticate', challenge)]);
    return FilterHeadersStatusValues.StopIteration;
  }
}

/** A claim as a header's value; '' for what no header can hold. */
function claimText(claim: Json): string {
  if (claim.kind == JSON_NUMBER) return claim.text;
  if (claim.kind == JSON_TRUE) return 'true';
  if (claim.kind == JSON_FALSE) return 'false';
  if (claim.kind != JSON_TEXT || claim.text.length > FORWARD_LENGTH_MAX) return '';
  if (claim.text != claim.text.trim()) return '';
  return isHeaderValue(claim.text) ? claim.text : '';
}

registerRootContext((id: u32): RootContext => new JwtRoot(id), 'jwt');
