// The files of a new filter's project: small, complete, and the same for everyone but for the name.

/** By path. `name`: of the filter, a-z, 0-9 and hyphens. */
export function projectFiles(name: string): Readonly<Record<string, string>> {
  return {
    'package.json': `${JSON.stringify(packageOf(name), null, 2)}\n`,
    'asconfig.json': `${JSON.stringify(compilerOptions(name), null, 2)}\n`,
    'assembly/process.ts': PROCESS,
    'assembly/index.ts': SOURCE.replaceAll('FILTER_NAME', name),
    'cases.yaml': CASES,
    'README.md': README.replaceAll('FILTER_NAME', name),
    '.gitignore': 'build\nnode_modules\n',
  };
}

function packageOf(name: string): unknown {
  return {
    name,
    version: '0.1.0',
    private: true,
    type: 'module',
    scripts: {
      build: 'asc assembly/index.ts --config asconfig.json --target release',
      test: `sluice plugin test build/${name}.wasm cases.yaml`,
    },
    devDependencies: { '@gcoredev/proxy-wasm-sdk-as': '1.2.3', assemblyscript: '0.28.20' },
  };
}

function compilerOptions(name: string): unknown {
  return {
    options: {
      runtime: 'incremental',
      optimizeLevel: 3,
      shrinkLevel: 1,
      path: ['node_modules'],
      use: ['abort=abort_proc_exit', 'process=assembly/process/plugin_process'],
    },
    targets: { release: { outFile: `build/${name}.wasm` } },
  };
}

const PROCESS = `// The SDK logs to the standard output of a \`process\`. Here that is proxy_log.

import { proxy_log } from '@gcoredev/proxy-wasm-sdk-as/assembly/imports';

const LETTERS: string = 'TDIWEC';
const LEVEL_INFO: i32 = 2;

export namespace plugin_process {
  export namespace stdout {
    /** Shape: \`[WARN]: text\`, with a line feed. */
    export function write(line: string): void {
      const end = line.indexOf(']: ');
      const level = end < 0 ? LEVEL_INFO : LETTERS.indexOf(line.charAt(1));
      const bytes = String.UTF8.encode(line.slice(end < 0 ? 0 : end + 3).trimEnd());
      proxy_log(level, changetype<usize>(bytes), bytes.byteLength);
    }
  }
}
`;

const SOURCE = `// Says hello in a header, and turns away who may not come in.

import {
  Context,
  FilterHeadersStatusValues,
  LogLevelValues,
  log,
  registerRootContext,
  RootContext,
  send_http_response,
  stream_context,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';

export * from '@gcoredev/proxy-wasm-sdk-as/assembly/proxy';
import './process';

class Root extends RootContext {
  /** False refuses the configuration: the version before stays. */
  onConfigure(size: u32): bool {
    if (!super.onConfigure(size)) return false;
    if (this.getConfiguration() != '') return true;
    log(LogLevelValues.error, 'config: expected a text to greet with');
    return false;
  }

  createContext(id: u32): Context {
    return new Stream(id, this);
  }
}

class Stream extends Context {
  onRequestHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    if (stream_context.headers.request.get('x-blocked') == '') {
      return FilterHeadersStatusValues.Continue;
    }
    send_http_response(403, 'blocked', String.UTF8.encode('blocked'), []);
    return FilterHeadersStatusValues.StopIteration;
  }

  onResponseHeaders(count: u32, isLast: bool): FilterHeadersStatusValues {
    stream_context.headers.response.replace('x-greeting', this.root_context.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32): RootContext => new Root(id), 'FILTER_NAME');
`;

const CASES = `config: hello
cases:
  - name: a response gets the greeting
    request: { path: /a }
    upstream: { status: 200, body: fine }
    expect:
      upstream: { headers: { ":path": /a } }
      response: { status: 200, headers: { x-greeting: hello }, body: fine }
  - name: who is blocked does not reach the upstream
    request: { headers: { x-blocked: "1" } }
    expect:
      upstream: false
      response: { status: 403, body: blocked, details: blocked }
  - name: without a greeting it does not start
    config: ""
    refused: true
    logs: [{ contains: expected a text }]
`;

const README = `# FILTER_NAME

A Proxy-Wasm filter in AssemblyScript.

    npm install
    npm run build      # build/FILTER_NAME.wasm
    npm test           # runs cases.yaml, without a gateway; needs sluice on the path

\`assembly/index.ts\` is the filter, \`cases.yaml\` what it must do. In a gateway:

    plugins:
      - { name: FILTER_NAME, file: build/FILTER_NAME.wasm, config: hello }
    routes:
      - { match: {}, to: my-service, filters: [FILTER_NAME] }
`;
