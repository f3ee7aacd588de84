// What must be known of a statement's text before or beside SQLite's own parser.

const TAB = 0x09;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const STAR = 0x2a;
const DASH = 0x2d;
const SLASH = 0x2f;
const SEMICOLON = 0x3b;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Whether bytes of SQL hold nothing to run: spaces, comments and semicolons. SQLite would say so
 *  too, but some pragmas act when they are prepared. Source: sqlite.org/lang_comment.html. */
export function isBlankSql(sql: Uint8Array): boolean {
  let at = 0;
  while (at < sql.length) {
    const byte = sql[at]!;
    if (byte === DASH && sql[at + 1] === DASH) {
      const end = sql.indexOf(NEWLINE, at);
      at = end < 0 ? sql.length : end + 1;
    } else if (byte === SLASH && sql[at + 1] === STAR) {
      at = afterComment(sql, at + 2);
    } else if (isSpace(byte) || byte === SEMICOLON) {
      at++;
    } else if (BYTE_ORDER_MARK.every((mark, index) => sql[at + index] === mark)) {
      at += BYTE_ORDER_MARK.length;
    } else {
      return false;
    }
  }
  return true;
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === NEWLINE || byte === TAB || byte === RETURN || byte === 0x0c;
}

function afterComment(sql: Uint8Array, from: number): number {
  for (let at = sql.indexOf(STAR, from); at >= 0; at = sql.indexOf(STAR, at + 1)) {
    if (sql[at + 1] === SLASH) return at + 2;
  }
  return sql.length;
}

const COMMENT = /--[^\n]*(?:\n|$)|\/\*[\s\S]*?(?:\*\/|$)/g;

/** `BEGIN TRANSACTION READONLY`, which clients of libSQL send. SQLite takes the last word as a name
 *  that means nothing; it is held to it here. */
export function isReadonlyBegin(sql: string): boolean {
  const words = sql.replace(COMMENT, ' ').replace(/^[\s;]+/, '');
  return /^BEGIN(?:\s+DEFERRED)?\s+TRANSACTION\s+["'`[]?READONLY["'`\]]?[\s;]*$/i.test(words);
}

/** What makes SQLite's own functions call themselves once more, whatever its limits say. */
const NESTING_WORD = /\b(?:SELECT|COLLATE)\b/gi;
const QUOTED = /'[^']*(?:'|$)|"[^"]*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$)/;
const TOKEN = new RegExp(
  [QUOTED, COMMENT, /;/, NESTING_WORD].map(({ source }) => source).join('|'),
  'gi',
);

/** How many SELECT and COLLATE stand in that statement of a text that has most of them: a bound of
 *  how deep SQLite nests in preparing it, through common table expressions and collations too,
 *  which its limit of depth does not count. Cost: O(text), and more where there are over `most`. */
export function nestingWordsCount(sql: string, most: number): number {
  const isPlain = (sql.match(NESTING_WORD)?.length ?? 0) <= most;
  if (isPlain) return 0;
  let largest = 0;
  let count = 0;
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === ';') count = 0;
    else if (/^[sc]/i.test(token)) count += 1;
    largest = Math.max(largest, count);
  }
  return largest;
}
