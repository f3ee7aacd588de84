// The grammar of a route's path: `/a/{id}` template, `/a/*` prefix, `~ regex`. Literals take the
// same normal form as a request's path before matching: unreserved %XX decoded, the rest kept.
// What no request can ever carry (dot segments, `#`, raw spaces) is refused with the reason.

import { RE2JS } from 're2js';
import {
  PATH_PARAMETERS_COUNT_MAX,
  PATH_SEGMENTS_COUNT_MAX,
  TARGET_SIZE_BYTES_MAX,
} from '../core/index.ts';
import { REGEX_PROGRAM_SIZE_MAX, REGEX_SIZE_CHARS_MAX } from './limits.ts';
import { Complaint } from './schema-kit.ts';

const PARAMETER = /^\{([A-Za-z_][A-Za-z0-9_-]{0,62})\}$/;
const REGEX_PREFIX = /^~\s*/;
const UNRESERVED = /^[A-Za-z0-9._~-]$/;
// What a request's path may hold raw: printable ASCII without space, `#`, `?` and `\`.
const RAW_SEGMENT = /^[!"$-.0-9:-;<-><=>@A-[\]^_`a-z{|}~%]*$/;

/** A route's path in its normal form. */
export interface PathPattern {
  readonly kind: 'template' | 'regex';
  readonly text: string;
  /** Names of the parameters, in their order. */
  readonly parameters: readonly string[];
}

/** Reads a path pattern. Errors: a Complaint that says what to write instead. */
export function parsePathPattern(text: string): PathPattern | Complaint {
  if (text.startsWith('~')) return parseRegex(text.replace(REGEX_PREFIX, ''));
  const segments = splitPath(text);
  if (segments instanceof Complaint) return segments;
  const parameters: string[] = [];
  const normal: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    const read = readSegment(segment, isLast, parameters);
    if (read instanceof Complaint) return read;
    normal.push(read);
  }
  if (parameters.length > PATH_PARAMETERS_COUNT_MAX) {
    const limit = `the limit is ${PATH_PARAMETERS_COUNT_MAX}`;
    return new Complaint(`${parameters.length} path parameters, ${limit}`, 'GW_CONFIG_LIMIT');
  }
  return { kind: 'template', text: `/${normal.join('/')}`, parameters };
}

function splitPath(text: string): readonly string[] | Complaint {
  if (!text.startsWith('/')) {
    return new Complaint(`expected a path that begins with / or ~, found ${JSON.stringify(text)}`);
  }
  if (text.length > TARGET_SIZE_BYTES_MAX) {
    const limit = `the limit is ${TARGET_SIZE_BYTES_MAX}`;
    return new Complaint(`a path of ${text.length} characters, ${limit}`, 'GW_CONFIG_LIMIT');
  }
  const segments = text.slice(1).split('/');
  if (segments.length > PATH_SEGMENTS_COUNT_MAX) {
    const limit = `the limit is ${PATH_SEGMENTS_COUNT_MAX}`;
    return new Complaint(`a path of ${segments.length} segments, ${limit}`, 'GW_CONFIG_LIMIT');
  }
  return segments;
}

function readSegment(segment: string, isLast: boolean, parameters: string[]): string | Complaint {
  if (segment === '*') {
    return isLast ? '*' : new Complaint('expected /* only at the end of the path');
  }
  const parameter = PARAMETER.exec(segment)?.[1];
  if (parameter !== undefined) {
    if (parameters.includes(parameter)) {
      return new Complaint(`the parameter {${parameter}} stands twice in the path`);
    }
    parameters.push(parameter);
    return segment;
  }
  if (/[{}]/.test(segment)) {
    const found = JSON.stringify(segment);
    return new Complaint(`expected {name} as a whole segment, found ${found}`);
  }
  if (segment.includes('*')) {
    return new Complaint(
      `expected * only as the whole last segment, found ${JSON.stringify(segment)}`,
    );
  }
  return normaliseSegment(segment);
}

/** A literal segment as requests are normalised: unreserved %XX decoded, others kept. */
export function normaliseSegment(segment: string): string | Complaint {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly ASCII
  const foreign = /[^\x00-\x7f]+/u.exec(segment)?.[0];
  if (foreign !== undefined) {
    const encoded = /\p{Surrogate}/u.test(foreign) ? '%XX' : encodeURIComponent(foreign);
    return new Complaint(`expected ASCII; write ${JSON.stringify(foreign)} as ${encoded}`);
  }
  if (!RAW_SEGMENT.test(segment)) {
    const found = JSON.stringify(segment);
    return new Complaint(`no request path holds a space, control character, #, ? or \\: ${found}`);
  }
  if (/%(?![0-9A-Fa-f]{2})/.test(segment)) {
    return new Complaint(
      `expected two hexadecimal digits after %, found ${JSON.stringify(segment)}`,
    );
  }
  if (/%00/.test(segment)) return new Complaint('requests with %00 in their path are refused');
  const normal = segment.replace(/%([0-9A-Fa-f]{2})/g, (escaped, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return UNRESERVED.test(character) ? character : escaped;
  });
  if (normal === '.' || normal === '..') {
    return new Complaint(
      `dot segments are removed from requests before they are matched: ${JSON.stringify(segment)}`,
    );
  }
  return normal;
}

function parseRegex(source: string): PathPattern | Complaint {
  if (source === '') return new Complaint('expected a regular expression after ~');
  if (source.length > REGEX_SIZE_CHARS_MAX) {
    const limit = `the limit is ${REGEX_SIZE_CHARS_MAX}`;
    return new Complaint(`a pattern of ${source.length} characters, ${limit}`, 'GW_CONFIG_LIMIT');
  }
  let programSize: number;
  try {
    programSize = RE2JS.compile(source).programSize();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new Complaint(`not a regular expression of RE2: ${why}`);
  }
  if (programSize > REGEX_PROGRAM_SIZE_MAX) {
    const limit = `the limit is ${REGEX_PROGRAM_SIZE_MAX}`;
    return new Complaint(`a pattern of ${programSize} steps, ${limit}`, 'GW_CONFIG_LIMIT');
  }
  return { kind: 'regex', text: `~ ${source}`, parameters: [] };
}

/** Reads the path of a rewrite: literals, `{x}` of the route anywhere in a segment, and a last
 *  `/*` where the route is a prefix. Errors: a Complaint. */
export function parseRewritePath(text: string, route: PathPattern): string | Complaint {
  const segments = splitPath(text);
  if (segments instanceof Complaint) return segments;
  const normal: string[] = [];
  for (const [index, segment] of segments.entries()) {
    if (segment === '*' && index === segments.length - 1) {
      if (!isPrefix(route)) return noPrefix(route);
      normal.push('*');
      continue;
    }
    if (segment.includes('*')) return new Complaint('expected * only as the whole last segment');
    const unknown = unknownParameter(segment, route);
    if (unknown !== null) return unknown;
    // Parameters are cut out before normalising: their braces are not part of the path.
    const parts = segment.split(/(\{[^{}]*\})/);
    const read = parts.map((part) => (part.startsWith('{') ? part : normaliseSegment(part)));
    const complaint = read.find((part) => part instanceof Complaint);
    if (complaint !== undefined) return complaint;
    normal.push(read.join(''));
  }
  return `/${normal.join('/')}`;
}

/** Complains about the target of a redirect that the route cannot fill in, or null. */
export function checkRedirectTarget(target: string, route: PathPattern): Complaint | null {
  if (!/^(?:\/|\{|https?:\/\/[^/])/i.test(target)) {
    const found = JSON.stringify(target);
    return new Complaint(`expected a path or an http:// or https:// URL, found ${found}`);
  }
  if (target.endsWith('/*') && !isPrefix(route)) return noPrefix(route);
  return unknownParameter(target, route);
}

function isPrefix(route: PathPattern): boolean {
  return route.kind === 'template' && route.text.endsWith('/*');
}

function noPrefix(route: PathPattern): Complaint {
  return new Complaint(`/* stands for what a prefix route matched; ${route.text} is none`);
}

/** Complains about a `{x}` of a template that the route's path does not capture, or null. */
function unknownParameter(template: string, route: PathPattern): Complaint | null {
  for (const [braced, name] of template.matchAll(/\{([^{}]*)\}/g)) {
    if (route.parameters.includes(name!)) continue;
    const known =
      route.parameters.length === 0 ? 'no parameters' : `only {${route.parameters.join('}, {')}}`;
    return new Complaint(`${braced} is not captured: ${route.text} has ${known}`);
  }
  if (/[{}]/.test(template.replace(/\{[^{}]*\}/g, ''))) {
    return new Complaint(`unbalanced braces in ${JSON.stringify(template)}`);
  }
  return null;
}
