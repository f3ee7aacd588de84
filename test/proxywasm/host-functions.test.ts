// A walk over every host function: linked by its own name, called by a guest with arguments out of
// bounds, it answers with a status, writes nothing and harms nobody.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { wat } from '../support/plugin-modules.ts';
import { PluginScene } from '../support/plugin-scene.ts';

const MAP_VALUE = [0, -1, 8, 0, 4];
const OUT_OF_BOUNDS = 6;
/** Parameters and what must come back: pointers are -1, sizes are good. */
const CALLS: readonly [string, readonly number[], readonly number[]][] = [
  ['proxy_log', [2, -1, 8], [OUT_OF_BOUNDS]],
  ['proxy_log', [9, 0, 0], [2]],
  ['proxy_get_log_level', [-1], [OUT_OF_BOUNDS]],
  ['proxy_get_current_time_nanoseconds', [-4], [OUT_OF_BOUNDS]],
  ['proxy_set_tick_period_milliseconds', [-1], [2]],
  ['proxy_set_effective_context', [77], [2]],
  ['proxy_done', [], [1]],
  ['proxy_get_buffer_bytes', [7, 0, 100, -1, 4], [OUT_OF_BOUNDS]],
  ['proxy_get_buffer_bytes', [99, 0, 100, 0, 4], [2]],
  ['proxy_get_buffer_bytes', [0, 0, 100, 0, 4], [1]],
  ['proxy_set_buffer_bytes', [0, 0, 0, 0, 4], [1]],
  ['proxy_get_buffer_status', [7, -1, 0], [OUT_OF_BOUNDS]],
  ['proxy_get_header_map_pairs', [0, -1, 4], [OUT_OF_BOUNDS]],
  ['proxy_get_header_map_pairs', [99, 0, 4], [2]],
  ['proxy_get_header_map_pairs', [2, 0, 4], [1]],
  ['proxy_set_header_map_pairs', [0, -1, 8], [OUT_OF_BOUNDS]],
  ['proxy_get_header_map_size', [0, -1], [OUT_OF_BOUNDS]],
  ['proxy_get_header_map_value', MAP_VALUE, [OUT_OF_BOUNDS]],
  ['proxy_add_header_map_value', MAP_VALUE, [OUT_OF_BOUNDS]],
  ['proxy_replace_header_map_value', MAP_VALUE, [OUT_OF_BOUNDS]],
  ['proxy_add_header_map_value', [0, 0, 0, 0, 0], [2]],
  ['proxy_remove_header_map_value', [0, -1, 8], [OUT_OF_BOUNDS]],
  ['proxy_get_property', [-1, 8, 0, 4], [OUT_OF_BOUNDS]],
  ['proxy_set_property', [-1, 8, 0, 4], [OUT_OF_BOUNDS]],
  ['proxy_send_local_response', [200, -1, 8, 0, 0, 0, 0, -1], [OUT_OF_BOUNDS]],
  ['proxy_send_local_response', [99, 0, 0, 0, 0, 0, 0, -1], [2]],
  ['proxy_continue_stream', [9], [2]],
  ['proxy_continue_stream', [2], [12]],
  ['proxy_close_stream', [3], [12]],
  ['proxy_get_status', [-1, 0, 4], [OUT_OF_BOUNDS]],
  ['proxy_http_call', [-1, 8, 0, 0, 0, 0, 0, 0, 0, 0], [OUT_OF_BOUNDS]],
  ['proxy_http_call', [0, 4, 0, 0, 0, 0, 0, 0, 0, 0], [2]],
  ['proxy_grpc_call', [-1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [OUT_OF_BOUNDS]],
  ['proxy_grpc_stream', [0, 4, 0, 0, 0, 0, 0, 0, 0], [2]],
  ['proxy_grpc_send', [5, 0, 0, 0], [1]],
  ['proxy_grpc_cancel', [5], [1]],
  ['proxy_grpc_close', [5], [1]],
  ['proxy_set_shared_data', [-1, 8, 0, 0, 0], [OUT_OF_BOUNDS]],
  ['proxy_set_shared_data', [0, 4, 0, 4, 9], [8]],
  ['proxy_get_shared_data', [0, 4, 0, 4, 8], [1]],
  ['proxy_get_shared_data', [0, 4, 0, 4, -1], [OUT_OF_BOUNDS]],
  ['proxy_register_shared_queue', [-1, 8, 0], [OUT_OF_BOUNDS]],
  ['proxy_resolve_shared_queue', [0, 0, 0, 4, 0], [1]],
  ['proxy_enqueue_shared_queue', [9, 0, 4], [1]],
  ['proxy_dequeue_shared_queue', [9, 0, 4], [1]],
  ['proxy_define_metric', [7, 0, 4, 0], [2]],
  ['proxy_define_metric', [0, -1, 8, 0], [OUT_OF_BOUNDS]],
  ['proxy_get_metric', [9, 0], [1]],
  ['proxy_call_foreign_function', [0, 4, 0, 0, 0, 4], [1]],
  ['proxy_call_foreign_function', [-1, 8, 0, 0, 0, 4], [OUT_OF_BOUNDS]],
  ['proxy_continue_request', [], [0]],
  ['proxy_clear_route_cache', [], [0]],
  ['proxy_get_configuration', [-1, 4], [OUT_OF_BOUNDS]],
  ['pthread_equal', [4, 4], [1]],
  ['emscripten_notify_memory_growth', [0], [0]],
  ['proxy_redis_call', [0, 0], [12]],
];

describe('a host function', () => {
  for (const [name, args, [expected]] of CALLS) {
    it(`${name}(${args.join(', ')}) returns ${expected}`, () => {
      const scene = new PluginScene();
      scene.install(
        wat(`(module
          (import "env" "${name}" (func $f (param ${'i32 '.repeat(args.length)}) (result i32)))
          (memory (export "memory") 1)
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (if (i32.ne (i32.const ${expected})
                (call $f ${args.map((arg) => `(i32.const ${arg})`).join(' ')}))
              (then (unreachable)))
            (i32.const 0)))`),
        { config: Buffer.from('configuration') },
      );
      const visited = scene.get();
      assert.equal(visited.failure, '', visited.detail);
      assert.deepEqual(visited.events, ['request head last']);
    });
  }

  it('is refused without its capability, and the rest goes on', () => {
    const scene = new PluginScene();
    scene.install(
      wat(`(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (if (i32.ne (i32.const 10) (call $log (i32.const 2) (i32.const 0) (i32.const 0)))
            (then (unreachable)))
          (i32.const 0)))`),
      { capabilities: ['proxy_get_property'] },
    );
    assert.deepEqual(scene.get().events, ['request head last']);
  });
});
