// gRPC as a guest sees it: which callbacks come in which order, what maps, buffer and status hold
// in them, and what ends a call. The service is played by hand.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GrpcHandler, GrpcRequest, ServiceCaller } from '../../host/core/index.ts';
import type { PluginSpec } from '../../host/proxywasm/index.ts';
import { compileFilter, wat } from '../support/plugin-modules.ts';
import { PluginScene } from '../support/plugin-scene.ts';

const INTERNAL = 13;

/** Logs what each callback brings: `initial one`, `message text`, `trailing two`, `closef` with the
 *  status as a letter, and the status's message. A request begins a call for the path `/c`, a
 *  stream for `/s`; a tick begins one of the root's. A message `x` traps, `q` gives the call up,
 *  and `r` is replied to. */
const GUEST = `(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_status" (func $status (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_grpc_cancel" (func $cancel (param i32) (result i32)))
  (import "env" "proxy_grpc_send" (func $send (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_stream"
    (func $stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "swallet.Service_Method_initial_trailing_message_close_:path_x-a_")
  (global $heap (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32)
    (if (i32.gt_u (global.get $heap) (i32.const 60000))
      (then (global.set $heap (i32.const 4096))))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func $say (param i32 i32) (drop (call $log (i32.const 2) (local.get 0) (local.get 1))))
  (func $expect (param i32) (if (local.get 0) (then (unreachable))))
  (func $given (call $say (i32.load (i32.const 0)) (i32.load (i32.const 4))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $expect (call $tick (i32.const 100)))
    (i32.const 1))
  (func $begin
    (call $expect (call $stream (i32.const 65) (i32.const 6) (i32.const 72) (i32.const 7)
      (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 8))))
  (func (export "proxy_on_tick") (param i32) (call $begin))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $expect (call $header (i32.const 0) (i32.const 118) (i32.const 5) (i32.const 0)
      (i32.const 4)))
    (if (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 0))) (i32.const 115))
      (then (call $begin))
      (else (call $expect (call $call (i32.const 65) (i32.const 6) (i32.const 72) (i32.const 7)
        (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 1)
        (i32.const 900) (i32.const 8)))))
    (i32.const 0))
  (func (export "proxy_on_grpc_receive_initial_metadata") (param i32 i32 i32)
    (call $say (i32.const 87) (i32.const 7))
    (call $expect (i32.ne (local.get 2) (i32.const 1)))
    (call $expect (call $header (i32.const 4) (i32.const 124) (i32.const 3) (i32.const 0)
      (i32.const 4)))
    (call $given))
  (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32 i32 i32)
    (call $say (i32.const 95) (i32.const 8))
    (call $expect (call $header (i32.const 5) (i32.const 124) (i32.const 3) (i32.const 0)
      (i32.const 4)))
    (call $given))
  (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
    (call $say (i32.const 104) (i32.const 7))
    (call $expect (call $buffer (i32.const 5) (i32.const 0) (i32.const 99) (i32.const 0)
      (i32.const 4)))
    (call $expect (i32.ne (local.get 2) (i32.load (i32.const 4))))
    (call $given)
    (if (i32.eq (i32.load8_u (i32.load (i32.const 0))) (i32.const 120)) (then (unreachable)))
    (if (i32.eq (i32.load8_u (i32.load (i32.const 0))) (i32.const 113))
      (then (call $expect (call $cancel (local.get 1)))))
    (if (i32.eq (i32.load8_u (i32.load (i32.const 0))) (i32.const 114))
      (then (call $expect (call $send (local.get 1) (i32.const 64) (i32.const 1)
        (i32.const 1))))))
  (func (export "proxy_on_grpc_close") (param i32 i32 i32)
    (i32.store8 (i32.const 117) (i32.add (local.get 2) (i32.const 97)))
    (call $say (i32.const 112) (i32.const 6))
    (call $expect (call $status (i32.const 12) (i32.const 0) (i32.const 4)))
    (call $expect (i32.ne (local.get 2) (i32.load (i32.const 12))))
    (call $given)))`;

interface Played {
  readonly request: GrpcRequest;
  readonly handler: GrpcHandler;
  /** `send …`, `end`, `cancel`. */
  readonly events: string[];
}

class PlayedService implements ServiceCaller {
  readonly calls: Played[] = [];

  knows(service: string): boolean {
    return service === 'wallet';
  }

  call(): () => void {
    return () => {};
  }

  grpc(request: GrpcRequest, handler: GrpcHandler) {
    const events: string[] = [];
    this.calls.push({ request, handler, events });
    return {
      waitingSizeBytes: 0,
      send: (message: Uint8Array) => {
        events.push(`send ${Buffer.from(message)}`);
        return true;
      },
      end: () => events.push('end'),
      cancel: () => events.push('cancel'),
    };
  }
}

const GUEST_BYTES = wat(GUEST);

function makeScene(more: Partial<PluginSpec> = {}) {
  const service = new PlayedService();
  const scene = new PluginScene(service);
  scene.install(GUEST_BYTES, more);
  return { scene, calls: service.calls };
}

function requestFor(path: string): string[] {
  return [':method', 'GET', ':path', path, ':authority', 'a', ':scheme', 'http'];
}

const text = (message: string) => Uint8Array.from(Buffer.from(message));

describe('a gRPC call of a guest', () => {
  it('is told its metadata and its answer, and nothing more', () => {
    const { scene, calls } = makeScene();
    scene.get(['test'], requestFor('/c'));
    const [{ request, handler, events }] = calls as [Played];
    assert.deepEqual(events, ['send s', 'end']);
    assert.equal(request.path, '/Service/Method');
    assert.equal(request.timeoutMs, 900);
    handler.onInitialMetadata(['x-a', 'one']);
    handler.onMessage(text('answer'));
    // It is held until the status says that it is good.
    assert.deepEqual(scene.messages(), ['initial', 'one']);
    handler.onTrailingMetadata(['grpc-status', '0', 'x-a', 'two']);
    handler.onClose(0, '');
    assert.deepEqual(scene.messages().slice(2), ['trailing', 'two', 'message', 'answer']);
    assert.deepEqual(events, ['send s', 'end']);
  });

  it('is told why there is no answer, whatever came before', () => {
    const { scene, calls } = makeScene();
    scene.get(['test'], requestFor('/c'));
    calls[0]!.handler.onMessage(text('void'));
    calls[0]!.handler.onClose(5, 'no such thing');
    assert.deepEqual(scene.messages(), ['closef', 'no such thing']);
  });

  it('fails where there are no messages, or two', () => {
    const { scene, calls } = makeScene();
    scene.get(['test'], requestFor('/c'));
    scene.get(['test'], requestFor('/c'));
    calls[0]!.handler.onClose(0, '');
    const letter = String.fromCharCode(97 + INTERNAL);
    assert.deepEqual(scene.messages(), [`close${letter}`, 'an answer without a message']);
    calls[1]!.handler.onMessage(text('one'));
    calls[1]!.handler.onMessage(text('two'));
    assert.deepEqual(calls[1]!.events, ['send s', 'end', 'cancel']);
    assert.deepEqual(scene.messages().slice(2), [
      `close${letter}`,
      'more than one message for a call',
    ]);
  });

  it('and its streams count for the limit of calls', () => {
    const { scene } = makeScene({ limits: { ...limits(), callsMax: 2 } });
    scene.get(['test'], requestFor('/c'));
    scene.get(['test'], requestFor('/s'));
    const refused = scene.get(['test'], requestFor('/s'));
    // The guest traps at a status that is not OK.
    assert.equal(refused.failure, 'GW_PLUGIN_TRAP');
  });
});

describe('a gRPC stream of a guest', () => {
  it('is told everything in order, and may send in between', () => {
    const { scene, calls } = makeScene();
    scene.get(['test'], requestFor('/s'));
    const [{ request, handler, events }] = calls as [Played];
    assert.equal(request.timeoutMs, 0);
    handler.onInitialMetadata(['x-a', 'one']);
    handler.onMessage(text('a'));
    handler.onMessage(text('reply to this'));
    assert.deepEqual(events, ['send s', 'end']);
    handler.onTrailingMetadata(['x-a', 'two']);
    handler.onClose(0, 'fine');
    assert.deepEqual(scene.messages(), [
      ...['initial', 'one', 'message', 'a', 'message', 'reply to this'],
      ...['trailing', 'two', 'closea', 'fine'],
    ]);
  });

  it('that is given up in a callback is told nothing more', () => {
    const { scene, calls } = makeScene();
    scene.get(['test'], requestFor('/s'));
    calls[0]!.handler.onMessage(text('quit'));
    assert.deepEqual(calls[0]!.events, ['cancel']);
    assert.deepEqual(scene.messages(), ['message', 'quit']);
  });

  it('ends with the stream of the exchange that began it', () => {
    const { scene, calls } = makeScene();
    const visited = scene.get(['test'], requestFor('/s'));
    const other = scene.get(['test'], requestFor('/s'));
    visited.end();
    assert.deepEqual(
      calls.map(({ events }) => events),
      [['cancel'], []],
    );
    other.end();
    assert.deepEqual(calls[1]!.events, ['cancel']);
    assert.deepEqual(scene.messages(), []);
  });

  it('of the root outlives exchanges, and ends with the instance', () => {
    const { scene, calls } = makeScene();
    scene.timers.run();
    scene.get(['test'], requestFor('/s')).end();
    assert.deepEqual(
      calls.map(({ events }) => events),
      [[], ['cancel']],
    );
    // Another version: the old one has no streams left.
    scene.install(GUEST_BYTES);
    assert.deepEqual(calls[0]!.events, ['cancel']);
  });

  it('of a version that is replaced goes on while an exchange does', () => {
    const { scene, calls } = makeScene();
    const visited = scene.get(['test'], requestFor('/s'));
    scene.timers.run();
    scene.install(GUEST_BYTES);
    calls[1]!.handler.onMessage(text('still'));
    assert.deepEqual(scene.messages(), ['message', 'still']);
    visited.end();
    assert.deepEqual(
      calls.map(({ events }) => events),
      [['cancel'], ['cancel']],
    );
  });

  it('is given up with all others when the guest traps in a callback', () => {
    const { scene, calls } = makeScene();
    const visited = scene.get(['test'], requestFor('/s'));
    scene.timers.run();
    calls[1]!.handler.onMessage(text('x'));
    assert.deepEqual(
      calls.map(({ events }) => events),
      [['cancel'], ['cancel']],
    );
    assert.equal(visited.failure, 'GW_PLUGIN_TRAP');
    assert.equal(scene.book.stats()[0]!.traps, 1);
  });
});

describe('a filter on the SDK for AssemblyScript', () => {
  it('calls through its imports, without metadata, and is told the answer', async () => {
    const service = new PlayedService();
    const scene = new PluginScene(service);
    const bytes = await compileFilter(`
      import { proxy_grpc_call } from '@gcoredev/proxy-wasm-sdk-as/assembly/imports';
      class Caller extends RootContext {
        createContext(id: u32): Context { return new Filter(id, this); }
        on_grpc_receive(token: u32, size: u32): void {
          const bytes = get_buffer_bytes(BufferTypeValues.GrpcReceiveBuffer, 0, size);
          log(LogLevelValues.info, "received " + String.UTF8.decode(bytes));
        }
        on_grpc_close(token: u32, status: u32): void {
          log(LogLevelValues.info, "closed with " + status.toString());
        }
      }
      class Filter extends Context {
        constructor(id: u32, root: RootContext) { super(id, root); }
        onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
          const upstream = String.UTF8.encode("wallet");
          const name = String.UTF8.encode("pkg.Service");
          const method = String.UTF8.encode("Method");
          const message = String.UTF8.encode("ask");
          const id = new ArrayBuffer(4);
          const result = proxy_grpc_call(
            changetype<usize>(upstream), upstream.byteLength, changetype<usize>(name),
            name.byteLength, changetype<usize>(method), method.byteLength,
            changetype<usize>(message), message.byteLength, 700, changetype<usize>(id));
          log(LogLevelValues.info, "asked " + result.toString());
          return FilterHeadersStatusValues.Continue;
        }
      }
      registerRootContext((id: u32) => new Caller(id), "caller");
    `);
    scene.install(bytes, { rootId: 'caller' });
    scene.get();
    const [{ request, handler, events }] = service.calls as [Played];
    assert.deepEqual(
      [request.path, request.timeoutMs, request.metadata],
      ['/pkg.Service/Method', 700, []],
    );
    assert.deepEqual(events, ['send ask', 'end']);
    handler.onMessage(text('told'));
    handler.onClose(0, '');
    scene.get();
    service.calls[1]!.handler.onClose(14, 'gone');
    const said = scene
      .messages()
      .flatMap((message) => /(?:asked|received|closed with) .*$/.exec(message)?.[0] ?? []);
    assert.deepEqual(said, ['asked 0', 'received told', 'asked 0', 'closed with 14']);
  });
});

function limits() {
  return {
    memorySizeBytes: 1_048_576,
    steps: 100_000,
    startSteps: 100_000,
    bodySizeBytes: 1_000,
  };
}
