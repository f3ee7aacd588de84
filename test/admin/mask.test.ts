import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { maskSecrets } from '../../host/admin/mask.ts';

describe('masking', () => {
  it('hides tokens, private keys and credential headers, and nothing else', () => {
    const config = {
      admin: { port: 9901, token: 'hunter2' },
      listeners: [{ tls: { cert: '/etc/c.pem', key: '-----BEGIN PRIVATE KEY-----\nabc' } }],
      routes: [
        {
          name: 'pay',
          match: {
            headers: [
              { name: 'x-api-key', op: 'equals', value: 'k1' },
              { name: 'x-tier', op: 'equals', value: 'gold' },
            ],
          },
          requestHeaders: {
            remove: ['cookie', 'x-a'],
            set: ['authorization', 'Bearer s3', 'x-b', 'shown'],
            add: [],
          },
          rate: [{ name: 'per-user', key: { kind: 'header', name: 'authorization' } }],
        },
      ],
    };
    const masked = maskSecrets(config) as typeof config;
    const text = JSON.stringify(masked);
    for (const secret of ['hunter2', 'abc', 'k1', 's3']) assert.ok(!text.includes(secret), secret);
    const route = masked.routes[0]!;
    assert.deepEqual(route.requestHeaders.set, ['authorization', '********', 'x-b', 'shown']);
    assert.equal(route.match.headers[1]!.value, 'gold');
    assert.equal(masked.listeners[0]!.tls.cert, '/etc/c.pem');
    assert.deepEqual(route.rate, config.routes[0]!.rate);
    assert.equal(config.admin.token, 'hunter2', 'the original is untouched');
  });

  it('what a plugin is given stays hidden, for only the plugin knows what of it is a key', () => {
    const plugin = { name: 'auth', config: '{"k":"s1"}', vmConfig: 's2', env: { MODE: 's3' } };
    assert.deepEqual(maskSecrets(plugin), {
      name: 'auth',
      config: '********',
      vmConfig: '********',
      env: { MODE: '********' },
    });
  });

  it('an unset token stays visibly unset, and odd values pass', () => {
    assert.deepEqual(maskSecrets({ token: '', list: [1, null, true] }), {
      token: '',
      list: [1, null, true],
    });
    assert.equal(maskSecrets(null), null);
  });
});
