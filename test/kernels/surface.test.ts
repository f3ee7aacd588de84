// What the modules show is golden: a change of the surface is a decision, made with
// UPDATE_GOLDEN=1, and never an accident of the compiler.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { CODEC_MEMORY_PAGES, CODEC_MEMORY_PAGES_MAX } from '../../assembly/shared/codec-layout.ts';
import { MEMORY_PAGES } from '../../assembly/shared/memory-map.ts';
import { type WasmSurface, wasmSurface } from '../support/wasm-surface.ts';

interface Golden extends WasmSurface {
  readonly sizeBytes: number;
}

const SIZE_CHANGE_MAX = 0.1;
/** What a loader in a browser fetches before its first delta. */
const DECODER_SIZE_BYTES_MAX = 12_288;
const EDGE_MEMORY = `env.memory: memory ${MEMORY_PAGES}..${MEMORY_PAGES} shared`;

function bytesOf(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(`build/${name}.wasm`));
}

for (const name of ['edge', 'codec', 'decoder']) {
  describe(`${name}.wasm`, () => {
    const path = `test/kernels/${name}.surface.json`;
    const bytes = bytesOf(name);
    const surface = wasmSurface(bytes);
    if (process.env.UPDATE_GOLDEN === '1') {
      const golden: Golden = { ...surface, sizeBytes: bytes.length };
      writeFileSync(path, `${JSON.stringify(golden, null, 2)}\n`);
    }
    const { sizeBytes, ...golden } = JSON.parse(readFileSync(path, 'utf8')) as Golden;

    it('shows what the golden file says', () => {
      assert.deepEqual(surface, golden, 'UPDATE_GOLDEN=1 rewrites the file');
    });

    it('is within a tenth of its golden size', () => {
      const change = Math.abs(bytes.length - sizeBytes) / sizeBytes;
      assert.ok(change <= SIZE_CHANGE_MAX, `${bytes.length} bytes against ${sizeBytes}`);
    });

    it('the reader agrees with the engine', () => {
      const module = new WebAssembly.Module(bytes);
      const names = (list: readonly string[]) => list.map((entry) => entry.split(':')[0]).sort();
      const engineExports = WebAssembly.Module.exports(module).map((entry) => entry.name);
      assert.deepEqual(names(surface.exports), engineExports.sort());
      const engineImports = WebAssembly.Module.imports(module);
      assert.deepEqual(
        names(surface.imports),
        engineImports.map((entry) => `${entry.module}.${entry.name}`).sort(),
      );
    });
  });
}

describe('the rules of kernels', () => {
  it('edge.wasm has nothing of its own in the shared memory', () => {
    const surface = wasmSurface(bytesOf('edge'));
    assert.deepEqual(surface.imports, [EDGE_MEMORY]);
    assert.deepEqual(surface.memories, []);
    assert.equal(surface.dataSegmentsCount, 0);
    assert.equal(surface.mutableGlobalsCount, 0);
  });

  it('codec.wasm needs nothing and grows to its bound at most', () => {
    const surface = wasmSurface(bytesOf('codec'));
    assert.deepEqual(surface.imports, []);
    assert.equal(surface.mutableGlobalsCount, 0);
    assert.deepEqual(surface.memories, [`${CODEC_MEMORY_PAGES}..${CODEC_MEMORY_PAGES_MAX}`]);
  });

  it('decoder.wasm is as its elder sister, and small', () => {
    const bytes = bytesOf('decoder');
    const surface = wasmSurface(bytes);
    assert.deepEqual(surface.imports, []);
    assert.equal(surface.mutableGlobalsCount, 0);
    assert.deepEqual(surface.memories, [`${CODEC_MEMORY_PAGES}..${CODEC_MEMORY_PAGES_MAX}`]);
    assert.ok(bytes.length < DECODER_SIZE_BYTES_MAX, `${bytes.length} bytes`);
  });

  it('each module exports what its faces call', () => {
    const faces = {
      edge: ['host/kernels/limiter.ts', 'host/kernels/matcher.ts', 'host/kernels/stats.ts'],
      codec: [
        'host/kernels/checksum.ts',
        'host/kernels/codec-module.ts',
        'host/kernels/page-codec.ts',
        'host/kernels/zstd-decode-job.ts',
        'host/kernels/zstd-encoder.ts',
      ],
      decoder: ['host/kernels/zstd-decode-job.ts'],
    };
    for (const [name, paths] of Object.entries(faces)) {
      const exported = wasmSurface(bytesOf(name)).exports.map((entry) => entry.split(':')[0]!);
      for (const path of paths) {
        const found = [...readFileSync(path, 'utf8').matchAll(/\b(?:kernels?|exports)\.(\w+)\(/g)];
        const called = found.map((call) => call[1]!);
        assert.ok(called.length > 0, `${path} calls no kernel`);
        assert.deepEqual(
          called.filter((callee) => !exported.includes(callee)),
          [],
          path,
        );
      }
    }
  });

  it('the reader sees globals and segments where there are some', () => {
    // (module (memory 1) (global (mut i32) (i32.const 5)) (global i32 (i32.const 5))
    //   (data (i32.const 0) "a"))
    const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const memory = [5, 3, 1, 0, 1];
    const globals = [6, 11, 2, 0x7f, 1, 0x41, 5, 0x0b, 0x7f, 0, 0x41, 5, 0x0b];
    const data = [11, 7, 1, 0, 0x41, 0, 0x0b, 1, 0x61];
    const bytes = new Uint8Array([...header, ...memory, ...globals, ...data]);
    assert.ok(WebAssembly.validate(bytes));
    const surface = wasmSurface(bytes);
    assert.equal(surface.mutableGlobalsCount, 1);
    assert.equal(surface.dataSegmentsCount, 1);
    assert.deepEqual(surface.memories, ['1']);
  });
});
