// The part of WASI preview 1 that Proxy-Wasm modules import: no files, no network, no waiting.
// Statuses are WASI's errno. Source: WASI preview 1, and what Envoy's host answers.

import {
  HOST_COPY_SIZE_BYTES_LOG2,
  HOST_RANDOM_SIZE_BYTES_LOG2,
  LOG_LINE_SIZE_BYTES_MAX,
  RANDOM_SIZE_BYTES_MAX,
} from '../limits.ts';
import { GuestExit, type Vm } from '../vm.ts';
import { monotonicNanoseconds, wallNanoseconds } from './clock.ts';
import type { HostFunctions } from './function.ts';

const SUCCESS = 0;
const BADF = 8;
const FAULT = 21;
const INVAL = 28;
const NOENT = 44;
const NOSYS = 52;
const NOTSUP = 58;

const STDOUT_FD = 1;
const STDERR_FD = 2;
const LEVEL_INFO = 2;
const LEVEL_ERROR = 4;
const IO_VECTORS_COUNT_MAX = 1_024;
/** fdstat: | filetype u8 | … | flags u16 | … | rights u64 | inheriting u64 |, 24 bytes. */
const FDSTAT_SIZE_BYTES = 24;
const FILETYPE_CHARACTER_DEVICE = 2;
/** subscription: | userdata u64 | kind u8 | … |, 48 bytes. */
const SUBSCRIPTION_SIZE_BYTES = 48;
const SUBSCRIPTIONS_COUNT_MAX = 1_024;
/** event: | userdata u64 | errno u16 | kind u8 | … |, 32 bytes. */
const EVENT_SIZE_BYTES = 32;
const EVENT_CLOCK = 0;

export function wasiFunctions(vm: Vm): HostFunctions {
  return { ...outputFunctions(vm), ...processFunctions(vm), ...absentFunctions() };
}

function outputFunctions(vm: Vm): HostFunctions {
  return {
    fd_write(fd: number, vectorsPtr: number, vectorsCount: number, writtenPtr: number): number {
      if (fd !== STDOUT_FD && fd !== STDERR_FD) return BADF;
      if (vectorsCount < 0 || vectorsCount > IO_VECTORS_COUNT_MAX) return INVAL;
      const { memory } = vm;
      if (!memory.holds(vectorsPtr, 8 * vectorsCount) || !memory.holds(writtenPtr, 4)) return FAULT;
      vm.charge(vectorsCount);
      const start = vectorsPtr >>> 0;
      const parts: Buffer[] = [];
      let sizeBytes = 0;
      for (let index = 0; index < vectorsCount; index++) {
        const ptr = memory.view.readUInt32LE(start + 8 * index);
        const part = memory.bytes(ptr, memory.view.readUInt32LE(start + 8 * index + 4));
        if (part === null) return FAULT;
        // What a line is too short for is not copied: vectors may all point to the same megabytes.
        if (sizeBytes < LOG_LINE_SIZE_BYTES_MAX) {
          parts.push(part.subarray(0, LOG_LINE_SIZE_BYTES_MAX));
        }
        sizeBytes += part.length;
        if (sizeBytes > memory.sizeBytes) return INVAL;
      }
      // No more of it is written.
      const shownSizeBytes = Math.min(sizeBytes, LOG_LINE_SIZE_BYTES_MAX);
      vm.charge(shownSizeBytes >> HOST_COPY_SIZE_BYTES_LOG2);
      const piece = parts.length === 1 ? parts[0]! : Buffer.concat(parts, shownSizeBytes);
      if (piece.length > 0) vm.log.output(fd === STDOUT_FD ? LEVEL_INFO : LEVEL_ERROR, piece);
      memory.setU32(writtenPtr, sizeBytes);
      return SUCCESS;
    },
    fd_fdstat_get(fd: number, outPtr: number): number {
      if (fd !== STDOUT_FD && fd !== STDERR_FD) return BADF;
      const stat = vm.memory.bytes(outPtr, FDSTAT_SIZE_BYTES);
      if (stat === null) return FAULT;
      stat.fill(0);
      stat[0] = FILETYPE_CHARACTER_DEVICE;
      // The right to write: bit 6.
      stat.writeBigUInt64LE(64n, 8);
      return SUCCESS;
    },
  };
}

function processFunctions(vm: Vm): HostFunctions {
  let known: readonly Uint8Array[] | null = null;
  const environmentLines = (): readonly Uint8Array[] => {
    known ??= environment(vm);
    vm.charge(known.length);
    return known;
  };
  return {
    proc_exit(code: number): number {
      throw new GuestExit(`it ended itself with exit code ${code}`);
    },
    environ_sizes_get(countPtr: number, sizePtr: number): number {
      const lines = environmentLines();
      const sizeBytes = lines.reduce((sum, line) => sum + line.length, 0);
      const status = vm.memory.setU32Pair(countPtr, lines.length, sizePtr, sizeBytes);
      return status === 0 ? SUCCESS : FAULT;
    },
    environ_get(pointersPtr: number, textPtr: number): number {
      const lines = environmentLines();
      const sizeBytes = lines.reduce((sum, line) => sum + line.length, 0);
      if (!vm.memory.holds(pointersPtr, 4 * lines.length)) return FAULT;
      if (!vm.memory.holds(textPtr, sizeBytes)) return FAULT;
      let pointer = pointersPtr >>> 0;
      let text = textPtr >>> 0;
      for (const line of lines) {
        vm.memory.setU32(pointer, text);
        vm.memory.view.set(line, text);
        pointer += 4;
        text += line.length;
      }
      return SUCCESS;
    },
    args_sizes_get(countPtr: number, sizePtr: number): number {
      return vm.memory.setU32Pair(countPtr, 0, sizePtr, 0) === 0 ? SUCCESS : FAULT;
    },
    args_get(_pointersPtr: number, _textPtr: number): number {
      return SUCCESS;
    },
    random_get(ptr: number, sizeBytes: number): number {
      if (sizeBytes < 0 || sizeBytes > RANDOM_SIZE_BYTES_MAX) return INVAL;
      const target = vm.memory.bytes(ptr, sizeBytes);
      if (target === null) return FAULT;
      vm.charge(sizeBytes >> HOST_RANDOM_SIZE_BYTES_LOG2);
      vm.services.fillRandom(target);
      return SUCCESS;
    },
    clock_time_get(clock: number, _precision: bigint, outPtr: number): number {
      if (clock !== 0 && clock !== 1) return NOTSUP;
      const now = clock === 0 ? wallNanoseconds(vm) : monotonicNanoseconds(vm);
      return vm.memory.setU64(outPtr, now) === 0 ? SUCCESS : FAULT;
    },
    clock_res_get(clock: number, outPtr: number): number {
      if (clock !== 0 && clock !== 1) return NOTSUP;
      return vm.memory.setU64(outPtr, 1_000n) === 0 ? SUCCESS : FAULT;
    },
    sched_yield(): number {
      return SUCCESS;
    },
    /** Never waits: every time has come at once, and nothing can be read or written. A runtime that
     *  sleeps asks again and pays for it; Go needs an answer to end with its panic's own words. */
    poll_oneoff(fromPtr: number, toPtr: number, count: number, countPtr: number): number {
      if (count <= 0 || count > SUBSCRIPTIONS_COUNT_MAX) return INVAL;
      const from = vm.memory.bytes(fromPtr, SUBSCRIPTION_SIZE_BYTES * count);
      const to = vm.memory.bytes(toPtr, EVENT_SIZE_BYTES * count);
      if (from === null || to === null || !vm.memory.holds(countPtr, 4)) return FAULT;
      vm.charge(count);
      for (let index = 0; index < count; index++) {
        const asked = SUBSCRIPTION_SIZE_BYTES * index;
        const event = EVENT_SIZE_BYTES * index;
        const userData = from.readBigUInt64LE(asked);
        const kind = from[asked + 8]!;
        to.fill(0, event, event + EVENT_SIZE_BYTES);
        to.writeBigUInt64LE(userData, event);
        to.writeUInt16LE(kind === EVENT_CLOCK ? SUCCESS : BADF, event + 8);
        to[event + 10] = kind;
      }
      vm.memory.setU32(countPtr, count);
      return SUCCESS;
    },
  };
}

/** `NAME=VALUE` and a zero, each. */
function environment(vm: Vm): Uint8Array[] {
  return Object.entries(vm.spec.env).map(([name, value]) => Buffer.from(`${name}=${value}\0`));
}

/** A function that is there to be linked; `count` is how many arguments it takes. */
function absent(status: number): () => number {
  return () => status;
}

function absentFunctions(): HostFunctions {
  return {
    fd_close: absent(NOSYS),
    fd_seek: absent(NOSYS),
    fd_read: absent(NOSYS),
    fd_fdstat_set_flags: absent(NOSYS),
    // The end of the scan for folders that a runtime makes as it starts.
    fd_prestat_get: absent(BADF),
    fd_prestat_dir_name: absent(NOSYS),
    fd_advise: absent(NOSYS),
    fd_allocate: absent(NOSYS),
    fd_datasync: absent(NOSYS),
    fd_fdstat_set_rights: absent(NOSYS),
    fd_filestat_get: absent(NOSYS),
    fd_filestat_set_size: absent(NOSYS),
    fd_filestat_set_times: absent(NOSYS),
    fd_pread: absent(NOSYS),
    fd_pwrite: absent(NOSYS),
    fd_readdir: absent(NOSYS),
    fd_renumber: absent(NOSYS),
    fd_sync: absent(NOSYS),
    fd_tell: absent(NOSYS),
    path_create_directory: absent(NOSYS),
    path_filestat_get: absent(NOSYS),
    path_filestat_set_times: absent(NOSYS),
    path_link: absent(NOSYS),
    path_open: absent(NOENT),
    path_readlink: absent(NOSYS),
    path_remove_directory: absent(NOSYS),
    path_rename: absent(NOSYS),
    path_symlink: absent(NOSYS),
    path_unlink_file: absent(NOSYS),
    proc_raise: absent(NOSYS),
    sock_accept: absent(NOSYS),
    sock_recv: absent(NOSYS),
    sock_send: absent(NOSYS),
    sock_shutdown: absent(NOSYS),
  };
}
