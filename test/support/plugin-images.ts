// Versions of one small filter, told apart by a response header, for tests of what is pushed.

import { createHash } from 'node:crypto';
import { wat } from './plugin-modules.ts';

/** Adds `x-image: NAME` to responses, and counts them in a metric `seen`. `trap`: fails at each
 *  request instead. `refuse`: does not configure. */
export function image(
  name: string,
  mode: 'serve' | 'trap' | 'refuse' = 'serve',
): Uint8Array<ArrayBuffer> {
  const onRequest = mode === 'trap' ? '(unreachable)' : '(i32.const 0)';
  return wat(`(module
    (import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric"
      (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $count (param i32 i64) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 48) "seen")
    (data (i32.const 64) "x-image${name}")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $define (i32.const 0) (i32.const 48) (i32.const 4) (i32.const 40)))
      (i32.const ${mode === 'refuse' ? 0 : 1}))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) ${onRequest})
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (drop (call $count (i32.load (i32.const 40)) (i64.const 1)))
      (call $add (i32.const 2) (i32.const 64) (i32.const 7) (i32.const 71)
        (i32.const ${name.length}))))`);
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
