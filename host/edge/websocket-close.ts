// Close codes and reasons that may be sent: what a peer gave us may not go on the wire as it is.

/** Bytes that a control frame leaves for the reason. Source: RFC 6455 section 5.5. */
const REASON_SIZE_BYTES_MAX = 123;

/** What to send for a close code: the code itself, `none` for a close frame without one (1005), or
 *  `cut` for no close frame at all (1006, 1015, and what is no close code).
 *  Source: RFC 6455 section 7.4. */
export function closeManner(code: number): 'code' | 'none' | 'cut' {
  if (code === 1005) return 'none';
  if (code >= 3000 && code <= 4999) return 'code';
  if (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1006) return 'code';
  return 'cut';
}

/** The longest start of a reason that fits in a close frame, cut between characters. */
export function fittingReason(reason: string): string {
  if (Buffer.byteLength(reason) <= REASON_SIZE_BYTES_MAX) return reason;
  const bytes = Buffer.from(reason).subarray(0, REASON_SIZE_BYTES_MAX);
  let sizeBytes = bytes.length;
  while (sizeBytes > 0 && (Buffer.from(reason)[sizeBytes]! & 0xc0) === 0x80) sizeBytes--;
  return bytes.subarray(0, sizeBytes).toString();
}

/** Whether a client offered a sub-protocol. `headers` is a flat list with lower-case names. */
export function isProtocolOffered(headers: readonly string[], protocol: string): boolean {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== 'sec-websocket-protocol') continue;
    if (headers[index + 1]!.split(',').some((offered) => offered.trim() === protocol)) return true;
  }
  return false;
}
