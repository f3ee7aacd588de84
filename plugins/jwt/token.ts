// Checks a token (RFC 7519) in compact form (RFC 7515 section 7.1). Whatever is not expected is
// refused, with one word about it that tells nothing of the keys.

import { JSON_LIST, JSON_MAP, JSON_NUMBER, JSON_TEXT, Json, parseJson } from '../kit/json';
import { decodeBase64url } from './base64url';
import { Key } from './keys';

export class Rules {
  keys: Key[] = [];
  issuers: string[] = [];
  audiences: string[] = [];
  leewaySeconds: f64 = 0;
  isExpiryRequired: bool = true;
  tokenLengthMax: i32 = 0;
}

export class Verdict {
  /** '' for a good token. */
  problem: string = '';
  claims: Json | null = null;
}

function bad(problem: string): Verdict {
  const verdict = new Verdict();
  verdict.problem = problem;
  return verdict;
}

/** Checks signature, then claims. `now`: seconds since the Unix epoch. */
export function checkToken(token: string, rules: Rules, now: f64): Verdict {
  if (token.length > rules.tokenLengthMax) return bad('too long');
  const first = token.indexOf('.');
  const second = first < 0 ? -1 : token.indexOf('.', first + 1);
  if (second < 0 || token.indexOf('.', second + 1) >= 0) return bad('malformed');
  const header = readPart(token.slice(0, first));
  const claims = readPart(token.slice(first + 1, second));
  const signature = decodeBase64url(token.slice(second + 1));
  if (header === null || claims === null || signature === null) return bad('malformed');
  // An extension that must be understood, and is not.
  if (header.get('crit') !== null) return bad('unknown extension');
  const message = Uint8Array.wrap(String.UTF8.encode(token.slice(0, second)));
  if (!isSigned(header, message, signature, rules.keys)) return bad('bad signature');
  return checkClaims(claims, rules, now);
}

function readPart(text: string): Json | null {
  const bytes = decodeBase64url(text);
  if (bytes === null || bytes.length == 0) return null;
  const json = parseJson(String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length)).json;
  return json !== null && json.kind == JSON_MAP ? json : null;
}

/** Only keys whose algorithm the token names are tried; `none` is the algorithm of no key. */
function isSigned(header: Json, message: Uint8Array, signature: Uint8Array, keys: Key[]): bool {
  const algorithm = header.get('alg');
  const id = header.get('kid');
  if (algorithm === null || algorithm.kind != JSON_TEXT) return false;
  if (id !== null && id.kind != JSON_TEXT) return false;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index];
    if (key.algorithm != algorithm.text) continue;
    if (id !== null && key.id != '' && key.id != id.text) continue;
    if (key.isSignature(message, signature)) return true;
  }
  return false;
}

function checkClaims(claims: Json, rules: Rules, now: f64): Verdict {
  const expiry = claims.get('exp');
  if (expiry !== null) {
    if (!isTime(expiry)) return bad('malformed');
    if (now >= expiry.number + rules.leewaySeconds) return bad('expired');
  } else if (rules.isExpiryRequired) return bad('no expiry');
  const start = claims.get('nbf');
  if (start !== null) {
    if (!isTime(start)) return bad('malformed');
    if (now < start.number - rules.leewaySeconds) return bad('not yet valid');
  }
  if (rules.issuers.length > 0) {
    const issuer = claims.get('iss');
    if (issuer === null || issuer.kind != JSON_TEXT) return bad('wrong issuer');
    if (!rules.issuers.includes(issuer.text)) return bad('wrong issuer');
  }
  if (rules.audiences.length > 0 && !isAddressed(claims.get('aud'), rules.audiences)) {
    return bad('wrong audience');
  }
  const verdict = new Verdict();
  verdict.claims = claims;
  return verdict;
}

/** NumericDate: a number that a double holds; infinity is what 1e999 becomes. */
function isTime(json: Json): bool {
  return json.kind == JSON_NUMBER && isFinite(json.number);
}

/** `aud` is one text or a list of them; one of ours is enough. */
function isAddressed(found: Json | null, audiences: string[]): bool {
  if (found === null) return false;
  if (found.kind == JSON_TEXT) return audiences.includes(found.text);
  if (found.kind != JSON_LIST) return false;
  let isFound = false;
  for (let index = 0; index < found.items.length; index++) {
    const item = found.items[index];
    if (item.kind != JSON_TEXT) return false;
    if (audiences.includes(item.text)) isFound = true;
  }
  return isFound;
}
