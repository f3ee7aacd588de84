// A hash of 64 bits: FNV-1a over the text's bytes, then the finisher of MurmurHash3, for FNV alone
// leaves its upper bits uneven for short texts.

export function hashOf(text: string): u64 {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  let hash: u64 = 0xcbf29ce484222325;
  for (let index = 0; index < bytes.length; index++) {
    hash = (hash ^ bytes[index]) * 0x100000001b3;
  }
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  return hash ^ (hash >> 33);
}
