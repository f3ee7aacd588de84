// Which fields may be trailers.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { passableTrailers, trailerLines, trailersSizeBytes } from '../../host/core/index.ts';

describe('trailers', () => {
  it('keep what says something about a body, repeated and in order', () => {
    const given = ['Digest', 'a', 'grpc-status', '0', 'server-timing', 'b', 'digest', '\xff'];
    const passed = ['digest', 'a', 'grpc-status', '0', 'server-timing', 'b', 'digest', '\xff'];
    assert.deepEqual(passableTrailers(given), passed);
  });

  it('lose what a head decides by, however it is written', () => {
    for (const name of [
      ...['Content-Length', 'transfer-encoding', 'trailer', 'te', 'connection', 'host'],
      ...['authorization', 'cookie', 'set-cookie', 'content-type', 'Content_Type', 'if-match'],
      ...['x-forwarded-for', 'X_Forwarded_For', 'x_forwarded-proto', 'x_real_ip', 'forwarded'],
      ...[':status', ':path', 'a b', '', 'traceparent', 'cdn-loop', 'x-sluice-reason'],
    ]) {
      assert.deepEqual(passableTrailers([name, 'x', 'x-a', 'b']), ['x-a', 'b'], name);
    }
    for (const value of ['a\r\nb', 'a\0', '\n']) {
      assert.deepEqual(passableTrailers(['x-a', value]), [], JSON.stringify(value));
    }
  });

  it('are lines on the wire, and as large as those', () => {
    const trailers = ['x-a', 'b', 'x-c', ''];
    assert.equal(trailerLines(trailers), 'x-a: b\r\nx-c: \r\n');
    assert.equal(trailersSizeBytes(trailers), trailerLines(trailers).length);
    assert.equal(trailerLines([]), '');
  });
});
