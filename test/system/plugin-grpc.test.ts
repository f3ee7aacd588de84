// A filter of a whole gateway that asks a gRPC service, which is there, is not, is slow, and whose
// plugin is replaced while a stream is open.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import {
  type GrpcExchange,
  type GrpcServer,
  grpcFrame,
  startGrpcServer,
} from '../support/grpc-server.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { wat } from '../support/plugin-modules.ts';

/** Sends the path to `checks`, waits for a message, and puts it into `x-told`; answers 503 where
 *  there is none. Each instance opens a stream as it is configured. */
const FILTER = `(module
  (import "env" "proxy_grpc_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_stream"
    (func $stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
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
  (data (i32.const 64) "checks_pkg.Checks_Check_Watch_:path_x-told_")
  (global $heap (mut i32) (i32.const 4096))
  (global $held (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (if (i32.gt_u (global.get $heap) (i32.const 60000))
      (then (global.set $heap (i32.const 4096))))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func $expect (param i32) (if (local.get 0) (then (unreachable))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $expect (call $stream (i32.const 64) (i32.const 6) (i32.const 71) (i32.const 10)
      (i32.const 88) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 8)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $held (local.get 0))
    (call $expect (call $get (i32.const 0) (i32.const 94) (i32.const 5) (i32.const 0)
      (i32.const 4)))
    (call $expect (call $call (i32.const 64) (i32.const 6) (i32.const 71) (i32.const 10)
      (i32.const 82) (i32.const 5) (i32.const 0) (i32.const 0) (i32.load (i32.const 0))
      (i32.load (i32.const 4)) (i32.const 5000) (i32.const 8)))
    (i32.const 1))
  (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
    (call $expect (call $buffer (i32.const 5) (i32.const 0) (i32.const 99) (i32.const 0)
      (i32.const 4)))
    (call $expect (call $context (global.get $held)))
    (call $expect (call $add (i32.const 0) (i32.const 100) (i32.const 6) (i32.load (i32.const 0))
      (i32.load (i32.const 4))))
    (call $expect (call $continue (i32.const 0))))
  (func (export "proxy_on_grpc_close") (param i32 i32 i32)
    (if (call $context (global.get $held)) (then (return)))
    (drop (call $answer (i32.add (i32.const 500) (local.get 2)) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))))`;

describe('a gateway whose filter asks a gRPC service', { timeout: 120_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-grpc-'));
  const file = join(dir, 'filter.wasm');
  const calls: GrpcExchange[] = [];
  const watches: GrpcExchange[] = [];
  let checks: GrpcServer;
  let origin: Origin;
  let gateway: GatewayProcess;

  const config = (more: object = {}) => ({
    workers: { io: 1 },
    services: {
      echo: { endpoints: [origin.url] },
      checks: { endpoints: [`http://127.0.0.1:${checks.port}`] },
    },
    plugins: [{ name: 'asks', file, ...more }],
    routes: [{ match: { path: '/*' }, to: 'echo', filters: [{ plugin: 'asks' }] }],
  });

  const serve = (exchange: GrpcExchange) => {
    if (exchange.headers[':path'] === '/pkg.Checks/Watch') {
      watches.push(exchange);
      exchange.head();
      return;
    }
    calls.push(exchange);
    exchange.onMessage = (message) => {
      if (message === '/held') return;
      if (message === '/denied') {
        exchange.head();
        exchange.end('7');
      } else if (message === '/lies') {
        exchange.head();
        exchange.stream.write(grpcFrame('', 0, 0xffff_ffff));
      } else exchange.answer(`${message} is fine`);
    };
  };

  before(async () => {
    writeFileSync(file, wat(FILTER));
    origin = await startOrigin('echo');
    checks = await startGrpcServer(serve);
    gateway = await startGateway({ config: config() });
  });

  after(async () => {
    await gateway.stop();
    await origin.stop();
    await checks.stop();
    rmSync(dir, { recursive: true });
  });

  it('goes on with what the service said', async () => {
    for (const path of ['/one', '/two']) {
      const response = await fetch(`${gateway.url}${path}`);
      assert.equal(response.status, 200);
      const { headers } = (await response.json()) as { headers: Record<string, string> };
      assert.equal(headers['x-told'], `${path} is fine`);
    }
    assert.equal(checks.sessionsCount, 1);
    assert.equal(calls[0]!.headers['grpc-timeout'], '5000m');
  });

  it('answers with what was refused, or cannot be trusted', async () => {
    assert.equal((await fetch(`${gateway.url}/denied`)).status, 507);
    assert.equal((await fetch(`${gateway.url}/lies`)).status, 508);
    assert.equal((await fetch(`${gateway.url}/fine`)).status, 200);
  });

  it('gives up a call whose client has left', async () => {
    const before = calls.length;
    const leaving = new AbortController();
    const gone = fetch(`${gateway.url}/held`, { signal: leaving.signal });
    await untilTrue(() => calls[before]?.messages[0] === '/held');
    leaving.abort();
    await assert.rejects(gone);
    await untilTrue(() => calls[before]!.closedWith === constants.NGHTTP2_CANCEL);
  });

  it('ends the streams of a version that is replaced, and the new one begins its own', async () => {
    await untilTrue(() => watches.length === 1);
    assert.equal(watches[0]!.closedWith, -1);
    const answer = await gateway.reload(config({ limits: { steps: 50_000 } }));
    assert.equal(answer.taken, true);
    await untilTrue(() => watches[0]!.closedWith === constants.NGHTTP2_CANCEL);
    await untilTrue(() => watches.length === 2);
    assert.equal((await fetch(`${gateway.url}/new`)).status, 200);
  });

  it('says that the service is gone, and sees that it is back', async () => {
    const { port } = checks;
    await checks.stop();
    await untilTrue(async () => (await fetch(`${gateway.url}/gone`)).status === 514);
    checks = await startGrpcServer(serve, { port });
    await untilTrue(async () => (await fetch(`${gateway.url}/back`)).status === 200);
  });
});
