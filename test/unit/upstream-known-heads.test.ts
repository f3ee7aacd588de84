// Response heads that are kept: the same bytes are found wherever they lie, no others are, and an
// upstream whose heads never repeat costs next to nothing.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KnownHeads } from '../../host/mesh/upstream/known-heads.ts';

const HEAD = 'HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\n';
const FIELDS = {
  headers: ['server', 'x'],
  contentLength: 5,
  isChunked: false,
  isLast: false,
  keepAliveSeconds: -1,
};

/** Reads `text` as a parser would. Returns whether it was known, and whether it was learnt. */
function meet(known: KnownHeads, text: string, headSizeBytes: number, offset = 0) {
  const bytes = Buffer.from(`${'x'.repeat(offset)}${text}`, 'latin1');
  const end = bytes.length;
  if (known.find(bytes, offset, end) !== null) return { isKnown: true, isLearnt: false };
  const sample = known.sample(bytes, offset, end);
  if (sample === null) return { isKnown: false, isLearnt: false };
  const line = { status: 200, minor: 1, sizeBytes: headSizeBytes };
  known.learn(sample, end - offset, line, FIELDS);
  return { isKnown: false, isLearnt: true };
}

/** As long as HEAD, and another for each number. */
function otherHead(number: number): string {
  return HEAD.replace('OK\r\nServer: x', String(number).padStart(13, '0'));
}

describe('known heads', () => {
  it('find the same bytes at any place, and what they meant', () => {
    const known = new KnownHeads();
    meet(known, `${HEAD}hello`, HEAD.length);
    for (const offset of [0, 1, 2, 3, 5, 1000]) {
      const bytes = Buffer.from(`${'y'.repeat(offset)}${HEAD}world`, 'latin1');
      const found = known.find(bytes, offset, bytes.length)!;
      assert.equal(found.sizeBytes, HEAD.length);
      assert.equal(found.prepared.status, 200);
      assert.deepEqual(found.prepared.headers, ['server', 'x']);
      assert.equal(found.headers, found.prepared.headers);
      assert.equal(found.contentLength, 5);
    }
  });

  it('find nothing where one bit differs, or where a byte is missing', () => {
    const known = new KnownHeads();
    meet(known, HEAD, HEAD.length);
    const bytes = Buffer.from(HEAD, 'latin1');
    for (let index = 0; index < bytes.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[index]! ^= 1 << bit;
        assert.equal(known.find(bytes, 0, bytes.length), null, `byte ${index}, bit ${bit}`);
        bytes[index]! ^= 1 << bit;
      }
    }
    assert.notEqual(known.find(bytes, 0, bytes.length), null);
    for (let size = 0; size < bytes.length; size++) assert.equal(known.find(bytes, 0, size), null);
  });

  it('keep no list that the first reader goes on to change', () => {
    const known = new KnownHeads();
    const headers = ['server', 'x'];
    const bytes = Buffer.from(HEAD, 'latin1');
    known.find(bytes, 0, bytes.length);
    const sample = known.sample(bytes, 0, bytes.length)!;
    const line = { status: 200, minor: 1, sizeBytes: HEAD.length };
    known.learn(sample, bytes.length, line, { ...FIELDS, headers });
    headers.push('x-added', '1');
    assert.deepEqual(known.find(bytes, 0, bytes.length)!.headers, ['server', 'x']);
  });

  it('keep one that comes again through a few others, and then give it up', () => {
    const known = new KnownHeads();
    meet(known, HEAD, HEAD.length);
    assert.ok(meet(known, HEAD, HEAD.length).isKnown);
    for (let turn = 0; turn < 3; turn++) {
      for (let number = 0; number < 7; number++) meet(known, otherHead(number), HEAD.length);
      assert.ok(meet(known, HEAD, HEAD.length).isKnown, `turn ${turn}`);
    }
    for (let number = 0; number < 8; number++) meet(known, otherHead(number), HEAD.length);
    assert.equal(meet(known, HEAD, HEAD.length).isKnown, false);
  });

  it('learn seldom where heads never repeat', () => {
    const known = new KnownHeads();
    let learntCount = 0;
    for (let number = 0; number < 10_000; number++) {
      if (meet(known, otherHead(number), HEAD.length).isLearnt) learntCount += 1;
    }
    assert.ok(learntCount > 10 && learntCount < 200, `${learntCount} were learnt`);
  });

  it('keep no large head', () => {
    const known = new KnownHeads();
    const large = HEAD.replace('x', 'x'.repeat(1_000));
    meet(known, large, large.length);
    assert.equal(meet(known, large, large.length).isKnown, false);
  });
});
