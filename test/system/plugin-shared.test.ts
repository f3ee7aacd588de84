// What plugins share they share over all workers: the token bucket of plugins/, behind two io
// workers and both listener engines, lets through what its policy says, to the request.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ask } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';

const LIMIT = 60;
const REQUESTS = 400;

describe('a token bucket in shared data', { timeout: 120_000 }, () => {
  let origin: Origin;
  let gateway: GatewayProcess;

  before(async () => {
    origin = await startOrigin('one');
    gateway = await startGateway({
      config: {
        workers: { io: 2 },
        listen: [
          { port: 0, address: '127.0.0.1' },
          { port: 0, address: '127.0.0.1', engine: 'node' },
        ],
        services: { origin: { endpoints: [origin.url] } },
        plugins: [
          {
            name: 'limit',
            file: `${process.cwd()}/build/plugins/token-bucket.wasm`,
            config: { limit: LIMIT, perSeconds: 86_400, key: 'route', onFailure: 'close' },
          },
        ],
        routes: [{ name: 'all', match: { path: '/*' }, to: 'origin', filters: ['limit'] }],
      },
    });
  });
  after(async () => {
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
  });

  it('grants exactly its limit over two workers and two engines', async () => {
    const statuses: number[] = [];
    let sent = 0;
    // A connection for each request: the kernel spreads them over the workers.
    const client = async () => {
      while (sent < REQUESTS) {
        const port = gateway.ports[sent % 3 === 0 ? 1 : 0]!;
        sent += 1;
        statuses.push((await ask(`http://127.0.0.1:${port}/x`)).status);
      }
    };
    await Promise.all(Array.from({ length: 16 }, client));
    assert.equal(statuses.length, REQUESTS);
    const granted = statuses.filter((status) => status === 200).length;
    const refused = statuses.filter((status) => status === 429).length;
    assert.deepEqual({ granted, refused }, { granted: LIMIT, refused: REQUESTS - LIMIT });
  });
});
