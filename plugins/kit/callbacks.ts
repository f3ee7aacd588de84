// The functions that a host calls, instead of the SDK's `proxy.ts`. The SDK's write the ids of all
// open streams into a debug line for each new one, which a thousand streams at once pay for, and
// trap when the root context itself is done. The classes behind are the SDK's own. Callbacks for
// bodies stand apart: a host gives bodies only to filters that export them.

import { ensureRootContext, getRootContext } from '@gcoredev/proxy-wasm-sdk-as/assembly/runtime';

import { streams } from './streams';

export { malloc } from '@gcoredev/proxy-wasm-sdk-as/assembly/malloc';

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_context_create(id: u32, parentId: u32): void {
  if (parentId == 0) ensureRootContext(id);
  else streams.set(id, getRootContext(parentId).createContext(id));
}

export function proxy_on_vm_start(rootId: u32, size: u32): u32 {
  return getRootContext(rootId).onStart(size) ? 1 : 0;
}

export function proxy_on_configure(rootId: u32, size: u32): u32 {
  return getRootContext(rootId).onConfigure(size) ? 1 : 0;
}

export function proxy_on_tick(rootId: u32): void {
  getRootContext(rootId).onTick();
}

export function proxy_on_queue_ready(rootId: u32, token: u32): void {
  getRootContext(rootId).onQueueReady(token);
}

export function proxy_on_http_call_response(
  rootId: u32,
  token: u32,
  headers: u32,
  size: u32,
  trailers: u32,
): void {
  getRootContext(rootId).onHttpCallResponse(token, headers, size, trailers);
}

export function proxy_on_request_headers(id: u32, count: u32, isLast: u32): i32 {
  return streams.get(id).onRequestHeaders(count, isLast != 0) as i32;
}

export function proxy_on_response_headers(id: u32, count: u32, isLast: u32): i32 {
  return streams.get(id).onResponseHeaders(count, isLast != 0) as i32;
}

export function proxy_on_done(id: u32): u32 {
  if (streams.has(id)) return streams.get(id).onDone() ? 1 : 0;
  return getRootContext(id).onDone() ? 1 : 0;
}

export function proxy_on_log(id: u32): void {
  if (streams.has(id)) streams.get(id).onLog();
}

export function proxy_on_delete(id: u32): void {
  if (!streams.has(id)) return;
  streams.get(id).onDelete();
  streams.delete(id);
}
