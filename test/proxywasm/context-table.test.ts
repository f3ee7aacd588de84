// The table of an instance's streams: a map, by a model; and what it is there for, which a Map is
// not, that streams that have gone do not outlive the young generation.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import { ContextTable } from '../../host/proxywasm/context-table.ts';
import { type ExchangeMaps, StreamContext } from '../../host/proxywasm/contexts.ts';
import { testSeed } from '../support/seed.ts';

const EXCHANGE = {} as ExchangeMaps;

describe('the streams of an instance', () => {
  it('are found by their ids, as in a map', () => {
    const random = new SeededRandom(testSeed('streams'));
    const table = new ContextTable();
    const model = new Map<number, StreamContext>();
    for (let step = 0; step < 20_000; step++) {
      // Ids that fall into one bucket, and into all; many come before many go.
      const id = (random.uint32() % 4_000) * (step % 2 === 0 ? 1 : 64);
      const known = model.get(id);
      assert.equal(table.get(id), known);
      if (known === undefined) {
        if (random.uint32() % 3 === 0) continue;
        const made = new StreamContext(id, EXCHANGE);
        table.add(made);
        model.set(id, made);
        assert.equal(table.delete(new StreamContext(id, EXCHANGE)), false);
      } else {
        assert.ok(table.delete(known));
        assert.equal(table.delete(known), false);
        model.delete(id);
      }
      assert.equal(table.size, model.size);
    }
    assert.ok(model.size > 100);
    assert.deepEqual(new Set(table.all()), new Set(model.values()));
  });

  it('are gone with the young generation when they have ended', () => {
    // With a Map, nearly everything that belonged to a stream was copied by each collection and
    // kept until the next one of the whole heap: a third of a worker's time under load.
    const script = `
      import { ContextTable } from './host/proxywasm/context-table.ts';
      import { StreamContext } from './host/proxywasm/contexts.ts';
      const isMap = process.argv[1] === 'map';
      const table = isMap ? new Map() : new ContextTable();
      const add = (stream) => (isMap ? table.set(stream.id, stream) : table.add(stream));
      const remove = (stream) => table.delete(isMap ? stream.id : stream);
      gc(); gc();
      const before = process.memoryUsage().heapUsed;
      const open = [];
      for (let id = 2; id < 60_000; id++) {
        const context = new StreamContext(id, { body: new Array(100).fill(id) });
        add(context);
        open.push(context);
        if (open.length > 24) remove(open.shift());
        if (id % 1_000 === 0) gc({ type: 'minor' });
      }
      gc({ type: 'minor' });
      console.log(process.memoryUsage().heapUsed - before);`;
    const kept = (kind: string) => {
      const words = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', script, kind];
      const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
      assert.match(stdout, /^-?\d+\n$/, stderr);
      return Number(stdout);
    };
    const [table, map] = [kept('table'), kept('map')];
    assert.ok(table < 4_000_000, `${table} bytes`);
    // That the measure sees what it is about.
    assert.ok(map > 4 * Math.max(table, 1_000_000), `${map} bytes with a map, ${table} without`);
  });
});
