// Byte strings: text from the wire is kept as one character per byte, 0x00 to 0xff, and is written
// back as latin1, so that whatever a client or an upstream sent leaves unchanged. Configuration is
// Unicode text and becomes its UTF-8 bytes here, where it meets the wire. No character above 0xff
// may reach a latin1 write, which keeps only its low byte: U+010D would be a carriage return.

const NOT_ASCII = /[\u0080-\uffff]/;
const NOT_BYTES = /[\u0100-\uffff]/;
const REPLACEMENT_CHARACTER = '\ufffd';

/** Whether every character is one byte. Cost: about 8 ns at any length for a text that V8 keeps as
 *  bytes; else O(text). */
export function isByteString(text: string): boolean {
  return !NOT_BYTES.test(text);
}

/** The UTF-8 bytes of a Unicode text; half a surrogate pair becomes U+FFFD. ASCII stays the very
 *  string. Never for what is a byte string already: its bytes would be encoded twice. */
export function toByteString(text: string): string {
  return NOT_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

/** The text that a byte string holds as UTF-8; bytes that are none become U+FFFD. */
export function fromByteString(bytes: string): string {
  return NOT_ASCII.test(bytes) ? Buffer.from(bytes, 'latin1').toString('utf8') : bytes;
}

/** A byte string for people to read: as fromByteString() where it is UTF-8, else as it is. */
export function shownByteString(bytes: string): string {
  if (!NOT_ASCII.test(bytes) || !isByteString(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return text.includes(REPLACEMENT_CHARACTER) ? bytes : text;
}
