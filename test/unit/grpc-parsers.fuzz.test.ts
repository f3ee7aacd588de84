// What comes from services and guests in bytes, cut and made at random: gRPC's messages come out as
// they went in however they are cut, and no bytes make a parser throw or give more than there is.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { decodedMessage, statusOfTrailers } from '../../host/mesh/grpc/grpc-status.ts';
import { framedMessage, GrpcMessageDecoder } from '../../host/mesh/grpc/message-decoder.ts';
import { readGrpcService } from '../../host/proxywasm/abi/grpc-service.ts';
import { testSeed } from '../support/seed.ts';

const ROUNDS_COUNT = 2_000;
const SIZE_BYTES_MAX = 300;

function bytesOf(random: SeededRandom, sizeBytes: number): Buffer {
  return Buffer.from(Array.from({ length: sizeBytes }, () => random.uint32() & 0xff));
}

/** Gives bytes in pieces, and takes what comes. Shape: messages, then what ended it. */
function decode(random: SeededRandom, bytes: Buffer, sizeBytesMax: number) {
  const decoder = new GrpcMessageDecoder(sizeBytesMax);
  const messages: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const size = 1 + (random.uint32() % 12) ** 2;
    decoder.give(bytes.subarray(offset, offset + size));
    offset += size;
    for (;;) {
      const next = decoder.next();
      if (next === null) break;
      if (!(next instanceof Uint8Array)) return { messages, fault: next, isInside: false };
      messages.push(next);
    }
    assert.equal(decoder.isEmpty, true);
  }
  return { messages, fault: null, isInside: decoder.isInside };
}

describe('gRPC messages', () => {
  it('come out as they went in', () => {
    const random = new SeededRandom(testSeed('grpc messages'));
    for (let round = 0; round < ROUNDS_COUNT; round++) {
      const sent = Array.from({ length: random.uint32() % 8 }, () =>
        bytesOf(random, random.uint32() % SIZE_BYTES_MAX),
      );
      const whole = Buffer.concat(sent.map(framedMessage));
      const all = decode(random, whole, SIZE_BYTES_MAX);
      assert.deepEqual(all.messages.map(Buffer.from), sent);
      assert.deepEqual([all.fault, all.isInside], [null, false]);
      if (whole.length === 0) continue;
      // Cut short, no more comes out than went in, and it is known to be inside.
      const cut = random.uint32() % whole.length;
      const part = decode(random, whole.subarray(0, cut), SIZE_BYTES_MAX);
      const isBetween = Buffer.concat(part.messages.map(framedMessage)).length === cut;
      assert.equal(part.isInside, !isBetween);
    }
  });

  it('that are none end with a fault, and keep no more than the limit', () => {
    const random = new SeededRandom(testSeed('grpc noise'));
    for (let round = 0; round < ROUNDS_COUNT; round++) {
      const noise = bytesOf(random, random.uint32() % 64);
      if (random.uint32() % 2 === 0 && noise.length > 3) noise.fill(0, 0, 3);
      for (const message of decode(random, noise, 16).messages) assert.ok(message.length <= 16);
    }
  });
});

describe('a GrpcService', () => {
  it('is read out of no bytes that are none, and never thrown at', () => {
    const random = new SeededRandom(testSeed('grpc service'));
    const good = Buffer.from(
      '\x0a\x10\x0a\x06wallet\x12\x06a.test\x10\x80\x01\x2a\x08\x0a\x03X-A\x12\x01b',
      'latin1',
    );
    const read = { cluster: 'wallet', authority: 'a.test', metadata: ['x-a', 'b'] };
    assert.deepEqual(readGrpcService(good), read);
    for (let round = 0; round < 10 * ROUNDS_COUNT; round++) {
      const bytes = random.uint32() % 2 === 0 ? Buffer.from(good) : bytesOf(random, 24);
      for (let flips = random.uint32() % 3; flips >= 0; flips--) {
        bytes[random.uint32() % bytes.length] = random.uint32() & 0xff;
      }
      const found = readGrpcService(bytes.subarray(0, random.uint32() % (bytes.length + 1)));
      if (found === null) continue;
      // What was read stands in the bytes, as a text of its own.
      assert.ok(bytes.includes(Buffer.from(found.cluster, 'latin1')));
      assert.equal(found.metadata.length % 2, 0);
    }
  });
});

describe('a status', () => {
  it('is a number and a text, whatever trailers say', () => {
    const random = new SeededRandom(testSeed('grpc status'));
    for (let round = 0; round < ROUNDS_COUNT; round++) {
      const text = bytesOf(random, random.uint32() % 40).toString('latin1');
      const { status, message } = statusOfTrailers(['grpc-status', text, 'grpc-message', text])!;
      assert.ok(Number.isSafeInteger(status) && status >= 0 && status < 2 ** 32);
      assert.ok(message.length <= 1_024);
    }
  });

  it('has a message that is percent-decoded once, and what is no escape stays', () => {
    assert.equal(decodedMessage('a%20b%25%32%e2%82%AC%'), 'a b%2\xe2\x82\xac%');
    assert.equal(decodedMessage('%2525'), '%25');
    assert.equal(decodedMessage('%zz%4'), '%zz%4');
    assert.equal(decodedMessage('%41'.repeat(5_000)), 'A'.repeat(1_024));
    assert.equal(statusOfTrailers(['x-a', 'b']), null);
  });
});
