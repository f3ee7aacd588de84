// Answers as text.

import type { Answer, Cell } from './client.ts';

export const MODES = ['table', 'list', 'csv', 'json', 'line'] as const;
export type Mode = (typeof MODES)[number];

/** A cell of a table is cut here, with `…`: one long text would push all others out of sight. */
const CELL_WIDTH_MAX = 200;

/** '' for an answer without columns. */
export function render(answer: Answer, mode: Mode): string {
  if (answer.columns.length === 0) return '';
  switch (mode) {
    case 'table':
      return table(answer);
    case 'list':
      return lines(answer.rows.map((row) => row.map(plain).join('|')));
    case 'csv':
      return lines([answer.columns, ...answer.rows].map((row) => row.map(csvCell).join(',')));
    case 'json':
      return `${json(answer)}\n`;
    case 'line':
      return byLine(answer);
  }
}

/** An SQL literal of a name. */
export function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('');
}

/** `x'0a'` for a blob; '' for NULL, as sqlite3 shows it. */
function plain(cell: Cell): string {
  if (cell === null) return '';
  if (cell instanceof Uint8Array) return `x'${Buffer.from(cell).toString('hex')}'`;
  return typeof cell === 'number' ? floatText(cell) : String(cell);
}

/** A float shows that it is one. */
function floatText(value: number): string {
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** Numbers to the right, all else to the left; what would break the line is shown by its escape. */
function table({ columns, rows }: Answer): string {
  const shown = rows.map((row) => row.map((cell) => oneLine(cell === null ? 'NULL' : plain(cell))));
  const heads = columns.map(oneLine);
  const widths = heads.map((head, column) =>
    shown.reduce((most, row) => Math.max(most, widthOf(row[column]!)), widthOf(head)),
  );
  const isNumber = heads.map((_, column) => {
    const cells = rows.map((row) => row[column]!).filter((cell) => cell !== null);
    return (
      cells.length > 0 &&
      cells.every((cell) => typeof cell === 'bigint' || typeof cell === 'number')
    );
  });
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        const blanks = ' '.repeat(widths[column]! - widthOf(cell));
        return isNumber[column] ? blanks + cell : cell + blanks;
      })
      .join('  ')
      .trimEnd();
  return lines([
    line(heads),
    widths.map((width) => '-'.repeat(width)).join('  '),
    ...shown.map(line),
  ]);
}

function oneLine(text: string): string {
  const cut = text.length > CELL_WIDTH_MAX ? `${text.slice(0, CELL_WIDTH_MAX - 1)}…` : text;
  return cut.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}

/** Hangul, kana and Han with their punctuation, full-width forms, and emoji. */
const WIDE = new RegExp(
  '[\\u1100-\\u115f\\u2e80-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f' +
    '\\uff00-\\uff60]|\\p{Emoji_Presentation}',
  'u',
);
const COMBINING = /\p{Mn}|\p{Me}|\p{Cf}/u;

/** Columns of a terminal: wide characters take two, marks that combine none. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (COMBINING.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}

/** Source: RFC 4180. */
function csvCell(cell: Cell): string {
  const text = plain(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** An object for each row. An integer that a double cannot hold is written as it is. */
function json({ columns, rows }: Answer): string {
  const objects = rows.map((row) => {
    const fields = row.map(
      (cell, column) => `${JSON.stringify(columns[column])}:${jsonCell(cell)}`,
    );
    return `{${fields.join(',')}}`;
  });
  return `[${objects.join(',\n')}]`;
}

function jsonCell(cell: Cell): string {
  if (typeof cell === 'bigint') return String(cell);
  if (cell instanceof Uint8Array) return JSON.stringify(Buffer.from(cell).toString('base64'));
  return JSON.stringify(cell);
}

function byLine({ columns, rows }: Answer): string {
  const width = Math.max(...columns.map(widthOf));
  return rows
    .map((row) =>
      lines(
        row.map((cell, column) => {
          const name = columns[column]!;
          return `${' '.repeat(width - widthOf(name))}${name} = ${plain(cell)}`;
        }),
      ),
    )
    .join('\n');
}
