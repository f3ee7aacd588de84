// What a test and its child agree on: which pages a fold writes, and what stands in them.

export const PAGES_COUNT = 300;
const PAGES_COUNT_OF_FOLD = 60;

export function pagesOfFold(lsn: number): number[] {
  const first = (lsn * 37) % PAGES_COUNT;
  return Array.from({ length: PAGES_COUNT_OF_FOLD }, (_, n) => 1 + ((first + n) % PAGES_COUNT));
}

export function pageOf(lsn: number, pageNumber: number): Uint8Array {
  const page = new Uint8Array(4096);
  const words = new DataView(page.buffer);
  let state = (lsn * 7919 + pageNumber) >>> 0;
  for (let at = 0; at < 3000; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words.setUint32(at, state);
  }
  return page;
}

/** The last fold up to an LSN that wrote a page, or 0. */
export function lastFoldOf(pageNumber: number, lsn: number): number {
  for (let fold = lsn; fold > 0; --fold) if (pagesOfFold(fold).includes(pageNumber)) return fold;
  return 0;
}
