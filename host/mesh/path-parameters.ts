// What a route's path captures, as the rest of the mesh speaks of it: parameter values in the order
// of the path, and the rest of a prefix. Values are raw segments of the normalised request path,
// percent-encoded as the client sent them.

export interface PathCapture {
  /** Values of `{x}` in the order in which the path names them. */
  readonly values: readonly string[];
  /** What a prefix route matched beyond its prefix: `''`, or text that begins with `/`. */
  readonly rest: string;
}

export const NO_CAPTURE: PathCapture = Object.freeze({ values: Object.freeze([]), rest: '' });

/** Names of the parameters of a route's path, in order. Shape: `/a/{id}/{x}` gives [id, x]. */
export function parameterNames(path: string): string[] {
  if (isRegexPath(path)) return [];
  return Array.from(path.matchAll(/\/\{([^{}/]+)\}(?=\/|$)/g), (found) => found[1]!);
}

/** Whether a route's path is a prefix: `/a/*`. */
export function isPrefixPath(path: string): boolean {
  return !isRegexPath(path) && path.endsWith('/*');
}

/** Whether a route's path is a regular expression: `~ ...`. */
export function isRegexPath(path: string): boolean {
  return path.startsWith('~');
}
