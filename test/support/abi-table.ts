// The host functions of the ABI, each with its parameters as the specifications of 0.1.0, 0.2.0 and
// 0.2.1 give them, calls that succeed with what they bring about, and calls that find nothing.
// Pointers out of bounds are no part of it: they follow from the parameters.

import assert from 'node:assert/strict';
import { deflateSync, inflateSync } from 'node:zlib';
import type { AbiVersion } from '../../host/proxywasm/index.ts';
import type { AbiProbe } from './abi-probe.ts';
import {
  BAD_ARGUMENT,
  CAS_MISMATCH,
  EMPTY,
  fails,
  gives,
  INTERNAL_FAILURE,
  int64,
  NOT_FOUND,
  OK,
  PARSE_FAILURE,
  pairs,
  type Row,
  row,
  UNIMPLEMENTED,
} from './abi-rows.ts';

const inflated = (probe: AbiProbe) => inflateSync(Buffer.from(probe.given(), 'latin1')).toString();
const REQUEST_PAIRS = pairs(':method', 'GET', ':path', '/a?b=1', 'x-in', 'one');
const CALL_PAIRS = pairs(':method', 'GET', ':path', '/', ':authority', 'a');
const requestHead = (probe: AbiProbe) => probe.exchange.maps[0];
const body = (probe: AbiProbe) => Buffer.from(probe.stream.body(0).bytes()).toString();
const finishing = (probe: AbiProbe) => {
  probe.stream.isFinishing = true;
};
const logging = (probe: AbiProbe) => {
  probe.stream.isLogging = true;
};
const withQueue = (probe: AbiProbe) => {
  const token = probe.vm.services.queues.register('vm', 'q');
  probe.vm.services.queues.enqueue(token, Buffer.from('message'));
};
const withData = (probe: AbiProbe) => {
  probe.vm.services.data.set('vm', 'k', Buffer.from('value'), 0);
};
const withMetric = (probe: AbiProbe) => {
  probe.vm.services.metrics.define('probe', 'gauge', 'g');
  probe.vm.services.metrics.record(0, 40);
  probe.vm.metricIds.add(0);
};
const metric = (probe: AbiProbe) => probe.vm.services.metrics.value(0);

const LOGGING: readonly Row[] = [
  row(
    'proxy_log',
    'u32 bytes',
    [
      { args: [3, 'text'], status: OK, see: ({ lines }) => lines[0]?.message, is: 'text' },
      { args: [0, 'trace'], status: OK, see: ({ lines }) => lines.length, is: 0 },
    ],
    [fails(BAD_ARGUMENT, 6, 'text'), fails(BAD_ARGUMENT, -1, 'text')],
  ),
  row(
    'proxy_get_log_level',
    'out32',
    [{ args: [], status: OK, see: (probe) => probe.out(0), is: 1 }],
    [],
  ),
  row(
    'proxy_get_status',
    'out32 out32 out32',
    [
      {
        args: [],
        status: OK,
        prepare: ({ vm }) => Object.assign(vm.root, { grpcStatus: 14, grpcStatusMessage: 'no' }),
        see: (probe) => [probe.out(0), probe.vm.memory.text(probe.out(1), probe.out(2))],
        is: [14, 'no'],
      },
    ],
    [],
  ),
];

const CLOCK: readonly Row[] = [
  row(
    'proxy_get_current_time_nanoseconds',
    'out64',
    [
      {
        args: [],
        status: OK,
        see: (probe) => probe.out64(0) - BigInt(probe.clock.wallMs()) * 1_000_000n,
        is: 0n,
      },
    ],
    [],
  ),
  row(
    'proxy_set_tick_period_milliseconds',
    'u32',
    [
      { args: [250], status: OK, see: ({ timers }) => timers.periods, is: [250] },
      {
        args: [0],
        status: OK,
        prepare: ({ vm }) => vm.setTick(9),
        see: ({ timers }) => timers.periods,
        is: [],
      },
    ],
    [fails(BAD_ARGUMENT, -1)],
  ),
];

const BUFFERS: readonly Row[] = [
  row(
    'proxy_get_buffer_bytes',
    'u32 u32 u32 out32 out32',
    [
      gives('request body', 0, 0, 100),
      gives('body', 0, 8, 100),
      gives('re', 1, 0, 2),
      gives('reply', 4, 0, 100),
      gives('vm config', 6, 0, 100),
      gives('plugin config', 7, 0, -1),
      gives('', 7, 13, 100),
      gives('', 8, 0, 100),
    ],
    [
      fails(NOT_FOUND, 2, 0, 1),
      fails(NOT_FOUND, 5, 0, 1),
      fails(BAD_ARGUMENT, 9, 0, 1),
      fails(BAD_ARGUMENT, -1, 0, 1),
      fails(BAD_ARGUMENT, 0, 13, 1),
    ],
  ),
  row(
    'proxy_set_buffer_bytes',
    'u32 u32 u32 bytes',
    [
      { args: [0, 0, 0, 'a '], status: OK, see: body, is: 'a request body' },
      { args: [0, 12, 0, '!'], status: OK, see: body, is: 'request body!' },
      { args: [0, 99, 0, '!'], status: OK, see: body, is: 'request body!' },
      { args: [0, 0, -1, 'other'], status: OK, see: body, is: 'other' },
      { args: [0, 0, 7, 'my'], status: OK, see: body, is: 'my body' },
    ],
    [
      fails(BAD_ARGUMENT, 0, 3, 1, 'x'),
      fails(NOT_FOUND, 7, 0, 0, 'x'),
      fails(BAD_ARGUMENT, 9, 0, 0, 'x'),
      { ...fails(NOT_FOUND, 0, 0, 0, 'x'), prepare: logging },
    ],
  ),
  row(
    'proxy_get_buffer_status',
    'u32 out32 out32',
    [{ args: [1], status: OK, see: (probe) => [probe.out(0), probe.out(1)], is: [13, 0] }],
    [fails(NOT_FOUND, 3), fails(BAD_ARGUMENT, 9)],
  ),
];

const HEADERS: readonly Row[] = [
  row(
    'proxy_get_header_map_pairs',
    'u32 out32 out32',
    [
      gives(REQUEST_PAIRS.toString('latin1'), 0),
      gives(pairs(':status', '204').toString('latin1'), 6),
      { ...gives('', 0), prepare: ({ exchange }) => exchange.maps[0]!.splice(0) },
      gives('', 1),
      gives('', 7),
    ],
    [fails(BAD_ARGUMENT, 8), fails(BAD_ARGUMENT, -1)],
  ),
  row(
    'proxy_set_header_map_pairs',
    'u32 bytes',
    [
      { args: [0, pairs('X-A', 'b')], status: OK, see: requestHead, is: ['x-a', 'b'] },
      { args: [0, ''], status: OK, see: requestHead, is: [] },
    ],
    [
      fails(PARSE_FAILURE, 0, 'no pairs at all'),
      fails(BAD_ARGUMENT, 0, pairs('x-a', 'b\r\nx-c: d')),
      fails(BAD_ARGUMENT, 0, pairs('x a', 'b')),
      fails(NOT_FOUND, 1, pairs('x-a', 'b')),
      fails(BAD_ARGUMENT, 6, pairs('x-a', 'b')),
      { ...fails(BAD_ARGUMENT, 0, ''), prepare: logging },
    ],
  ),
  row(
    'proxy_get_header_map_size',
    'u32 out32',
    [{ args: [0], status: OK, see: (probe) => probe.out(0), is: REQUEST_PAIRS.length }],
    [fails(NOT_FOUND, 3), fails(BAD_ARGUMENT, 8)],
  ),
  row(
    'proxy_get_header_map_value',
    'u32 bytes out32 out32',
    [
      gives('one', 0, 'x-in'),
      gives('one', 0, 'X-In'),
      gives('200', 2, ':status'),
      gives('204', 6, ':status'),
      {
        ...gives('one, two', 0, 'x-in'),
        prepare: ({ exchange }) => exchange.maps[0]!.push('x-in', 'two'),
      },
    ],
    [fails(NOT_FOUND, 0, 'x-none'), fails(NOT_FOUND, 1, 'x'), fails(BAD_ARGUMENT, 8, 'x')],
  ),
  row(
    'proxy_add_header_map_value',
    'u32 bytes bytes',
    [
      {
        args: [2, 'X-A', 'b'],
        status: OK,
        see: ({ exchange }) => exchange.maps[2],
        is: [':status', '200', 'x-a', 'b'],
      },
    ],
    [
      fails(BAD_ARGUMENT, 0, '', 'b'),
      fails(BAD_ARGUMENT, 0, 'x-a', 'b\nc'),
      fails(NOT_FOUND, 1, 'x-a', 'b'),
      fails(BAD_ARGUMENT, 6, 'x-a', 'b'),
    ],
  ),
  row(
    'proxy_replace_header_map_value',
    'u32 bytes bytes',
    [
      {
        args: [0, 'X-In', 'two'],
        status: OK,
        see: requestHead,
        is: [':method', 'GET', ':path', '/a?b=1', 'x-in', 'two'],
      },
      {
        args: [2, 'x-new', ''],
        status: OK,
        see: ({ exchange }) => exchange.maps[2],
        is: [':status', '200', 'x-new', ''],
      },
    ],
    [fails(BAD_ARGUMENT, 0, 'x:y', 'b'), fails(NOT_FOUND, 3, 'x', 'y')],
  ),
  row(
    'proxy_remove_header_map_value',
    'u32 bytes',
    [
      {
        args: [0, 'X-In'],
        status: OK,
        see: requestHead,
        is: [':method', 'GET', ':path', '/a?b=1'],
      },
      { args: [0, 'x-none'], status: OK },
    ],
    [fails(NOT_FOUND, 1, 'x'), fails(BAD_ARGUMENT, 6, 'x')],
  ),
];

const PROPERTIES: readonly Row[] = [
  row(
    'proxy_get_property',
    'bytes out32 out32',
    [
      gives('root', 'plugin_root_id'),
      gives('r', 'route_name'),
      gives('r', 'route_name\0'),
      gives('one', 'request\0headers\0x-in'),
      gives(int64(5_000n), 'source\0port'),
    ],
    [
      fails(NOT_FOUND, 'nothing'),
      fails(NOT_FOUND, ''),
      fails(NOT_FOUND, 'request\0headers\0x-none'),
      fails(BAD_ARGUMENT, 'x'.repeat(1_025)),
    ],
  ),
  row(
    'proxy_set_property',
    'bytes bytes',
    [
      {
        args: ['mine\0too', 'value'],
        status: OK,
        see: ({ exchange }) => String(Buffer.from(exchange.properties?.get('mine\0too') ?? [])),
        is: 'value',
      },
    ],
    [fails(BAD_ARGUMENT, '', 'value'), fails(BAD_ARGUMENT, 'x'.repeat(1_025), 'value')],
  ),
];

const STREAMS: readonly Row[] = [
  row(
    'proxy_continue_stream',
    'u32',
    [{ args: [1], status: OK, see: ({ stream }) => stream.isResumed, is: [false, true] }],
    [
      fails(BAD_ARGUMENT, 4),
      fails(BAD_ARGUMENT, -1),
      fails(UNIMPLEMENTED, 2),
      { ...fails(NOT_FOUND, 0), prepare: logging },
    ],
  ),
  row(
    'proxy_close_stream',
    'u32',
    [{ args: [0], status: OK, see: ({ stream }) => stream.isClosed, is: true }],
    [fails(BAD_ARGUMENT, 4), fails(UNIMPLEMENTED, 3), { ...fails(NOT_FOUND, 0), prepare: logging }],
  ),
  row(
    'proxy_set_effective_context',
    'u32',
    [
      { args: [1], status: OK },
      { args: [2], status: OK, see: ({ vm, stream }) => vm.context(2) === stream, is: true },
    ],
    [fails(BAD_ARGUMENT, 77), fails(BAD_ARGUMENT, 0)],
  ),
  row(
    'proxy_done',
    '',
    [{ args: [], status: OK, prepare: finishing, see: ({ vm }) => vm.streamsCount, is: 0 }],
    [fails(NOT_FOUND)],
  ),
  row(
    'proxy_send_local_response',
    'u32 bytes bytes bytes u32',
    [
      {
        args: [429, 'why', 'body', pairs('x-a', 'b'), -1],
        status: OK,
        see: ({ stream }) => stream.answer,
        is: {
          status: 429,
          details: 'why',
          headers: ['x-a', 'b'],
          body: Uint8Array.from(Buffer.from('body')),
        },
      },
      {
        args: [200, '', '', '', 16],
        status: OK,
        see: ({ stream }) => stream.answer?.headers,
        is: ['grpc-status', '16'],
      },
    ],
    [
      fails(BAD_ARGUMENT, 199, '', '', '', -1),
      fails(BAD_ARGUMENT, 600, '', '', '', -1),
      fails(PARSE_FAILURE, 200, '', '', 'no pairs', -1),
      fails(BAD_ARGUMENT, 200, '', '', pairs('x-a', '\n'), -1),
      { ...fails(NOT_FOUND, 200, '', '', '', -1), prepare: logging },
    ],
  ),
];

const GRPC = 'bytes bytes bytes bytes';
const GRPC_ASKED = { service: 'wallet', authority: '', path: '/pkg.Service/method', metadata: [] };
const grpcRequest = (more: object) => ({ ...GRPC_ASKED, timeoutMs: 900, ...more });
const grpcAsked = ({ grpcRequests }: AbiProbe) => {
  const { messageSizeBytesMax: _, queueSizeBytesMax: __, ...asked } = grpcRequests[0]!;
  return asked;
};
const withStream = ({ vm }: AbiProbe) => {
  vm.grpc.stream({ ...GRPC_ASKED, timeoutMs: 0 });
};
const withCall = ({ vm }: AbiProbe) => {
  vm.grpc.call({ ...GRPC_ASKED, timeoutMs: 0 }, Buffer.from('first'));
};
/** Four streams that hold all that may wait, but for one byte. */
const withFullQueues = (probe: AbiProbe) => {
  probe.grpcWaitingSizeBytes = 8_388_608;
  for (let count = 0; count < 3; count++) withStream(probe);
  probe.grpcWaitingSizeBytes -= 1;
  withStream(probe);
};
const withAllCalls = (probe: AbiProbe) => {
  while (!probe.vm.hasAllCalls) withStream(probe);
};
/** Envoy's GrpcService: envoy_grpc with cluster_name and authority, a field of 32 bits and one of
 *  64 that nobody knows, google_grpc (a number here: not ours to read), and initial_metadata. */
const GRPC_SERVICE =
  '\x0a\x10\x0a\x06wallet\x12\x06a.test\x7d\x00\x00\x00\x00\x79\x00\x00\x00\x00\x00\x00\x00\x00' +
  '\x10\x80\x01\x2a\x08\x0a\x03X-A\x12\x01b';
const BAD_GRPC_SERVICES = [
  // Cut short, and with sizes that are too large.
  '\x0a\x10\x0a\x06wallet',
  '\x0a\x08\x0a\x07wallet',
  '\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0a\x06wallet',
  '\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01',
  // Another cluster, none, a number for it, and google_grpc alone.
  '\x0a\x08\x0a\x06nobody',
  '\x0a\x00',
  '\x08\x01',
  '\x0a\x02\x08\x01',
  '\x12\x08\x0a\x06wallet',
  // Field 0, a group, and bytes behind the message.
  '\x02\x00\x0a\x08\x0a\x06wallet',
  '\x0b\x0c\x0a\x08\x0a\x06wallet',
  '\x0a\x08\x0a\x06wallet\x0a',
  '\x0a\x08\x0a\x06wallet\x7d\x00',
  // An authority that is none.
  '\x0a\x0c\x0a\x06wallet\x12\x02a\x20',
  'x'.repeat(16_385),
];
/** Names, metadata and sizes that cannot be sent. */
const badGrpc = [
  ['wallet', '', 'm', ''],
  ['wallet', 's', '', ''],
  ['wallet', 's p', 'm', ''],
  ['wallet', 's', 'm?a', ''],
  ['wallet', 's', 'm\r\nx', ''],
  ['wallet', 's', 'm'.repeat(1_024), ''],
  ['wallet', 's', 'm', pairs('x-a', 'b\r\nc')],
  ['wallet', 's', 'm', pairs('x a', 'b')],
  ['wallet', 's', 'm', pairs('x-a', 'b'.repeat(16_384))],
] as const;
const CALLS: readonly Row[] = [
  row(
    'proxy_http_call',
    'bytes bytes bytes bytes u32 out32',
    [
      {
        args: ['wallet', CALL_PAIRS, 'body', pairs('X-T', 'u'), 900],
        status: OK,
        see: ({ requests }) => requests[0],
        is: {
          service: 'wallet',
          headers: [':method', 'GET', ':path', '/', ':authority', 'a'],
          body: Uint8Array.from(Buffer.from('body')),
          trailers: ['x-t', 'u'],
          timeoutMs: 900,
        },
      },
    ],
    [
      fails(BAD_ARGUMENT, 'nobody', CALL_PAIRS, '', '', 0),
      fails(BAD_ARGUMENT, 'wallet', pairs(':method', 'GET'), '', '', 0),
      fails(PARSE_FAILURE, 'wallet', 'no pairs', '', '', 0),
      fails(PARSE_FAILURE, 'wallet', CALL_PAIRS, '', 'no pairs', 0),
    ],
  ),
  row(
    'proxy_grpc_call',
    `${GRPC} bytes u32 out32`,
    [
      {
        args: ['wallet', 'pkg.Service', 'method', pairs('X-A', 'b'), 'message', 900],
        status: OK,
        see: (probe) => [probe.vm.grpc.kindOf(probe.out(0)), probe.grpcEvents, grpcAsked(probe)],
        is: ['call', ['send message', 'end'], grpcRequest({ metadata: ['x-a', 'b'] })],
      },
      {
        args: [GRPC_SERVICE, 'pkg.Service', 'method', pairs('x-c', 'd'), 'message', 900],
        status: OK,
        see: grpcAsked,
        is: grpcRequest({ authority: 'a.test', metadata: ['x-a', 'b', 'x-c', 'd'] }),
      },
    ],
    [
      ...badGrpc.map((args) => fails(BAD_ARGUMENT, ...args, '', 0)),
      fails(PARSE_FAILURE, 'nobody', 's', 'm', '', '', 0),
      fails(PARSE_FAILURE, '', 's', 'm', '', '', 0),
      fails(PARSE_FAILURE, 'wallet', 's', 'm', 'no pairs', '', 0),
      ...BAD_GRPC_SERVICES.map((service) => fails(PARSE_FAILURE, service, 's', 'm', '', '', 0)),
      { ...fails(INTERNAL_FAILURE, 'wallet', 's', 'm', '', '', 0), prepare: withAllCalls },
      { ...fails(INTERNAL_FAILURE, 'wallet', 's', 'm', '', 'ab', 0), prepare: withFullQueues },
    ],
  ),
  row(
    'proxy_grpc_stream',
    `${GRPC} out32`,
    [
      {
        args: ['wallet', 'pkg.Service', 'method', ''],
        status: OK,
        see: (probe) => [probe.vm.grpc.kindOf(probe.out(0)), probe.grpcEvents, grpcAsked(probe)],
        is: ['stream', [], grpcRequest({ timeoutMs: 0 })],
      },
    ],
    [
      ...badGrpc.map((args) => fails(BAD_ARGUMENT, ...args)),
      fails(PARSE_FAILURE, 'nobody', 's', 'm', ''),
      { ...fails(INTERNAL_FAILURE, 'wallet', 's', 'm', ''), prepare: withAllCalls },
    ],
  ),
  row(
    'proxy_grpc_send',
    'u32 bytes u32',
    [
      {
        args: [1, 'message', 0],
        status: OK,
        prepare: withStream,
        see: ({ grpcEvents }) => grpcEvents,
        is: ['send message'],
      },
      {
        args: [1, '', 1],
        status: OK,
        prepare: withStream,
        see: ({ grpcEvents }) => grpcEvents,
        is: ['send ', 'end'],
      },
    ],
    [
      fails(NOT_FOUND, 1, 'message', 0),
      { ...fails(INTERNAL_FAILURE, 1, 'ab', 0), prepare: withFullQueues },
      { ...fails(OK, 1, 'a', 0), prepare: withFullQueues },
      { ...fails(BAD_ARGUMENT, 1, 'message', 0), prepare: withCall },
      {
        ...fails(BAD_ARGUMENT, 1, 'message', 0),
        prepare: (probe) => {
          withStream(probe);
          probe.vm.grpc.end(1);
        },
      },
      {
        ...fails(INTERNAL_FAILURE, 1, 'message', 1),
        prepare: (probe) => {
          withStream(probe);
          probe.hasGrpcRoom = false;
        },
        see: ({ grpcEvents }) => grpcEvents,
        is: ['send message'],
      },
    ],
  ),
  row(
    'proxy_grpc_cancel',
    'u32',
    [withCall, withStream].map((prepare) => ({
      args: [1],
      status: OK,
      prepare,
      see: ({ vm, grpcEvents }) => [vm.grpc.kindOf(1), grpcEvents.at(-1)],
      is: [null, 'cancel'],
    })),
    [fails(NOT_FOUND, 1)],
  ),
  row(
    'proxy_grpc_close',
    'u32',
    [
      {
        args: [1],
        status: OK,
        prepare: withCall,
        see: ({ vm, grpcEvents }) => [vm.grpc.kindOf(1), grpcEvents.at(-1)],
        is: [null, 'cancel'],
      },
      // The service may still say something: only the guest's side is closed.
      {
        args: [1],
        status: OK,
        prepare: withStream,
        see: ({ vm, grpcEvents }) => [vm.grpc.kindOf(1), grpcEvents.at(-1)],
        is: ['stream', 'end'],
      },
    ],
    [fails(NOT_FOUND, 1)],
  ),
];

function sharedEntry(vm: AbiProbe['vm'], key: string) {
  const entry = vm.services.data.get('vm', key);
  assert.ok(entry !== null && entry !== 'busy', `no shared data for ${key}`);
  return entry;
}

const SHARED: readonly Row[] = [
  row(
    'proxy_get_shared_data',
    'bytes out32 out32 out32',
    [
      {
        args: ['k'],
        status: OK,
        prepare: withData,
        see: (probe) => [probe.given(), probe.out(2) === sharedEntry(probe.vm, 'k').cas],
        is: ['value', true],
      },
    ],
    [fails(NOT_FOUND, 'other')],
  ),
  row(
    'proxy_set_shared_data',
    'bytes bytes u32',
    [
      {
        args: ['k', 'new', 0],
        status: OK,
        prepare: withData,
        see: ({ vm }) => Buffer.from(sharedEntry(vm, 'k').value).toString(),
        is: 'new',
      },
    ],
    [
      { ...fails(CAS_MISMATCH, 'k', 'new', 99_999), prepare: withData },
      fails(BAD_ARGUMENT, 'k'.repeat(1_025), '', 0),
    ],
  ),
  row(
    'proxy_register_shared_queue',
    'bytes out32',
    [
      {
        args: ['q'],
        status: OK,
        see: (probe) => probe.out(0) === probe.vm.services.queues.resolve('vm', 'q'),
        is: true,
      },
    ],
    [fails(BAD_ARGUMENT, 'q'.repeat(1_025))],
  ),
  row(
    'proxy_resolve_shared_queue',
    'bytes bytes out32',
    [
      { args: ['vm', 'q'], status: OK, prepare: withQueue, see: (probe) => probe.out(0), is: 1 },
      { args: ['', 'q'], status: OK, prepare: withQueue, see: (probe) => probe.out(0), is: 1 },
    ],
    [fails(NOT_FOUND, '', 'q'), { ...fails(NOT_FOUND, 'other', 'q'), prepare: withQueue }],
  ),
  row(
    'proxy_enqueue_shared_queue',
    'u32 bytes',
    [
      {
        args: [1, 'second'],
        status: OK,
        prepare: withQueue,
        see: ({ vm: { services } }) => {
          services.queues.dequeue(1);
          return Buffer.from(services.queues.dequeue(1) as Uint8Array).toString();
        },
        is: 'second',
      },
    ],
    [fails(NOT_FOUND, 9, 'x')],
  ),
  row(
    'proxy_dequeue_shared_queue',
    'u32 out32 out32',
    [{ ...gives('message', 1), prepare: withQueue }],
    [
      fails(NOT_FOUND, 9),
      { ...fails(EMPTY, 1), prepare: ({ vm }) => vm.services.queues.register('vm', 'q') },
    ],
  ),
];

const METRICS: readonly Row[] = [
  row(
    'proxy_define_metric',
    'u32 bytes out32',
    [
      { args: [0, 'requests'], status: OK, see: (probe) => probe.out(0), is: 0 },
      { args: [1, 'g'], status: OK, prepare: withMetric, see: (probe) => probe.out(0), is: 0 },
      { args: [2, 'h'], status: OK, prepare: withMetric, see: (probe) => probe.out(0), is: 1 },
    ],
    [fails(BAD_ARGUMENT, 3, 'x'), fails(BAD_ARGUMENT, 0, '')],
  ),
  row(
    'proxy_record_metric',
    'u32 u64',
    [{ args: [0, 7n], status: OK, prepare: withMetric, see: metric, is: 7 }],
    [fails(NOT_FOUND, 9, 7n)],
  ),
  row(
    'proxy_increment_metric',
    'u32 u64',
    [
      { args: [0, 2n], status: OK, prepare: withMetric, see: metric, is: 42 },
      { args: [0, -2n], status: OK, prepare: withMetric, see: metric, is: 38 },
    ],
    [fails(NOT_FOUND, -1, 1n)],
  ),
  row(
    'proxy_get_metric',
    'u32 out64',
    [{ args: [0], status: OK, prepare: withMetric, see: (probe) => probe.out64(0), is: 40n }],
    [fails(NOT_FOUND, 9)],
  ),
];

const REST: readonly Row[] = [
  row(
    'proxy_call_foreign_function',
    'bytes bytes out32 out32',
    [
      gives('', 'declare_property', 'x'),
      gives('', 'clear_route_cache', ''),
      gives('a text', 'uncompress', deflateSync('a text')),
      { args: ['compress', 'a text'], status: OK, see: inflated, is: 'a text' },
    ],
    [
      fails(NOT_FOUND, 'sign', ''),
      fails(BAD_ARGUMENT, 'uncompress', 'not deflated'),
      fails(BAD_ARGUMENT, 'uncompress', deflateSync('a text').subarray(0, -1)),
    ],
  ),
  row(
    'proxy_continue_request',
    '',
    [{ args: [], status: OK, see: ({ stream }) => stream.isResumed, is: [true, false] }],
    [{ ...fails(NOT_FOUND), prepare: logging }],
  ),
  row(
    'proxy_continue_response',
    '',
    [{ args: [], status: OK, see: ({ stream }) => stream.isResumed, is: [false, true] }],
    [{ ...fails(NOT_FOUND), prepare: logging }],
  ),
  row('proxy_clear_route_cache', '', [{ args: [], status: OK }], []),
  row(
    'proxy_get_configuration',
    'out32 out32',
    [
      {
        ...gives('vm config'),
        prepare: ({ vm }) => {
          vm.configuring = 'vm';
        },
      },
      {
        ...gives('plugin config'),
        prepare: ({ vm }) => {
          vm.configuring = 'plugin';
        },
      },
      gives(''),
    ],
    [],
  ),
  // Not statuses: 1 is "the same".
  row('pthread_equal', 'u32 u32', [{ args: [4, 4], status: 1 }], [fails(0, 4, 5)]),
  row('emscripten_notify_memory_growth', 'u32', [{ args: [0], status: OK }], []),
];

/** What only some versions have; all others are in each. Source: abi-versions/ of the
 *  specification, and what its modules import in practice. */
export const VERSIONS_OF: Readonly<Record<string, readonly AbiVersion[]>> = {
  proxy_get_log_level: ['0.2.1'],
  proxy_continue_stream: ['0.2.0', '0.2.1'],
  proxy_close_stream: ['0.2.0', '0.2.1'],
  proxy_continue_request: ['0.1.0'],
  proxy_continue_response: ['0.1.0'],
  proxy_clear_route_cache: ['0.1.0'],
  proxy_get_configuration: ['0.1.0'],
};

export const ABI_ROWS: readonly Row[] = [
  ...LOGGING,
  ...CLOCK,
  ...BUFFERS,
  ...HEADERS,
  ...PROPERTIES,
  ...STREAMS,
  ...CALLS,
  ...SHARED,
  ...METRICS,
  ...REST,
];
