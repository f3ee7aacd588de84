// `sluice plugin`: what it prints, what it refuses, and that a new project builds and passes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { pluginCommand } from '../../host/cli/plugin/command.ts';
import { inspect } from '../../host/cli/plugin/inspect.ts';
import { makeProject } from '../../host/cli/plugin/new.ts';
import { testPlugin } from '../../host/cli/plugin/test.ts';
import { compileFilter, wat } from '../support/plugin-modules.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-plugin-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const FILTER = 'build/plugins/request-id.wasm';

/** Shows in headers, bodies and logs what test/golden/plugin/all-keys.yaml gives it. */
const ALL_KEYS = `
import { get_current_time_nanoseconds } from '@gcoredev/proxy-wasm-sdk-as/assembly';
function say(level: i32, line: string): void {
  const bytes = String.UTF8.encode(line);
  proxy_log(level, changetype<usize>(bytes), bytes.byteLength);
}
class Root extends RootContext {
  onConfigure(size: u32): bool {
    if (!super.onConfigure(size)) return false;
    say(2, 'configured: ' + this.getConfiguration());
    return this.getConfiguration() != 'bad';
  }
  createContext(id: u32): Context { return new Stream(id, this); }
}
function text(path: string): string {
  const found = get_property(path);
  return found.byteLength == 0 ? '-' : String.UTF8.decode(found);
}
class Stream extends Context {
  pieces: i32 = 0;
  onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    const headers = stream_context.headers.request;
    if (headers.get('x-trap') != '') unreachable();
    if (headers.get('x-loop') != '') { while (true) this.pieces++; }
    if (headers.get('x-blocked') != '') {
      const why = [makeHeaderPair('x-why', 'because')];
      send_http_response(403, 'blocked', String.UTF8.encode('no entry'), why);
      return FilterHeadersStatusValues.StopIteration;
    }
    headers.add('x-facts', (isLast ? 'last ' : 'more ') + text('source\\0address') + ' '
      + text('request\\0path') + ' ' + text('route_name'));
    headers.add('x-time', (get_current_time_nanoseconds() / 1000000).toString());
    return FilterHeadersStatusValues.Continue;
  }
  onRequestBody(size: usize, isLast: bool): FilterDataStatusValues {
    this.pieces++;
    say(3, 'piece ' + this.pieces.toString() + ' of ' + size.toString());
    if (!isLast) return FilterDataStatusValues.StopIterationAndBuffer;
    const body = get_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, <u32>size);
    const changed = String.UTF8.encode(String.UTF8.decode(body).toUpperCase());
    set_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, <u32>size, changed);
    return FilterDataStatusValues.Continue;
  }
  onResponseHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    stream_context.headers.response.remove('x-secret');
    stream_context.headers.response.replace('x-greeting', this.root_context.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }
}
registerRootContext((id: u32): RootContext => new Root(id), 'all');
`;

function output() {
  const texts = { out: '', err: '' };
  return {
    texts,
    stdout: {
      write: (text: string) => {
        texts.out += text;
      },
    },
    stderr: {
      write: (text: string) => {
        texts.err += text;
      },
    },
  };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('sluice plugin inspect', () => {
  it('says what a module is', () => {
    const { texts, ...streams } = output();
    assert.equal(inspect(FILTER, { form: 'text', imports: 'strict' }, streams), 0);
    assert.match(texts.out, /^abi {8}0\.2\.1$/m);
    assert.match(texts.out, /^sha256 {5}[0-9a-f]{64}$/m);
    assert.match(texts.out, /^sdk {8}assemblyscript/m);
    assert.match(texts.out, /^ +known {3}env\.proxy_log$/m);
    assert.match(texts.out, /^callbacks .*proxy_on_request_headers/m);
    assert.match(texts.out, /^verdict {4}runs$/m);
  });

  it('says the same as JSON', () => {
    const { texts, ...streams } = output();
    assert.equal(inspect(FILTER, { form: 'json', imports: 'lax' }, streams), 0);
    const report = JSON.parse(texts.out);
    assert.equal(report.sizeBytes, readFileSync(FILTER).length);
    assert.ok(report.functionCount > 10);
  });

  it('refuses what is no module, what has no ABI, and what is not there', () => {
    const empty = file('empty.wasm', Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    for (const [path, expected] of [
      [file('text.wasm', 'hello'), /GW_PLUGIN_NOT_WASM/],
      [empty, /proxy_abi_version_0_1_0.*GW_PLUGIN_ABI/],
      [join(folder, 'none.wasm'), /ENOENT.*GW_CONFIG_FILE/],
    ] as const) {
      const { texts, ...streams } = output();
      assert.equal(inspect(path, { form: 'text', imports: 'lax' }, streams), 1);
      assert.match(texts.err, expected);
      assert.equal(texts.out, '');
    }
  });

  it('shows the names in a module as text of a bounded length', () => {
    // They were printed as they are: a name with an escape sequence cleared the screen of whoever
    // inspected the module, and 3,000 long ones filled it with 18 MB.
    const name = `a\\1b[2J\\0a${'x'.repeat(5_000)}`;
    const path = file(
      'names.wasm',
      wat(`(module (import "env" "${name}" (func)) (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1")) (func (export "${name}")))`),
    );
    const shown = /a\\u\{1b\}\[2J\\u\{a\}x{50,100}\.\.\./;
    const lax = output();
    assert.equal(inspect(path, { form: 'text', imports: 'lax' }, lax), 0);
    const lines = lax.texts.out.split('\n').filter((line) => shown.test(line));
    assert.deepEqual(
      lines.map((line) => line.trim().split(' ')[0]),
      ['exports', 'UNKNOWN', 'warning'],
    );
    const strict = output();
    assert.equal(inspect(path, { form: 'text', imports: 'strict' }, strict), 1);
    assert.match(strict.texts.err, shown);
    const all = lax.texts.out + strict.texts.err;
    assert.ok(!all.includes('\x1b') && all.length < 2_000, String(all.length));
  });
});

describe('sluice plugin test', () => {
  const run = async (cases: string) => {
    const { texts, ...streams } = output();
    const code = await testPlugin({ module: FILTER, cases: file('cases.yaml', cases) }, streams);
    return { code, ...texts };
  };

  it('shows both sides of each difference, and fails', async () => {
    const { code, out } = await run(`cases:
  - name: good
    expect: { response: { status: 200 } }
  - name: bad
    request: { path: /x }
    expect:
      upstream: { headers: { ":path": /y, x-request-id: null } }
      response: { status: 201, body: hello, headers: { x-frame-options: { contains: SAME } } }
    logs: [nothing]
  - name: not refused
    refused: true
`);
    assert.equal(code, 1);
    assert.match(out, /^ok {4}good$/m);
    assert.match(out, /^ +upstream\.headers\.:path: expected "\/y", found "\/x"$/m);
    assert.match(out, /^ +upstream\.headers\.x-request-id: expected none, found "[0-9a-f-]{36}"$/m);
    assert.match(out, /^ +response\.status: expected 201, found 200$/m);
    assert.match(out, /^ +response\.body: expected "hello", found ""$/m);
    assert.match(out, /x-frame-options: expected a text with "SAME", found "DENY"$/m);
    assert.match(out, /^ +logs\[0\]: expected "nothing", found/m);
    assert.match(out, /^ +the filter takes its configuration$/m);
    assert.match(out, /1 of 3 cases as they should be/);
  });

  it('has trailers on both sides, and says where they differ', async () => {
    const marks = (name: string, map: number) => `
      (func (export "${name}") (param i32 i32) (result i32)
        (call $add (i32.const ${map}) (i32.const 64) (i32.const 3) (i32.const 67) (i32.const 2)))`;
    const module = file(
      'trailers.wasm',
      wat(`(module
        (import "env" "proxy_add_header_map_value"
          (func $add (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "x-sit")
        (func (export "proxy_abi_version_0_2_1"))
        ${marks('proxy_on_request_trailers', 1)} ${marks('proxy_on_response_trailers', 3)})`),
    );
    const cases = file(
      'trailers.yaml',
      `cases:
  - name: both
    request: { method: POST, body: [a, b], trailers: { X-T: [one, two], Cookie: none } }
    upstream: { trailers: { x-t: three } }
    expect:
      upstream: { body: ab, trailers: { x-t: [one, two], x-s: it, cookie: null } }
      response: { body: "", trailers: { x-t: three, x-s: it } }
  - name: none
    request: { body: a }
    expect: { upstream: { trailers: { x-s: null } }, response: { trailers: { x-s: it } } }
`,
    );
    const { texts, ...streams } = output();
    assert.equal(await testPlugin({ module, cases }, streams), 1);
    assert.match(texts.out, /^ok {4}both$/m);
    assert.match(texts.out, /^ +response\.trailers\.x-s: expected "it", found none$/m);
    assert.match(texts.out, /1 of 2 cases as they should be/);
  });

  it('gives the same result each time: clock and chance are fixed', async () => {
    const cases = 'cases: [{ name: a, expect: { upstream: { headers: { x-request-id: x } } } }]';
    const [first, second] = [await run(cases), await run(cases)];
    assert.match(first.out, /found "[0-9a-f-]{36}"/);
    assert.equal(first.out, second.out);
  });

  it('says at which line a file of cases is wrong', async () => {
    const { code, err } = await run(
      'cases:\n  - name: a\n    expct: {}\n  - { name: b, now: 1 }\n',
    );
    assert.equal(code, 1);
    assert.match(err, /cases\.yaml:3:5.*expct.*did you mean "expect"\?/);
    assert.match(err, /cases\.yaml:4:/);
  });

  it('takes every key of the guide', async () => {
    const module = file('all.wasm', await compileFilter(ALL_KEYS));
    const { texts, ...streams } = output();
    const cases = resolve('test/golden/plugin/all-keys.yaml');
    const code = await testPlugin({ module, cases }, streams);
    assert.equal(code, 0, texts.out + texts.err);
    assert.match(texts.out, /9 of 9 cases/);
  });

  it('names a client that is no address', async () => {
    for (const client of ['192.0.2.1', '2001:db8::1:9', '[192.0.2.1]:9', 'a:9', '1.2.3.4:65536']) {
      const { code, err } = await run(`cases: [{ name: a, client: "${client}" }]`);
      assert.equal(code, 1, client);
      assert.match(err, /cases\.yaml:1:28: .*an address and a port, like/, client);
    }
  });

  it('says once why a filter does not start, and shows what it logged as text', async () => {
    // The reason and the log stood there twice, and a log could steer the terminal.
    const module = file(
      'dies.wasm',
      wat(`(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "look\\1b[2J")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 64))
        (func $fails (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $log (i32.const 4) (i32.const 0) (i32.const 8)))
          (unreachable)))`),
    );
    const { texts, ...streams } = output();
    const cases = file('dies.yaml', 'cases: [{ name: a }]');
    assert.equal(await testPlugin({ module, cases }, streams), 1);
    const lines = texts.out.split('\n').map((line) => line.trim());
    assert.deepEqual(lines.slice(0, 3), [
      'BAD   a',
      'the filter does not start: proxy_on_configure: unreachable',
      'log:',
    ]);
    assert.equal(lines[3], 'error: look\\u{1b}[2J');
    assert.equal(lines[4], 'error: proxy_on_configure: unreachable (in fails)');
    assert.equal(lines.length, 7);
  });

  it('refuses what it cannot run', async () => {
    const { texts, ...streams } = output();
    const cases = file('some.yaml', 'cases: [{ name: a }]');
    const none = { module: file('no.wasm', 'no'), cases };
    assert.equal(await testPlugin(none, streams), 1);
    assert.match(texts.err, /no\.wasm: .*GW_PLUGIN_NOT_WASM/);
    assert.equal(await testPlugin({ module: FILTER, cases: join(folder, 'x') }, streams), 1);
    assert.match(texts.err, /cannot be read: ENOENT/);
  });
});

describe('sluice plugin new', () => {
  it('makes a project that builds and whose cases pass', async () => {
    const project = join(folder, 'my-filter');
    assert.equal(makeProject('my-filter', project), 0);
    symlinkSync(resolve('node_modules'), join(project, 'node_modules'));
    const { scripts } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
    const [, ...args] = scripts.build.split(' ');
    const compiler = join('node_modules', 'assemblyscript', 'bin', 'asc.js');
    const built = spawnSync(process.execPath, [compiler, ...args], { cwd: project });
    assert.equal(built.status, 0, String(built.stderr));
    const { texts, ...streams } = output();
    const module = join(project, 'build/my-filter.wasm');
    const code = await testPlugin({ module, cases: join(project, 'cases.yaml') }, streams);
    assert.equal(code, 0, texts.out + texts.err);
    assert.match(texts.out, /3 of 3/);
  });

  it('compiles as the filters of this project do', () => {
    const project = join(folder, 'options');
    makeProject('options', project);
    const made = JSON.parse(readFileSync(join(project, 'asconfig.json'), 'utf8')).options;
    const own = JSON.parse(readFileSync('plugins/asconfig.json', 'utf8')).options;
    for (const key of ['runtime', 'optimizeLevel', 'shrinkLevel', 'path']) {
      assert.deepEqual(made[key], own[key], key);
    }
    assert.equal(made.use[0], own.use[0]);
  });

  it('takes no bad name, and overwrites nothing', async () => {
    for (const name of ['../x', 'A', '-a', 'a b', '', 'a'.repeat(64)]) {
      assert.throws(() => makeProject(name, join(folder, 'other')), /GW_FLAG|the name/);
    }
    const taken = join(folder, 'taken');
    makeProject('one', taken);
    assert.throws(() => makeProject('one', taken), /not empty/);
  });
});

describe('sluice plugin', () => {
  it('names what is missing or unknown', async () => {
    assert.equal(await pluginCommand([]), 2);
    assert.equal(await pluginCommand(['frob']), 2);
    assert.equal(await pluginCommand(['inspect']), 2);
    assert.equal(await pluginCommand(['test', FILTER]), 2);
    assert.equal(await pluginCommand(['inspect', FILTER, '--loud']), 2);
  });
});
