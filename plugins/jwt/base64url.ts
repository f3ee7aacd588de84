// Base64url without padding (RFC 4648 section 5), as tokens have it. Strict: one text for one
// value, so that a token cannot be written in two ways.

/** The bytes of a text; null when it is not the one form of some bytes. */
export function decodeBase64url(text: string): Uint8Array | null {
  const rest = text.length & 3;
  if (rest == 1) return null;
  const bytes = new Uint8Array((text.length * 3) >> 2);
  let held: u32 = 0;
  let bits = 0;
  let at = 0;
  for (let index = 0; index < text.length; index++) {
    const value = sextet(text.charCodeAt(index));
    if (value < 0) return null;
    held = (held << 6) | <u32>value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = <u8>(held >> bits);
  }
  // What is left over is padding of bits, and stands for nothing.
  return (held & ((1 << bits) - 1)) == 0 ? bytes : null;
}

function sextet(code: i32): i32 {
  if (code >= 0x41 && code <= 0x5a) return code - 0x41;
  if (code >= 0x61 && code <= 0x7a) return code - 0x47;
  if (code >= 0x30 && code <= 0x39) return code + 4;
  if (code == 0x2d) return 62;
  return code == 0x5f ? 63 : -1;
}
