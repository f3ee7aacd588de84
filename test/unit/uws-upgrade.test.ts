// Where a WebSocket upgrade is made on uWS, on a stand-in for its native response.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { UwsHost, UwsResponse } from '../../host/edge/uws-native.ts';
import { upgradeToWebSocket } from '../../host/edge/uws-websocket.ts';

/** Notes what is called, in order, and whether a foreign cork was there to be used. */
function upgrade(foreign: 'open' | 'gone'): string[] {
  const calls: string[] = [];
  const cork = (name: string, callback: () => void) => {
    calls.push(`${name} begins`);
    callback();
    calls.push(`${name} ends`);
  };
  const response = {
    cork: (callback: () => void) => cork('own cork', callback),
    upgrade: () => calls.push('upgrade'),
  };
  const host = {
    active: 0,
    upgradeCork: {
      run(callback: () => void) {
        if (foreign === 'gone') return false;
        cork('foreign cork', callback);
        return true;
      },
    },
  };
  const peer = { onMessage() {}, onClose() {}, onDrain() {} };
  const request = { protocol: '', headers: ['sec-websocket-key', 'key'], context: null };
  upgradeToWebSocket(response as never as UwsResponse, host as never as UwsHost, peer, request);
  return calls;
}

describe('an upgrade on uWS', () => {
  // Inside the response's own cork, uWS read the state of a response that the upgrade had replaced:
  // on Node 22 the first WebSockets of a worker closed with 1006, in 8 of 25 starts.
  it('is made inside the cork of another response, never its own', () => {
    assert.deepEqual(upgrade('open'), ['foreign cork begins', 'upgrade', 'foreign cork ends']);
  });

  it('is made without any cork where the other response is gone', () => {
    assert.deepEqual(upgrade('gone'), ['upgrade']);
  });
});
