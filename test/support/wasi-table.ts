// The functions of WASI preview 1, each with its parameters, what it answers, and what it does.
// Source: WASI preview 1; what is answered for what a gateway does not have, from Envoy's host.

import type { AbiProbe } from './abi-probe.ts';
import { type Call, parametersOf, type Row } from './abi-rows.ts';

const SUCCESS = 0;
const BADF = 8;
const FAULT = 21;
const INVAL = 28;
const NOENT = 44;
const NOSYS = 52;
const NOTSUP = 58;

/** Bytes that an iovec points to, in the guest's memory, where the probe puts nothing. */
const TEXT_PTR = 40_000;
const VECTORS_PTR = 39_000;
const SUBSCRIPTIONS_PTR = 38_000;
const EVENTS_PTR = 37_000;

function row(
  name: string,
  parameters: string,
  good: readonly Call[],
  missing: readonly Call[] = [],
): Row {
  return { name, parameters: parametersOf(parameters), good, missing };
}

/** A function that does nothing, whatever it is called with. */
function absent(name: string, parameters: string, status = NOSYS): Row {
  const zeros = parametersOf(parameters).map((kind) => (kind === 'u64' ? 0n : 0));
  const ones = parametersOf(parameters).map((kind) => (kind === 'u64' ? -1n : -1));
  const calls = [
    { args: zeros, status },
    { args: ones, status },
  ];
  return row(name, parameters, calls);
}

/** Two vectors with `ab` and `c`. */
function vectors({ vm: { memory } }: AbiProbe): void {
  memory.view.write('abc', TEXT_PTR);
  memory.setU32(VECTORS_PTR, TEXT_PTR);
  memory.setU32(VECTORS_PTR + 4, 2);
  memory.setU32(VECTORS_PTR + 8, TEXT_PTR + 2);
  memory.setU32(VECTORS_PTR + 12, 1);
}

/** To a time, and to what can be read from the input. */
function subscriptions({ vm: { memory } }: AbiProbe): void {
  memory.view.fill(0, SUBSCRIPTIONS_PTR, SUBSCRIPTIONS_PTR + 96);
  memory.setU64(SUBSCRIPTIONS_PTR, 7n);
  memory.setU64(SUBSCRIPTIONS_PTR + 48, 8n);
  memory.view[SUBSCRIPTIONS_PTR + 56] = 1;
}

/** An event's user data, status and kind. */
function event({ vm: { memory } }: AbiProbe, index: number): unknown[] {
  const at = EVENTS_PTR + 32 * index;
  const { view } = memory;
  return [view.readBigUInt64LE(at), view.readUInt16LE(at + 8), view[at + 10]];
}

const OUTPUT: readonly Row[] = [
  row(
    'fd_write',
    'u32 u32 u32 out32',
    [
      {
        args: [1, VECTORS_PTR, 2],
        status: SUCCESS,
        prepare: vectors,
        see: (probe) => [probe.lines[0], probe.out(0)],
        is: [{ plugin: 'probe', level: 'info', message: 'abc' }, 3],
      },
      {
        args: [2, VECTORS_PTR, 1],
        status: SUCCESS,
        prepare: vectors,
        see: (probe) => probe.lines[0],
        is: { plugin: 'probe', level: 'error', message: 'ab' },
      },
      { args: [1, VECTORS_PTR, 0], status: SUCCESS, see: ({ lines }) => lines, is: [] },
    ],
    [
      { args: [0, VECTORS_PTR, 1], status: BADF },
      { args: [3, VECTORS_PTR, 1], status: BADF },
      { args: [1, VECTORS_PTR, 1_025], status: INVAL },
      { args: [1, VECTORS_PTR, -1], status: INVAL },
      // The vectors are out of bounds; then one of them points out of bounds.
      { args: [1, -8, 1], status: FAULT },
      {
        args: [1, VECTORS_PTR, 1],
        status: FAULT,
        prepare: ({ vm: { memory } }) => {
          memory.setU32(VECTORS_PTR, memory.sizeBytes - 1);
          memory.setU32(VECTORS_PTR + 4, 2);
        },
        see: ({ lines }) => lines,
        is: [],
      },
    ],
  ),
  row(
    'fd_fdstat_get',
    'u32 out32',
    [
      {
        args: [1],
        status: SUCCESS,
        see: (probe) => [probe.out(0), probe.out(1)],
        is: [2, 64],
      },
    ],
    [{ args: [0], status: BADF }],
  ),
];

const PROCESS: readonly Row[] = [
  row('environ_sizes_get', 'out32 out32', [
    { args: [], status: SUCCESS, see: (probe) => [probe.out(0), probe.out(1)], is: [2, 13] },
  ]),
  row('environ_get', 'out32 out32', [
    {
      args: [],
      status: SUCCESS,
      see: ({ vm: { memory } }) => [
        memory.view.readUInt32LE(256),
        memory.view.readUInt32LE(260),
        memory.text(264, 13),
      ],
      is: [264, 268, 'A=1\0LONG=two\0'],
    },
  ]),
  row('args_sizes_get', 'out32 out32', [
    { args: [], status: SUCCESS, see: (probe) => [probe.out(0), probe.out(1)], is: [0, 0] },
  ]),
  row('args_get', 'address address', [{ args: [0, 0], status: SUCCESS }]),
  row(
    'random_get',
    'address u32',
    [
      { args: [TEXT_PTR, 0], status: SUCCESS },
      {
        args: [TEXT_PTR, 32],
        status: SUCCESS,
        see: ({ vm }) => vm.memory.bytes(TEXT_PTR, 32)!.equals(Buffer.alloc(32)),
        is: false,
      },
    ],
    [
      { args: [TEXT_PTR, 65_537], status: INVAL },
      { args: [TEXT_PTR, -1], status: INVAL },
      { args: [-4, 32], status: FAULT },
    ],
  ),
  row(
    'clock_time_get',
    'u32 u64 out64',
    [
      {
        args: [0, 0n],
        status: SUCCESS,
        see: (probe) => probe.out64(0) - BigInt(probe.clock.wallMs()) * 1_000_000n,
        is: 0n,
      },
      {
        args: [1, 0n],
        status: SUCCESS,
        see: (probe) => probe.out64(0) - BigInt(probe.clock.nowMs()) * 1_000_000n,
        is: 0n,
      },
    ],
    [{ args: [2, 0n], status: NOTSUP }],
  ),
  row(
    'clock_res_get',
    'u32 out64',
    [{ args: [0], status: SUCCESS, see: (probe) => probe.out64(0), is: 1_000n }],
    [{ args: [9], status: NOTSUP }],
  ),
  row('sched_yield', '', [{ args: [], status: SUCCESS }]),
  row(
    'poll_oneoff',
    'address address u32 out32',
    [
      {
        args: [SUBSCRIPTIONS_PTR, EVENTS_PTR, 2],
        status: SUCCESS,
        prepare: subscriptions,
        see: (probe) => [probe.out(0), event(probe, 0), event(probe, 1)],
        // The time has come; nothing can be read.
        is: [2, [7n, SUCCESS, 0], [8n, BADF, 1]],
      },
    ],
    [
      { args: [SUBSCRIPTIONS_PTR, EVENTS_PTR, 0], status: INVAL },
      { args: [SUBSCRIPTIONS_PTR, EVENTS_PTR, -1], status: INVAL },
      { args: [SUBSCRIPTIONS_PTR, EVENTS_PTR, 1_025], status: INVAL },
      { args: [-48, EVENTS_PTR, 2], status: FAULT },
      { args: [SUBSCRIPTIONS_PTR, -32, 2], status: FAULT },
    ],
  ),
];

const ABSENT: readonly Row[] = [
  absent('fd_close', 'u32'),
  absent('fd_seek', 'u32 u64 u32 address'),
  absent('fd_read', 'u32 address u32 address'),
  absent('fd_fdstat_set_flags', 'u32 u32'),
  absent('fd_prestat_get', 'u32 address', BADF),
  absent('fd_prestat_dir_name', 'u32 address u32'),
  absent('fd_advise', 'u32 u64 u64 u32'),
  absent('fd_allocate', 'u32 u64 u64'),
  absent('fd_datasync', 'u32'),
  absent('fd_fdstat_set_rights', 'u32 u64 u64'),
  absent('fd_filestat_get', 'u32 address'),
  absent('fd_filestat_set_size', 'u32 u64'),
  absent('fd_filestat_set_times', 'u32 u64 u64 u32'),
  absent('fd_pread', 'u32 address u32 u64 address'),
  absent('fd_pwrite', 'u32 address u32 u64 address'),
  absent('fd_readdir', 'u32 address u32 u64 address'),
  absent('fd_renumber', 'u32 u32'),
  absent('fd_sync', 'u32'),
  absent('fd_tell', 'u32 address'),
  absent('path_create_directory', 'u32 address u32'),
  absent('path_filestat_get', 'u32 u32 address u32 address'),
  absent('path_filestat_set_times', 'u32 u32 address u32 u64 u64 u32'),
  absent('path_link', 'u32 u32 address u32 u32 address u32'),
  absent('path_open', 'u32 u32 address u32 u32 u64 u64 u32 address', NOENT),
  absent('path_readlink', 'u32 address u32 address u32 address'),
  absent('path_remove_directory', 'u32 address u32'),
  absent('path_rename', 'u32 address u32 u32 address u32'),
  absent('path_symlink', 'address u32 u32 address u32'),
  absent('path_unlink_file', 'u32 address u32'),
  absent('proc_raise', 'u32'),
  absent('sock_accept', 'u32 u32 address'),
  absent('sock_recv', 'u32 address u32 u32 address address'),
  absent('sock_send', 'u32 address u32 u32 address'),
  absent('sock_shutdown', 'u32 u32'),
];

/** All but proc_exit, which does not come back. */
export const WASI_ROWS: readonly Row[] = [...OUTPUT, ...PROCESS, ...ABSENT];
