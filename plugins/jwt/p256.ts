// ECDSA over P-256 (FIPS 186-5 section 6.4.2): checks signatures, and makes none. A point is in
// Jacobian coordinates, | X 32 | Y 32 | Z 32 |, in Montgomery's form; Z is 0 at infinity.

import {
  add,
  addPlain,
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
  readBig,
  sub,
} from './field';

const P = fromHex('ffffffff00000001000000000000000000000000ffffffffffffffffffffffff');
const N = fromHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
const B = fromHex('5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b');
const GX = fromHex('6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296');
const GY = fromHex('4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5');

const Y: usize = 32;
const Z: usize = 64;
const p = makeField(P);
const n = makeField(N);

const base = numbers(3);
enter(base, GX, p);
enter(base + Y, GY, p);
copy(base + Z, one(p));
enter(B, B, p);

const t0 = numbers(1);
const t1 = numbers(1);
const t2 = numbers(1);
const t3 = numbers(1);
const t4 = numbers(1);
const t5 = numbers(1);

/** The formula dbl-2001-b for a = -3. `out` may be `a`. */
function double(out: usize, a: usize): void {
  mul(t0, a + Z, a + Z, p);
  mul(t1, a + Y, a + Y, p);
  mul(t2, a, t1, p);
  sub(t3, a, t0, p);
  add(t4, a, t0, p);
  mul(t3, t3, t4, p);
  add(t4, t3, t3, p);
  add(t3, t4, t3, p);
  add(t4, a + Y, a + Z, p);
  mul(t4, t4, t4, p);
  sub(t4, t4, t1, p);
  sub(out + Z, t4, t0, p);
  add(t2, t2, t2, p);
  add(t2, t2, t2, p);
  add(t4, t2, t2, p);
  mul(t5, t3, t3, p);
  sub(out, t5, t4, p);
  mul(t1, t1, t1, p);
  add(t1, t1, t1, p);
  add(t1, t1, t1, p);
  add(t1, t1, t1, p);
  sub(t2, t2, out, p);
  mul(t2, t3, t2, p);
  sub(out + Y, t2, t1, p);
}

/** The formula add-1998-cmo-2, and the cases that it leaves out. `out` may be `a`. */
function plus(out: usize, a: usize, b: usize): void {
  if (isZero(b + Z)) return memory.copy(out, a, 96);
  if (isZero(a + Z)) return memory.copy(out, b, 96);
  mul(t0, a + Z, a + Z, p);
  mul(t1, b + Z, b + Z, p);
  mul(t2, a, t1, p);
  mul(t3, b, t0, p);
  mul(t1, t1, b + Z, p);
  mul(t1, t1, a + Y, p);
  mul(t0, t0, a + Z, p);
  mul(t0, t0, b + Y, p);
  sub(t3, t3, t2, p);
  sub(t0, t0, t1, p);
  if (isZero(t3)) {
    if (isZero(t0)) return double(out, a);
    return memory.fill(out + Z, 0, 32);
  }
  mul(t4, a + Z, b + Z, p);
  mul(out + Z, t4, t3, p);
  mul(t4, t3, t3, p);
  mul(t3, t3, t4, p);
  mul(t2, t2, t4, p);
  mul(t4, t0, t0, p);
  sub(t4, t4, t3, p);
  sub(t4, t4, t2, p);
  sub(out, t4, t2, p);
  sub(t2, t2, out, p);
  mul(t2, t0, t2, p);
  mul(t1, t1, t3, p);
  sub(out + Y, t2, t1, p);
}

/** A public key from its coordinates, 32 bytes each. 0: not a point of the curve. */
export function p256Key(x: Uint8Array, y: Uint8Array): usize {
  if (x.length != 32 || y.length != 32) return 0;
  const key = numbers(3);
  readBig(key, x.dataStart);
  readBig(key + Y, y.dataStart);
  if (!isLess(key, P) || !isLess(key + Y, P)) return 0;
  enter(key, key, p);
  enter(key + Y, key + Y, p);
  copy(key + Z, one(p));
  // y*y = x*x*x - 3x + b
  mul(t0, key, key, p);
  mul(t0, t0, key, p);
  for (let times = 0; times < 3; times++) sub(t0, t0, key, p);
  add(t0, t0, B, p);
  mul(t1, key + Y, key + Y, p);
  return isEqual(t0, t1) ? key : 0;
}

const r = numbers(1);
const s = numbers(1);
const u1 = numbers(1);
const u2 = numbers(1);
const sum = numbers(3);
const result = numbers(3);

/** Whether a signature, r and s of 32 bytes each, is that of a digest of 32 bytes. */
export function p256Verify(key: usize, digest: Uint8Array, signature: Uint8Array): bool {
  if (signature.length != 64 || digest.length != 32) return false;
  readBig(r, signature.dataStart);
  readBig(s, signature.dataStart + 32);
  if (isZero(r) || isZero(s) || !isLess(r, N) || !isLess(s, N)) return false;
  readBig(u1, digest.dataStart);
  enter(s, s, n);
  invert(s, s, n);
  // A number in Montgomery's form times a plain one is plain; the digest may be above n.
  mul(u1, u1, s, n);
  mul(u2, r, s, n);
  plus(sum, base, key);
  memory.fill(result, 0, 96);
  for (let index = 255; index >= 0; index--) {
    double(result, result);
    const bits = bit(u1, index) | (bit(u2, index) << 1);
    if (bits == 1) plus(result, result, base);
    else if (bits == 2) plus(result, result, key);
    else if (bits == 3) plus(result, result, sum);
  }
  if (isZero(result + Z)) return false;
  return isXOf(r, result) || (addPlain(r, r, N) == 0 && isLess(r, P) && isXOf(r, result));
}

/** Whether a plain number is a point's x: x * Z * Z = X, without a division. */
function isXOf(x: usize, point: usize): bool {
  enter(t0, x, p);
  mul(t1, point + Z, point + Z, p);
  mul(t0, t0, t1, p);
  leave(t0, t0, p);
  leave(t1, point, p);
  return isEqual(t0, t1);
}
