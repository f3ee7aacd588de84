// SHA-256 and SHA-512 (FIPS 180-4). The constants of SHA-256 are the upper halves of SHA-512's, so
// there is one table of each.

/** Fractions of the square roots of the first 8 primes. */
const START: StaticArray<u64> = [
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
];

/** Fractions of the cube roots of the first 80 primes. */
const ROUND: StaticArray<u64> = [
  0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
  0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
  0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
  0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
  0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
  0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
  0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
  0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
  0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
  0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
  0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
  0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
  0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
  0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
  0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
  0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
  0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
  0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
  0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
  0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
];

/** The message schedule; a word of SHA-256 takes one place as well. */
const schedule = new StaticArray<u64>(80);
const state = new StaticArray<u64>(8);

/** A message with its padding: a one bit, zeros, and the length in bits at the end. */
function padded(message: Uint8Array, blockSize: i32): Uint8Array {
  const lengthSize = blockSize >> 3;
  const size = (message.length + lengthSize + blockSize) & ~(blockSize - 1);
  const result = new Uint8Array(size);
  result.set(message);
  result[message.length] = 0x80;
  // In bounds: the length has the last 8 bytes of the last block.
  store<u64>(result.dataStart + size - 8, bswap<u64>((<u64>message.length) << 3));
  return result;
}

/** Shape: 32 bytes. Cost: one allocation of the message's size. */
export function sha256(message: Uint8Array): Uint8Array {
  for (let index = 0; index < 8; index++) state[index] = START[index] >> 32;
  const bytes = padded(message, 64);
  for (let at = 0; at < bytes.length; at += 64) block256(bytes.dataStart + at);
  const digest = new Uint8Array(32);
  for (let index = 0; index < 8; index++) {
    store<u32>(digest.dataStart + index * 4, bswap<u32>(<u32>state[index]));
  }
  return digest;
}

/** Shape: 64 bytes. Cost: one allocation of the message's size. */
export function sha512(message: Uint8Array): Uint8Array {
  for (let index = 0; index < 8; index++) state[index] = START[index];
  const bytes = padded(message, 128);
  for (let at = 0; at < bytes.length; at += 128) block512(bytes.dataStart + at);
  const digest = new Uint8Array(64);
  for (let index = 0; index < 8; index++) {
    store<u64>(digest.dataStart + index * 8, bswap<u64>(state[index]));
  }
  return digest;
}

function block256(ptr: usize): void {
  for (let index = 0; index < 16; index++) {
    unchecked((schedule[index] = bswap<u32>(load<u32>(ptr + index * 4))));
  }
  for (let index = 16; index < 64; index++) {
    const w15 = <u32>unchecked(schedule[index - 15]);
    const w2 = <u32>unchecked(schedule[index - 2]);
    const s0 = rotr<u32>(w15, 7) ^ rotr<u32>(w15, 18) ^ (w15 >> 3);
    const s1 = rotr<u32>(w2, 17) ^ rotr<u32>(w2, 19) ^ (w2 >> 10);
    const word = <u32>unchecked(schedule[index - 16]) + s0 + <u32>unchecked(schedule[index - 7]);
    unchecked((schedule[index] = word + s1));
  }
  let a = <u32>state[0],
    b = <u32>state[1],
    c = <u32>state[2],
    d = <u32>state[3];
  let e = <u32>state[4],
    f = <u32>state[5],
    g = <u32>state[6],
    h = <u32>state[7];
  for (let index = 0; index < 64; index++) {
    const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const round = <u32>(unchecked(ROUND[index]) >> 32);
    const t1 = h + s1 + ((e & f) ^ (~e & g)) + round + <u32>unchecked(schedule[index]);
    const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  state[0] = <u32>state[0] + a;
  state[1] = <u32>state[1] + b;
  state[2] = <u32>state[2] + c;
  state[3] = <u32>state[3] + d;
  state[4] = <u32>state[4] + e;
  state[5] = <u32>state[5] + f;
  state[6] = <u32>state[6] + g;
  state[7] = <u32>state[7] + h;
}

function block512(ptr: usize): void {
  for (let index = 0; index < 16; index++) {
    unchecked((schedule[index] = bswap<u64>(load<u64>(ptr + index * 8))));
  }
  for (let index = 16; index < 80; index++) {
    const w15 = unchecked(schedule[index - 15]);
    const w2 = unchecked(schedule[index - 2]);
    const s0 = rotr<u64>(w15, 1) ^ rotr<u64>(w15, 8) ^ (w15 >> 7);
    const s1 = rotr<u64>(w2, 19) ^ rotr<u64>(w2, 61) ^ (w2 >> 6);
    const word = unchecked(schedule[index - 16]) + s0 + unchecked(schedule[index - 7]);
    unchecked((schedule[index] = word + s1));
  }
  let a = state[0],
    b = state[1],
    c = state[2],
    d = state[3];
  let e = state[4],
    f = state[5],
    g = state[6],
    h = state[7];
  for (let index = 0; index < 80; index++) {
    const s1 = rotr<u64>(e, 14) ^ rotr<u64>(e, 18) ^ rotr<u64>(e, 41);
    const t1 = h + s1 + ((e & f) ^ (~e & g)) + unchecked(ROUND[index]) + unchecked(schedule[index]);
    const s0 = rotr<u64>(a, 28) ^ rotr<u64>(a, 34) ^ rotr<u64>(a, 39);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}
