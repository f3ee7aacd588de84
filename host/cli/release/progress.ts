// How far publishing is: a bar for each phase on a terminal; elsewhere a line now and then, for
// logs of builds are read by people.

const BAR_COLUMNS = 30;
/** Bars are drawn this often. Units: ms. */
const DRAW_EVERY_MS = 100;
/** And a line is written this often, so that what is quick writes none. */
const TELL_EVERY_MS = 10_000;

interface Terminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface BarState {
  readonly label: string;
  readonly doneCount: number;
  readonly totalCount: number;
}

export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #nowMs: () => number;
  #label = '';
  #drawnMs = Number.NEGATIVE_INFINITY;
  #toldMs: number;

  constructor(terminal: Terminal, nowMs: () => number) {
    this.#terminal = terminal;
    this.#nowMs = nowMs;
    this.#toldMs = nowMs();
  }

  show(state: BarState): void {
    if (state.totalCount === 0) return;
    if (this.#terminal.isTTY !== true) {
      this.#tell(state);
      return;
    }
    const isEnd = state.doneCount === state.totalCount;
    const isNew = state.label !== this.#label;
    if (!isEnd && !isNew && this.#nowMs() - this.#drawnMs < DRAW_EVERY_MS) return;
    this.#label = state.label;
    this.#drawnMs = this.#nowMs();
    this.#terminal.write(`\r\u001b[K${barText(state)}`);
  }

  #tell({ label, doneCount, totalCount }: BarState): void {
    if (this.#nowMs() - this.#toldMs < TELL_EVERY_MS) return;
    this.#toldMs = this.#nowMs();
    this.#terminal.write(`${label}: ${doneCount} of ${totalCount}\n`);
  }

  clear(): void {
    if (this.#terminal.isTTY === true && this.#label !== '') this.#terminal.write('\r\u001b[K');
    this.#label = '';
  }
}

/** `variants  [##########--------------------]  12/36`. */
export function barText({ label, doneCount, totalCount }: BarState): string {
  const filled = Math.floor((doneCount / totalCount) * BAR_COLUMNS);
  const bar = `${'#'.repeat(filled)}${'-'.repeat(BAR_COLUMNS - filled)}`;
  return `${label.padEnd(9)} [${bar}] ${doneCount}/${totalCount}`;
}
