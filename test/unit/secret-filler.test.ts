import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { secretFiller } from '../../host/core/index.ts';

describe('the pool of secret bytes', () => {
  it('gives no bytes twice, whatever the sizes, also across its end', () => {
    const fill = secretFiller();
    const seen = new Set<string>();
    for (let count = 0; count < 3_000; count++) {
      const bytes = new Uint8Array(16 + (count % 250));
      fill(bytes);
      // 16 bytes that are alike by chance: never.
      const text = Buffer.from(bytes).toString('latin1', 0, 16);
      assert.ok(!seen.has(text), `call ${count}`);
      assert.ok(bytes.some((byte) => byte !== 0));
      seen.add(text);
    }
  });

  it('fills what is larger than it, and nothing', () => {
    const fill = secretFiller();
    const large = new Uint8Array(10_000);
    fill(large);
    assert.ok(large.subarray(-64).some((byte) => byte !== 0));
    fill(new Uint8Array(0));
  });

  it('fills parts of a memory and leaves its neighbours alone', () => {
    const memory = new Uint8Array(64);
    secretFiller()(memory.subarray(16, 48));
    assert.deepEqual(memory.subarray(0, 16), new Uint8Array(16));
    assert.deepEqual(memory.subarray(48), new Uint8Array(16));
    assert.ok(memory.subarray(16, 48).some((byte) => byte !== 0));
  });
});
