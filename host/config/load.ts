// The way from a file's text to the configuration, or to everything that is wrong with it.

import { availableParallelism } from 'node:os';
import { readText, type TextResult } from './document.ts';
import {
  type ConfigIssue,
  type FoundIssue,
  formatMessage,
  formatPath,
  IssueSink,
  type PathPart,
} from './issue.ts';
import type { Config } from './model.ts';
import { normalise } from './normalise.ts';
import { FILE_SCHEMA } from './schema.ts';
import { Place } from './schema-kit.ts';
import { type Draft, validate } from './validate.ts';

export type LoadResult =
  | { readonly ok: true; readonly config: Config }
  | {
      readonly ok: false;
      readonly issues: readonly ConfigIssue[];
      /** Whether nothing is left that these issues kept from being checked. */
      readonly isComplete: boolean;
    };

/** Reads, checks and normalises a configuration. Never throws for bad text. `fileName`: what
 *  issues name, and the folder that other file names are relative to. `coresCount`: what `auto`
 *  counts. Errors: up to 100 issues, in the order of their lines. */
export function loadConfig(
  text: string,
  fileName: string,
  coresCount: number = availableParallelism(),
): LoadResult {
  const read = readText(text);
  if (!read.ok) {
    const issues = read.issues.map((issue) => {
      return { ...issue, message: formatMessage(issue.message), file: fileName, path: '' };
    });
    return { ok: false, issues: issues.sort(byPlace), isComplete: false };
  }
  const sink = new IssueSink();
  const file = FILE_SCHEMA.read(read.value, new Place(sink, 'file'));
  if (file !== undefined) validate(file as Draft, sink);
  if (file === undefined || sink.found.length > 0) {
    const issues = sink.found.map((issue) => placed(issue, read, fileName));
    return { ok: false, issues: issues.sort(byPlace), isComplete: false };
  }
  return { ok: true, config: normalise(file, { coresCount, fileName }) };
}

/** Where a key stands. Shape: line and column 1-based, 0 in a text that cannot be read; `path` as
 *  people read it. */
export interface KeyPlace {
  readonly line: number;
  readonly column: number;
  readonly path: string;
}

/** Says where keys stand in a text; for a key that is not there, where its map begins. */
export function locateKeys(text: string, paths: readonly (readonly PathPart[])[]): KeyPlace[] {
  const read = readText(text);
  return paths.map((path) => {
    const { line, column } = read.ok ? read.locate(path, 'key') : { line: 0, column: 0 };
    return { line, column, path: formatPath(path) };
  });
}

function placed(
  issue: FoundIssue,
  read: TextResult & { readonly ok: true },
  file: string,
): ConfigIssue {
  const { line, column, depth } = read.locate(issue.path, issue.focus);
  // A short form like `to: wallet` was read as a longer one: name the part that is written.
  const path = issue.focus === 'value' ? issue.path.slice(0, depth) : issue.path;
  const { code } = issue;
  const message = formatMessage(issue.message);
  return { code, file, line, column, path: formatPath(path), message };
}

function byPlace(left: ConfigIssue, right: ConfigIssue): number {
  return left.line - right.line || left.column - right.column;
}
