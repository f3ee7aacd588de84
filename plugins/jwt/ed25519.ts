// Ed25519 (RFC 8032 section 5.1): checks signatures, and makes none. A point is in extended
// coordinates, | X 32 | Y 32 | Z 32 | T 32 | with T = X*Y/Z, in Montgomery's form. The one formula
// for sums holds for every pair of points, so there are no cases.

import {
  add,
  bit,
  copy,
  enter,
  fromHex,
  invert,
  isEqual,
  isLess,
  isZero,
  leave,
  makeField,
  mul,
  numbers,
  one,
  power,
  shiftRight,
  sub,
} from './field';
import { sha512 } from './sha2';

const P = fromHex('7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed');
const L = fromHex('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed');
const D = fromHex('52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3');
/** A root of -1. */
const I = fromHex('2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0');
const BX = fromHex('216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a');
const BY = fromHex('6666666666666666666666666666666666666666666666666666666666666658');

const Y: usize = 32;
const Z: usize = 64;
const T: usize = 96;
const POINT_SIZE_BYTES: usize = 128;
const p = makeField(P);
const l = makeField(L);
enter(D, D, p);
enter(I, I, p);

/** (p - 5) / 8, which is also p / 8 rounded down. */
const ROOT = numbers(1);
copy(ROOT, P);
shiftRight(ROOT, 3);

const base = numbers(4);
enter(base, BX, p);
enter(base + Y, BY, p);
copy(base + Z, one(p));
mul(base + T, base, base + Y, p);

const t0 = numbers(1);
const t1 = numbers(1);
const t2 = numbers(1);
const t3 = numbers(1);
const t4 = numbers(1);

/** The formula add-2008-hwcd-3. `out` may be an operand. */
function plus(out: usize, a: usize, b: usize): void {
  sub(t0, a + Y, a, p);
  sub(t1, b + Y, b, p);
  mul(t0, t0, t1, p);
  add(t1, a + Y, a, p);
  add(t2, b + Y, b, p);
  mul(t1, t1, t2, p);
  mul(t2, a + T, b + T, p);
  mul(t2, t2, D, p);
  add(t2, t2, t2, p);
  mul(t3, a + Z, b + Z, p);
  add(t3, t3, t3, p);
  sub(t4, t1, t0, p);
  add(t1, t1, t0, p);
  sub(t0, t3, t2, p);
  add(t2, t3, t2, p);
  mul(out, t4, t0, p);
  mul(out + Y, t2, t1, p);
  mul(out + T, t4, t1, p);
  mul(out + Z, t0, t2, p);
}

/** A public key from its 32 bytes: the negative of its point. 0: not a point of the curve. */
export function ed25519Key(bytes: Uint8Array): usize {
  if (bytes.length != 32) return 0;
  const key = numbers(4);
  const y = key + Y;
  memory.copy(y, bytes.dataStart, 32);
  const sign = load<u8>(y, 31) >> 7;
  store<u8>(y, load<u8>(y, 31) & 0x7f, 31);
  if (!isLess(y, P)) return 0;
  enter(y, y, p);
  copy(key + Z, one(p));
  // x*x = (y*y - 1) / (d*y*y + 1) = u / v
  // x = u*v^3 * (u*v^7)^((p-5)/8), or that times a root of -1
  const u = numbers(1);
  const v = numbers(1);
  mul(t0, y, y, p);
  sub(u, t0, one(p), p);
  mul(v, t0, D, p);
  add(v, v, one(p), p);
  mul(t1, v, v, p);
  mul(t1, t1, v, p);
  mul(t2, t1, t1, p);
  mul(t2, t2, v, p);
  mul(t2, t2, u, p);
  power(t2, t2, ROOT, p);
  mul(t2, t2, t1, p);
  mul(key, t2, u, p);
  mul(t0, key, key, p);
  mul(t0, t0, v, p);
  if (!isEqual(t0, u)) {
    mul(key, key, I, p);
    mul(t0, key, key, p);
    mul(t0, t0, v, p);
    if (!isEqual(t0, u)) return 0;
  }
  leave(t0, key, p);
  if (isZero(t0) && sign == 1) return 0;
  // A key of the other sign is the negative that is wanted.
  if ((load<u8>(t0) & 1) == sign) {
    memory.fill(t1, 0, 32);
    sub(key, t1, key, p);
  }
  mul(key + T, key, y, p);
  return key;
}

const s = numbers(1);
const k = numbers(1);
const high = numbers(1);
const sum = numbers(4);
const result = numbers(4);

/** Whether 64 bytes are the signature of a message by a key: S*B - k*A is R. */
export function ed25519Verify(
  key: usize,
  keyBytes: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): bool {
  if (signature.length != 64) return false;
  memory.copy(s, signature.dataStart + 32, 32);
  if (!isLess(s, L)) return false;
  const hashed = new Uint8Array(64 + message.length);
  hashed.set(signature.subarray(0, 32));
  hashed.set(keyBytes, 32);
  hashed.set(message, 64);
  const digest = sha512(hashed);
  memory.copy(k, digest.dataStart, 32);
  memory.copy(high, digest.dataStart + 32, 32);
  enter(k, k, l);
  enter(high, high, l);
  enter(high, high, l);
  add(k, k, high, l);
  leave(k, k, l);
  plus(sum, base, key);
  memory.fill(result, 0, POINT_SIZE_BYTES);
  copy(result + Y, one(p));
  copy(result + Z, one(p));
  for (let index = 252; index >= 0; index--) {
    plus(result, result, result);
    const bits = bit(s, index) | (bit(k, index) << 1);
    if (bits == 1) plus(result, result, base);
    else if (bits == 2) plus(result, result, key);
    else if (bits == 3) plus(result, result, sum);
  }
  invert(t0, result + Z, p);
  mul(t1, result, t0, p);
  leave(t1, t1, p);
  mul(t2, result + Y, t0, p);
  leave(t2, t2, p);
  store<u8>(t2, load<u8>(t2, 31) | ((load<u8>(t1) & 1) << 7), 31);
  return memory.compare(t2, signature.dataStart, 32) == 0;
}
