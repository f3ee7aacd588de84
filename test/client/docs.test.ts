// What docs/loader.md says of errors and limits is what there is.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { LOADER_ERRORS } from '../../client/errors.ts';
import * as limits from '../../client/limits.ts';

const text = readFileSync('docs/loader.md', 'utf8');

describe('docs/loader.md', () => {
  it('has a row for each error code, and for no other', () => {
    const rows = [...text.matchAll(/^\| `(LOADER_[A-Z_]+)` \|/gm)].map((found) => found[1]);
    assert.deepEqual(rows.sort(), Object.keys(LOADER_ERRORS).sort());
  });

  it('names each limit with its default', () => {
    for (const [name, value] of Object.entries(limits.DEFAULT_LIMITS)) {
      const row = text
        .split('\n')
        .find((line) => line.includes(`\`${name}\``) && line.startsWith('|'));
      assert.ok(row?.includes(value.toLocaleString('en-US')), `${name} is ${value}`);
    }
  });

  it('names each bound that no option changes', () => {
    const table = text.slice(text.indexOf('no option changes:'), text.indexOf('## Security'));
    const prose = text.slice(text.indexOf('## Options'), text.indexOf('## Security'));
    const { DEFAULT_LIMITS: _, ...fixed } = limits;
    // These follow from others, or are told where they matter.
    const derived = ['PACK_OVERHEAD_BYTES_MAX', 'DELTA_OVERHEAD_BYTES', 'PACK_SINGLES_COUNT_MAX'];
    for (const [name, value] of Object.entries(fixed)) {
      if (derived.includes(name)) continue;
      const shown = value.toLocaleString('en-US');
      const pattern = new RegExp(`(?<![\\d,])${shown}(?![\\d,]*\\d)`);
      const isOption = /CHANNELS|ORIGINS|DEVICE|TIMER/.test(name);
      assert.match(isOption ? prose : table, pattern, name);
    }
  });
});
