// Services in the cases of `sluice plugin test`: what they answer, in HTTP and gRPC, and which
// calls must have been made.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { testPlugin } from '../../host/cli/plugin/test.ts';
import { pairs } from '../support/abi-rows.ts';
import { wat } from '../support/plugin-modules.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-plugin-services-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const HEAD = pairs(':method', 'POST', ':path', '/check', ':authority', 'a');
const TRAILERS = pairs('x-u', 'v');
const escaped = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');

/** Asks `checks`: for `/g` in gRPC, else in HTTP with a body and a trailer. Tells the upstream in
 *  `x-told` what came (status and trailer `x-t`, or a message), answers 503 where nothing did. */
const MODULE = wat(`(module
  (import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call"
    (func $grpc (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "checks_Checks_Check_hello_:path_:status_x-t_x-told")
  (data (i32.const 128) "${escaped(HEAD)}")
  (data (i32.const 256) "${escaped(TRAILERS)}")
  (global $heap (mut i32) (i32.const 4096))
  (global $held (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func $expect (param i32) (if (local.get 0) (then (unreachable))))
  (func $tell
    (call $expect (call $context (global.get $held)))
    (call $expect (call $add (i32.const 0) (i32.const 108) (i32.const 6) (i32.load (i32.const 0))
      (i32.load (i32.const 4)))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $held (local.get 0))
    (call $expect (call $get (i32.const 0) (i32.const 90) (i32.const 5) (i32.const 0)
      (i32.const 4)))
    (if (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 0))) (i32.const 103))
      (then (call $expect (call $grpc (i32.const 64) (i32.const 6) (i32.const 71) (i32.const 6)
        (i32.const 78) (i32.const 5) (i32.const 256) (i32.const ${TRAILERS.length})
        (i32.const 84) (i32.const 5) (i32.const 900) (i32.const 8))))
      (else (call $expect (call $call (i32.const 64) (i32.const 6) (i32.const 128)
        (i32.const ${HEAD.length}) (i32.const 84) (i32.const 5) (i32.const 256)
        (i32.const ${TRAILERS.length}) (i32.const 900) (i32.const 8)))))
    (i32.const 1))
  (func $refuse (param i32)
    (call $expect (call $context (global.get $held)))
    (call $expect (call $answer (local.get 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (if (i32.eqz (local.get 2)) (then (call $refuse (i32.const 503)) (return)))
    (call $expect (call $get (i32.const 6) (i32.const 96) (i32.const 7) (i32.const 0)
      (i32.const 4)))
    (call $tell)
    (if (local.get 4) (then
      (call $expect (call $get (i32.const 7) (i32.const 104) (i32.const 3) (i32.const 0)
        (i32.const 4)))
      (call $tell)))
    (call $expect (call $continue (i32.const 0))))
  (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
    (call $expect (call $buffer (i32.const 5) (i32.const 0) (i32.const 99) (i32.const 0)
      (i32.const 4)))
    (call $tell)
    (call $expect (call $continue (i32.const 0))))
  (func (export "proxy_on_grpc_close") (param i32 i32 i32)
    (call $refuse (i32.add (i32.const 500) (local.get 2)))))`);

const module = join(folder, 'filter.wasm');
writeFileSync(module, MODULE);

async function run(cases: string): Promise<{ code: number; out: string }> {
  const path = join(folder, 'cases.yaml');
  writeFileSync(path, cases);
  let out = '';
  const stream = {
    write: (text: string) => {
      out += text;
    },
  };
  return {
    code: await testPlugin({ module, cases: path }, { stdout: stream, stderr: stream }),
    out,
  };
}

describe('services in the cases of a filter', () => {
  it('answer calls of HTTP and gRPC, one after the other, and the last one again', async () => {
    const { code, out } = await run(`cases:
  - name: http
    services: { checks: [{ status: 204, trailers: { x-t: last } }, { fails: true }] }
    exchanges:
      - expect: { upstream: { headers: { x-told: ["204", last] } } }
      - { times: 2, expect: { upstream: false, response: { status: 503 } } }
    calls:
      - { service: checks, headers: { ":path": /check }, body: hello, trailers: { x-u: v } }
      - { service: checks }
      - { service: checks }
  - name: grpc
    services:
      checks: [{ grpc: { messages: [told] } }, { grpc: { status: 7 } }, { status: 200 }]
    exchanges:
      - request: { path: /g, method: POST, body: held }
        expect: { upstream: { headers: { x-told: told }, body: held } }
      - { request: { path: /g }, expect: { response: { status: 507 } } }
      - { request: { path: /g }, expect: { response: { status: 514 } } }
      # An answer of gRPC is none for HTTP, and the other way round.
      - { expect: { upstream: { headers: { x-told: "200" } } } }
    calls:
      - { service: checks, headers: { ":path": /Checks/Check, x-u: v }, body: hello }
      - { service: checks }
      - { service: checks }
      - { service: checks }
`);
    assert.equal(code, 0, out);
    assert.match(out, /2 of 2/);
  });

  it('show both sides of calls that differ', async () => {
    const { code, out } = await run(`cases:
  - name: bad
    services: { checks: [{}] }
    calls:
      - { service: other, headers: { ":path": /no, x-a: null }, body: bye, trailers: { x-u: w } }
      - { service: checks }
`);
    assert.equal(code, 1);
    assert.match(out, /^ +calls: expected 2, found 1 \(checks\)$/m);
    assert.match(out, /^ +calls\[0\]\.service: expected "other", found "checks"$/m);
    assert.match(out, /^ +calls\[0\]\.headers\.:path: expected "\/no", found "\/check"$/m);
    assert.match(out, /^ +calls\[0\]\.body: expected "bye", found "hello"$/m);
    assert.match(out, /^ +calls\[0\]\.trailers\.x-u: expected "w", found "v"$/m);
  });

  it('that a case does not name are not there', async () => {
    const { out } = await run(`cases:
  - { name: none, expect: { response: { failure: GW_PLUGIN_TRAP } } }
`);
    assert.match(out, /1 of 1/);
  });
});
