// `sluice check` and the files a configuration names, with real files and real certificates.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { checkCommand } from '../../host/cli/check.ts';
import { loadConfigFile } from '../../host/config/index.ts';
import { readConfigFile } from '../../host/workers/config-source.ts';

let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-check-'));
  mkdirSync(join(folder, 'tls'));
  for (const name of ['one', 'two']) {
    const made = spawnSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
        ...['-days', '30', '-subj', '/CN=localhost'],
        ...['-keyout', join(folder, `tls/${name}.key`), '-out', join(folder, `tls/${name}.pem`)],
      ],
      { encoding: 'utf8' },
    );
    assert.equal(made.status, 0, made.stderr);
  }
});

after(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function check(file: string): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await checkCommand(file, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  return { code, out, err };
}

describe('sluice check', () => {
  it('says that a good file is good, and what it holds', async () => {
    const text = `listen: [{ port: 8080 }, { port: 8443, address: "::1" }]
services: { a: { endpoints: ["http://a", "http://b"] } }
routes: [{ match: {}, to: a }]
`;
    const file = fileOf('good.yaml', text);
    const counts = '1 route, 1 service, 2 endpoints';
    const out = `${file}: ok: ${counts}, listening on 0.0.0.0:8080, [::1]:8443\n`;
    assert.deepEqual(await check(file), { code: 0, out, err: '' });
  });

  it('prints a line for each issue and gives 1', async () => {
    const file = fileOf('bad.yaml', 'listen: [{ port: x }]\nlogs: {}\n');
    const { code, out, err } = await check(file);
    assert.equal(code, 1);
    assert.equal(out, '');
    const lines = err.split('\n');
    assert.equal(lines.length, 4);
    assert.ok(lines[0]!.startsWith(`${file}:1:18: listen[0].port: expected a whole number`));
    assert.ok(lines[1]!.startsWith(`${file}:2:1: logs: unknown key; did you mean "log"?`));
    // Files are read only when the rest is right: without a word, a second round came as a
    // surprise.
    const again = 'fix and check again, for some checks wait for others';
    assert.equal(lines[2], `${file}: 2 issues; ${again}`);
  });

  it('says no more than the count when nothing waits', async () => {
    const tls = '{ cert: nowhere.pem, key: nowhere.key }';
    const file = fileOf('files.yaml', `listen: [{ port: 1, tls: ${tls} }]\n`);
    const { err } = await check(file);
    assert.match(err, /: 2 issues\n$/);
  });

  // A FIFO held up `check` until somebody wrote to it, and as a certificate the whole compute pool.
  it('refuses what is no plain file, and never waits for it', { timeout: 20_000 }, async () => {
    const fifo = join(folder, 'fifo');
    assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
    const cases = [
      [fifo, /fifo: it is a FIFO, not a plain file \(GW_CONFIG_FILE, reason 408\)/],
      ['/dev/zero', /zero: it is a device, not a plain file/],
      [folder, /it is a folder, not a plain file/],
    ] as const;
    for (const [path, expected] of cases) {
      assert.match((await check(path)).err, expected);
      await assert.rejects(readConfigFile(path), (error: Error) =>
        expected.test(`${error.message} (GW_CONFIG_FILE, reason 408)`),
      );
      const tls = `listen: [{ port: 1, tls: { cert: ${path}, key: ${path} } }]\n`;
      const { err } = await check(fileOf('special.yaml', tls));
      assert.equal(err.match(/plain file/g)?.length, 2, err);
    }
  });

  it('names a file that is missing, a folder, or not text', async () => {
    const missing = await check(join(folder, 'nowhere.yaml'));
    assert.equal(missing.code, 1);
    assert.match(
      missing.err,
      /nowhere\.yaml: cannot be read: ENOENT \(GW_CONFIG_FILE, reason 408\)/,
    );
    assert.match((await check(folder)).err, /it is a folder, not a plain file \(GW_CONFIG_FILE/);
    const binary = fileOf('binary.yaml', new Uint8Array([0x61, 0xff, 0xfe]));
    assert.match((await check(binary)).err, /the file is not UTF-8 \(GW_CONFIG_SYNTAX/);
  });
});

describe('the files a configuration names', () => {
  const listener = (tls: string) => `listen:\n  - port: 1\n    engine: node\n    tls: ${tls}\n`;

  it('are found beside the file, and fit', async () => {
    const sni = 'sni: [{ host: a.b, cert: ./tls/two.pem, key: ./tls/two.key }]';
    const tls = `{ cert: tls/one.pem, key: ./tls/one.key, clientCa: tls/two.pem, ${sni} }`;
    const services = `services: { a: { endpoints: ["https://a"], tls: { ca: tls/one.pem } } }\n`;
    const result = await loadConfigFile(fileOf('fits.yaml', listener(tls) + services));
    assert.ok(result.ok);
    assert.equal(result.config.listeners[0]!.tls!.cert, join(folder, 'tls/one.pem'));
  });

  it('are each named with their line when they are missing or something else', async () => {
    fileOf('garbage.pem', 'hello');
    const sni = 'sni: [{ host: a.b, cert: tls/one.pem, key: garbage.pem }]';
    const tls = `{ cert: none.pem, key: tls/one.key, clientCa: garbage.pem, ${sni} }`;
    const services = `services: { a: { endpoints: ["https://a"], tls: { ca: tls/one.key } } }\n`;
    const result = await loadConfigFile(fileOf('broken.yaml', listener(tls) + services));
    assert.ok(!result.ok);
    const found = result.issues.map(({ line, path, code, message }) => {
      assert.equal(code, 'GW_CONFIG_FILE');
      return `${line} ${path}: ${message.replaceAll(folder, '')}`;
    });
    assert.deepEqual(found, [
      '4 listen[0].tls.cert: /none.pem: cannot be read: ENOENT',
      '4 listen[0].tls.clientCa: expected a certificate in PEM in /garbage.pem',
      '4 listen[0].tls.sni[0].key: expected a private key in PEM without a passphrase ' +
        'in /garbage.pem',
      '5 services.a.tls.ca: expected a certificate in PEM in /tls/one.key',
    ]);
  });

  it('a key that is not of its certificate is refused', async () => {
    const file = fileOf('mixed.yaml', listener('{ cert: tls/one.pem, key: tls/two.key }'));
    const result = await loadConfigFile(file);
    assert.ok(!result.ok);
    assert.match(result.issues[0]!.message, /two\.key is not the key of .*one\.pem/);
  });
});
