// Properties as Envoy encodes them: text as its bytes, whole numbers as 8 bytes, times in ns,
// booleans as one byte, header maps as pairs.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AbiProbe, probeModule } from '../support/abi-probe.ts';
import { pairs, parametersOf } from '../support/abi-rows.ts';

const PARAMETERS = parametersOf('bytes out32 out32');
const MODULE = probeModule('0.2.1', [
  { module: 'env', name: 'proxy_get_property', parameters: PARAMETERS, hasResult: true },
  {
    module: 'env',
    name: 'proxy_set_property',
    parameters: parametersOf('bytes bytes'),
    hasResult: true,
  },
]);
const NOT_FOUND = 1;

/** Undefined for what is not there. */
function propertyOf(probe: AbiProbe, path: string): Buffer | undefined {
  const args = probe.place(PARAMETERS, [path.replaceAll('.', '\0')]);
  const status = probe.call('env.proxy_get_property', args);
  if (status === NOT_FOUND) return undefined;
  assert.equal(status, 0, path);
  return Buffer.from(probe.given(), 'latin1');
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
}

const REQUEST = [':method', 'POST', ':path', '/a/b?c=d&e', ':authority', 'shop.example.com'];
const REST = ['user-agent', 'curl', 'x-many', '1', 'x-many', '2', 'x-request-id', 'id-7'];
const RESPONSE = [':status', '404', 'content-type', 'text/plain', 'grpc-status', '5'];

const TEXTS: readonly [string, string][] = [
  ['plugin_root_id', 'root'],
  ['plugin_name', 'probe'],
  ['plugin_vm_id', 'vm'],
  ['route_name', 'r'],
  ['xds.route_name', 'r'],
  ['cluster_name', 's'],
  ['xds.cluster_name', 's'],
  ['request.path', '/a/b?c=d&e'],
  ['request.url_path', '/a/b'],
  ['request.query', 'c=d&e'],
  ['request.host', 'shop.example.com'],
  ['request.method', 'POST'],
  ['request.useragent', 'curl'],
  ['request.id', 'id-7'],
  ['request.protocol', 'HTTP/1.1'],
  ['request.headers.user-agent', 'curl'],
  ['request.headers.User-Agent', 'curl'],
  ['request.headers.x-many', '1, 2'],
  ['response.content_type', 'text/plain'],
  ['response.code_details', 'via_upstream'],
  ['response.headers.content-type', 'text/plain'],
  ['source.address', '127.0.0.1:5000'],
  ['destination.address', '127.0.0.1:8080'],
  ['upstream.address', '127.0.0.1:9000'],
];

const NUMBERS: readonly [string, bigint][] = [
  ['source.port', 5_000n],
  ['destination.port', 8_080n],
  ['response.code', 404n],
  ['response.status', 404n],
  ['response.grpc_status', 5n],
  ['response.flags', 0n],
  ['response.size', 0n],
  ['request.size', 0n],
  ['listener_direction', 1n],
  // Timestamps and durations, in ns: of 1,700,000,000,000 ms and 2 ms.
  ['request.time', 1_700_000_000_000_000_000n],
  ['request.duration', 2_000_000n],
];

function probe(): AbiProbe {
  const made = new AbiProbe(MODULE);
  made.exchange.maps[0] = [...REQUEST, ...REST];
  made.exchange.maps[2] = [...RESPONSE];
  return made;
}

describe('a property', () => {
  for (const [path, text] of TEXTS) {
    it(`${path} is the text ${text}`, () => {
      assert.equal(propertyOf(probe(), path)?.toString('latin1'), text);
    });
  }

  for (const [path, value] of NUMBERS) {
    it(`${path} is ${value} in 8 bytes`, () => {
      assert.deepEqual(propertyOf(probe(), path), int64(value));
    });
  }

  it('connection.mtls is one byte', () => {
    assert.deepEqual(propertyOf(probe(), 'connection.mtls'), Buffer.from([0]));
  });

  it('that is a header map is given as pairs', () => {
    const made = probe();
    assert.deepEqual(propertyOf(made, 'request.headers'), pairs(...REQUEST, ...REST));
    assert.deepEqual(propertyOf(made, 'response.headers'), pairs(...RESPONSE));
    assert.deepEqual(propertyOf(made, 'request.trailers'), Buffer.alloc(0));
  });

  it('of a response is not there before there is one', () => {
    const made = probe();
    made.exchange.maps[2] = null;
    for (const path of ['response.code', 'response.headers', 'response.size']) {
      assert.equal(propertyOf(made, path), undefined, path);
    }
  });

  it('of IPv6 has its address in brackets', () => {
    const made = probe();
    const facts = { ...made.exchange.facts, peerAddress: '2001:db8::1', peerPort: 0 };
    Object.assign(made.exchange, { facts });
    assert.equal(propertyOf(made, 'source.address')?.toString(), '[2001:db8::1]:0');
    assert.deepEqual(propertyOf(made, 'source.port'), int64(0n));
  });

  it('that nobody has is not found', () => {
    const made = probe();
    for (const path of ['', 'request', 'request.nothing', 'source.nothing', 'node.id', 'x.y.z']) {
      assert.equal(propertyOf(made, path), undefined, path);
    }
  });

  it('that a filter set is there for it and the filters behind, and cannot hide another', () => {
    const made = probe();
    const set = (path: string, value: string) => {
      const args = made.place(parametersOf('bytes bytes'), [path, value]);
      assert.equal(made.call('env.proxy_set_property', args), 0);
    };
    set('mine\0own', 'yes');
    set('route_name', 'another');
    assert.equal(propertyOf(made, 'mine.own')?.toString(), 'yes');
    assert.equal(propertyOf(made, 'route_name')?.toString(), 'r');
    // 64 of them at most.
    for (let count = 2; count < 64; count++) set(`p${count}`, '');
    const args = made.place(parametersOf('bytes bytes'), ['one-more', '']);
    assert.equal(made.call('env.proxy_set_property', args), 2);
  });
});
