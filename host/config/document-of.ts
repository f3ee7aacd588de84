// Any other file in the form of the configuration: YAML or JSON, held to a schema, with issues at
// their lines.

import { readText } from './document.ts';
import { type ConfigIssue, formatMessage, formatPath, IssueSink } from './issue.ts';
import { Place, type Schema } from './schema-kit.ts';

export type DocumentResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly issues: readonly ConfigIssue[] };

/** Reads a text as what a schema says. `fileName`: what issues name. Never throws for bad text. */
export function readDocument<T>(
  text: string,
  schema: Schema<T>,
  fileName: string,
): DocumentResult<T> {
  const read = readText(text);
  if (!read.ok) {
    const issues = read.issues.map((issue) => {
      return { ...issue, message: formatMessage(issue.message), file: fileName, path: '' };
    });
    return { ok: false, issues };
  }
  const sink = new IssueSink();
  const value = schema.read(read.value, new Place(sink));
  if (value !== undefined && sink.found.length === 0) return { ok: true, value };
  const issues = sink.found.map(({ code, path, focus, message }): ConfigIssue => {
    const { line, column } = read.locate(path, focus);
    const shown = { path: formatPath(path), message: formatMessage(message) };
    return { code, file: fileName, line, column, ...shown };
  });
  return { ok: false, issues: issues.sort((left, right) => left.line - right.line) };
}
