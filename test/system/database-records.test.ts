// A WebSocket of a database is one line of the access log and one request in the metrics, when it
// ends, as a proxied one is; and nothing of it is left in the gauges.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createClient } from '@libsql/client';
import { untilTrue } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { parseExposition } from '../support/prometheus-parser.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-db-records-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('a WebSocket of a database', { timeout: 60_000 }, () => {
  for (const engine of ['uws', 'node'] as const) {
    // It was never recorded: the gauge of requests in flight rose with each, and the configuration
    // that it began with was never let go.
    it(`is recorded when it ends, on a ${engine} listener`, async () => {
      const gateway = await startGateway({
        listener: { engine },
        config: {
          workers: { io: 1, db: 1 },
          db: { dir: join(folder, engine), create: 'on-first-use' },
          log: { access: 'json' },
          routes: [{ name: 'base', match: { path: '/db/{database}/*' }, db: {} }],
        },
      });
      const sample = async (name: string) => {
        const families = parseExposition(await gateway.metrics());
        const samples = families.get(name)?.samples ?? [];
        const own = samples.filter(({ labels }) => labels.route === 'base');
        return own.reduce((sum, { value }) => sum + value, 0);
      };
      const client = createClient({ url: `ws://127.0.0.1:${gateway.port}/db/shop/` });
      await client.execute('CREATE TABLE t(v)');
      await client.execute("SELECT 'an answer'");
      assert.equal(await sample('sluice_requests_active'), 1);
      assert.equal(await sample('sluice_requests_total'), 0);
      client.close();
      await untilTrue(async () => (await sample('sluice_requests_total')) === 1);
      assert.equal(await sample('sluice_requests_active'), 0);
      await untilTrue(() => gateway.output().includes('"status":101'));
      const lines = gateway.output().trim().split('\n');
      const line = JSON.parse(lines.find((text) => text.includes('"status":101'))!);
      assert.equal(line.route, 'base');
      assert.ok(line.bytesIn > 100 && line.bytesOut > 100, JSON.stringify(line));
      // One that lives when the gateway ends is closed, and recorded too.
      const late = createClient({ url: `ws://127.0.0.1:${gateway.port}/db/shop/` });
      await late.execute('SELECT 1');
      assert.equal(await gateway.stop(), 0, gateway.log());
      assert.equal(gateway.output().split('"status":101').length - 1, 2);
    });
  }
});
