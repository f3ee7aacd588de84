// What followers and primaries say to each other, damaged at random; how long log is held; and what
// a gateway remembers of its standing.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isGatewayError, ManualClock, SeededRandom } from '../../host/core/index.ts';
import { LogHolds } from '../../host/db/replication/holds.ts';
import {
  decodePiece,
  encodePiece,
  isAsker,
  isStateAnswer,
  openJson,
  sealJson,
} from '../../host/db/replication/protocol.ts';
import { decideStanding, Standing, standingWords } from '../../host/db/replication/standing.ts';
import { kernelXxh64 } from '../support/log-scene.ts';
import { testSeed } from '../support/seed.ts';

const xxh64 = kernelXxh64();
const random = new SeededRandom(testSeed('replication'));

const codeOf = (code: string) => (error: unknown) => isGatewayError(error) && error.code === code;

/** Cut short, or with one bit flipped. */
function damaged(bytes: Uint8Array): Uint8Array {
  if (random.unit() < 0.3) return bytes.slice(0, random.uint32() % bytes.length);
  const copy = bytes.slice();
  copy[random.uint32() % copy.length]! ^= 1 << (random.uint32() % 8);
  return copy;
}

describe('messages of replication', () => {
  it('are never taken for what they are not', () => {
    const asker = { version: 1, node: 'a'.repeat(32), cluster: null, term: 7 };
    const message = sealJson(asker, xxh64);
    assert.deepEqual(openJson(message, xxh64, isAsker), asker);
    const pages = new Uint8Array(3 * 4_096).map(() => random.uint32());
    const asked = { lsn: 12, firstPage: 4 };
    const piece = encodePiece({ ...asked, pages }, xxh64);
    assert.deepEqual(decodePiece(piece, asked, xxh64).pages, Buffer.from(pages));
    const corrupt = codeOf('DB_FEED_CORRUPT');
    assert.throws(() => decodePiece(piece, { lsn: 12, firstPage: 5 }, xxh64), corrupt);
    assert.throws(() => decodePiece(piece, { lsn: 13, firstPage: 4 }, xxh64), corrupt);
    for (let round = 0; round < 2_000; ++round) {
      assert.throws(() => openJson(damaged(message), xxh64, isAsker), corrupt);
      assert.throws(() => decodePiece(damaged(piece), asked, xxh64), corrupt);
    }
    const wrong = [
      null,
      7,
      [],
      { ...asker, term: 0 },
      { ...asker, node: 'x' },
      { ...asker, version: 2 },
    ];
    for (const value of wrong) {
      assert.throws(() => openJson(sealJson(value, xxh64), xxh64, isAsker), corrupt);
    }
  });

  // The names that a primary tells become folders of its follower, which took any text for one.
  it('name no databases that are none', () => {
    const state = { version: 1, cluster: 'a'.repeat(32), role: 'primary', term: 7 };
    const read = (databases: readonly string[]) =>
      openJson(sealJson({ ...state, databases }, xxh64), xxh64, isStateAnswer);
    assert.deepEqual(read(['shop', 'a-1']).databases, ['shop', 'a-1']);
    for (const name of [
      '..',
      '../shop',
      'a/b',
      '',
      'Shop',
      'lock',
      'v2',
      'x'.repeat(65),
      '.admin',
    ]) {
      assert.throws(() => read(['shop', name]), codeOf('DB_FEED_CORRUPT'), name);
    }
    assert.throws(() => read(new Array(65_537).fill('shop')), codeOf('DB_FEED_CORRUPT'));
  });
});

describe('log that is held for followers', () => {
  it('is held for the slowest, up to a size and a time', () => {
    const clock = new ManualClock();
    const holds = new LogHolds(clock, { sizeBytesMax: 1_000, ageMsMax: 500 }, 1);
    assert.equal(holds.trimLsn(90, 100), 0);
    clock.advance(501);
    assert.equal(holds.trimLsn(90, 100), 90);
    holds.note('slow', 40);
    holds.note('fast', 80);
    assert.equal(holds.trimLsn(90, 1_000), 39);
    assert.equal(holds.trimLsn(90, 1_001), 90);
    clock.advance(400);
    holds.note('fast', 85);
    clock.advance(101);
    assert.equal(holds.trimLsn(90, 100), 84);
  });
});

describe('the standing of a gateway', () => {
  it('is remembered, and does not change by a changed configuration alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-standing-'));
    const place = (follow: string) => ({ folder, words: standingWords(), follow });
    const decide = (follow: string, names: readonly string[] = []) =>
      decideStanding(place(follow), { replicates: true, names });
    const refused = codeOf('DB_STANDING');
    try {
      assert.throws(() => decide('http://one/db', ['shop']), refused);
      const follower = decide('http://one/db');
      assert.equal(follower.role, 'follower');
      assert.match(follower.refusal()!.message, /follows http:\/\/one\/db/);
      assert.throws(() => follower.promote(), refused);
      follower.join('c'.repeat(32));
      assert.throws(() => follower.join('d'.repeat(32)), refused);
      assert.throws(() => decide(''), refused);
      assert.equal(follower.promote(), 2);
      assert.equal(follower.refusal(), null);
      const promoted = decide('http://one/db');
      assert.deepEqual([promoted.role, promoted.term], ['primary', 2]);
      assert.equal(promoted.hear(2), false);
      assert.equal(promoted.hear(5), true);
      assert.match(promoted.refusal()!.message, /of term 5/);
      const after = decide('');
      assert.deepEqual([after.role, after.term], ['fenced', 5]);
      const again = decide('http://two/db', ['shop']);
      assert.equal(again.role, 'follower');
      assert.deepEqual(again.record.unproven, ['shop']);
      again.prove('shop');
      assert.deepEqual(new Standing(place('http://two/db')).record.unproven, []);
      writeFileSync(join(folder, 'replication.json'), '{"version":1,"role":"king"}');
      assert.throws(() => decide('http://two/db'), codeOf('DB_FORMAT'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
