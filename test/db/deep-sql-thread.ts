// A thread in which generated columns nest as deep as they can, and that tells what became of it.

import { parentPort } from 'node:worker_threads';
import { fault, makeEngine, rows, run } from '../support/sql.ts';

/** SQLite's read-only data. Shape: the module's first data segment. */
const DATA_OFFSET = 4_096;
const DATA_SIZE_BYTES = 47_886;

const memories: WebAssembly.Memory[] = [];
const { Memory } = WebAssembly;
WebAssembly.Memory = class extends Memory {
  constructor(descriptor: WebAssembly.MemoryDescriptor) {
    super(descriptor);
    memories.push(this);
  }
};

const engine = makeEngine();
const db = engine.connect('read-write');
const data = () => new Uint8Array(memories[0]!.buffer, DATA_OFFSET, DATA_SIZE_BYTES);
const before = data().slice();

const expression = (column: number) => `${'abs('.repeat(50)}a${column}${')'.repeat(50)}`;
const columns = Array.from(
  { length: 1_900 },
  (_, index) => `, a${index + 1} AS (${expression(index)})`,
);
const { code } = fault(() => run(db, `CREATE TABLE deep(a0${columns.join('')})`));
const after = data();
const changedCount = before.filter((byte, index) => byte !== after[index]).length;
parentPort!.postMessage({ code, rows: rows(db, 'SELECT 1'), changedCount });
