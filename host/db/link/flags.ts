// The flags of records: what a request is, without its bytes being looked at.
//
//     request   bits 0-1 endpoint · 2 protobuf · 3 read-only
//     open      bits 0-1 version  · 2 protobuf · 3 read-only
//     message   bit 0 binary
//     reply     bits 0-1 form     · 2 protobuf

import type { Access, Encoding, Endpoint, HttpReply, SocketVersion } from '../hrana/index.ts';

const ENDPOINTS: readonly Endpoint[] = ['execute', 'batch', 'pipeline', 'cursor'];
const FORMS: readonly HttpReply['form'][] = ['message', 'lines', 'error'];
const PROTOBUF = 4;
const READ_ONLY = 8;

export interface RequestFlags {
  readonly endpoint: Endpoint;
  readonly encoding: Encoding;
  readonly access: Access;
}

export interface OpenFlags {
  readonly version: SocketVersion;
  readonly encoding: Encoding;
  readonly access: Access;
}

export function requestFlags({ endpoint, encoding, access }: RequestFlags): number {
  return ENDPOINTS.indexOf(endpoint) | sharedFlags(encoding, access);
}

export function readRequestFlags(flags: number): RequestFlags {
  return { endpoint: ENDPOINTS[flags & 3]!, ...readSharedFlags(flags) };
}

export function openFlags({ version, encoding, access }: OpenFlags): number {
  return version | sharedFlags(encoding, access);
}

export function readOpenFlags(flags: number): OpenFlags {
  return { version: (flags & 3) as SocketVersion, ...readSharedFlags(flags) };
}

export function replyFlags(form: HttpReply['form'], encoding: Encoding): number {
  return FORMS.indexOf(form) | sharedFlags(encoding, 'read-write');
}

export function readReplyFlags(flags: number): { form: HttpReply['form']; encoding: Encoding } {
  return { form: FORMS[flags & 3]!, encoding: readSharedFlags(flags).encoding };
}

function sharedFlags(encoding: Encoding, access: Access): number {
  return (encoding === 'protobuf' ? PROTOBUF : 0) | (access === 'read-only' ? READ_ONLY : 0);
}

function readSharedFlags(flags: number): { encoding: Encoding; access: Access } {
  return {
    encoding: (flags & PROTOBUF) === 0 ? 'json' : 'protobuf',
    access: (flags & READ_ONLY) === 0 ? 'read-write' : 'read-only',
  };
}
