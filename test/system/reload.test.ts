// Reloads of a real gateway: what makes it look again, what it refuses, and that nobody notices.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { ask, askEcho, Load, untilTrue } from '../support/client.ts';
import { type GatewayProcess, type ReloadAnswer, startGateway } from '../support/gateway.ts';
import { type Origin, startOrigin } from '../support/origin.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';

describe('reload', { timeout: 120_000 }, () => {
  let gateway: GatewayProcess;
  let blue: Origin;
  let green: Origin;
  let shared: Origin;

  const config = (version: string, more: object = {}) => ({
    services: {
      shared: { endpoints: [shared.url], pool: { keepAlive: '1m' } },
      coloured: { endpoints: [version === 'blue' ? blue.url : green.url] },
    },
    routes: [
      { name: 'version', match: { path: '/version' }, respond: { body: version } },
      { name: 'shared', match: { path: '/shared' }, to: 'shared' },
      { name: 'coloured', match: { path: '/coloured' }, to: 'coloured' },
    ],
    ...more,
  });
  const version = async () => (await ask(`${gateway.url}/version`)).body;
  const reloads = async (outcome: string) =>
    sampleValue(parseExposition(await gateway.metrics()), 'sluice_config_reloads_total', {
      outcome,
    });

  before(async () => {
    blue = await startOrigin('blue');
    green = await startOrigin('green');
    shared = await startOrigin('shared');
    gateway = await startGateway({ config: config('blue') });
  });
  after(async () => {
    assert.equal(await gateway.stop(), 0);
    for (const origin of [blue, green, shared]) await origin.stop();
  });

  it('comes when the file changes', async () => {
    assert.equal(await version(), 'blue');
    gateway.writeConfig(config('green'));
    await untilTrue(async () => (await version()) === 'green');
    assert.equal((await askEcho(`${gateway.url}/coloured`)).origin, 'green');
  });

  it('comes with SIGHUP', async () => {
    const before = (await reloads('taken'))!;
    gateway.child.kill('SIGHUP');
    await untilTrue(async () => (await reloads('taken'))! > before);
    assert.equal(await version(), 'green');
  });

  it('comes with POST /reload, which answers when it is in force', async () => {
    for (const wanted of ['blue', 'green', 'blue']) {
      const { taken } = await gateway.reload(config(wanted));
      assert.equal(taken, true);
      for (let connection = 0; connection < 8; connection++) assert.equal(await version(), wanted);
    }
  });

  it('changes nothing when the file is wrong, and names the line', async () => {
    await gateway.reload(config('blue'));
    const refusedBefore = (await reloads('refused'))!;
    const text = `listen: [{ port: ${gateway.port}, address: 127.0.0.1 }]
services:
  shared:
    endpoints: ["${shared.url}"]
    retrys: 3
routes:
  - { match: { path: /x }, to: nowhere }
`;
    writeFileSync(gateway.configPath, text);
    const response = await fetch(`${gateway.adminUrl}/reload`, { method: 'POST' });
    const answer = (await response.json()) as ReloadAnswer;
    assert.equal(answer.taken, false);
    const lines = answer.issues.map(({ line, code }) => `${line} ${code}`);
    assert.ok(lines.includes('5 GW_CONFIG_UNKNOWN_KEY'), JSON.stringify(answer));
    assert.ok(
      answer.issues.some(({ line }) => line === 7),
      JSON.stringify(answer),
    );
    assert.equal(await version(), 'blue');
    assert.ok((await reloads('refused'))! > refusedBefore);
    const families = parseExposition(await gateway.metrics());
    assert.equal(sampleValue(families, 'sluice_config_last_reload_success'), 0);
    await untilTrue(() => /reload refused/.test(gateway.log()));
    const line = gateway
      .log()
      .split('\n')
      .find((text) => text.includes('reload refused'))!;
    const said = JSON.parse(line) as { issueCount: number; issues: string[]; error?: unknown };
    assert.equal(said.issueCount, answer.issues.length);
    assert.match(said.issues[0]!, /sluice\.yaml:5:5: services\.shared\.retrys: unknown key/);
    // The log once said only how many errors there are, with a stack of the gateway's own.
    assert.equal(said.error, undefined);
    assert.doesNotMatch(line, /stack/);
    await gateway.reload(config('blue'));
  });

  it('uses no generation up for what it refuses', async () => {
    // The watcher of the file may take the last one before it is asked for: what was taken counts.
    const takenCount = () => gateway.log().split('"configuration in force"').length;
    const { generation } = await gateway.reload(config('blue'));
    const before = takenCount();
    assert.equal((await gateway.reload(config('blue', { routes: 'none' }))).taken, false);
    assert.equal((await gateway.reload(config('blue', { workers: { io: 1 } }))).taken, false);
    const last = await gateway.reload(config('blue'));
    assert.equal(last.generation - generation, takenCount() - before);
  });

  it('refuses what only a restart can change, and names the keys', async () => {
    const { taken, issues } = await gateway.reload(
      config('green', { workers: { io: 1 }, log: { access: 'json' } }),
    );
    assert.equal(taken, false);
    assert.deepEqual(issues.map(({ path }) => path).sort(), ['log.access', 'workers.io']);
    assert.match(issues[0]!.message, /restart/);
    assert.equal(await version(), 'blue');
    const moved = await gateway.reload(
      config('green', { listen: [{ port: 0, address: '0.0.0.0' }], admin: {} }),
    );
    assert.deepEqual(moved.issues.map(({ path }) => path).sort(), [
      'admin.port',
      'listen[0].address',
    ]);
    assert.equal(await version(), 'blue');
    writeFileSync(
      gateway.configPath,
      [
        `listen: [{ port: 0, address: 127.0.0.1 }]`,
        'admin: { port: 0 }',
        'log: { access: off }',
        'workers:',
        '  # The place was once always line 1, column 1.',
        '  io: 3',
      ].join('\n'),
    );
    const response = await fetch(`${gateway.adminUrl}/reload`, { method: 'POST' });
    const [issue] = ((await response.json()) as ReloadAnswer).issues;
    assert.deepEqual([issue!.line, issue!.column, issue!.path], [6, 3, 'workers.io']);
    await gateway.reload(config('blue'));
  });

  it('fails no request under load, and keeps the connections to what did not change', async () => {
    await gateway.reload(config('blue'));
    const connectionsBefore = shared.connections;
    const loads = ['/version', '/shared', '/coloured'].map(
      (path) => new Load({ url: `${gateway.url}${path}`, connections: 8 }),
    );
    for (let round = 0; round < 50; round++) {
      const wanted = round % 2 === 0 ? 'green' : 'blue';
      assert.equal((await gateway.reload(config(wanted))).taken, true);
      for (const load of loads) await load.untilAnswered(10);
    }
    for (const load of loads) await load.stop();
    assert.deepEqual(
      loads.flatMap(({ failures }) => failures),
      [],
    );
    // Two workers with at most eight requests at a time between them.
    const opened = shared.connections - connectionsBefore;
    assert.ok(opened <= 16, `${opened} connections for an upstream that never changed`);
  });

  it('keeps counting where a route and its limit keep their names', async () => {
    const limited = (body: string) =>
      config('blue', {
        routes: [
          {
            name: 'kept',
            match: { path: '/kept' },
            respond: { body },
            rate: [{ name: 'all', limit: 3, per: '1h' }],
          },
        ],
      });
    const statuses: number[] = [];
    for (const body of ['one', 'two', 'three', 'four']) {
      await gateway.reload(limited(body));
      statuses.push((await ask(`${gateway.url}/kept`)).status);
    }
    assert.deepEqual(statuses, [200, 200, 200, 429]);
    const families = parseExposition(await gateway.metrics());
    const labels = { route: 'kept' };
    const count = (code_class: string) =>
      sampleValue(families, 'sluice_requests_total', { ...labels, code_class });
    assert.equal(count('2xx'), 3);
    assert.equal(count('4xx'), 1);
  });

  it('lets a request in flight finish with the configuration it began with', async () => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow = await startOrigin('slow', (_request, response) => {
      void released.then(() => response.end('late'));
    });
    const before = {
      services: { slow: { endpoints: [slow.url] } },
      routes: [
        {
          name: 'slow',
          match: { path: '/slow' },
          to: 'slow',
          headers: { response: { set: { 'x-configuration': 'old' } } },
        },
      ],
    };
    await gateway.reload(before);
    const answers = Array.from({ length: 6 }, () => ask(`${gateway.url}/slow`));
    await untilTrue(() => slow.requests === 6);
    for (const next of ['blue', 'green', 'blue']) await gateway.reload(config(next));
    assert.equal((await ask(`${gateway.url}/slow`)).status, 404);
    release();
    for (const { status, body, headers } of await Promise.all(answers)) {
      assert.equal(status, 200);
      assert.equal(body, 'late');
      assert.equal(headers['x-configuration'], 'old');
    }
    // The service is gone, and so are its connections when the last request has ended.
    await untilTrue(() => slow.open.size === 0);
    await slow.stop();
  });
});
