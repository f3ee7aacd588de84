// A request body on uWS whose end never comes: of a client that fell silent, or of one whose chunk
// extension uWS took for a larger size. Time is the sweep, which the test calls.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BODY_IDLE_TIMEOUT_MS, UploadBudget } from '../../host/core/index.ts';
import { UploadWatch } from '../../host/edge/upload-watch.ts';
import { UwsBody } from '../../host/edge/uws-body.ts';
import type { UwsResponse } from '../../host/edge/uws-native.ts';

/** More sweeps than the idle timeout has, which is at least one a second. */
const SWEEPS_COUNT = BODY_IDLE_TIMEOUT_MS / 1_000;

function scene() {
  const uploads = new UploadWatch();
  let cuts = 0;
  const owner = {
    onBodyError: (error: unknown) => assert.fail(String(error)),
    onBodyNativeError: (error: unknown) => assert.fail(String(error)),
    onBodyCut: () => {
      cuts += 1;
      uploads.delete(body);
    },
    onBodyOverflow: (detail: string) => assert.fail(detail),
  };
  const response = { pause() {}, resume() {} } as unknown as UwsResponse;
  const body: UwsBody = new UwsBody(response, owner, new UploadBudget());
  uploads.add(body);
  body.read({ onChunk() {} });
  body.accept(Buffer.from('xx\r\n0\r\n\r\n'), false);
  return { uploads, body, cuts: () => cuts };
}

describe('a body that is read and does not end', () => {
  it('is cut when it brings nothing for too long', () => {
    const { uploads, cuts } = scene();
    for (let count = 0; count < SWEEPS_COUNT; count++) uploads.sweep();
    assert.equal(cuts(), 1);
    uploads.stop();
  });

  it('is kept while it brings something', () => {
    const { uploads, body, cuts } = scene();
    for (let count = 0; count < SWEEPS_COUNT; count++) {
      body.accept(Buffer.from('x'), false);
      uploads.sweep();
    }
    assert.equal(cuts(), 0);
    uploads.stop();
  });
});
