// Bits into memory, least significant first, as all of zstd's bit streams are written; those of
// codes are read from their end, which is why encoders go backward (RFC 8878 section 4.1).

/** Where a bit stream stands. The caller's area has eight bytes of room after the last byte. */
@unmanaged
export class BitWriter {
  bits: u64;
  count: u32;
  ptr: u32;
}

export function beginBits(writer: BitWriter, ptr: u32): void {
  writer.bits = 0;
  writer.count = 0;
  writer.ptr = ptr;
}

/** Appends the low `count` bits, at most 32; the bits of `value` above them are 0. */
export function putBits(writer: BitWriter, value: u32, count: u32): void {
  const bits = writer.bits | ((<u64>value) << (<u64>writer.count));
  const total = writer.count + count;
  store<u64>(writer.ptr, bits);
  writer.ptr += total >> 3;
  writer.bits = bits >> <u64>(total & ~7);
  writer.count = total & 7;
}

/** Fills the last byte with zeros; returns where the stream ends. */
export function alignBits(writer: BitWriter): u32 {
  if (writer.count > 0) ++writer.ptr;
  return writer.ptr;
}

/** Ends a stream that is read backward: its last bit set is a mark. Returns where it ends. */
export function markBits(writer: BitWriter): u32 {
  putBits(writer, 1, 1);
  return alignBits(writer);
}
