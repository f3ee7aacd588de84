// Where a gRPC call goes, as SDKs say it: the name of a service, or Envoy's GrpcService message.
//
//   GrpcService       1 envoy_grpc: EnvoyGrpc    5 initial_metadata: HeaderValue, repeated
//   EnvoyGrpc         1 cluster_name: string     2 authority: string
//   HeaderValue       1 key: string              2 value: string
//
// Other fields are for Envoy's own clients, and are read over. What is not a whole message of
// protobuf is none. Source: envoy/config/core/v3/grpc_service.proto.

import type { HeaderList } from '../../core/index.ts';
import { GRPC_SERVICE_SIZE_BYTES_MAX, PAIRS_COUNT_MAX } from '../limits.ts';

const WIRE_VARINT = 0;
const WIRE_64_BIT = 1;
const WIRE_BYTES = 2;
const WIRE_32_BIT = 5;
const VARINT_SIZE_BYTES_MAX = 10;
const FIELD_NUMBER_MAX = 536_870_911;

export interface GrpcServiceMessage {
  readonly cluster: string;
  /** `''` for none. */
  readonly authority: string;
  readonly metadata: HeaderList;
}

/** Reads a GrpcService that has an envoy_grpc; null for everything else. */
export function readGrpcService(bytes: Buffer): GrpcServiceMessage | null {
  if (bytes.length === 0 || bytes.length > GRPC_SERVICE_SIZE_BYTES_MAX) return null;
  const fields = readFields(bytes);
  if (fields === null) return null;
  let cluster = '';
  let authority = '';
  const metadata: HeaderList = [];
  for (const { number, value } of fields) {
    if (number === 1) {
      // Messages that are repeated are merged: what comes last stands.
      const envoy = value === null ? null : readTexts(value);
      if (envoy === null) return null;
      cluster = envoy[1] ?? cluster;
      authority = envoy[2] ?? authority;
    } else if (number === 5) {
      const header = value === null ? null : readTexts(value);
      if (header === null || metadata.length >= 2 * PAIRS_COUNT_MAX) return null;
      metadata.push((header[1] ?? '').toLowerCase(), header[2] ?? '');
    }
  }
  return cluster === '' ? null : { cluster, authority, metadata };
}

interface Field {
  readonly number: number;
  /** Null for what is no text and no message. */
  readonly value: Buffer | null;
}

/** Fields 1 and 2 of a message, which are texts. */
function readTexts(bytes: Buffer): Readonly<Record<number, string>> | null {
  const fields = readFields(bytes);
  if (fields === null) return null;
  const texts: Record<number, string> = {};
  for (const { number, value } of fields) {
    if (number > 2) continue;
    if (value === null) return null;
    texts[number] = value.toString('latin1');
  }
  return texts;
}

/** All fields of a message; null where it is malformed. */
function readFields(bytes: Buffer): Field[] | null {
  const fields: Field[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const tag = readVarint(bytes, offset);
    if (tag === null) return null;
    const number = Math.floor(tag.value / 8);
    if (number === 0 || number > FIELD_NUMBER_MAX) return null;
    const wire = tag.value % 8;
    let end = tag.end;
    let value: Buffer | null = null;
    if (wire === WIRE_VARINT) {
      const skipped = readVarint(bytes, end);
      if (skipped === null) return null;
      end = skipped.end;
    } else if (wire === WIRE_BYTES) {
      const size = readVarint(bytes, end);
      if (size === null || size.end + size.value > bytes.length) return null;
      end = size.end + size.value;
      value = bytes.subarray(size.end, end);
    } else if (wire === WIRE_64_BIT || wire === WIRE_32_BIT) end += wire === WIRE_64_BIT ? 8 : 4;
    else return null;
    if (end > bytes.length) return null;
    fields.push({ number, value });
    offset = end;
  }
  return fields;
}

/** Exact below 2^53, which is more than a size or a tag may be. */
function readVarint(bytes: Buffer, start: number): { value: number; end: number } | null {
  let value = 0;
  for (let index = 0; index < VARINT_SIZE_BYTES_MAX; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 128 ** index;
    if (byte < 0x80) return { value, end: start + index + 1 };
  }
  return null;
}
