// Filters written on the SDK that users have, and chains of them: heads, bodies, answers, pauses,
// properties, ticks, and the switch to a new version under streams in flight.

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { headerValue } from '../../host/core/index.ts';
import { compileFilter } from '../support/plugin-modules.ts';
import { PluginScene, REQUEST } from '../support/plugin-scene.ts';

const SOURCE = `
class Root extends RootContext {
  createContext(id: u32): Context { return new Filter(id, this); }
}
class Filter extends Context {
  constructor(id: u32, root: RootContext) { super(id, root); }
  onRequestHeaders(n: u32, eos: bool): FilterHeadersStatusValues {
    const h = stream_context.headers.request;
    h.add('x-config', this.root_context.getConfiguration());
    h.add('x-method', h.get(':method'));
    const path = h.get(':path');
    if (path == '/deny') {
      send_http_response(403, 'denied', String.UTF8.encode('no'),
        [makeHeaderPair('x-why', 'deny')]);
      return FilterHeadersStatusValues.StopIteration;
    }
    if (path == '/wait') return FilterHeadersStatusValues.StopIteration;
    if (path == '/property') h.add('x-route', String.UTF8.decode(get_property('route_name')));
    return FilterHeadersStatusValues.Continue;
  }
  onRequestBody(size: usize, eos: bool): FilterDataStatusValues {
    if (!eos) return FilterDataStatusValues.StopIterationAndBuffer;
    const kind = BufferTypeValues.HttpRequestBody;
    const body = String.UTF8.decode(get_buffer_bytes(kind, 0, u32(size)));
    set_buffer_bytes(kind, 0, u32(size), String.UTF8.encode('[' + body + ']'));
    return FilterDataStatusValues.Continue;
  }
  onResponseHeaders(n: u32, eos: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add('x-out', this.root_context.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }
  onLog(): void {
    log(LogLevelValues.info, 'log ' + stream_context.headers.response.get(':status'));
  }
}
registerRootContext((id: u32) => { return new Root(id); }, 'r');
`;

let bytes: Uint8Array<ArrayBuffer>;

before(async () => {
  bytes = await compileFilter(SOURCE);
});

function scene(): PluginScene {
  const made = new PluginScene();
  made.install(bytes, { rootId: 'r', config: Buffer.from('cfg'), name: 'a', priority: 2 });
  made.install(bytes, { rootId: 'r', config: Buffer.from('two'), name: 'b', priority: 1 });
  return made;
}

function withPath(path: string): string[] {
  const headers = [...REQUEST];
  headers[3] = path;
  return headers;
}

describe('a filter on the AssemblyScript SDK', () => {
  it('reads and writes request headers, in the order of the chain', () => {
    const { requestHead } = scene().get(['b', 'a']);
    assert.deepEqual(
      requestHead!.filter((_, index, all) => all[index - (index % 2)] === 'x-config'),
      ['x-config', 'cfg', 'x-config', 'two'],
    );
    assert.equal(headerValue(requestHead!, 'x-method'), 'GET');
  });

  it('meets the response in the reverse order', () => {
    const visited = scene().get(['a', 'b']);
    visited.stream.responseHeaders([':status', '200'], true);
    assert.deepEqual(visited.responseHead, [':status', '200', 'x-out', 'two', 'x-out', 'cfg']);
  });

  it('buffers a body and replaces it', () => {
    const visited = scene().open(['a', 'b']);
    visited.stream.requestHeaders([...REQUEST], false);
    assert.ok(visited.stream.wantsRequestBody);
    assert.ok(visited.stream.requestBody(Buffer.from('he'), false));
    assert.ok(visited.stream.requestBody(Buffer.from('llo'), true));
    assert.deepEqual(visited.events, ['request head', 'request 9 last']);
    assert.equal(visited.requestBody, '[[hello]]');
  });

  it('holds no more than its limit', () => {
    const made = new PluginScene();
    const limits = {
      memorySizeBytes: 4_194_304,
      steps: 1_000_000,
      startSteps: 1_000_000,
      bodySizeBytes: 100,
      callsMax: 1,
    };
    made.install(bytes, { rootId: 'r', limits });
    const visited = made.open();
    visited.stream.requestHeaders([...REQUEST], false);
    for (let left = 3; left > 0; left--) visited.stream.requestBody(Buffer.alloc(40), false);
    assert.equal(visited.failure, 'GW_PLUGIN_BODY_TOO_LARGE');
    assert.match(visited.detail, /120 bytes, the limit of test is 100/);
  });

  it('answers itself, and filters before it see the answer', () => {
    const visited = scene().get(['a', 'b'], withPath('/deny'));
    assert.deepEqual(visited.events, ['answer 403']);
    assert.deepEqual(visited.answer!.headers.slice(0, 2), ['x-why', 'deny']);
    assert.equal(Buffer.from(visited.answer!.body).toString(), 'no');
    assert.equal(visited.answer!.details, 'denied');
  });

  it('logs at the end what the client got, and is gone', () => {
    const made = scene();
    const visited = made.get(['a'], withPath('/property'));
    assert.equal(headerValue(visited.requestHead!, 'x-route'), 'r');
    visited.stream.responseHeaders([':status', '204'], true);
    visited.end();
    assert.ok(made.messages().includes('[INFO]: log 204'), made.messages().join());
    assert.equal(made.book.stats()[0]!.streams, 0);
  });

  it('holds the head, and the body behind it without a look', () => {
    const visited = scene().open(['a']);
    visited.stream.requestHeaders(withPath('/wait'), false);
    assert.ok(visited.stream.requestBody(Buffer.alloc(1_000), false));
    assert.equal(visited.stream.requestBody(Buffer.alloc(300_000), false), false);
    assert.deepEqual(visited.events, []);
  });

  it('is missed: a chain without an installed plugin refuses', () => {
    const visited = scene().get(['a', 'gone']);
    assert.equal(visited.failure, 'GW_PLUGIN_UNAVAILABLE');
    assert.match(visited.detail, /gone/);
  });
});

describe('a new version', () => {
  it('takes new streams, and old ones end where they began', () => {
    const made = scene();
    const old = made.open(['a']);
    old.stream.requestHeaders([...REQUEST], true);
    made.install(bytes, { rootId: 'r', config: Buffer.from('new'), name: 'a' });
    const next = made.get(['a']);
    assert.equal(headerValue(next.requestHead!, 'x-config'), 'new');
    old.stream.responseHeaders([':status', '200'], true);
    assert.equal(headerValue(old.responseHead!, 'x-out'), 'cfg');
    assert.equal(made.book.stats().length, 3);
    old.end();
    assert.equal(made.book.stats().length, 2);
  });
});

describe('isolation', () => {
  it('gives each request an instance of its own', () => {
    const made = new PluginScene();
    made.install(bytes, { rootId: 'r', isolation: { kind: 'request' } });
    assert.equal(made.book.stats()[0]!.instances, 0);
    const visits = [made.get(), made.get(), made.get()];
    assert.equal(made.book.stats()[0]!.instances, 3);
    for (const visited of visits) visited.end();
    assert.equal(made.book.stats()[0]!.instances, 0);
  });

  it('gives each tenant one, and drops the least used', () => {
    const made = new PluginScene();
    const isolation = { kind: 'tenant', header: 'x-tenant', countMax: 2 } as const;
    made.install(bytes, { rootId: 'r', isolation });
    const ask = (tenant: string) => made.get(['test'], [...REQUEST, 'x-tenant', tenant]).end();
    for (const tenant of ['1', '2', '1', '3', '1']) ask(tenant);
    const [stats] = made.book.stats();
    assert.equal(stats!.instances, 2);
    // The canary, and the tenants 1, 2 and 3, each once.
    assert.equal(stats!.started, 4);
    ask('2');
    assert.equal(made.book.stats()[0]!.started, 5);
  });
});
