// Arithmetic modulo a prime of at most 256 bits, in Montgomery's form (Koc, Acar and Kaliski 1996,
// CIOS). It checks signatures only, where nothing is secret, so its time may depend on its numbers.
// Numbers lie outside of the collector's heap: a reference to an object would be written to a stack
// in memory by every function that holds one.
//
//   a number    8 words of 32 bits, the least first; 32 bytes
//   a field     | modulus 32 | R*R mod modulus 32 | R mod modulus 32 | -1/modulus mod 2^32  4 |
//               where R is 2^256; the third is 1 in Montgomery's form

export const NUMBER_SIZE_BYTES: usize = 32;
const SQUARE_OFFSET: usize = 32;
const ONE_OFFSET: usize = 64;
const INVERSE_OFFSET: usize = 96;
const FIELD_SIZE_BYTES: usize = 100;

/** Room for `count` numbers, all 0. It is never given back. */
export function numbers(count: i32): usize {
  const size = <usize>count * NUMBER_SIZE_BYTES;
  const ptr = heap.alloc(size);
  memory.fill(ptr, 0, size);
  return ptr;
}

/** A number from 64 hexadecimal digits. */
export function fromHex(digits: string): usize {
  const ptr = numbers(1);
  for (let index = 0; index < 8; index++) {
    // In bounds: word 7 - index of eight.
    const word = <u32>parseInt(digits.slice(index * 8, index * 8 + 8), 16);
    store<u32>(ptr + (7 - index) * 4, word);
  }
  return ptr;
}

/** Reads 32 bytes, the most significant first. */
export function readBig(out: usize, bytes: usize): void {
  for (let index = 0; index < 8; index++) {
    store<u32>(out + index * 4, bswap<u32>(load<u32>(bytes + (7 - index) * 4)));
  }
}

/** Makes a field of an odd modulus. */
export function makeField(modulus: usize): usize {
  const field = heap.alloc(FIELD_SIZE_BYTES);
  memory.copy(field, modulus, NUMBER_SIZE_BYTES);
  const least = load<u32>(modulus);
  // Newton's iteration: each round doubles the bits that are right, beginning with 3.
  let inverse = least;
  for (let round = 0; round < 4; round++) inverse *= 2 - least * inverse;
  store<u32>(field + INVERSE_OFFSET, 0 - inverse);
  const power = numbers(1);
  store<u32>(power, 1);
  for (let bit = 0; bit < 512; bit++) {
    if (bit == 256) memory.copy(field + ONE_OFFSET, power, NUMBER_SIZE_BYTES);
    add(power, power, power, field);
  }
  memory.copy(field + SQUARE_OFFSET, power, NUMBER_SIZE_BYTES);
  return field;
}

/** 1 in Montgomery's form; not to be changed. */
export function one(field: usize): usize {
  return field + ONE_OFFSET;
}

export function copy(out: usize, a: usize): void {
  memory.copy(out, a, NUMBER_SIZE_BYTES);
}

export function isZero(a: usize): bool {
  return (load<u64>(a) | load<u64>(a, 8) | load<u64>(a, 16) | load<u64>(a, 24)) == 0;
}

export function isEqual(a: usize, b: usize): bool {
  return memory.compare(a, b, NUMBER_SIZE_BYTES) == 0;
}

export function isLess(a: usize, b: usize): bool {
  for (let index: i32 = 7; index >= 0; index--) {
    const left = load<u32>(a + index * 4);
    const right = load<u32>(b + index * 4);
    if (left != right) return left < right;
  }
  return false;
}

export function bit(a: usize, index: i32): u32 {
  // In bounds: index is below 256.
  return (load<u32>(a + ((index >> 5) << 2)) >> (index & 31)) & 1;
}

/** Without any modulus. Gives the borrow. */
function subtract(out: usize, a: usize, b: usize): u64 {
  let borrow: u64 = 0;
  for (let at: usize = 0; at < 32; at += 4) {
    const difference = <u64>load<u32>(a + at) - load<u32>(b + at) - borrow;
    store<u32>(out + at, <u32>difference);
    borrow = difference >> 63;
  }
  return borrow;
}

/** Without any modulus. Gives the carry. */
export function addPlain(out: usize, a: usize, b: usize): u64 {
  let carry: u64 = 0;
  for (let at: usize = 0; at < 32; at += 4) {
    carry += <u64>load<u32>(a + at) + load<u32>(b + at);
    store<u32>(out + at, <u32>carry);
    carry >>= 32;
  }
  return carry;
}

export function add(out: usize, a: usize, b: usize, field: usize): void {
  const carry = addPlain(out, a, b);
  if (carry != 0 || !isLess(out, field)) subtract(out, out, field);
}

export function sub(out: usize, a: usize, b: usize, field: usize): void {
  if (subtract(out, a, b) != 0) addPlain(out, out, field);
}

/** a * b / R; the product of two numbers in Montgomery's form, in that form. One of them may be
 *  any number of 256 bits, the other is below the modulus. */
export function mul(out: usize, a: usize, b: usize, field: usize): void {
  const a0 = <u64>load<u32>(a),
    a1 = <u64>load<u32>(a, 4),
    a2 = <u64>load<u32>(a, 8);
  const a3 = <u64>load<u32>(a, 12),
    a4 = <u64>load<u32>(a, 16),
    a5 = <u64>load<u32>(a, 20);
  const a6 = <u64>load<u32>(a, 24),
    a7 = <u64>load<u32>(a, 28);
  const n0 = load<u32>(field + INVERSE_OFFSET);
  let t0: u64 = 0,
    t1: u64 = 0,
    t2: u64 = 0,
    t3: u64 = 0;
  let t4: u64 = 0,
    t5: u64 = 0,
    t6: u64 = 0,
    t7: u64 = 0,
    t8: u64 = 0;
  for (let at: usize = 0; at < 32; at += 4) {
    const word = <u64>load<u32>(b + at);
    // No sum below overflows: (2^32-1)^2 + 2 * (2^32-1) is 2^64-1.
    let c = t0 + a0 * word;
    const quotient = <u64>(<u32>c * n0);
    let m = (c & 0xffffffff) + quotient * load<u32>(field);
    c = (c >> 32) + t1 + a1 * word;
    m = (m >> 32) + (c & 0xffffffff) + quotient * load<u32>(field, 4);
    t0 = m & 0xffffffff;
    c = (c >> 32) + t2 + a2 * word;
    m = (m >> 32) + (c & 0xffffffff) + quotient * load<u32>(field, 8);
    t1 = m & 0xffffffff;
    c = (c >> 32) + t3 + a3 * word;
    m = (m >> 32) + (c & 0xffffffff) + quotient * load<u32>(field, 12);
    t2 = m & 0xffffffff;
    c = (c >> 32) + t4 + a4 * word;
    m = (m >> 32) + (c & 0xffffffff) + quotient * load<u32>(field, 16);
    t3 = m & 0xffffffff;
    c = (c >> 32) + t5 + a5 * word;
    m = (m >> 32) + (c & 0xffffffff) + quotient * load<u32>(field, 20);
    t4 = m & 0xffffffff;
    c = (c >> 32) + t6 + a6 * word;
    m = (m >> 32) + (c & 0xffffffff) + quotient * load<u32>(field, 24);
    t5 = m & 0xffffffff;
    c = (c >> 32) + t7 + a7 * word;
    m = (m >> 32) + (c & 0xffffffff) + quotient * load<u32>(field, 28);
    t6 = m & 0xffffffff;
    m = (m >> 32) + (c >> 32) + t8;
    t7 = m & 0xffffffff;
    t8 = m >> 32;
  }
  store<u64>(out, t0 | (t1 << 32));
  store<u64>(out, t2 | (t3 << 32), 8);
  store<u64>(out, t4 | (t5 << 32), 16);
  store<u64>(out, t6 | (t7 << 32), 24);
  if (t8 != 0 || !isLess(out, field)) subtract(out, out, field);
}

/** A number of 256 bits into Montgomery's form, reduced. */
export function enter(out: usize, a: usize, field: usize): void {
  mul(out, a, field + SQUARE_OFFSET, field);
}

const PLAIN_ONE = numbers(1);
store<u32>(PLAIN_ONE, 1);

/** Out of Montgomery's form. */
export function leave(out: usize, a: usize, field: usize): void {
  mul(out, a, PLAIN_ONE, field);
}

const powerBase = numbers(1);
const powerResult = numbers(1);

/** a to the power of a plain number. */
export function power(out: usize, a: usize, exponent: usize, field: usize): void {
  copy(powerBase, a);
  copy(powerResult, one(field));
  for (let index = 255; index >= 0; index--) {
    mul(powerResult, powerResult, powerResult, field);
    if (bit(exponent, index) == 1) mul(powerResult, powerResult, powerBase, field);
  }
  copy(out, powerResult);
}

const inverseExponent = numbers(1);
const PLAIN_TWO = numbers(1);
store<u32>(PLAIN_TWO, 2);

/** 1 / a, by Fermat: a to the power of modulus - 2. */
export function invert(out: usize, a: usize, field: usize): void {
  subtract(inverseExponent, field, PLAIN_TWO);
  power(out, a, inverseExponent, field);
}

/** a shifted right by some bits, without any modulus; a becomes the exponent of a root. */
export function shiftRight(a: usize, bits: u32): void {
  for (let at: usize = 0; at < 32; at += 4) {
    const next = at < 28 ? <u64>load<u32>(a + at + 4) : 0;
    store<u32>(a + at, <u32>(((next << 32) | load<u32>(a + at)) >> bits));
  }
}
