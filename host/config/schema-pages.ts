// What the schema says of itself: the JSON Schema for editors, and the tables of keys in the
// documentation. Both are written to docs/ by scripts/generate.ts.

import { FILE_SCHEMA } from './schema.ts';
import type { Field, JsonSchema, Schema } from './schema-kit.ts';

/** The JSON Schema of the configuration file, draft 2020-12. */
export function jsonSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration of Sluice',
    ...FILE_SCHEMA.json,
  };
}

/** One map of the configuration, with its keys. */
export interface KeyGroup {
  /** Shape: `''` for the file itself, `services.*`, `routes[].match`. */
  readonly path: string;
  readonly fields: Readonly<Record<string, Field<unknown>>>;
}

/** Every map of the schema once, at the first place where it stands. */
export function keyGroups(): readonly KeyGroup[] {
  const groups: KeyGroup[] = [];
  const seen = new Set<unknown>();
  const walk = (schema: Schema<unknown>, path: string): void => {
    if (schema.fields !== null) {
      if (seen.has(schema.fields)) return;
      seen.add(schema.fields);
      groups.push({ path, fields: schema.fields });
    }
    for (const [step, child] of schema.children) {
      if (child !== null) walk(child, join(path, step));
    }
  };
  walk(FILE_SCHEMA, '');
  return groups;
}

function join(path: string, step: string): string {
  if (step === '' || step === '[]' || path === '') return path + step;
  return `${path}.${step}`;
}

const TABLE = /<!-- keys: (\S+) -->[\s\S]*?<!-- end of keys -->/g;

/** Refills the tables of keys of a Markdown page, between `<!-- keys: PATH -->` (`file` for the
 *  file itself) and `<!-- end of keys -->`. Errors: throws for a path that the schema lacks, and
 *  for one that the page lacks. */
export function documentKeys(page: string): string {
  const groups = new Map(keyGroups().map((group) => [group.path || 'file', group]));
  const filled = page.replace(TABLE, (_, path: string) => {
    const group = groups.get(path);
    if (group === undefined) throw new TypeError(`the schema has no map ${path}`);
    groups.delete(path);
    return `<!-- keys: ${path} -->\n${table(group)}\n<!-- end of keys -->`;
  });
  if (groups.size === 0) return filled;
  throw new TypeError(`the page has no table for ${[...groups.keys()].join(', ')}`);
}

function table({ fields }: KeyGroup): string {
  const rows = Object.entries(fields).map(([name, field]) => {
    if (field.schema === null) return `| \`${name}\` | | | not in this version: ${field.meaning} |`;
    const preset = field.written === undefined ? '' : `\`${JSON.stringify(field.written)}\``;
    const cells = [
      `\`${name}\``,
      escapeCell(field.schema.expected),
      field.isRequired ? '**required**' : preset,
      escapeCell(field.meaning),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| key | takes | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

function escapeCell(text: string): string {
  return text.replace(/\|/g, '\\|');
}
