// More uploads to an upstream that does not read than a worker may hold: the gateway's memory stays
// below what the limit allows, the excess is told why, and others are served meanwhile.

import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { UPLOADS_HELD_SIZE_BYTES_MAX } from '../../host/core/index.ts';
import { ask, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { type RawServer, rawServer } from '../support/upstream.ts';

const MIB = 1_048_576;
const UPLOADS_COUNT = 200;
const CHUNKS = {
  large: Buffer.from(`10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(16)),
  small: Buffer.from(`40\r\n${'x'.repeat(64)}\r\n`.repeat(8_192)),
};
/** Beside the held bytes: the heap of a gateway at work, and what malloc has not returned. */
const OTHER_GROWTH_BYTES_MAX = 64 * MIB;

for (const engine of ['uws', 'node'] as const) {
  describe(`stalled uploads on ${engine}`, { timeout: 60_000 }, () => {
    let gateway: GatewayProcess;
    let stalled: RawServer;
    let origin: Origin;
    const clients: Socket[] = [];

    before(async () => {
      stalled = await rawServer((socket) => socket.pause());
      origin = await startOrigin('well');
      gateway = await startGateway({
        config: {
          workers: { io: 1 },
          services: {
            stalled: {
              endpoints: [`http://127.0.0.1:${stalled.port}`],
              pool: { connections: 8, pending: 1_000 },
              timeouts: { connect: '50s', idle: '50s' },
            },
            well: { endpoints: [origin.url] },
          },
          routes: [
            { name: 'stalled', match: { path: '/stalled' }, to: 'stalled', maxBody: '1GiB' },
            { name: 'well', match: { path: '/well' }, to: 'well' },
          ],
        },
        listener: { engine },
      });
    });
    after(async () => {
      for (const client of clients) client.destroy();
      await stalled.stop();
      assert.equal(await gateway.stop(), 0);
      await origin.stop();
    });

    // Each piece of a body costs a buffer of its own: with small chunks the same memory is reached
    // with a fifth of the bytes.
    for (const chunks of ['large', 'small'] as const) {
      it(`in ${chunks} chunks stay below the limit together`, async () => {
        const idleBytes = gateway.rssBytes();
        const answers: string[] = [];
        const before = clients.length;
        for (let count = 0; count < UPLOADS_COUNT; count++) {
          clients.push(upload(gateway.port, CHUNKS[chunks], answers));
        }
        await untilTrue(() => stalled.open.size === 8);
        let peakBytes = 0;
        for (let looks = 0; looks < 20; looks++) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          peakBytes = Math.max(peakBytes, gateway.rssBytes());
        }
        const grown = peakBytes - idleBytes;
        assert.ok(
          grown < UPLOADS_HELD_SIZE_BYTES_MAX + OTHER_GROWTH_BYTES_MAX,
          `grew by ${Math.round(grown / MIB)} MiB`,
        );
        if (engine === 'uws' && chunks === 'small') {
          await untilTrue(() => answers.length > 0);
          for (const answer of answers) {
            assert.match(answer, /^HTTP\/1\.1 503 .*x-sluice-reason: 606\r\n/s);
          }
        }
        const well = await ask(`${gateway.url}/well`, { method: 'POST', body: 'short' });
        assert.equal(well.status, 200);
        for (const client of clients.slice(before)) client.destroy();
      });
    }
  });
}

/** Sends a part of a body that never ends, or as much as is taken. */
function upload(port: number, chunks: Buffer, answers: string[]): Socket {
  const client = connect(port, '127.0.0.1');
  let text = '';
  client.on('error', () => client.destroy());
  client.on('data', (bytes) => {
    if (text === '') answers.push(bytes.toString('latin1'));
    text += bytes.toString('latin1');
  });
  client.write('POST /stalled HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  client.write(chunks);
  return client;
}
