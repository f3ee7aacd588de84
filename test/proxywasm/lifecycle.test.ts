// The order of callbacks, and what may be done in which: a guest that logs a word in each, and what
// it does there.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ServiceReply } from '../../host/core/index.ts';
import { pairs } from '../support/abi-rows.ts';
import { wat } from '../support/plugin-modules.ts';
import { PluginScene, REQUEST } from '../support/plugin-scene.ts';

const IMPORTS: Readonly<Record<string, string>> = {
  proxy_log: 'i32 i32 i32',
  proxy_set_tick_period_milliseconds: 'i32',
  proxy_set_effective_context: 'i32',
  proxy_done: '',
  proxy_continue_stream: 'i32',
  proxy_continue_request: '',
  proxy_get_configuration: 'i32 i32',
  proxy_get_header_map_value: 'i32 i32 i32 i32 i32',
  proxy_add_header_map_value: 'i32 i32 i32 i32 i32',
  proxy_register_shared_queue: 'i32 i32 i32',
  proxy_enqueue_shared_queue: 'i32 i32 i32',
  proxy_dequeue_shared_queue: 'i32 i32 i32',
  proxy_define_metric: 'i32 i32 i32 i32',
  proxy_increment_metric: 'i32 i64',
  proxy_record_metric: 'i32 i64',
  proxy_get_metric: 'i32 i32',
  proxy_http_call: 'i32 i32 i32 i32 i32 i32 i32 i32 i32 i32',
};

interface Callback {
  readonly params: number;
  /** Its result where it has one, after what `body` does. */
  readonly result?: string;
  readonly body?: string;
}

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
}

/** A guest that logs its callback's name without `proxy_on_`, then does what is given. Texts lie at
 *  2,048 and on, one every 64 bytes; `$log` writes the bytes at a place; `$expect` traps where a
 *  status is another one. */
function guest(
  callbacks: Readonly<Record<string, Callback>>,
  texts: readonly (string | Uint8Array)[] = [],
  abi = '0_2_1',
): Uint8Array<ArrayBuffer> {
  const names = Object.keys(callbacks);
  const functions = names.map((name, index) => {
    const { params, result, body = '' } = callbacks[name]!;
    const word = name.replace('proxy_on_', '');
    return `(data (i32.const ${256 + 64 * index}) "${word}")
      (func (export "${name}") ${params > 0 ? `(param ${'i32 '.repeat(params)})` : ''}
        ${result === undefined ? '' : '(result i32)'}
        (call $say (i32.const ${256 + 64 * index}) (i32.const ${word.length}))
        ${body} ${result ?? ''})`;
  });
  const data = texts.map((text, index) => {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    return `(data (i32.const ${2_048 + 64 * index}) "${escaped(bytes)}")`;
  });
  const all = `${functions.join('\n')}`;
  const used = Object.keys(IMPORTS).filter(
    (name) => all.includes(`$${name} `) || name === 'proxy_log',
  );
  const imports = used.map((name) => {
    const types = IMPORTS[name]!;
    return `(import "env" "${name}"
      (func $${name} ${types === '' ? '' : `(param ${types})`} (result i32)))`;
  });
  return wat(`(module ${imports.join('\n')}
    (memory (export "memory") 1)
    (global $heap (mut i32) (i32.const 8192))
    (global $stream (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_${abi}"))
    (func (export "malloc") (param i32) (result i32)
      (global.get $heap)
      (global.set $heap (i32.add (global.get $heap) (local.get 0))))
    (func $say (param i32 i32)
      (drop (call $proxy_log (i32.const 2) (local.get 0) (local.get 1))))
    (func $expect (param $status i32) (param $wanted i32)
      (if (i32.ne (local.get $status) (local.get $wanted)) (then (unreachable))))
    ${data.join('\n')} ${all})`);
}

/** Says the bytes whose place and size lie at 16 and 20. */
const SAY_GIVEN = '(call $say (i32.load (i32.const 16)) (i32.load (i32.const 20)))';
const KEEP_STREAM = '(global.set $stream (local.get 0))';
const AT_STREAM =
  '(call $expect (call $proxy_set_effective_context (global.get $stream)) (i32.const 0))';
const YES = '(i32.const 1)';
const CONTINUE = '(i32.const 0)';
const PAUSE = '(i32.const 1)';

const ALL: Readonly<Record<string, Callback>> = {
  _initialize: { params: 0 },
  proxy_on_context_create: { params: 2 },
  proxy_on_vm_start: { params: 2, result: YES },
  proxy_on_configure: { params: 2, result: YES },
  proxy_on_request_headers: { params: 3, result: CONTINUE },
  proxy_on_request_body: { params: 3, result: CONTINUE },
  proxy_on_response_headers: { params: 3, result: CONTINUE },
  proxy_on_response_body: { params: 3, result: CONTINUE },
  proxy_on_done: { params: 1, result: YES },
  proxy_on_log: { params: 1 },
  proxy_on_delete: { params: 1 },
};

describe('the callbacks', () => {
  it('come in the order of the specification', () => {
    const scene = new PluginScene();
    scene.install(guest(ALL));
    const visited = scene.open();
    visited.stream.requestHeaders([...REQUEST], false);
    visited.stream.requestBody(Buffer.from('a'), true);
    visited.stream.responseHeaders([':status', '200'], false);
    visited.stream.responseBody(Buffer.from('b'), true);
    visited.end();
    visited.end();
    assert.deepEqual(scene.messages(), [
      ...['_initialize', 'context_create', 'vm_start', 'configure', 'context_create'],
      ...['request_headers', 'request_body', 'response_headers', 'response_body'],
      ...['done', 'log', 'delete'],
    ]);
  });

  it('on_log and on_delete wait for proxy_done where on_done says no', () => {
    const scene = new PluginScene();
    scene.install(
      guest({
        proxy_on_configure: {
          params: 2,
          result: YES,
          body: '(drop (call $proxy_set_tick_period_milliseconds (i32.const 50)))',
        },
        proxy_on_request_headers: { params: 3, result: CONTINUE, body: KEEP_STREAM },
        // Not yet, and nobody but a stream that waits may say that it is done.
        proxy_on_done: { params: 1, result: CONTINUE },
        proxy_on_tick: {
          params: 1,
          body: `${AT_STREAM} (call $expect (call $proxy_done ) (i32.const 0))
            (call $expect (call $proxy_done ) (i32.const 1))`,
        },
        proxy_on_log: { params: 1 },
        proxy_on_delete: { params: 1 },
      }),
    );
    scene.get().end();
    assert.deepEqual(scene.messages(), ['configure', 'request_headers', 'done']);
    assert.equal(scene.book.stats()[0]!.streams, 1);
    scene.timers.run();
    assert.deepEqual(scene.messages().slice(3), ['tick', 'log', 'delete']);
    assert.equal(scene.book.stats()[0]!.streams, 0);
    assert.equal(scene.book.stats()[0]!.traps, 0);
  });

  it('on_log reads the headers that the client got, and cannot change them', () => {
    const scene = new PluginScene();
    const value = '(i32.const 2) (i32.const 2048) (i32.const 7)';
    scene.install(
      guest(
        {
          proxy_on_log: {
            params: 1,
            body: `(call $expect (call $proxy_get_header_map_value ${value} (i32.const 16)
                (i32.const 20)) (i32.const 0)) ${SAY_GIVEN}
              (call $expect (call $proxy_add_header_map_value ${value} (i32.const 2048)
                (i32.const 7)) (i32.const 2))`,
          },
        },
        [':status'],
      ),
    );
    const visited = scene.get();
    visited.stream.responseHeaders([':status', '206'], true);
    visited.end();
    assert.deepEqual(scene.messages(), ['log', '206']);
  });
});

describe('a filter that holds the headers', () => {
  /** Holds the head; lets go with the last bytes of the body. */
  const HOLDER = guest({
    proxy_on_request_headers: { params: 3, result: PAUSE },
    proxy_on_request_body: { params: 3, result: '(i32.eqz (local.get 2))' },
  });

  it('sees no body meanwhile, as Envoy has it by default', () => {
    const scene = new PluginScene();
    scene.install(HOLDER);
    const visited = scene.open();
    visited.stream.requestHeaders([...REQUEST], false);
    visited.stream.requestBody(Buffer.from('ab'), false);
    visited.stream.requestBody(Buffer.from('c'), true);
    assert.deepEqual(scene.messages(), ['request_headers']);
    assert.deepEqual(visited.events, []);
  });

  it('sees the body with allowOnHeadersStopIteration, and lets both go at its end', () => {
    const scene = new PluginScene();
    scene.install(HOLDER, { allowOnHeadersStopIteration: true });
    const visited = scene.open();
    visited.stream.requestHeaders([...REQUEST], false);
    visited.stream.requestBody(Buffer.from('ab'), false);
    assert.deepEqual(visited.events, []);
    visited.stream.requestBody(Buffer.from('c'), true);
    assert.deepEqual(scene.messages(), ['request_headers', 'request_body', 'request_body']);
    assert.deepEqual(visited.events, ['request head', 'request 3 last']);
    assert.equal(visited.requestBody, 'abc');
  });
});

describe('a client that goes away', () => {
  const WAITS = guest({
    proxy_on_configure: {
      params: 2,
      result: YES,
      body: '(drop (call $proxy_set_tick_period_milliseconds (i32.const 50)))',
    },
    proxy_on_request_headers: { params: 3, result: PAUSE, body: KEEP_STREAM },
    // The stream is unknown by then.
    proxy_on_tick: {
      params: 1,
      body: `(call $expect (call $proxy_set_effective_context (global.get $stream)) (i32.const 2))
        (call $expect (call $proxy_continue_stream (i32.const 0)) (i32.const 1))`,
    },
    proxy_on_done: { params: 1, result: YES },
    proxy_on_log: { params: 1 },
    proxy_on_delete: { params: 1 },
  });

  it('while its request is held is done, logged and deleted once, and never resumed', () => {
    const scene = new PluginScene();
    scene.install(WAITS);
    const visited = scene.open();
    visited.stream.requestHeaders([...REQUEST], false);
    visited.stream.requestBody(Buffer.alloc(10), false);
    visited.stream.end({ status: 499, reason: 701, details: '' });
    assert.deepEqual(scene.messages().slice(2), ['done', 'log', 'delete']);
    scene.timers.run();
    visited.stream.requestBody(Buffer.alloc(10), true);
    visited.stream.responseHeaders([':status', '200'], true);
    assert.deepEqual(scene.messages().slice(5), ['tick']);
    assert.deepEqual(visited.events, []);
    assert.deepEqual(
      [scene.book.stats()[0]!.streams, scene.book.stats()[0]!.traps],
      [0, 0],
      scene.messages().join(),
    );
  });

  it('while a service is asked for it: the answer comes to the root, and harms nothing', () => {
    const replies: ((reply: ServiceReply | null) => void)[] = [];
    const scene = new PluginScene({
      knows: () => true,
      call: (_request, _limit, onReply) => {
        replies.push(onReply);
        return () => {};
      },
      grpc: () => assert.fail('no gRPC here'),
    });
    const call = pairs(':method', 'GET', ':path', '/', ':authority', 'a');
    scene.install(
      guest(
        {
          proxy_on_request_headers: {
            params: 3,
            result: PAUSE,
            body: `${KEEP_STREAM} (call $expect (call $proxy_http_call (i32.const 2048)
              (i32.const 1) (i32.const 2112) (i32.const ${call.length}) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16)) (i32.const 0))`,
          },
          proxy_on_http_call_response: {
            params: 5,
            body: `(call $expect (call $proxy_set_effective_context (global.get $stream))
              (i32.const 2))`,
          },
          proxy_on_delete: { params: 1 },
        },
        ['s', call],
      ),
    );
    const visited = scene.get();
    visited.end();
    replies[0]!({ headers: [':status', '200'], body: new Uint8Array(0), trailers: [] });
    assert.deepEqual(scene.messages(), ['request_headers', 'delete', 'http_call_response']);
    assert.deepEqual(visited.events, []);
    assert.equal(scene.book.stats()[0]!.traps, 0);
  });
});

describe('a module of ABI 0.1.0', () => {
  it('is given its heads, configurations and missing headers as that version has them', () => {
    const scene = new PluginScene();
    const configuration = `(call $expect (call $proxy_get_configuration (i32.const 16)
      (i32.const 20)) (i32.const 0)) ${SAY_GIVEN}`;
    scene.install(
      guest(
        {
          proxy_on_vm_start: { params: 2, result: YES, body: configuration },
          proxy_on_configure: {
            params: 2,
            result: YES,
            body: `${configuration}
              (drop (call $proxy_set_tick_period_milliseconds (i32.const 50)))`,
          },
          // Two parameters: there is no end of stream. A header that is missing is an empty one.
          proxy_on_request_headers: {
            params: 2,
            result: PAUSE,
            body: `${KEEP_STREAM}
              (call $expect (call $proxy_get_header_map_value (i32.const 0) (i32.const 2048)
                (i32.const 6) (i32.const 16) (i32.const 20)) (i32.const 0))
              (call $expect (i32.load (i32.const 20)) (i32.const 0))`,
          },
          proxy_on_response_headers: { params: 2, result: CONTINUE },
          proxy_on_tick: {
            params: 1,
            body: `${AT_STREAM} (call $expect (call $proxy_continue_request ) (i32.const 0))`,
          },
          proxy_on_log: { params: 1 },
        },
        ['x-none'],
        '0_1_0',
      ),
      { config: Buffer.from('of the plugin'), vmConfig: Buffer.from('of the VM') },
    );
    const visited = scene.get();
    assert.deepEqual(visited.events, []);
    scene.timers.run();
    assert.deepEqual(visited.events, ['request head last']);
    visited.stream.responseHeaders([':status', '200'], true);
    visited.end();
    assert.deepEqual(scene.messages(), [
      ...['vm_start', 'of the VM', 'configure', 'of the plugin'],
      ...['request_headers', 'tick', 'response_headers', 'log'],
    ]);
  });
});

describe('a queue', () => {
  it('calls the root that registered it, once for each message', () => {
    const scene = new PluginScene();
    scene.install(
      guest(
        {
          proxy_on_configure: {
            params: 2,
            result: YES,
            body: `(call $expect (call $proxy_register_shared_queue (i32.const 2048) (i32.const 4)
              (i32.const 24)) (i32.const 0))`,
          },
          proxy_on_request_headers: {
            params: 3,
            result: CONTINUE,
            body: `(call $expect (call $proxy_enqueue_shared_queue (i32.load (i32.const 24))
              (i32.const 2112) (i32.const 5)) (i32.const 0))`,
          },
          proxy_on_queue_ready: {
            params: 2,
            body: `(call $expect (local.get 1) (i32.load (i32.const 24)))
              (call $expect (call $proxy_dequeue_shared_queue (local.get 1) (i32.const 16)
                (i32.const 20)) (i32.const 0)) ${SAY_GIVEN}`,
          },
        },
        ['jobs', 'hello'],
      ),
    );
    scene.get().end();
    scene.get().end();
    // Never from within the call that enqueues.
    assert.deepEqual(scene.messages(), ['configure', 'request_headers', 'request_headers']);
    scene.timers.run();
    assert.deepEqual(scene.messages().slice(3), ['queue_ready', 'hello', 'queue_ready', 'hello']);
    assert.equal(scene.book.stats()[0]!.traps, 0);
  });
});

describe('a repeated header', () => {
  for (const [mode, expected] of [
    ['join', 'one, two'],
    ['first', 'one'],
  ] as const) {
    it(`is given as repeatedHeaders: ${mode} says`, () => {
      const scene = new PluginScene();
      const body = `(drop (call $proxy_get_header_map_value (i32.const 0) (i32.const 2048)
          (i32.const 4) (i32.const 24) (i32.const 28)))
        (drop (call $proxy_log (i32.const 2) (i32.load (i32.const 24)) (i32.load (i32.const 28))))`;
      const callback = { params: 3, result: CONTINUE, body };
      const module = guest({ proxy_on_request_headers: callback }, ['x-in']);
      scene.install(module, { repeatedHeaders: mode });
      scene.get(['test'], [...REQUEST, 'x-in', 'two']);
      assert.deepEqual(scene.messages(), ['request_headers', expected]);
    });
  }
});

describe('metrics of a guest', () => {
  it('count, are set and are read back, through an instance that died', () => {
    const scene = new PluginScene();
    const define = (kind: number, place: number) =>
      `(call $expect (call $proxy_define_metric (i32.const ${kind}) (i32.const ${place})
        (i32.const 5) (i32.const ${24 + 4 * kind})) (i32.const 0))`;
    scene.install(
      guest(
        {
          proxy_on_configure: {
            params: 2,
            result: YES,
            body: `${define(0, 2_048)} ${define(1, 2_112)} ${define(2, 2_176)}`,
          },
          proxy_on_request_headers: {
            params: 3,
            result: CONTINUE,
            body: `(drop (call $proxy_increment_metric (i32.load (i32.const 24)) (i64.const 3)))
              (drop (call $proxy_record_metric (i32.load (i32.const 28)) (i64.const 7)))
              (drop (call $proxy_record_metric (i32.load (i32.const 32)) (i64.const 20)))
              (drop (call $proxy_get_metric (i32.load (i32.const 24)) (i32.const 64)))
              (if (i64.ge_u (i64.load (i32.const 64)) (i64.const 6)) (then (unreachable)))`,
          },
        },
        ['count', 'gauge', 'histo'],
      ),
      { onFailure: 'reload' },
    );
    scene.get().end();
    // Six by now: it traps, and its successor goes on counting.
    assert.equal(scene.get().failure, 'GW_PLUGIN_TRAP');
    assert.equal(scene.get().failure, 'GW_PLUGIN_TRAP');
    const { metrics } = scene.services;
    assert.deepEqual([metrics.value(0), metrics.value(1), metrics.value(2)], [9, 7, 20]);
  });

  it('are out of reach of another one, which has nothing but their ids', () => {
    // Ids count up from 0: any plugin could count for any other.
    const scene = new PluginScene();
    const count = `(drop (call $proxy_increment_metric (i32.const 0) (i64.const 3)))
      (drop (call $proxy_record_metric (i32.const 0) (i64.const 70)))
      (call $expect (call $proxy_get_metric (i32.const 0) (i32.const 64)) (i32.const 1))`;
    const counting = { params: 3, result: CONTINUE, body: count };
    scene.install(guest({ proxy_on_request_headers: counting }));
    const id = scene.services.metrics.define('other', 'counter', 'own');
    scene.services.metrics.increment(id, 5);
    assert.equal(scene.get().failure, '');
    assert.deepEqual([id, scene.services.metrics.value(id)], [0, 5]);
  });
});

describe('the output of a guest', () => {
  it('is logged by lines, however many pieces a runtime writes one in', () => {
    const scene = new PluginScene();
    const write = (fd: number, ptr: number, size: number): string => `
      (i32.store (i32.const 0) (i32.const ${ptr}))
      (i32.store (i32.const 4) (i32.const ${size}))
      (drop (call $write (i32.const ${fd}) (i32.const 0) (i32.const 1) (i32.const 8)))`;
    scene.install(
      wat(`(module
        (import "wasi_snapshot_preview1" "fd_write"
          (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "a line\\n and its rest")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          ${write(1, 64, 2)} ${write(2, 66, 4)} ${write(1, 66, 9)} ${write(1, 75, 9)}
          (i32.const 0)))`),
    );
    scene.get();
    const lines = scene.lines.map(({ level, message }) => `${level}: ${message}`);
    assert.deepEqual(lines, ['info: a line', 'info:  and its rest', 'error: line']);
  });
});
