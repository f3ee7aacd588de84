// The only importer of the `yaml` package: any YAML 1.2 text to plain values, with the place of
// each. Bounded: depth before composing (which recurses), aliases by what they repeat.

import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  Parser,
  type YAMLMap,
} from 'yaml';
import type { TextIssue } from './document.ts';
import type { IssueFocus, PathPart } from './issue.ts';
import { ALIAS_EXPANSION_COUNT_MAX, ISSUES_COUNT_MAX, NESTING_DEPTH_MAX } from './limits.ts';

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
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const deep = tokens.map(tooDeep).find((offset) => offset !== null) ?? null;
  // `uniqueKeys` compares each key with each other one; convertYaml asks a Set instead.
  const options = { uniqueKeys: false, prettyErrors: false, version: '1.2' } as const;
  const composer = new Composer({ ...options, lineCounter: lines, logLevel: 'silent' });
  const composed = deep === null ? [...composer.compose(tokens, true, text.length)] : [];
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (deep !== null) {
    const message = `nested deeper than the limit of ${NESTING_DEPTH_MAX}`;
    return { ok: false, issues: [{ code: 'GW_CONFIG_LIMIT', ...place(deep), message }] };
  }
  const issues: TextIssue[] = [];
  // After the first error the parser guesses: what it says of the rest is noise.
  const error = composed.flatMap((document) => [...document.errors, ...document.warnings])[0];
  if (error !== undefined) {
    const message = plainMessage(error.message);
    issues.push({ code: 'GW_CONFIG_SYNTAX', ...place(error.pos[0]), message });
  }
  const directive = tokens.find((token) => token.type === 'directive');
  if (directive !== undefined) {
    const message = 'a directive; the file is read as YAML 1.2';
    issues.push({ code: 'GW_CONFIG_SYNTAX', ...place(directive.offset), message });
  }
  const second = composed[1];
  if (second !== undefined) {
    const message = `expected one document, found ${composed.length}`;
    issues.push({ code: 'GW_CONFIG_SYNTAX', ...place(second.range?.[0] ?? 0), message });
  }
  if (issues.length > 0) return { ok: false, issues };
  return { ok: true, document: new YamlDocument(composed[0] as Document.Parsed, lines) };
}

function plainMessage(message: string): string {
  if (/flow-(map|seq)-start at node end/.test(message)) {
    return 'a { or [ inside a text begins a map or a list; put the text in quotes';
  }
  const line = message.split('\n')[0]!.replace(/[.:]$/, '');
  return line.charAt(0).toLowerCase() + line.slice(1);
}

/** The offset where a token nests deeper than the limit, or null. Iterative: the input may nest
 *  deeper than the stack. */
function tooDeep(root: CST.Token): number | null {
  if (root.type !== 'document') return null;
  const stack: { readonly token: CST.Token; readonly depth: number }[] = [];
  if (root.value !== undefined) stack.push({ token: root.value, depth: 0 });
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { token, depth } = top;
    if (!('items' in token)) continue;
    if (depth >= NESTING_DEPTH_MAX) return token.offset;
    for (const item of token.items) {
      if (item.key != null) stack.push({ token: item.key, depth: depth + 1 });
      if (item.value !== undefined) stack.push({ token: item.value, depth: depth + 1 });
    }
  }
  return null;
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
