// What the parts of the schema share: defaults that are checked by the schema they stand for, and
// names of files.

import { IssueSink } from './issue.ts';
import { text } from './leaves.ts';
import { Complaint, defaulted, type Field, mapped, type Schema } from './schema-kit.ts';

const unexpected = new IssueSink();

export function withDefault<T>(schema: Schema<T>, written: unknown, meaning: string): Field<T> {
  return defaulted(schema, written, meaning, unexpected);
}

const FILE_NAME = text('a file name', { sizeCharsMax: 4_096 });
export const FOLDER = mapped(text('a folder', { sizeCharsMax: 4_096 }), (name) =>
  name === '' ? new Complaint('expected a folder, found ""') : name,
);
export const PEM_FILE = mapped(FILE_NAME, (name) =>
  name === '' ? new Complaint('expected a file name, found ""') : name,
);
