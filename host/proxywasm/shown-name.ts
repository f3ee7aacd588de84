// A module chooses its names, up to 100,000 bytes of any UTF-8: they must not steer a terminal that
// shows them, nor bury the rest of a log.

const NAME_LENGTH_MAX = 100;
const LEFT_OUT = '...';

/** A module's name as a line of text may have it: what is not printable ASCII as `\u{HEX}`, and
 *  100 characters of it. */
export function shownName(name: string): string {
  const start = name.slice(0, NAME_LENGTH_MAX);
  const text = start.replace(
    /[^\x20-\x7e]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  return start.length === name.length ? text : `${text}${LEFT_OUT}`;
}
