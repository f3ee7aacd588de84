// What a test that failed has left open: servers, processes. Without this its file would never end,
// for a failed assertion skips the lines that close them.

import { after } from 'node:test';

const endings: (() => void)[] = [];

after(() => {
  for (const end of endings) end();
});

/** Ends something when the last test of the file is over, if nothing has before. `end` may find it
 *  ended, and waits for nothing. */
export function endAtLast(end: () => void): void {
  endings.push(end);
}
