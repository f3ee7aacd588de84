// Trailers in the chain: who sees them, in which order, who may change and hold them, and that they
// let go of nothing that a filter holds.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { wat } from '../support/plugin-modules.ts';
import { PluginScene, REQUEST, type Visited } from '../support/plugin-scene.ts';

/** Logs `body`, and `body!` at the end of the stream, `reqtrl` or `restrl` with the value of `x-t`.
 *  Adds `x-seen: MARK` to trailers, where MARK is its configuration. For a trailer `h` it holds
 *  them, for `a` it answers, for `x` it traps; a tick lets request and response go on. Heads, which
 *  have left, cannot be changed. */
function guest({ body = '(i32.const 0)', hasTrailers = true } = {}) {
  const callback = (name: string, map: number, place: number) => `
  (func (export "${name}") (param i32 i32) (result i32) (local $c i32)
    (call $say (i32.const ${place}) (i32.const 6))
    (call $expect (i32.ne (local.get 1) (global.get $count)))
    (call $expect (call $get (i32.const ${map}) (i32.const 103) (i32.const 3) (i32.const 0)
      (i32.const 4)))
    (call $say (i32.load (i32.const 0)) (i32.load (i32.const 4)))
    (local.set $c (i32.load8_u (i32.load (i32.const 0))))
    (call $expect (call $config (i32.const 7) (i32.const 0) (i32.const 9) (i32.const 8)
      (i32.const 12)))
    (call $expect (call $add (i32.const ${map}) (i32.const 107) (i32.const 6)
      (i32.load (i32.const 8)) (i32.load (i32.const 12))))
    ;; The heads have left: BAD_ARGUMENT.
    (call $expect (i32.ne (i32.const 2) (call $add (i32.const ${map - 1}) (i32.const 107)
      (i32.const 6) (i32.const 107) (i32.const 6))))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.set $held (local.get 0))
    (if (i32.eq (local.get $c) (i32.const 120)) (then (unreachable)))
    (if (i32.eq (local.get $c) (i32.const 97)) (then
      (drop (call $answer (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))))
    (i32.eq (local.get $c) (i32.const 104)))`;
  return wat(`(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $config (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "head__body__body!_reqtrl_restrl________x-t_x-seen")
  (global $heap (mut i32) (i32.const 4096))
  (global $held (mut i32) (i32.const 0))
  ;; How many trailers there are, which each filter makes one more.
  (global $count (mut i32) (i32.const 1))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func $say (param i32 i32) (drop (call $log (i32.const 2) (local.get 0) (local.get 1))))
  (func $expect (param i32) (if (local.get 0) (then (unreachable))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $expect (call $tick (i32.const 100)))
    (call $expect (call $config (i32.const 7) (i32.const 0) (i32.const 9) (i32.const 8)
      (i32.const 12)))
    (if (i32.eq (i32.load8_u (i32.load (i32.const 8))) (i32.const 50))
      (then (global.set $count (i32.const 2))))
    (i32.const 1))
  (func (export "proxy_on_tick") (param i32)
    (if (global.get $held) (then
      (call $expect (call $context (global.get $held)))
      (drop (call $continue (i32.const 0)))
      (drop (call $continue (i32.const 1))))))
  (func $body (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (global.set $held (local.get 0))
    (call $say (i32.const 70) (i32.const 4))
    (if (local.get 2) (then (call $say (i32.const 76) (i32.const 5))))
    ${body})
  (export "proxy_on_response_body" (func $body))
  ${hasTrailers ? callback('proxy_on_request_trailers', 1, 82) : ''}
  ${hasTrailers ? callback('proxy_on_response_trailers', 3, 89) : ''})`);
}

function makeScene(bytes = guest()): PluginScene {
  const scene = new PluginScene();
  scene.install(bytes, { name: 'one', config: Buffer.from('1') });
  scene.install(guest(), { name: 'two', config: Buffer.from('2') });
  return scene;
}

/** A request with a body that is followed by `x-t`. */
function post(scene: PluginScene, plugins: readonly string[], value: string): Visited {
  const visited = scene.open(plugins);
  visited.stream.requestHeaders([...REQUEST], false);
  visited.stream.requestBody(Buffer.from('abc'), false);
  visited.stream.requestBody(Buffer.from('def'), true, ['x-t', value]);
  return visited;
}

describe('trailers of a request', () => {
  it('are seen by each filter once the body has passed all, and changed', () => {
    const scene = makeScene();
    const visited = post(scene, ['one', 'two'], 'value');
    assert.deepEqual(scene.messages(), [
      ...['body', 'body', 'body', 'body!', 'body', 'body!'],
      ...['reqtrl', 'value', 'reqtrl', 'value'],
    ]);
    assert.deepEqual(visited.requestTrailers, ['x-t', 'value', 'x-seen', '1', 'x-seen', '2']);
    assert.deepEqual(visited.events, ['request head', 'request 3', 'request 3', 'request 0 last']);
    assert.equal(visited.requestBody, 'abcdef');
  });

  it('that there are not call nobody', () => {
    const scene = makeScene();
    const visited = scene.open(['one']);
    visited.stream.requestHeaders([...REQUEST], false);
    visited.stream.requestBody(Buffer.from('abc'), true);
    assert.deepEqual(scene.messages(), ['body', 'body!']);
    assert.equal(visited.requestTrailers, null);
  });

  it('pass filters that do not look at them', () => {
    const scene = makeScene(guest({ hasTrailers: false }));
    const visited = post(scene, ['one'], 'value');
    assert.deepEqual(visited.requestTrailers, ['x-t', 'value']);
    assert.equal(visited.stream.wantsRequestBody, true);
  });

  it('are held by a filter, and with them the end', () => {
    const scene = makeScene();
    const visited = post(scene, ['one', 'two'], 'hold');
    assert.deepEqual(visited.events, ['request head', 'request 3', 'request 3']);
    assert.deepEqual(scene.messages().slice(-2), ['reqtrl', 'hold']);
    // The second filter holds them in its turn, and its tick comes behind the first one's.
    scene.timers.run();
    assert.deepEqual(scene.messages().slice(-2), ['reqtrl', 'hold']);
    assert.deepEqual(visited.events.slice(3), ['request 0 last']);
    assert.deepEqual(visited.requestTrailers, ['x-t', 'hold', 'x-seen', '1', 'x-seen', '2']);
  });

  // A filter that holds a body until it is whole, or until a service has answered, must not be
  // passed by with a trailer: in Envoy, a filter whose SDK says CONTINUE to trailers would be.
  it('let go of no body that a filter holds', () => {
    const scene = makeScene(guest({ body: '(i32.const 1)' }));
    const visited = post(scene, ['one', 'two'], 'value');
    assert.deepEqual(visited.events, ['request head']);
    assert.deepEqual(scene.messages(), ['body', 'body', 'body!']);
    scene.timers.run();
    assert.deepEqual(visited.events, ['request head', 'request 6', 'request 0 last']);
    assert.equal(visited.requestBody, 'abcdef');
    assert.deepEqual(scene.messages().slice(3), [
      ...['body', 'body!', 'reqtrl', 'value', 'reqtrl', 'value'],
    ]);
  });

  it('may be answered, and nothing of the end leaves', () => {
    const scene = makeScene();
    const visited = post(scene, ['one', 'two'], 'answer');
    assert.deepEqual(visited.events, ['request head', 'request 3', 'request 3', 'answer 418']);
    assert.equal(visited.requestTrailers, null);
  });

  it('that kill a filter fail the exchange, or are passed by where failures are open', () => {
    const closed = makeScene();
    assert.equal(post(closed, ['one', 'two'], 'x').failure, 'GW_PLUGIN_TRAP');
    const scene = new PluginScene();
    scene.install(guest(), { name: 'one', config: Buffer.from('1'), onFailure: 'open' });
    const visited = post(scene, ['one'], 'x');
    assert.equal(visited.failure, '');
    // What it did before it died stands, as with headers.
    assert.deepEqual(visited.requestTrailers, ['x-t', 'x', 'x-seen', '1']);
  });
});

describe('trailers of a response', () => {
  function respond(scene: PluginScene, value: string): Visited {
    const visited = scene.get(['one', 'two']);
    visited.stream.responseHeaders([':status', '200'], false);
    visited.stream.responseBody(Buffer.from('abc'), false);
    visited.stream.responseBody(new Uint8Array(0), true, ['x-t', value]);
    return visited;
  }

  it('are seen in the reverse order', () => {
    const scene = new PluginScene();
    // Counts of trailers: the first to see them is the last of the chain.
    scene.install(guest(), { name: 'one', config: Buffer.from('2') });
    scene.install(guest(), { name: 'two', config: Buffer.from('1') });
    const visited = respond(scene, 'value');
    assert.deepEqual(visited.responseTrailers, ['x-t', 'value', 'x-seen', '1', 'x-seen', '2']);
    assert.deepEqual(visited.events.slice(1), ['response head', 'response 3', 'response 0 last']);
    assert.deepEqual(scene.messages().slice(-4), ['restrl', 'value', 'restrl', 'value']);
  });

  it('of an answer that a filter replaced are void', () => {
    const scene = new PluginScene();
    scene.install(
      wat(`(module
        (import "env" "proxy_send_local_response"
          (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const -1))))`),
      { name: 'two' },
    );
    scene.install(guest(), { name: 'one', config: Buffer.from('1') });
    const visited = respond(scene, 'value');
    assert.deepEqual(visited.events, ['request head last', 'answer 403']);
    assert.ok(!scene.messages().includes('restrl'));
  });
});
