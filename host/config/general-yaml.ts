// The only importer of the `yaml` package: any YAML 1.2 text to plain values, with the place of
// each. Bounded while it is read, token by token: nesting, length of a text, number of tokens; a
// file of 2 MB can open two million lists. Aliases are bounded by what they repeat.

import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type ParsedNode,
  Parser,
  type YAMLMap,
} from 'yaml';
import type { TextIssue } from './document.ts';
import type { IssueFocus, PathPart } from './issue.ts';
import {
  ALIAS_EXPANSION_COUNT_MAX,
  ISSUES_COUNT_MAX,
  NESTING_DEPTH_MAX,
  TEXT_SIZE_CHARS_MAX,
  YAML_GENERAL_TOKENS_COUNT_MAX,
} from './limits.ts';
import { findPart, type PlacedPart, type TextPlace, walkPath } from './places.ts';

type Refused = { readonly ok: false; readonly issues: readonly TextIssue[] };

/** A composed document that can find its keys. */
export class YamlDocument {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly anchors = new Map<string, unknown>();

  constructor(document: Document.Parsed, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  get contents(): ParsedNode | null {
    return this.#document.contents;
  }

  issue(code: TextIssue['code'], offset: number, message: string): TextIssue {
    const { line, col } = this.#lines.linePos(offset);
    return { code, line: Math.max(line, 1), column: Math.max(col, 1), message };
  }

  /** The place of a key, its value, or of the map that lacks it. */
  locate(path: readonly PathPart[], focus: IssueFocus): TextPlace {
    const root = this.#part('', null, this.contents);
    const step = (node: unknown, name: PathPart) => this.#step(node, name);
    const { offset, depth } = walkPath(root, { path, focus }, step);
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1), depth };
  }

  #step(from: unknown, name: PathPart): PlacedPart<unknown> | null {
    const node = isAlias(from) ? this.anchors.get(from.source) : from;
    if (isSeq(node) && typeof name === 'number') {
      return name < node.items.length ? this.#part(name, null, node.items[name]) : null;
    }
    if (!isMap(node)) return null;
    const found = findPart(node.items, name, ({ key }) => keyText(key));
    return found === undefined ? null : this.#part(name, found.key, found.value);
  }

  #part(key: PathPart, keyNode: unknown, node: unknown): PlacedPart<unknown> {
    const isNothing = node == null || (isScalar(node) && node.value === null && !node.source);
    const keyAt = startOf(keyNode, startOf(node, 0));
    const valueAt = startOf(node, keyAt);
    const kind = isScalar(node) ? 'scalar' : 'container';
    return { key, keyAt, valueAt, kind: isNothing ? 'nothing' : kind, node };
  }
}

/** Parses and composes. Errors: GW_CONFIG_SYNTAX, GW_CONFIG_LIMIT with their places. */
export function composeYaml(
  text: string,
): { readonly ok: true; readonly document: YamlDocument } | Refused {
  const lines = new LineCounter();
  const refuse = (code: TextIssue['code'], offset: number, message: string): Refused => {
    const { line, col } = lines.linePos(offset);
    const place = { line: Math.max(line, 1), column: Math.max(col, 1) };
    return { ok: false, issues: [{ code, ...place, message }] };
  };
  const parsed = parseTokens(text, lines);
  if (!parsed.ok) return refuse('GW_CONFIG_LIMIT', parsed.offset, parsed.message);
  const directive = parsed.tokens.find((token) => token.type === 'directive');
  if (directive !== undefined) {
    const message = 'a directive; the file is read as YAML 1.2';
    return refuse('GW_CONFIG_SYNTAX', directive.offset, message);
  }
  // `uniqueKeys` compares each key with each other one; convertYaml asks a Set instead.
  const options = { uniqueKeys: false, prettyErrors: false, version: '1.2' } as const;
  const composer = new Composer({ ...options, lineCounter: lines, logLevel: 'silent' });
  const composed = withoutTraces(() => [...composer.compose(parsed.tokens, true, text.length)]);
  // After the first error the parser guesses: what it says of the rest is noise.
  const error = composed.flatMap((document) => [...document.errors, ...document.warnings])[0];
  if (error !== undefined) {
    const opening = unclosedBefore(error, parsed.tokens);
    if (opening === null) {
      return refuse('GW_CONFIG_SYNTAX', error.pos[0], plainMessage(error.message));
    }
    const { line } = lines.linePos(error.pos[0]);
    const message = `the ${opening.mark} that begins here is not closed by line ${line}`;
    return refuse('GW_CONFIG_SYNTAX', opening.offset, message);
  }
  const second = composed[1];
  if (second !== undefined) {
    const message = 'expected one document, found a second';
    return refuse('GW_CONFIG_SYNTAX', second.range?.[0] ?? 0, message);
  }
  return { ok: true, document: new YamlDocument(composed[0] as Document.Parsed, lines) };
}

/** Runs something that makes an error of each bad token: their traces, which nobody reads, would be
 *  most of the time that bad text costs. */
function withoutTraces<T>(compose: () => T): T {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return compose();
  } finally {
    Error.stackTraceLimit = before;
  }
}

type Parsed =
  | { readonly ok: true; readonly tokens: readonly CST.Token[] }
  | { readonly ok: false; readonly offset: number; readonly message: string };

/** Reads token by token and stops at the first that breaks a limit: a parser that were given the
 *  whole text would spend a kilobyte and ten microseconds on each. Stops also where a file is
 *  refused whatever follows: behind an error, a directive, a second document. */
function parseTokens(text: string, lines: LineCounter): Parsed {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  let count = 0;
  let documents = 0;
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    const { offset } = parser;
    count += 1;
    if (count > YAML_GENERAL_TOKENS_COUNT_MAX) {
      const limit = `the limit of ${YAML_GENERAL_TOKENS_COUNT_MAX} for YAML that is not plain`;
      return { ok: false, offset, message: `more tokens than ${limit}` };
    }
    if (lexeme.length > TEXT_SIZE_CHARS_MAX) {
      const message = `a text of ${lexeme.length} characters, the limit is ${TEXT_SIZE_CHARS_MAX}`;
      return { ok: false, offset, message };
    }
    for (const token of parser.next(lexeme)) {
      tokens.push(token);
      if (token.type === 'document') documents += 1;
      if (token.type === 'error' || token.type === 'directive' || documents > 1) {
        tokens.push(...parser.end());
        return withinDepth(tokens);
      }
    }
    // At the bottom of the stack is the document itself; a scalar on top is no level.
    const top = parser.stack.at(-1);
    if (top !== undefined && 'items' in top && parser.stack.length - 1 > NESTING_DEPTH_MAX) {
      return tooDeep(top.offset, parser.stack.length - 1);
    }
  }
  tokens.push(...parser.end());
  return withinDepth(tokens);
}

function tooDeep(offset: number, depth: number): Parsed {
  const message = `nested ${depth} deep, the limit is ${NESTING_DEPTH_MAX}`;
  return { ok: false, offset, message };
}

/** The last bracket or quote that is still open where the parser missed its end, which may be far
 *  below; null for other errors. */
function unclosedBefore(
  error: { readonly message: string; readonly pos: readonly [number, number] },
  tokens: readonly CST.Token[],
): { readonly offset: number; readonly mark: string } | null {
  if (!/must be sufficiently indented and end with|^Missing closing/.test(error.message)) {
    return null;
  }
  let last: { readonly offset: number; readonly mark: string } | null = null;
  const stack = tokens.flatMap((token) => (token.type === 'document' ? [token.value] : []));
  for (let token = stack.pop(); stack.length > 0 || token != null; token = stack.pop()) {
    if (token == null) continue;
    const mark = openMark(token);
    if (mark !== '' && token.offset <= error.pos[0] && token.offset >= (last?.offset ?? 0)) {
      last = { offset: token.offset, mark };
    }
    if (!('items' in token)) continue;
    for (const { key, value } of token.items) stack.push(key ?? undefined, value);
  }
  return last;
}

/** The mark that opens a token, where the one that closes it is missing; else `''`. */
function openMark(token: CST.Token): string {
  if (token.type === 'flow-collection') {
    const { source } = token.start;
    const closing = source === '{' ? '}' : ']';
    return token.end.some((end) => 'source' in end && end.source === closing) ? '' : source;
  }
  if (token.type !== 'double-quoted-scalar' && token.type !== 'single-quoted-scalar') return '';
  const { source } = token;
  return source.length > 1 && source.endsWith(source[0]!) ? '' : source[0]!;
}

/** The tokens, unless one nests deeper than the limit: a key that is a map of its own lies deeper
 *  than it stood on the parser's stack. Iterative, though composing recurses. */
function withinDepth(tokens: readonly CST.Token[]): Parsed {
  const stack: { readonly token: CST.Token; readonly depth: number }[] = [];
  for (const token of tokens) {
    if (token.type !== 'document' || token.value === undefined) continue;
    stack.push({ token: token.value, depth: 1 });
  }
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { token, depth } = top;
    if (!('items' in token)) continue;
    if (depth > NESTING_DEPTH_MAX) return tooDeep(token.offset, depth);
    for (const item of token.items) {
      if (item.key != null) stack.push({ token: item.key, depth: depth + 1 });
      if (item.value !== undefined) stack.push({ token: item.value, depth: depth + 1 });
    }
  }
  return { ok: true, tokens };
}

function plainMessage(message: string): string {
  if (/flow-(map|seq)-start at node end/.test(message)) {
    return 'a { or [ inside a text begins a map or a list; put the text in quotes';
  }
  if (/^Implicit (map )?keys need/.test(message)) {
    return 'expected "key: value" on one line; is a colon missing?';
  }
  const line = message.split('\n')[0]!.replace(/[.:]$/, '');
  return line.charAt(0).toLowerCase() + line.slice(1);
}

/** Plain values of a document. Errors: GW_CONFIG_SYNTAX for what the format does not take. */
export function convertYaml(
  document: YamlDocument,
): { readonly ok: true; readonly value: unknown } | Refused {
  const converter = new Converter(document);
  const value = converter.convert(document.contents);
  if (converter.issues.length > 0) return { ok: false, issues: converter.issues };
  return { ok: true, value };
}

interface Anchored {
  readonly value: unknown;
  readonly nodesCount: number;
}

class Converter {
  readonly issues: TextIssue[] = [];
  readonly #document: YamlDocument;
  readonly #anchored = new Map<string, Anchored>();
  #nodesCount = 0;
  #repeatedCount = 0;

  constructor(document: YamlDocument) {
    this.#document = document;
  }

  convert(node: unknown): unknown {
    this.#nodesCount += 1;
    const before = this.#nodesCount;
    if (isAlias(node)) return this.#alias(node.source, startOf(node, 0));
    let value: unknown = null;
    let anchor: string | undefined;
    if (isScalar(node)) {
      value = typeof node.value === 'bigint' ? Number(node.value) : node.value;
      anchor = node.anchor;
    } else if (isMap(node)) {
      value = this.#map(node);
      anchor = node.anchor;
    } else if (isSeq(node)) {
      value = node.items.map((item) => this.convert(item));
      anchor = node.anchor;
    }
    if (anchor !== undefined) {
      this.#document.anchors.set(anchor, node);
      this.#anchored.set(anchor, { value, nodesCount: this.#nodesCount - before + 1 });
    }
    return value;
  }

  #map(node: YAMLMap): Record<string, unknown> {
    const output: Record<string, unknown> = {};
    const seen = new Set<string>();
    for (const { key, value } of node.items) {
      const name = keyText(key);
      if (name === null) {
        this.#refuse('GW_CONFIG_SYNTAX', startOf(key, 0), 'expected a text as the key');
        continue;
      }
      if (name === '<<') {
        const message = 'merge keys are not read; write the keys out';
        this.#refuse('GW_CONFIG_SYNTAX', startOf(key, 0), message);
        continue;
      }
      if (seen.has(name)) {
        const message = `the key ${JSON.stringify(name)} stands twice in its map`;
        this.#refuse('GW_CONFIG_SYNTAX', startOf(key, 0), message);
      }
      seen.add(name);
      const converted = this.convert(value);
      // `__proto__` assigned plainly would change the object's prototype.
      if (name !== '__proto__') output[name] = converted;
      else Object.defineProperty(output, name, { value: converted, enumerable: true });
    }
    return output;
  }

  /** Aliases share the value; what is counted is what a reader of the value walks again. */
  #alias(name: string, offset: number): unknown {
    const anchored = this.#anchored.get(name);
    if (anchored === undefined) {
      const message = `the alias *${name} has no anchor before it`;
      this.#refuse('GW_CONFIG_SYNTAX', offset, message);
      return null;
    }
    this.#repeatedCount += anchored.nodesCount;
    this.#nodesCount += anchored.nodesCount;
    if (this.#repeatedCount <= ALIAS_EXPANSION_COUNT_MAX) return anchored.value;
    const message = `aliases repeat more than ${ALIAS_EXPANSION_COUNT_MAX} values`;
    this.#refuse('GW_CONFIG_LIMIT', offset, message);
    return null;
  }

  #refuse(code: TextIssue['code'], offset: number, message: string): void {
    if (this.issues.length >= ISSUES_COUNT_MAX) return;
    this.issues.push(this.#document.issue(code, offset, message));
  }
}

/** A key as text: `1:` is the key "1". Null for keys that are maps, lists or aliases. */
function keyText(key: unknown): string | null {
  if (!isScalar(key)) return null;
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
}

function startOf(node: unknown, otherwise: number): number {
  const range = (node as { readonly range?: readonly number[] | null } | null)?.range;
  return range?.[0] ?? otherwise;
}
