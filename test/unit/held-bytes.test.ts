// Bytes held for a reader that is late: in order, and in few objects however small they come.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { HeldBytes } from '../../host/edge/held-bytes.ts';
import { testSeed } from '../support/seed.ts';

it('a million single bytes are held in few blocks', () => {
  const held = new HeldBytes();
  for (let count = 0; count < 1_000_000; count++) held.push(Uint8Array.of(count & 0xff));
  assert.equal(held.sizeBytes, 1_000_000);
  assert.ok(held.blockCount <= 63, `${held.blockCount} blocks`);
});

it('what is taken is what was pushed, in order, whatever the sizes', () => {
  const random = new SeededRandom(testSeed('held bytes'));
  const held = new HeldBytes();
  let pushed = 0;
  let taken = 0;
  for (let step = 0; step < 5_000; step++) {
    if (random.uint32() % 4 !== 0) {
      const chunk = new Uint8Array(random.uint32() % (step % 7 === 0 ? 40_000 : 5));
      for (let index = 0; index < chunk.length; index++) chunk[index] = pushed++ % 251;
      held.push(chunk);
      // The engine uses its buffer again.
      chunk.fill(255);
    } else {
      for (const byte of held.shift() ?? []) assert.equal(byte, taken++ % 251);
    }
    assert.equal(held.sizeBytes, pushed - taken);
  }
  for (let chunk = held.shift(); chunk !== undefined; chunk = held.shift()) {
    for (const byte of chunk) assert.equal(byte, taken++ % 251);
  }
  assert.deepEqual([taken, held.sizeBytes, held.blockCount], [pushed, 0, 0]);
  held.push(Uint8Array.of(1));
  held.clear();
  assert.equal(held.shift(), undefined);
});
