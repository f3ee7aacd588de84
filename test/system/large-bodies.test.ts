// Bodies of 1 GiB both ways through a gateway that may hold 256 MiB more than when idle, whole to
// the last byte; and bodies whose reader or writer stops for a while, which it must not gather.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { open, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';

const MIB = 1_048_576;
const BODY_SIZE_BYTES = 1_024 * MIB;
const GROWTH_BYTES_MAX = 256 * MIB;
/** No power of two, so that chunks never fall on the edges of buffers. */
const BLOCK = Buffer.alloc(999_983);
for (let index = 0; index < BLOCK.length; index++) BLOCK[index] = (index * 31 + 7) & 255;

/** The bytes of a body of `sizeBytes`; at `pauseAt` it waits once for `pause`. */
async function* bytesOf(
  sizeBytes: number,
  pauseAt = -1,
  pause: () => Promise<unknown> = async () => {},
): AsyncGenerator<Buffer> {
  let sent = 0;
  let isPaused = false;
  while (sent < sizeBytes) {
    const block = BLOCK.subarray(0, Math.min(BLOCK.length, sizeBytes - sent));
    yield block;
    sent += block.length;
    if (!isPaused && pauseAt >= 0 && sent >= pauseAt) {
      isPaused = true;
      await pause();
    }
  }
}

const CHECKSUM = await (async () => {
  const hash = createHash('sha1');
  for await (const block of bytesOf(BODY_SIZE_BYTES)) hash.update(block);
  return hash.digest('hex');
})();

for (const engine of ['uws', 'node'] as const) {
  describe(`large bodies on ${engine}`, { timeout: 240_000 }, () => {
    let gateway: GatewayProcess;
    let origin: Origin;
    let serve: RequestListener = () => {};
    let watch: NodeJS.Timeout;
    let idleBytes = 0;
    let peakBytes = 0;

    before(async () => {
      origin = await startOrigin('origin', (request, response) => serve(request, response));
      gateway = await startGateway({
        config: {
          services: { origin: { endpoints: [origin.url] } },
          routes: [{ match: { path: '/*' }, to: 'origin' }],
        },
        listener: { engine },
      });
      idleBytes = gateway.rssBytes();
      watch = setInterval(() => {
        peakBytes = Math.max(peakBytes, gateway.rssBytes());
      }, 20);
    });
    after(async () => {
      clearInterval(watch);
      assert.equal(await gateway.stop(), 0);
      await origin.stop();
    });

    const assertBounded = () => {
      const grown = Math.round((peakBytes - idleBytes) / MIB);
      assert.ok(peakBytes - idleBytes <= GROWTH_BYTES_MAX, `grew by ${grown} MiB`);
    };

    for (const framing of ['content-length', 'chunked'] as const) {
      const headers: Record<string, string> =
        framing === 'chunked'
          ? { 'transfer-encoding': 'chunked' }
          : { 'content-length': String(BODY_SIZE_BYTES) };

      it(`download, ${framing}`, async () => {
        serve = (_request, response) => {
          response.writeHead(200, framing === 'chunked' ? {} : headers);
          Readable.from(bytesOf(BODY_SIZE_BYTES)).pipe(response);
        };
        const request = open(gateway.url, {}, () => {});
        request.end();
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        const hash = createHash('sha1');
        for await (const chunk of response) hash.update(chunk as Buffer);
        assert.equal(hash.digest('hex'), CHECKSUM);
        assertBounded();
      });

      it(`upload, ${framing}`, async () => {
        serve = (request, response) => {
          const hash = createHash('sha1');
          request.on('data', (chunk: Buffer) => hash.update(chunk));
          request.on('end', () => response.end(hash.digest('hex')));
        };
        const request = open(gateway.url, { method: 'POST', headers }, () => {});
        Readable.from(bytesOf(BODY_SIZE_BYTES)).pipe(request);
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        let said = '';
        for await (const chunk of response) said += chunk;
        assert.equal(said, CHECKSUM);
        assertBounded();
      });
    }

    it('holds the upstream back while the client does not read', async () => {
      let written = 0;
      serve = (_request, response) => {
        Readable.from(bytesOf(BODY_SIZE_BYTES))
          .on('data', (chunk: Buffer) => {
            written += chunk.length;
          })
          .pipe(response);
      };
      const request = open(gateway.url, {}, () => {});
      request.end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      response.pause();
      const held = await settled(() => written);
      assert.ok(held < 100 * MIB, `${held} bytes were written for a client that reads none`);
      request.destroy();
      await untilTrue(() => origin.open.size === 0);
      assertBounded();
    });

    it('holds the client back while the upstream does not read', async () => {
      let upload: IncomingMessage | null = null;
      const hash = createHash('sha1');
      serve = (request, response) => {
        upload = request;
        request.pause();
        request.on('end', () => response.end(hash.digest('hex')));
      };
      let written = 0;
      const sizeBytes = 200 * MIB;
      const expected = createHash('sha1');
      const length = { 'content-length': String(sizeBytes) };
      const request = open(gateway.url, { method: 'POST', headers: length }, () => {});
      Readable.from(bytesOf(sizeBytes))
        .on('data', (chunk: Buffer) => {
          written += chunk.length;
          expected.update(chunk);
        })
        .pipe(request);
      await untilTrue(() => upload !== null);
      const held = await settled(() => written);
      assert.ok(held < 100 * MIB, `${held} bytes were sent to an upstream that reads none`);
      upload!.on('data', (chunk: Buffer) => hash.update(chunk));
      upload!.resume();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      let said = '';
      for await (const chunk of response) said += chunk;
      assert.equal(said, expected.digest('hex'));
      assertBounded();
    });

    it('waits for a writer that stops on its way, in both directions', async () => {
      const sizeBytes = 40 * MIB;
      let passed = 0;
      // It goes on when all it has written so far has come out on the other side.
      const untilPassed = (count: number) => () => untilTrue(() => passed >= count);
      const half = 20 * BLOCK.length;
      serve = (request, response) => {
        request.on('data', (chunk: Buffer) => {
          passed += chunk.length;
        });
        request.on('end', () => {
          passed = 0;
          Readable.from(bytesOf(sizeBytes, half, untilPassed(half))).pipe(response);
        });
      };
      const request = open(gateway.url, { method: 'POST' }, () => {});
      Readable.from(bytesOf(sizeBytes, half, untilPassed(half))).pipe(request);
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      for await (const chunk of response) passed += (chunk as Buffer).length;
      assert.equal(passed, sizeBytes);
    });
  });
}

/** A counter's value when it has not moved for a while. */
async function settled(read: () => number): Promise<number> {
  for (let before = -1; before !== read(); ) {
    before = read();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return read();
}
