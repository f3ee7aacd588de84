// Doing many things a few at a time.

/** Runs `work` for each item, `countMax` at once. The first failure starts nothing more, and is
 *  thrown once what is under way has ended: nobody works on when this has thrown. */
export async function eachAtOnce<T>(
  items: Iterable<T>,
  countMax: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const lane = async () => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      try {
        await work(next.value);
      } catch (error) {
        failures.push(error);
      }
      if (failures.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: countMax }, lane));
  if (failures.length > 0) throw failures[0];
}
