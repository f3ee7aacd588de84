// The filters of the SDKs' languages in a whole gateway, under the wire: two workers, three modules
// that begin, allocate and collect garbage in their own ways, alone and behind each other.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Answer, ask, untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { sdkFilters } from '../support/sdk-filters.ts';

const NAMES = ['rust', 'cpp', 'go'];
const REQUESTS = 100;
const CLIENTS = 8;

interface Seen {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Lets pass whom it knows. */
function decide(request: IncomingMessage, response: ServerResponse): void {
  const isKnown = request.headers['x-from'] !== 'go';
  response.writeHead(isKnown ? 200 : 403).end(isKnown ? 'ann' : 'not you\n');
}

describe('filters in Rust, C++ and Go in a gateway', { timeout: 180_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-sdk-'));
  let origin: Origin;
  let auth: Origin;
  let gateway: GatewayProcess;

  before(async () => {
    origin = await startOrigin('echo');
    auth = await startOrigin('auth', decide);
    for (const { name, bytes } of sdkFilters()) writeFileSync(join(dir, `${name}.wasm`), bytes);
    gateway = await startGateway({
      config: {
        workers: { io: 2 },
        services: { echo: { endpoints: [origin.url] }, auth: { endpoints: [auth.url] } },
        plugins: NAMES.map((name, index) => ({
          name,
          file: join(dir, `${name}.wasm`),
          rootId: 'probe',
          config: 'greeting=hello\nservice=auth\ntick=50\n',
          env: { PLACE: 'here' },
          priority: 10 - index,
          strict: true,
          limits: { steps: 4_000_000 },
          reload: { base: '1ms', max: '1ms' },
        })),
        routes: [
          ...NAMES.map((name) => ({
            name,
            match: { host: `${name}.test`, path: '/*' },
            to: 'echo',
            filters: [name],
          })),
          { name: 'all', match: { path: '/*' }, to: 'echo', filters: NAMES },
        ],
      },
    });
  });

  after(async () => {
    assert.equal(await gateway.stop(), 0);
    await origin.stop();
    await auth.stop();
    rmSync(dir, { recursive: true });
  });

  /** Through the filter of that name, or all of them. */
  function through(name: string, path: string, body?: string): Promise<Answer> {
    const headers = { host: `${name}.test` };
    const options = body === undefined ? { headers } : { method: 'POST', body, headers };
    return ask(`${gateway.url}${path}`, options);
  }

  for (const name of NAMES) {
    it(`${name}: heads, bodies and their lengths`, async () => {
      const { headers, body } = await through(name, '/post', 'a body');
      assert.equal(headers['x-powered'], name);
      assert.equal(headers.server, 'sluice');
      assert.ok(body.endsWith(`|${name}`), body);
      const seen = JSON.parse(body.slice(0, -name.length - 1)) as Seen;
      assert.equal(seen.body, `${name}:A BODY`);
      assert.equal(seen.headers['x-greeting'], 'hello');
      assert.match(
        seen.headers['x-property']!,
        /^(rust|cpp|go)\|POST\|127\.0\.0\.1:\d+\|probe\|none$/,
      );
    });

    it(`${name}: answers, asks a service, computes`, async () => {
      assert.equal((await through(name, '/deny')).status, 403);
      const asked = await through(name, '/call');
      assert.equal(asked.status, name === 'go' ? 401 : 200);
      assert.match(asked.body, name === 'go' ? /^not you/ : /"x-auth":"ann"/);
      const computed = await through(name, '/work');
      assert.match(computed.body, /"x-work":"523eeb35ea016925 466567 100224"/);
    });

    it(`${name}: ends at a trap or a loop, and is back`, async () => {
      for (const [path, reason] of [
        ['/trap', '801'],
        ['/spin', '802'],
      ] as const) {
        const { status, headers } = await through(name, path);
        assert.deepEqual([status, headers['x-sluice-reason']], [500, reason]);
        // It is back after its pause of 1 ms.
        await untilTrue(async () => (await through(name, '/back')).status === 200);
      }
    });
  }

  it('all three, one behind the other, with a count that is exact over both workers', async () => {
    const hits: string[][] = [];
    let left = REQUESTS;
    const client = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const { status, body } = await through('all', '/many', 'x'.repeat(5_000));
        assert.equal(status, 200, body);
        assert.ok(body.endsWith('|go|cpp|rust'), body.slice(-40));
        const seen = JSON.parse(body.slice(0, body.indexOf('|go'))) as Seen;
        assert.equal(seen.body, `go:CPP:RUST:${'X'.repeat(5_000)}`);
        hits.push(seen.headers['x-hits']!.split(', '));
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    // Each filter counts in data of its own, so that each has given every request its own number.
    for (const index of NAMES.keys()) {
      assert.equal(new Set(hits.map((counts) => counts[index])).size, REQUESTS);
    }
  });

  it('their metrics and what the host counted of them', async () => {
    const text = await gateway.metrics();
    for (const name of NAMES) {
      const counted = new RegExp(
        `sluice_plugin_counter_total\\{plugin="${name}",name="${name}_requests"\\} (\\d+)`,
      ).exec(text);
      assert.ok(Number(counted?.[1]) >= REQUESTS, `${name}: ${counted?.[0]}`);
    }
    // Ticks put messages into a queue, whose callback logs them.
    await untilTrue(() =>
      NAMES.every((name) => gateway.log().includes(`dequeued tick of ${name}`)),
    );
  });
});
