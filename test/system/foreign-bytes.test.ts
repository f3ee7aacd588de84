// Slow clients of one worker, each with an answer of its own letter. What a socket does not take is
// kept, and must be a copy: the buffer that upstreams are read into is one for the whole worker.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';

const BODY_SIZE_BYTES = 24 * 1_048_576;
const LETTERS = ['a', 'b', 'c', 'd'];

for (const engine of ['uws', 'node'] as const) {
  describe(`answers to slow clients on ${engine}`, { timeout: 240_000 }, () => {
    let gateway: GatewayProcess;
    let origin: Origin;
    before(async () => {
      origin = await startOrigin('origin', (request, response) => {
        const [, letter = '', framing] = request.url!.split('/');
        const body = Buffer.alloc(BODY_SIZE_BYTES, letter);
        if (framing === 'chunked') response.write(body.subarray(0, 1));
        response.end(framing === 'chunked' ? body.subarray(1) : body);
      });
      gateway = await startGateway({
        config: {
          workers: { io: 1 },
          services: { origin: { endpoints: [origin.url] } },
          routes: [{ match: { path: '/*' }, to: 'origin' }],
        },
        listener: { engine },
      });
    });
    after(async () => {
      assert.equal(await gateway.stop(), 0);
      await origin.stop();
    });

    for (const framing of ['content-length', 'chunked']) {
      it(`hold no byte of another's, ${framing}`, async () => {
        const read = async (letter: string) => {
          const request = open(gateway.url, { path: `/${letter}/${framing}` }, () => {});
          request.end();
          const [response] = (await once(request, 'response')) as [IncomingMessage];
          // Every socket on the way is full before anything is read.
          await sleep(200);
          let sizeBytes = 0;
          let count = 0;
          for await (const chunk of response as AsyncIterable<Buffer>) {
            sizeBytes += chunk.length;
            const foreign = chunk.findIndex((byte) => byte !== letter.charCodeAt(0));
            assert.equal(foreign, -1, `byte ${sizeBytes + foreign} of ${letter} is another's`);
            count += 1;
            if (count % 16 === 0) await sleep(1);
          }
          assert.equal(sizeBytes, BODY_SIZE_BYTES);
        };
        await Promise.all(LETTERS.map(read));
      });
    }
  });
}
