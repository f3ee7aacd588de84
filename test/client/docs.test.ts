// What docs/loader.md says of errors and limits is what there is.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { LOADER_ERRORS } from '../../client/errors.ts';
import { DEFAULT_LIMITS } from '../../client/limits.ts';

const text = readFileSync('docs/loader.md', 'utf8');

describe('docs/loader.md', () => {
  it('has a row for each error code, and for no other', () => {
    const rows = [...text.matchAll(/^\| `(LOADER_[A-Z_]+)` \|/gm)].map((found) => found[1]);
    assert.deepEqual(rows.sort(), Object.keys(LOADER_ERRORS).sort());
  });

  it('names each limit with its default', () => {
    for (const [name, value] of Object.entries(DEFAULT_LIMITS)) {
      const row = text
        .split('\n')
        .find((line) => line.includes(`\`${name}\``) && line.startsWith('|'));
      assert.ok(row?.includes(value.toLocaleString('en-US')), `${name} is ${value}`);
    }
  });
});
