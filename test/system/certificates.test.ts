// Certificates that are renewed under their old names, as an ACME client does: a reload takes them,
// on each worker and for each name, and no connection that is open notices.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { untilTrue } from '../support/client.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
const path = (name: string) => join(folder, name);
after(() => rmSync(folder, { recursive: true }));

/** Writes `${name}.crt` and `${name}.key`, for a subject that tells one issue from the next. */
function issue(name: string, subject: string) {
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', path(`${name}.key`), '-out', path(`${name}.crt`)];
  execFileSync('openssl', ['req', ...kind, '-subj', `/CN=${subject}`, ...files], {
    stdio: 'ignore',
  });
  return { cert: path(`${name}.crt`), key: path(`${name}.key`) };
}

function open(port: number, servername: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, rejectUnauthorized: false };
    const socket = connect({ ...options, ...(servername === '' ? {} : { servername }) });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

const subjectOf = (socket: TLSSocket) => String(socket.getPeerCertificate().subject.CN);

function askOn(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('data', (bytes) => resolve(bytes.toString().split('\r\n')[0]!));
    socket.write('GET / HTTP/1.1\r\nhost: main.test\r\n\r\n');
  });
}

for (const engine of ['uws', 'node'] as const) {
  describe(`renewed certificates on ${engine}`, { timeout: 60_000 }, () => {
    // With two workers on a port, a few connections would not meet both.
    const subjects = async (gateway: GatewayProcess, servername: string) => {
      const seen = new Set<string>();
      for (let count = 0; count < 16; count++) {
        const socket = await open(gateway.port, servername);
        seen.add(subjectOf(socket));
        assert.equal(await askOn(socket), 'HTTP/1.1 200 OK');
        socket.destroy();
      }
      return [...seen];
    };

    it('are taken by SIGHUP and by POST /reload', async () => {
      const main = issue(`main-${engine}`, 'main-1');
      const other = issue(`other-${engine}`, 'other-1');
      const sni = [{ host: 'other.test', ...other }];
      const gateway = await startGateway({
        listener: { engine, tls: { ...main, sni } },
        config: { routes: [{ match: { path: '/' }, respond: { body: 'hello' } }] },
      });
      const post = async () => {
        const answer = await fetch(`${gateway.adminUrl}/reload`, { method: 'POST' });
        return (await answer.json()) as { taken: boolean };
      };
      try {
        assert.deepEqual(await subjects(gateway, ''), ['main-1']);
        const early = await open(gateway.port, '');
        assert.equal(await askOn(early), 'HTTP/1.1 200 OK');

        // It said "configuration in force", and went on with the old certificate.
        issue(`main-${engine}`, 'main-2');
        issue(`other-${engine}`, 'other-2');
        gateway.child.kill('SIGHUP');
        await untilTrue(() => /certificates renewed/.test(gateway.log()));
        assert.deepEqual(await subjects(gateway, ''), ['main-2']);
        assert.deepEqual(await subjects(gateway, 'main.test'), ['main-2']);
        assert.deepEqual(await subjects(gateway, 'other.test'), ['other-2']);
        assert.equal(await askOn(early), 'HTTP/1.1 200 OK');

        issue(`main-${engine}`, 'main-3');
        assert.equal((await post()).taken, true);
        assert.deepEqual(await subjects(gateway, ''), ['main-3']);
        assert.deepEqual(await subjects(gateway, 'other.test'), ['other-2']);

        writeFileSync(main.cert, 'half a certif');
        assert.equal((await post()).taken, false);
        assert.deepEqual(await subjects(gateway, ''), ['main-3']);
        assert.equal(await askOn(early), 'HTTP/1.1 200 OK');
        early.destroy();

        issue(`main-${engine}`, 'main-4');
        assert.equal((await post()).taken, true);
        assert.deepEqual(await subjects(gateway, ''), ['main-4']);
        // What has not changed is not taken again.
        assert.equal((await post()).taken, true);
        assert.equal(gateway.log().match(/certificates renewed/g)?.length, 3);
      } finally {
        assert.equal(await gateway.stop(), 0);
      }
    });
  });
}
