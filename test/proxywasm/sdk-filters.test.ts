// One filter in the languages of the Proxy-Wasm SDKs, each compiled by that language's own compiler
// (test/proxywasm/sdk): what the runtimes bring along has to be understood by the rewriter and met
// by the host, and every language has to see the same gateway.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type GrpcCall,
  type HeaderList,
  headerValue,
  type ServiceCaller,
  type ServiceReply,
  type ServiceRequest,
} from '../../host/core/index.ts';
import {
  loadModule,
  PLUGIN_DEFAULTS,
  type PluginModule,
  type PluginSpec,
  pluginSpec,
} from '../../host/proxywasm/index.ts';
import { rewriteModule } from '../../host/proxywasm/rewriter/rewrite.ts';
import { PluginScene, REQUEST, type Visited } from '../support/plugin-scene.ts';
import {
  packedFilters,
  type SdkFilter,
  sdkFilters,
  sdkManifest,
  sdkSource,
  sha256Of,
} from '../support/sdk-filters.ts';

const PAGE_SIZE_BYTES = 65_536;
const LANGUAGES = ['rust', 'cpp', 'go'];
/** A megabyte's worth of maps and sorting takes Go a little more than the default of a million. */
const WORK_LIMITS = { ...PLUGIN_DEFAULTS.limits, steps: 4_000_000 };
const FILTERS = sdkFilters();

/** A service that answers when the test says so. */
class Asked implements ServiceCaller {
  readonly requests: ServiceRequest[] = [];
  readonly #waiting: ((reply: ServiceReply | null) => void)[] = [];

  knows(service: string): boolean {
    return service === 'auth-service';
  }

  call(
    request: ServiceRequest,
    _replySizeBytesMax: number,
    onReply: (reply: ServiceReply | null) => void,
  ): () => void {
    this.requests.push(request);
    this.#waiting.push(onReply);
    return () => {};
  }

  grpc(): GrpcCall {
    throw new Error('none of the filters calls over gRPC');
  }

  reply(status: string | null, body = ''): void {
    const onReply = this.#waiting.shift();
    assert.ok(onReply !== undefined, 'nobody waits');
    const headers: HeaderList = [':status', String(status)];
    onReply(status === null ? null : { headers, body: Buffer.from(body), trailers: [] });
  }
}

const SPEC: Partial<PluginSpec> = {
  rootId: 'probe',
  config: Buffer.from('greeting=hello\nservice=auth\n'),
  vmConfig: Buffer.from('of the test'),
  env: { PLACE: 'here' },
  upstreams: { auth: 'auth-service' },
  strictImports: true,
};

/** Loaded once: a Go module takes a second. */
const modules = new Map<string, PluginModule>();

function moduleOf({ name, bytes }: SdkFilter): PluginModule {
  const known = modules.get(name);
  if (known !== undefined) return known;
  const memorySizeBytesMax = PLUGIN_DEFAULTS.limits.memorySizeBytes;
  const made = loadModule(bytes, { sha256: '', memorySizeBytesMax, strictImports: true });
  modules.set(name, made);
  return made;
}

/** The same module without counters. */
function unmetered(filter: SdkFilter): PluginModule {
  const pages = PLUGIN_DEFAULTS.limits.memorySizeBytes / PAGE_SIZE_BYTES;
  const { bytes } = rewriteModule(filter.bytes, pages, 'none');
  return { module: new WebAssembly.Module(bytes), report: moduleOf(filter).report };
}

interface Place {
  readonly scene: PluginScene;
  readonly asked: Asked;
}

function place(filter: SdkFilter, given: Partial<PluginSpec> = {}, module?: PluginModule): Place {
  const asked = new Asked();
  const scene = new PluginScene(asked);
  const spec = pluginSpec({ name: 'test', ...SPEC, ...given });
  scene.book.install(spec, module ?? moduleOf(filter));
  return { scene, asked };
}

function withPath(path: string): HeaderList {
  return [...REQUEST.slice(0, 3), path, ...REQUEST.slice(4), 'x-secret', 's', 'user-agent', 'u'];
}

function get({ scene }: Place, path: string): Visited {
  return scene.get(['test'], withPath(path));
}

function sent(visited: Visited, name: string): string | undefined {
  return visited.requestHead === null ? undefined : headerValue(visited.requestHead, name);
}

/** What every language's work() has to come to. */
function work(): string {
  const mask = (1n << 64n) - 1n;
  const counts = new Map<string, number>();
  let state = 0x9e37_79b9_7f4a_7c15n;
  for (let index = 0; index < 3_000; index++) {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & mask;
    const word = `w${(state >> 33n) % 700n}`;
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  let hash = 0xcbf2_9ce4_8422_2325n;
  let sum = 0;
  for (const word of [...counts.keys()].sort()) {
    const count = counts.get(word)!;
    for (const byte of Buffer.from(`${word}:${count};`)) {
      hash = ((hash ^ BigInt(byte)) * 0x100_0000_01b3n) & mask;
    }
    sum += Math.sqrt(count) / 3;
  }
  let checked = 0;
  for (let index = 0; index < 3 << 20; index += 1_024) {
    checked += index % 4_096 === 0 ? (index >> 12) & 0xff : 1;
  }
  return `${hash.toString(16).padStart(16, '0')} ${Math.trunc(sum * 1_000)} ${checked}`;
}

/** Everything that one instance does, written down. */
function story(made: Place): unknown[] {
  const told: unknown[] = [];
  const tell = (visited: Visited): void => {
    const { events, requestHead, responseHead, requestBody, responseBody, answer } = visited;
    const body = answer === null ? null : Buffer.from(answer.body).toString();
    told.push({ events, requestHead, responseHead, requestBody, responseBody, body });
  };
  for (const path of ['/a?b=1', '/deny', '/work', '/system', '/call']) {
    const visited = get(made, path);
    if (path === '/call') made.asked.reply('200', 'ann');
    if (visited.answer === null) visited.stream.responseHeaders([':status', '200'], true);
    visited.end();
    tell(visited);
  }
  const posted = made.scene.open();
  posted.stream.requestHeaders(withPath('/post'), false);
  for (const chunk of ['some ', 'bytes']) posted.stream.requestBody(Buffer.from(chunk), false);
  posted.stream.requestBody(Buffer.alloc(100_000, 'x'), true);
  posted.stream.responseHeaders([':status', '200', 'server', 'x'], false);
  posted.stream.responseBody(Buffer.from('fine'), true);
  posted.end();
  tell(posted);
  return [...told, made.scene.lines];
}

describe('the filters of the SDKs', () => {
  it('are there for every language', () => {
    const languages = new Set(FILTERS.map(({ language }) => language));
    assert.deepEqual([...languages].sort(), [...LANGUAGES].sort());
    const files = FILTERS.map(({ name }) => `${name}.wasm.br`).sort();
    assert.deepEqual(packedFilters().sort(), files);
  });

  for (const { name, sources, sha256 } of sdkManifest().filters) {
    it(`${name} was built from the sources beside it`, () => {
      for (const [source, hash] of Object.entries(sources)) {
        const why = `${source} has changed: run npx tsx scripts/build-sdk-filters.ts`;
        assert.equal(sha256Of(sdkSource(source)), hash, why);
      }
      const filter = FILTERS.find((one) => one.name === name);
      assert.equal(sha256Of(filter!.bytes), sha256);
    });
  }
});

for (const filter of FILTERS) {
  const { name, language, sdk, wasi } = filter;

  describe(`the filter ${name}`, () => {
    it('loads without a warning, with no import that another host may lack', () => {
      const { report } = moduleOf(filter);
      assert.deepEqual(report.warnings, []);
      assert.equal(report.abi, '0.2.1');
      assert.equal(report.sdk, sdk);
    });

    it('starts with its configurations, and says no to one that it does not like', () => {
      const { scene } = place(filter);
      assert.deepEqual(scene.messages(), ['vm of the test']);
      assert.throws(
        () => place(filter, { config: Buffer.from('service=auth') }),
        /proxy_on_configure returned false/,
      );
    });

    it('reads and writes the request head', () => {
      const made = place(filter);
      const visited = get(made, '/a?b=1');
      assert.equal(sent(visited, 'x-pairs'), '7 last');
      assert.equal(sent(visited, 'x-greeting'), 'hello');
      assert.equal(sent(visited, 'x-property'), 'r|GET|127.0.0.1:5000|probe|none');
      assert.equal(sent(visited, 'user-agent'), language);
      assert.equal(sent(visited, 'x-secret'), undefined);
      assert.equal(sent(visited, 'x-hits'), '1');
      assert.equal(sent(get(made, '/b'), 'x-hits'), '2');
    });

    it('counts in metrics, and logs at the end', () => {
      const made = place(filter);
      const visited = get(made, '/abc');
      const metric = (kind: 'counter' | 'gauge', what: string): number | undefined => {
        const { metrics } = made.scene.services;
        return metrics.value(metrics.define('test', kind, `${language}_${what}`));
      };
      assert.deepEqual([metric('counter', 'requests'), metric('gauge', 'live')], [1, 1]);
      visited.stream.responseHeaders([':status', '204'], true);
      visited.end();
      assert.deepEqual([metric('counter', 'requests'), metric('gauge', 'live')], [1, 0]);
      assert.equal(made.scene.messages().at(-1), 'log 204 /abc');
    });

    it('answers itself', () => {
      const { answer, events } = get(place(filter), '/deny');
      assert.deepEqual(events, ['answer 403']);
      assert.equal(Buffer.from(answer!.body).toString(), 'no entry\n');
      assert.equal(headerValue(answer!.headers, 'x-why'), 'deny');
      assert.equal(answer!.details, 'denied');
    });

    it('asks a service, and goes on, refuses or gives up by what it says', () => {
      const made = place(filter);
      const passed = get(made, '/call');
      const refused = get(made, '/call');
      const alone = get(made, '/call');
      assert.deepEqual([passed.events, refused.events, alone.events], [[], [], []]);
      assert.deepEqual(made.asked.requests[0]!.headers.slice(0, 4), [
        ...[':method', 'GET', ':path', '/check'],
      ]);
      made.asked.reply('200', 'ann');
      made.asked.reply('403', 'not you\n');
      made.asked.reply(null);
      assert.equal(sent(passed, 'x-auth'), 'ann');
      assert.deepEqual(refused.events, ['answer 401']);
      assert.equal(Buffer.from(refused.answer!.body).toString(), 'not you\n');
      assert.deepEqual(alone.events, ['answer 504']);
    });

    it('takes an answer for a stream that is gone; hears of a service that is not there', () => {
      const made = place(filter);
      const gone = get(made, '/call');
      gone.end();
      made.asked.reply('200', 'late');
      assert.equal(sent(get(made, '/next'), 'x-hits'), '2');
      const config = Buffer.from('greeting=hello\nservice=nobody');
      const { events, answer } = get(place(filter, { config }), '/call');
      assert.deepEqual(events, ['answer 500']);
      assert.equal(Buffer.from(answer!.body).toString(), 'status 2\n');
    });

    it('holds a body and replaces it, and adds to a body that streams', () => {
      const { scene } = place(filter);
      const visited = scene.open();
      visited.stream.requestHeaders(withPath('/post'), false);
      assert.equal(sent(visited, 'x-pairs'), '7');
      for (const chunk of ['some ', 'more ']) visited.stream.requestBody(Buffer.from(chunk), false);
      visited.stream.requestBody(Buffer.from('bytes'), true);
      assert.equal(visited.requestBody, `${language}:SOME MORE BYTES`);
      visited.stream.responseHeaders([':status', '200', 'server', 'x', 'x-internal', '1'], false);
      visited.stream.responseBody(Buffer.from('one '), false);
      visited.stream.responseBody(Buffer.from('two'), true);
      const head = [':status', '200', 'server', 'sluice', 'x-powered', language];
      assert.deepEqual([...visited.responseHead!].sort(), head.sort());
      assert.equal(visited.responseBody, `one two|${language}`);
    });

    it('has its ticks and its queue', async () => {
      const config = Buffer.from('greeting=hello\ntick=100');
      const { scene } = place(filter, { config });
      assert.deepEqual(scene.timers.periods, [100]);
      scene.timers.run();
      await new Promise((resolve) => setImmediate(resolve));
      scene.timers.run();
      assert.ok(scene.messages().includes(`dequeued tick of ${language}`), scene.messages().join());
    });

    it('computes as every other language does, with memory that grows', () => {
      const made = place(filter, { limits: WORK_LIMITS });
      for (let left = 3; left > 0; left--) {
        assert.equal(sent(get(made, '/work'), 'x-work'), work());
      }
    });

    if (wasi) {
      it('has a clock, its environment and its output through WASI', () => {
        const made = place(filter);
        const visited = get(made, '/system');
        assert.equal(sent(visited, 'x-time'), String(made.scene.clock.wallMs()));
        assert.equal(sent(visited, 'x-place'), 'here');
        const lines = made.scene.lines.slice(-2);
        assert.deepEqual(
          lines.map(({ level, message }) => `${level} ${message}`),
          ['info a line for stdout', 'error a line for stderr'],
        );
      });
    }

    it('does the same with and without counters', () => {
      const limits = WORK_LIMITS;
      const counted = story(place(filter, { limits }));
      assert.deepEqual(story(place(filter, { limits }, unmetered(filter))), counted);
    });

    for (const [path, code] of [
      ['/trap', 'GW_PLUGIN_TRAP'],
      ['/spin', 'GW_PLUGIN_STEPS'],
    ] as const) {
      it(`ends at ${path} alone, and begins anew`, () => {
        const made = place(filter, { onFailure: 'reload' });
        assert.equal(get(made, path).failure, code);
        // Go writes a panic's words one by one.
        if (language === 'go' && path === '/trap') {
          assert.ok(
            made.scene.messages().includes('panic: asked to'),
            made.scene.messages().join(),
          );
        }
        assert.equal(sent(get(made, '/next'), 'x-greeting'), 'hello');
      });
    }

    it('serves five hundred requests within its memory and steps', () => {
      const made = place(filter);
      for (let count = 1; count <= 500; count++) {
        const visited = made.scene.open();
        visited.stream.requestHeaders(withPath('/many'), false);
        visited.stream.requestBody(Buffer.alloc(20_000, 'a'), true);
        assert.equal(visited.requestBody.length, language.length + 1 + 20_000);
        assert.equal(sent(visited, 'x-hits'), String(count));
        visited.stream.responseHeaders([':status', '200'], true);
        visited.end();
      }
      const [stats] = made.scene.book.stats();
      assert.deepEqual([stats!.traps, stats!.started, stats!.streams], [0, 1, 0]);
    });
  });
}
