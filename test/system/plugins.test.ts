// Plugins in a whole gateway: heads, bodies with their lengths, answers, traps, reloads.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { writePairs } from '../../host/proxywasm/abi/pairs.ts';
import { untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { wat } from '../support/plugin-modules.ts';

/** Adds a request and a response header, answers `/answer`, traps at `/trap`, loops at `/loop`,
 *  holds request bodies and puts a mark before them and before response bodies. */
const FILTER = `(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes"
    (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) ":pathx-filterMARKmarked")
  (global $heap (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (if (i32.gt_u (global.get $heap) (i32.const 100000))
      (then (global.set $heap (i32.const 4096))))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $c i32)
    (drop (call $get (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 0) (i32.const 4)))
    (local.set $c (i32.load8_u offset=1 (i32.load (i32.const 0))))
    (if (i32.eq (local.get $c) (i32.const 97)) (then
      (drop (call $answer (i32.const 418) (i32.const 77) (i32.const 4) (i32.const 77) (i32.const 4)
        (i32.const 0) (i32.const 0) (i32.const -1)))))
    (if (i32.eq (local.get $c) (i32.const 116)) (then (unreachable)))
    (if (i32.eq (local.get $c) (i32.const 108)) (then (loop $l (br $l))))
    (call $add (i32.const 0) (i32.const 69) (i32.const 8) (i32.const 81) (i32.const 6)))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
    (call $set (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 77) (i32.const 4)))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 2) (i32.const 69) (i32.const 8) (i32.const 81) (i32.const 6)))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
    (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
    (call $set (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 77) (i32.const 4))))`;

const ASKED = Buffer.alloc(64);
writePairs([':method', 'GET', ':path', '/ask', ':authority', 'a'], ASKED, 0);

function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
}

/** Asks the service `echo` first, and lets the request go on with the status that it got. */
const CALLER = `(module
  (import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "echo:statusx-asked")
  (data (i32.const 128) "${escaped(ASKED)}")
  (global $stream (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $stream (local.get 0))
    (if (call $call (i32.const 64) (i32.const 4) (i32.const 128) (i32.const 64) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 0))
      (then (unreachable)))
    (i32.const 1))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (drop (call $get (i32.const 6) (i32.const 68) (i32.const 7) (i32.const 0) (i32.const 4)))
    (drop (call $context (global.get $stream)))
    (drop (call $add (i32.const 0) (i32.const 75) (i32.const 7) (i32.load (i32.const 0))
      (i32.load (i32.const 4))))
    (drop (call $continue (i32.const 0)))))`;

describe('a gateway with a plugin', { timeout: 120_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-plugins-'));
  const file = join(dir, 'filter.wasm');
  const callerFile = join(dir, 'caller.wasm');
  let origin: Origin;
  let gateway: GatewayProcess;

  const config = (more: object = {}) => ({
    workers: { io: 1 },
    services: { echo: { endpoints: [origin.url] } },
    plugins: [
      {
        name: 'mark',
        file,
        reload: { base: '1ms', max: '1ms' },
        limits: { steps: 100_000 },
        ...more,
      },
      { name: 'asks', file: callerFile },
    ],
    routes: [
      { name: 'plain', match: { path: '/plain' }, to: 'echo' },
      { name: 'asking', match: { path: '/asking' }, to: 'echo', filters: [{ plugin: 'asks' }] },
      { name: 'filtered', match: { path: '/*' }, to: 'echo', filters: [{ plugin: 'mark' }] },
    ],
  });

  before(async () => {
    writeFileSync(file, wat(FILTER));
    writeFileSync(callerFile, wat(CALLER));
    origin = await startOrigin('echo');
    gateway = await startGateway({ config: config() });
  });

  after(async () => {
    await gateway.stop();
    await origin.stop();
    rmSync(dir, { recursive: true });
  });

  it('changes heads and bodies, with lengths that are true', async () => {
    const response = await fetch(`${gateway.url}/echo`, { method: 'POST', body: 'hello' });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-filter'), 'marked');
    const text = await response.text();
    assert.ok(text.startsWith('MARK'), text);
    assert.match(text, /x-filter/);
  });

  it('leaves a route without filters alone', async () => {
    const response = await fetch(`${gateway.url}/plain`);
    assert.equal(response.headers.get('x-filter'), null);
    assert.ok(!(await response.text()).startsWith('MARK'));
  });

  it('lets a filter answer', async () => {
    const response = await fetch(`${gateway.url}/answer`);
    assert.equal(response.status, 418);
    assert.equal(await response.text(), 'MARK');
  });

  it('lets a filter ask a service before the request goes on', async () => {
    const requestsBefore = origin.requests;
    const response = await fetch(`${gateway.url}/asking`);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /"x-asked":"200"/);
    assert.equal(origin.requests, requestsBefore + 2);
  });

  it('answers for a filter that traps or loops, and goes on', async () => {
    for (const [path, reason] of [
      ['/trap', '801'],
      ['/loop', '802'],
    ] as const) {
      const response = await fetch(`${gateway.url}${path}`);
      assert.equal(response.status, 500);
      assert.equal(response.headers.get('x-sluice-reason'), reason);
      await response.arrayBuffer();
      // It is back after its pause of 1 ms.
      await untilTrue(async () => {
        const next = await fetch(`${gateway.url}/echo`);
        return (await next.text()).startsWith('MARK');
      });
    }
  });

  it('keeps what runs when a reload brings a plugin that does not load', async () => {
    const answer = await gateway.reload(config({ sha256: '0'.repeat(64) }));
    assert.equal(answer.taken, false);
    assert.ok((await (await fetch(`${gateway.url}/echo`)).text()).startsWith('MARK'));
  });
});
