// Cuts a text that comes line by line into statements, as SQLite would: a semicolon ends one unless
// it stands in a string, a name, a comment, or in the body of a trigger, which ends with `END;`.

/** What of a text has been read so far. */
interface Progress {
  /** Where reading goes on. */
  at: number;
  /** The statement's first words, in upper case, as far as they matter. */
  words: string[];
  /** In a trigger: the last thing read was a semicolon, or the END behind one. */
  tail: 'none' | 'semicolon' | 'end';
}

const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const WORDS_COUNT_MAX = 6;

export class StatementReader {
  #text = '';
  #progress: Progress = { at: 0, words: [], tail: 'none' };

  /** Adds whole lines and gives the statements that they complete, with their semicolons. */
  add(text: string): string[] {
    this.#text += text;
    const found: string[] = [];
    for (let end = this.#nextEnd(); end !== -1; end = this.#nextEnd()) {
      const statement = this.#text.slice(0, end).trim();
      if (!isEmpty(statement)) found.push(statement);
      this.#begin(end);
    }
    return found;
  }

  /** Whether something has begun and not ended. */
  get isOpen(): boolean {
    return !isEmpty(this.#text);
  }

  /** What is left, as the last statement of a script may lack its semicolon; '' for none. */
  takeRest(): string {
    const rest = this.#text.trim();
    this.#begin(this.#text.length);
    return isEmpty(rest) ? '' : rest;
  }

  #begin(at: number): void {
    this.#text = this.#text.slice(at);
    this.#progress = { at: 0, words: [], tail: 'none' };
  }

  /** Behind the semicolon that ends the first statement; -1 where none does yet. */
  #nextEnd(): number {
    const text = this.#text;
    const progress = this.#progress;
    while (progress.at < text.length) {
      const { at } = progress;
      const end = endOfSkipped(text, at);
      // Read again from here when the rest has come.
      if (end === -1) return -1;
      if (end > at) {
        if (!isBlank(text, at)) progress.tail = 'none';
        progress.at = end;
        continue;
      }
      if (text[at] === ';') {
        progress.at = at + 1;
        if (!isTrigger(progress.words) || progress.tail === 'end') return at + 1;
        progress.tail = 'semicolon';
        continue;
      }
      this.#readWord(at);
    }
    return -1;
  }

  #readWord(at: number): void {
    const progress = this.#progress;
    WORD.lastIndex = at;
    const word = WORD.exec(this.#text)?.[0].toUpperCase() ?? '';
    progress.at = at + Math.max(1, word.length);
    if (progress.words.length < WORDS_COUNT_MAX) progress.words.push(word);
    progress.tail = word === 'END' && progress.tail === 'semicolon' ? 'end' : 'none';
  }
}

/** Behind a blank, comment, string or quoted name that begins at a place; the place itself where
 *  none does, and -1 where it has no end yet. */
function endOfSkipped(text: string, at: number): number {
  const first = text[at]!;
  if (/\s/.test(first)) return at + 1;
  if (text.startsWith('--', at)) return closedBy(text, '\n', at + 2);
  if (text.startsWith('/*', at)) return closedBy(text, '*/', at + 2);
  if (first === '[') return closedBy(text, ']', at + 1);
  // A doubled quote is the end of one string and the beginning of the next, which ends as well.
  if (first === "'" || first === '"' || first === '`') return closedBy(text, first, at + 1);
  return at;
}

function closedBy(text: string, closing: string, from: number): number {
  const found = text.indexOf(closing, from);
  return found === -1 ? -1 : found + closing.length;
}

function isBlank(text: string, at: number): boolean {
  return /\s/.test(text[at]!) || text.startsWith('--', at) || text.startsWith('/*', at);
}

function isTrigger(words: readonly string[]): boolean {
  let rest = [...words];
  if (rest[0] === 'EXPLAIN') rest = rest[1] === 'QUERY' ? rest.slice(3) : rest.slice(1);
  if (rest[0] !== 'CREATE') return false;
  const kind = rest[1] === 'TEMP' || rest[1] === 'TEMPORARY' ? rest[2] : rest[1];
  return kind === 'TRIGGER';
}

/** Nothing but blanks, comments and semicolons. */
function isEmpty(text: string): boolean {
  const bare = text.replace(/--[^\n]*(\n|$)|\/\*[\s\S]*?(\*\/|$)/g, ' ');
  return /^[\s;]*$/.test(bare);
}
