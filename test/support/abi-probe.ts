// A guest that is nothing but a door: every host function imported, and exported again under
// `module.name`, so that a test calls them as a guest does, guards and all, with any arguments.

import { type GrpcRequest, ManualClock, type ServiceRequest } from '../../host/core/index.ts';
import { type ExchangeMaps, StreamContext } from '../../host/proxywasm/contexts.ts';
import {
  type AbiVersion,
  loadModule,
  type PluginLogLine,
  type PluginModule,
  pluginSpec,
  threadServices,
} from '../../host/proxywasm/index.ts';
import { Vm } from '../../host/proxywasm/vm.ts';
import { wat } from './plugin-modules.ts';
import { FACTS, ManualTimers } from './plugin-scene.ts';

/** What a parameter is. `bytes` are a pointer and a size; `out32` and `out64` are pointers that the
 *  function writes to; `address` is a pointer that it does not touch. */
export type Parameter = 'u32' | 'u64' | 'bytes' | 'out32' | 'out64' | 'address';

export interface Signature {
  readonly module: string;
  readonly name: string;
  readonly parameters: readonly Parameter[];
  /** proc_exit alone comes back with nothing. */
  readonly hasResult: boolean;
}

const OUT_PTR = 256;
const OUT_SIZE_BYTES = 8;
const BYTES_PTR = 1_024;
const HEAP_PTR = 65_536;
const WASM_TYPES: Readonly<Record<Parameter, string>> = {
  u32: 'i32',
  u64: 'i64',
  bytes: 'i32 i32',
  out32: 'i32',
  out64: 'i32',
  address: 'i32',
};

/** Assembles and loads the door to all of some functions. */
export function probeModule(abi: AbiVersion, signatures: readonly Signature[]): PluginModule {
  const imports = signatures.map(({ module, name, parameters, hasResult }) => {
    const types = parameters.map((parameter) => WASM_TYPES[parameter]).join(' ');
    const params = types === '' ? '' : `(param ${types})`;
    const result = hasResult ? '(result i32)' : '';
    return `(import "${module}" "${name}" (func $${module}.${name} ${params} ${result}))
      (export "${module}.${name}" (func $${module}.${name}))`;
  });
  const bytes = wat(`(module ${imports.join('\n')}
    (memory (export "memory") 2)
    (global $heap (mut i32) (i32.const ${HEAP_PTR}))
    (func (export "proxy_abi_version_${abi.replaceAll('.', '_')}"))
    (func (export "malloc") (param i32) (result i32)
      (global.get $heap)
      (global.set $heap (i32.add (global.get $heap) (local.get 0)))))`);
  return loadModule(bytes, { sha256: '', memorySizeBytesMax: 131_072, strictImports: true });
}

/** An argument as a table gives it: the place of what is `bytes`, and of what is written to, is the
 *  probe's business. */
export type Argument = number | bigint | string | Uint8Array;

export class AbiProbe {
  readonly clock = new ManualClock();
  readonly timers = new ManualTimers();
  readonly lines: PluginLogLine[] = [];
  readonly requests: ServiceRequest[] = [];
  readonly grpcRequests: GrpcRequest[] = [];
  /** What was done with gRPC calls, in order. */
  readonly grpcEvents: string[] = [];
  hasGrpcRoom = true;
  /** Of each call that begins. */
  grpcWaitingSizeBytes = 0;
  readonly vm: Vm;
  readonly stream: StreamContext;
  readonly exchange: ExchangeMaps;
  #bytesPtr = BYTES_PTR;

  constructor(module: PluginModule, capabilities: readonly string[] = ['*']) {
    const services = threadServices({
      clock: this.clock,
      timers: this.timers,
      log: (line) => this.lines.push(line),
      logLevel: 'debug',
      services: {
        knows: (service) => service === 'wallet',
        call: (request) => {
          this.requests.push(request);
          return () => {};
        },
        grpc: (request) => {
          this.grpcRequests.push(request);
          return {
            waitingSizeBytes: this.grpcWaitingSizeBytes,
            send: (message) => {
              this.grpcEvents.push(`send ${Buffer.from(message).toString()}`);
              return this.hasGrpcRoom;
            },
            end: () => this.grpcEvents.push('end'),
            cancel: () => this.grpcEvents.push('cancel'),
          };
        },
      },
    });
    const spec = pluginSpec({
      name: 'probe',
      rootId: 'root',
      vmId: 'vm',
      config: Buffer.from('plugin config'),
      vmConfig: Buffer.from('vm config'),
      env: { A: '1', LONG: 'two' },
      capabilities,
    });
    const owner = { onDeath() {}, onStreamGone() {}, onSteps() {} };
    this.vm = new Vm(spec, module, services, owner);
    this.exchange = {
      maps: [[':method', 'GET', ':path', '/a?b=1', 'x-in', 'one'], null, [':status', '200'], null],
      isWritable: [true, false, true, false],
      facts: FACTS,
      responseDetails: '',
      properties: null,
    };
    this.stream = this.vm.createStream((id) => new StreamContext(id, this.exchange))!;
    this.stream.hasBody.fill(true);
    this.stream.body(0).add(Buffer.from('request body'));
    this.stream.body(1).add(Buffer.from('response body'));
    this.vm.root.callMaps[2] = [':status', '204'];
    this.vm.root.callBody = Buffer.from('reply');
  }

  /** Puts arguments in their places: `bytes` in memory, `out` ones at places of their own. */
  place(parameters: readonly Parameter[], given: readonly Argument[]): (number | bigint)[] {
    const left = [...given];
    let out = OUT_PTR;
    return parameters.flatMap((parameter): (number | bigint)[] => {
      if (parameter === 'out32' || parameter === 'out64') {
        out += OUT_SIZE_BYTES;
        return [out - OUT_SIZE_BYTES];
      }
      const value = left.shift();
      if (parameter === 'bytes') return this.#placeBytes(value);
      if (typeof value === 'number' || typeof value === 'bigint') return [value];
      throw new Error(`a ${parameter} is missing among ${given}`);
    });
  }

  /** Calls a function. -1 where the guest died of it. */
  call(name: string, args: readonly (number | bigint)[]): number {
    const status = this.vm.callStream(this.stream, name, args as number[]);
    return this.vm.death === null ? status : -1;
  }

  /** What was written to the `index`-th out parameter. */
  out(index: number): number {
    return this.vm.memory.view.readUInt32LE(OUT_PTR + OUT_SIZE_BYTES * index);
  }

  out64(index: number): bigint {
    return this.vm.memory.view.readBigUInt64LE(OUT_PTR + OUT_SIZE_BYTES * index);
  }

  /** The byte string whose place the first two out parameters tell. */
  given(): string {
    return this.vm.memory.text(this.out(0), this.out(1))!;
  }

  memory(): Buffer {
    return Buffer.from(this.vm.memory.view);
  }

  #placeBytes(value: Argument | undefined): [number, number] {
    if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
      throw new Error(`bytes are missing, found ${value}`);
    }
    const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
    const ptr = this.#bytesPtr;
    this.vm.memory.view.set(bytes, ptr);
    this.#bytesPtr += bytes.length + 8;
    return [ptr, bytes.length];
  }
}
