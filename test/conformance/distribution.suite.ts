// What the distribution plane answers, whichever engine listens.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { readDcz } from '../../host/distribution/delta.ts';
import { openHead, openManifest } from '../../host/distribution/documents.ts';
import type { ArtefactRef } from '../../host/distribution/store-paths.ts';
import { openTrustRoot } from '../../host/distribution/trust-root.ts';
import { askRaw as sendText } from '../support/client.ts';
import { DeliveryPlane, type Engine } from '../support/delivery-plane.ts';
import { script, TestStore } from '../support/distribution.ts';

const ALL = 'gzip, deflate, br, zstd, dcb, dcz';
const LARGE = Buffer.alloc(3_000_000, 'a few different bytes \x00\xff');

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function dictionaryOf(text: string): string {
  return `:${createHash('sha256').update(text).digest('base64')}:`;
}

interface RawAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly bytes: Buffer;
}

export function askRaw(
  plane: DeliveryPlane,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const { port } = plane;
    const target = { host: '127.0.0.1', port, path: `/r${path}`, method, headers, agent: false };
    const sent = request(target, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const plain = answer.headers as Record<string, string>;
        resolve({ status: answer.statusCode!, headers: plain, bytes: Buffer.concat(chunks) });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

export function distributionSuite(engine: Engine): void {
  describe(`distribution on ${engine}`, () => {
    let store: TestStore;
    let plane: DeliveryPlane;
    const v1 = script(1);
    const v2 = script(2);
    const page = '<!doctype html><title>one</title>'.padEnd(600, ' ');

    before(async () => {
      store = await TestStore.create();
      const shared = { 'index.html': page, 'large.bin': LARGE, 'empty.txt': '', 'a(b)+é.js': v1 };
      await store.publish({ version: '1.0.0', files: { 'main.js': v1, ...shared } });
      const hashed = {
        'assets/app.3f2a1b9c.js': 'app',
        'assets/p-AAAA1111.js': 'one',
        'assets/p-BBBB2222.js': 'two',
      };
      await store.publish({ version: '2.0.0', files: { 'main.js': v2, ...shared, ...hashed } });
      await store.publish({
        channel: 'tar',
        version: '1',
        isPacked: true,
        files: { 'a.txt': 'a'.repeat(5_000) },
      });
      plane = await DeliveryPlane.start({ engine, store });
    });

    after(async () => {
      await plane.stop();
      store.remove();
    });

    it('sends a file in the form that is asked for, with its headers', async () => {
      const path = '/app/v/2.0.0/main.js';
      const decoders: Record<string, (bytes: Buffer) => Uint8Array> = {
        identity: (bytes) => bytes,
        gzip: (bytes) => gunzipSync(bytes),
        br: (bytes) => brotliDecompressSync(bytes),
        zstd: (bytes) =>
          store.tools.decoder.decode(bytes, { sizeBytesMax: 2 ** 22, checksum: 'required' }),
      };
      const tags = new Set<string>();
      for (const [coding, decode] of Object.entries(decoders)) {
        const answer = await askRaw(plane, path, { 'accept-encoding': coding });
        assert.equal(answer.status, 200, coding);
        const shown = coding === 'identity' ? undefined : coding;
        assert.equal(answer.headers['content-encoding'], shown);
        assert.equal(Buffer.from(decode(answer.bytes)).toString(), v2, coding);
        assert.equal(answer.headers['content-length'], String(answer.bytes.length));
        assert.equal(answer.headers['content-type'], 'text/javascript; charset=utf-8');
        assert.equal(answer.headers['cache-control'], 'public, max-age=31536000, immutable');
        assert.equal(answer.headers.vary, 'accept-encoding, available-dictionary');
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
        const dictionary = 'match="/r/app/v/*/main.js", id="app/2.0.0"';
        assert.equal(answer.headers['use-as-dictionary'], dictionary);
        tags.add(answer.headers.etag!);
      }
      assert.equal(tags.size, 4);
    });

    it('sends the delta to who has the base, and only then', async () => {
      const path = '/app/v/2.0.0/main.js';
      const headers = { 'accept-encoding': ALL, 'available-dictionary': dictionaryOf(v1) };
      const answer = await askRaw(plane, path, headers);
      assert.equal(answer.headers['content-encoding'], 'dcz');
      assert.ok(answer.bytes.length < 2_000, `${answer.bytes.length} bytes`);
      const { base, frame } = readDcz(answer.bytes);
      assert.equal(base, sha256(v1));
      const made = store.tools.decoder.decode(frame, {
        dictionary: Buffer.from(v1),
        sizeBytesMax: 2 ** 22,
        checksum: 'required',
      });
      assert.equal(Buffer.from(made).toString(), v2);
      assert.ok(answer.headers['use-as-dictionary'], 'a delta is the next base');
      const others: Record<string, string>[] = [
        { 'available-dictionary': dictionaryOf('something else') },
        { 'available-dictionary': sha256(v1) },
        { 'accept-encoding': 'br, *' },
        { 'accept-encoding': 'br, dcz;q=0' },
        { 'sec-fetch-site': 'cross-site' },
      ];
      for (const change of others) {
        const other = await askRaw(plane, path, { ...headers, ...change });
        assert.equal(other.headers['content-encoding'], 'br', JSON.stringify(change));
        assert.equal(other.headers.vary, 'accept-encoding, available-dictionary');
      }
      const sameSite = await askRaw(plane, path, { ...headers, 'sec-fetch-site': 'same-origin' });
      assert.equal(sameSite.headers['content-encoding'], 'dcz');
    });

    // Nothing told whether deltas reached anybody: every form was a 200 of a route.
    it('counts what leaves by its form', async () => {
      const counts = () => {
        plane.deliverer.report();
        const { responses } = plane.desk.report();
        return new Map(
          responses.map(({ resource, form, count }) => [`${resource} ${form}`, count]),
        );
      };
      const path = '/app/v/2.0.0/main.js';
      const dictionary = { 'available-dictionary': dictionaryOf(v1) };
      const tag = (await askRaw(plane, path)).headers.etag!;
      const before = counts();
      await askRaw(plane, path, { 'accept-encoding': ALL, ...dictionary });
      await askRaw(plane, `${path}?base=${sha256(v1)}`);
      for (const coding of ['br', 'gzip', 'zstd']) {
        await askRaw(plane, path, { 'accept-encoding': coding });
      }
      await askRaw(plane, path, { range: 'bytes=0-9' });
      await askRaw(plane, path, { 'if-none-match': tag });
      await askRaw(plane, path, {}, 'HEAD');
      const grown = [...counts()].filter(([key, count]) => count !== before.get(key));
      assert.deepEqual(
        grown.map(([key, count]) => `${key} ${count - before.get(key)!}`),
        ['dcz', 'delta', 'br', 'zstd', 'gzip', 'identity'].map((form) => `file ${form} 1`),
      );
    });

    it('sends the delta as content to who names the base', async () => {
      const path = `/app/v/2.0.0/main.js?base=${sha256(v1)}`;
      const answer = await askRaw(plane, path);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['content-type'], 'application/vnd.sluice.dcz');
      assert.equal(answer.headers['content-encoding'], undefined);
      assert.equal(answer.headers['use-as-dictionary'], undefined);
      assert.equal(readDcz(answer.bytes).base, sha256(v1));
      const none = await askRaw(plane, `/app/v/2.0.0/main.js?base=${sha256('x')}`);
      assert.equal(none.status, 404);
      assert.equal(none.headers['x-sluice-reason'], '1021');
      assert.equal(none.headers['cache-control'], 'no-store');
      const bad = await askRaw(plane, '/app/v/2.0.0/main.js?base=../../etc');
      assert.equal(bad.headers['x-sluice-reason'], '1022');
    });

    it('takes the first base that there is a delta from, else the whole if told to', async () => {
      // A client with several bases paid a request for each, and one more for the whole.
      const target = '/app/v/2.0.0/main.js';
      const [none, other] = [sha256('x'), sha256('y')];
      const second = await askRaw(plane, `${target}?base=${none}&base=${sha256(v1)}&else=whole`);
      assert.equal(second.headers['content-type'], 'application/vnd.sluice.dcz');
      assert.equal(readDcz(second.bytes).base, sha256(v1));
      const query = `?base=${none}&base=${other}`;
      const whole = await askRaw(plane, `${target}${query}&else=whole`, {
        'accept-encoding': 'br',
      });
      assert.equal(whole.status, 200);
      assert.equal(whole.headers['content-encoding'], 'br');
      assert.match(whole.headers['content-type']!, /^text\/javascript/);
      assert.equal((await askRaw(plane, target + query)).headers['x-sluice-reason'], '1021');
      assert.equal((await askRaw(plane, `${target}?else=whole`)).bytes.toString(), v2);
      const many = `?${'base=x&'.repeat(4)}`.replaceAll('x', none);
      assert.equal((await askRaw(plane, `${target}${many}else=whole`)).status, 200);
      const more = await askRaw(plane, `${target}${many}base=${none}&else=whole`);
      assert.equal(more.headers['x-sluice-reason'], '1022');
      const bad = await askRaw(plane, `${target}?base=${none}&base=x&else=whole`);
      assert.equal(bad.headers['x-sluice-reason'], '1022');
    });

    it('names a pattern that takes another hash, unless two files would share it', async () => {
      // A build's next name was matched by no dictionary, so browsers took every file whole.
      const match = async (path: string) => {
        const { headers } = await askRaw(plane, `/app/v/2.0.0/${path}`);
        return /^match="([^"]*)"/.exec(headers['use-as-dictionary'] ?? '')?.[1];
      };
      assert.equal(await match('assets/app.3f2a1b9c.js'), '/r/app/v/*/assets/app.*.js');
      assert.equal(await match('assets/p-AAAA1111.js'), '/r/app/v/*/assets/p-AAAA1111.js');
      assert.equal(await match('assets/p-BBBB2222.js'), '/r/app/v/*/assets/p-BBBB2222.js');
      assert.equal(await match('assets/app%2E3f2a1b9c.js'), '/r/app/v/*/assets/app%2E3f2a1b9c.js');
    });

    it('escapes what means something in a pattern', async () => {
      const answer = await askRaw(plane, '/app/v/2.0.0/a(b)+%C3%A9.js');
      assert.equal(answer.bytes.toString(), v1);
      const expected = 'match="/r/app/v/*/a\\\\(b\\\\)\\\\+%C3%A9.js", id="app/2.0.0"';
      assert.equal(answer.headers['use-as-dictionary'], expected);
    });

    it('escapes in a pattern what a client spells without', async () => {
      // Bytes beyond ASCII in a path made a header that cannot be, and the answer 500.
      const text =
        'GET /r/app/v/2.0.0/a(b)+\xc3\xa9.js HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
      const answer = await sendText(plane.port, text);
      // Node's parser takes no such path.
      assert.match(answer, engine === 'uws' ? /^HTTP\/1.1 200 / : /^HTTP\/1.1 400 /);
      if (engine === 'uws')
        assert.match(answer, /use-as-dictionary: match="\/r\/app\/v\/\*\/a[^"]*%C3%A9.js"/i);
    });

    it('answers conditions', async () => {
      const path = '/app/v/2.0.0/main.js';
      const br = { 'accept-encoding': 'br' };
      const tag = (await askRaw(plane, path, br)).headers.etag!;
      const identityTag = (await askRaw(plane, path)).headers.etag!;
      assert.notEqual(tag, identityTag);
      const cases: [Record<string, string>, number][] = [
        [{ ...br, 'if-none-match': tag }, 304],
        [{ ...br, 'if-none-match': `"x", W/${tag}` }, 304],
        [{ ...br, 'if-none-match': identityTag }, 200],
        [{ 'if-none-match': tag }, 200],
        [{ ...br, 'if-none-match': '*' }, 304],
        [{ ...br, 'if-match': tag }, 200],
        [{ ...br, 'if-match': identityTag }, 412],
        [{ ...br, 'if-match': '*' }, 200],
        [{ 'if-modified-since': 'Sun, 06 Nov 2094 08:49:37 GMT' }, 200],
        [{ 'if-unmodified-since': 'Sun, 06 Nov 1994 08:49:37 GMT' }, 200],
      ];
      for (const method of ['GET', 'HEAD']) {
        for (const [headers, status] of cases) {
          const answer = await askRaw(plane, path, headers, method);
          assert.equal(answer.status, status, `${method} ${JSON.stringify(headers)}`);
          assert.match(answer.headers.etag ?? '', /^"[0-9a-f]{32}/);
          // A failed condition came with nothing at all to say why.
          if (status === 412 && method === 'GET') {
            const { reason, code } = JSON.parse(answer.bytes.toString());
            assert.deepEqual([reason, code], [1025, 'GW_DIST_CONDITION']);
          } else if (status !== 200 || method === 'HEAD') assert.equal(answer.bytes.length, 0);
        }
      }
    });

    it('answers HEAD as GET without a body', async () => {
      for (const path of ['/app/v/2.0.0/main.js', '/app/v/2.0.0/large.bin', '/app/current/']) {
        const get = await askRaw(plane, path, { 'accept-encoding': 'gzip' });
        const head = await askRaw(plane, path, { 'accept-encoding': 'gzip' }, 'HEAD');
        assert.equal(head.status, 200);
        assert.equal(head.bytes.length, 0);
        for (const name of ['content-length', 'etag', 'content-encoding', 'content-type']) {
          assert.equal(head.headers[name], get.headers[name], `${path} ${name}`);
        }
      }
    });

    it('sends single ranges of small and of streamed files', async () => {
      const files: [string, Buffer][] = [
        ['/app/v/2.0.0/main.js', Buffer.from(v2)],
        ['/app/v/2.0.0/large.bin', LARGE],
      ];
      for (const [path, whole] of files) {
        const size = whole.length;
        const ranges: [string, number, number][] = [
          ['bytes=0-0', 0, 1],
          ['bytes=65535-65536', 65_535, 65_537],
          [`bytes=${size - 1}-`, size - 1, size],
          ['bytes=-10', size - 10, size],
          [`bytes=10-${size * 2}`, 10, size],
          [`bytes=-${size * 2}`, 0, size],
        ];
        for (const [range, start, end] of ranges) {
          const answer = await askRaw(plane, path, { range });
          assert.equal(answer.status, 206, `${path} ${range}`);
          assert.equal(answer.headers['content-range'], `bytes ${start}-${end - 1}/${size}`);
          assert.equal(answer.headers['content-length'], String(end - start));
          assert.ok(answer.bytes.equals(whole.subarray(start, end)), `${path} ${range}`);
        }
        for (const range of ['bytes=0-1,3-4', 'bytes=5-2', 'pages=1-2']) {
          const answer = await askRaw(plane, path, { range });
          assert.equal(answer.status, 200, range);
          assert.equal(answer.bytes.length, size);
        }
        const outside = await askRaw(plane, path, { range: `bytes=${size}-` });
        assert.equal(outside.status, 416);
        assert.equal(outside.headers['content-range'], `bytes */${size}`);
        assert.equal(outside.headers['x-sluice-reason'], '1024');
        const { etag } = (await askRaw(plane, path)).headers;
        const same = await askRaw(plane, path, { range: 'bytes=0-1', 'if-range': etag! });
        assert.equal(same.status, 206);
        const other = await askRaw(plane, path, { range: 'bytes=0-1', 'if-range': '"x"' });
        assert.equal(other.status, 200);
        const head = await askRaw(plane, path, { range: 'bytes=0-1' }, 'HEAD');
        assert.equal(head.status, 200);
      }
    });

    it('sends an empty file', async () => {
      const answer = await askRaw(plane, '/app/v/2.0.0/empty.txt', { 'accept-encoding': ALL });
      assert.equal(answer.status, 200);
      assert.equal(answer.bytes.length, 0);
      assert.equal(answer.headers['use-as-dictionary'], undefined);
      const range = await askRaw(plane, '/app/v/2.0.0/empty.txt', { range: 'bytes=0-' });
      assert.equal(range.status, 416);
    });

    it('streams a large file to a slow reader, whole', async () => {
      const small = await DeliveryPlane.start({ engine, store, memorySizeBytesMax: 65_536 });
      try {
        const answers = await Promise.all(
          Array.from({ length: 8 }, () => askRaw(small, '/app/v/2.0.0/large.bin')),
        );
        for (const answer of answers) assert.ok(answer.bytes.equals(LARGE));
      } finally {
        await small.stop();
      }
    });

    it('sends manifests, packs, roots and the current release', async () => {
      const view = plane.desk.report().channels.find(({ channel }) => channel === 'app')!;
      assert.deepEqual(
        view.releases.map(({ version }) => version),
        ['2.0.0', '1.0.0'],
      );
      const check = await plane.ask('/check', {
        method: 'POST',
        body: JSON.stringify({ device: { id: 'd' }, channels: { app: { sequence: 0 } } }),
      });
      const { head } = JSON.parse(check.body).channels.app;
      const opened = openHead(Buffer.from(JSON.stringify(head)), store.root);
      const manifest = await askRaw(plane, `/app/manifest/${opened.manifest.sha256}`);
      assert.match(manifest.headers['cache-control']!, /^public, max-age=31536000, immutable/);
      assert.equal(sha256(manifest.bytes), opened.manifest.sha256);
      assert.equal(openManifest(manifest.bytes, store.root).version, '2.0.0');
      const other = await askRaw(plane, `/tar/manifest/${opened.manifest.sha256}`);
      assert.equal(other.status, 404, 'a manifest of another channel');
      const pack = await askRaw(plane, '/tar/pack/1');
      assert.equal(pack.status, 200);
      assert.ok(pack.bytes.includes('a'.repeat(5_000)));
      assert.equal(pack.headers['use-as-dictionary'], 'match="/r/tar/pack/*", id="tar/1"');
      assert.equal((await askRaw(plane, '/app/pack/2.0.0')).status, 404);
      const root = await askRaw(plane, '/root/1');
      assert.equal(openTrustRoot(root.bytes).version, 1);
      assert.equal((await askRaw(plane, '/root/2')).status, 404);
      const current = await askRaw(plane, '/app/current/');
      assert.equal(current.bytes.toString(), page);
      assert.equal(current.headers['cache-control'], 'no-cache');
      assert.equal(current.headers['use-as-dictionary'], undefined);
      const tag = current.headers.etag!;
      assert.equal((await askRaw(plane, '/app/current/', { 'if-none-match': tag })).status, 304);
    });

    it('refuses what is not there, and what it does not do', async () => {
      const paths = ['', '/', '/app', '/app/v/2.0.0', '/app/v/2.0.0/', '/app/v/2.0.0/none.js'];
      paths.push('/app/v/3/main.js', '/none/v/2.0.0/main.js', '/app/v/2.0.0/%2e%2e/main.js');
      paths.push('/app/v/2.0.0/x%2fmain.js', '/app/v/2.0.0/%ff', '/app/v/2.0.0/main.js/');
      paths.push('/app/manifest/abc', '/root/0', '/root/x', '/APP/v/2.0.0/main.js', '/app/x/y');
      paths.push(
        `/app/manifest/${sha256(v1)}`,
        '/app/v//main.js',
        '/app/current/../v/1.0.0/main.js',
      );
      for (const path of paths) {
        const answer = await askRaw(plane, path);
        assert.equal(answer.status, 404, path);
        assert.equal(answer.headers['x-sluice-reason'], '1020', path);
        assert.equal(answer.headers['cache-control'], 'no-store');
      }
      const posted = await askRaw(plane, '/app/v/2.0.0/main.js', {}, 'POST');
      assert.equal(posted.status, 405);
      assert.equal(posted.headers.allow, 'GET, HEAD');
      const got = await askRaw(plane, '/check');
      assert.equal(got.status, 405);
      assert.equal(got.headers.allow, 'POST');
    });

    it('serves only the channels of its route', async () => {
      const one = await DeliveryPlane.start({ engine, store, channels: ['tar'] });
      try {
        assert.equal((await askRaw(one, '/tar/pack/1')).status, 200);
        assert.equal((await askRaw(one, '/app/v/2.0.0/main.js')).status, 404);
        const body = JSON.stringify({ device: { id: 'd' }, channels: { app: { sequence: 0 } } });
        const check = await one.ask('/check', { method: 'POST', body });
        assert.deepEqual(JSON.parse(check.body).channels, { app: { status: 'none' } });
      } finally {
        await one.stop();
      }
    });

    checkCases(
      () => plane,
      () => store,
    );
    damageCases(engine);
  });
}

function checkCases(plane: () => DeliveryPlane, store: () => TestStore): void {
  const post = (body: unknown, path = '/check') =>
    plane().ask(path, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  it('answers a check of many channels at once', async () => {
    const answer = await post({
      device: {
        id: 'd',
        appVersion: '1.0.0',
        platform: 'web',
        region: 'de',
        attributes: { a: 'b' },
      },
      channels: { app: { sequence: 1 }, tar: { sequence: 1 }, none: { sequence: 0 } },
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['cache-control'], 'no-store');
    const { nowMs, channels } = JSON.parse(answer.body);
    assert.ok(Math.abs(nowMs - store().clock.wallMs()) < 60_000);
    assert.equal(channels.app.status, 'update');
    assert.equal(channels.tar.status, 'current');
    assert.deepEqual(channels.none, { status: 'none' });
    for (const name of ['app', 'tar']) {
      const bytes = Buffer.from(JSON.stringify(channels[name].head));
      const head = openHead(bytes, store().root);
      assert.equal(head.channel, name);
      assert.ok(head.expiresAtMs > nowMs);
    }
  });

  it('refuses a check that is not one', async () => {
    const device = { id: 'd' };
    const bodies: unknown[] = ['', '{', '[]', 'null', {}, { device }, { device: {}, channels: {} }];
    bodies.push({ device, channels: { app: {} } }, { device, channels: { app: { sequence: -1 } } });
    bodies.push({ device, channels: { 'A/..': { sequence: 0 } } });
    bodies.push(
      { device, channels: {}, more: 1 },
      { device: { ...device, name: 'x' }, channels: {} },
    );
    bodies.push({ device: { id: 'x'.repeat(257) }, channels: {} });
    const many = Object.fromEntries(
      Array.from({ length: 65 }, (_, n) => [`c${n}`, { sequence: 0 }]),
    );
    bodies.push({ device, channels: many });
    for (const body of bodies) {
      const answer = await post(body);
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.equal(answer.headers['x-sluice-reason'], '1022');
      // An unknown key of the body itself was told as `: unknown key`.
      assert.match(JSON.parse(answer.body).detail, /^\w/, JSON.stringify(body));
    }
    const large = await post(JSON.stringify({ device, pad: 'x'.repeat(70_000) }));
    assert.equal(large.status, 413);
  });

  it('takes outcomes of known releases, and each device once', async () => {
    const outcome = { channel: 'app', sequence: 2, outcome: 'applied' };
    const failed = { channel: 'app', sequence: 2, outcome: 'failed', cause: 'hash' };
    const unknown = { channel: 'app', sequence: 99, outcome: 'applied' };
    for (let round = 0; round < 2; ++round) {
      for (const deviceId of ['a', 'b']) {
        const answer = await post({ deviceId, outcomes: [outcome, failed, unknown] }, '/outcomes');
        assert.equal(answer.status, 204);
      }
    }
    plane().deliverer.report();
    const channel = plane()
      .desk.report()
      .channels.find((one) => one.channel === 'app')!;
    const { counts } = channel.releases.find(({ sequence }) => sequence === 2)!;
    assert.equal(counts.applied, 2);
    assert.equal(counts.failed.hash, 2);
    assert.equal(channel.releases.length, 2);
    const bad = [{ ...outcome, cause: 'hash' }, { ...failed, cause: undefined }, { outcome: 'x' }];
    for (const one of bad) {
      const answer = await post({ deviceId: 'a', outcomes: [one] }, '/outcomes');
      assert.equal(answer.status, 400);
    }
  });
}

/** Bits that turn on the disk: no wrong byte is ever sent. */
function damageCases(engine: Engine): void {
  const flip = (store: TestStore, ref: ArtefactRef, at: number): void => {
    const path = store.store.pathOf(ref);
    const bytes = readFileSync(path);
    bytes[at < 0 ? bytes.length + at : at]! ^= 0x10;
    writeFileSync(path, bytes);
  };

  it('never sends what has turned on the disk', async () => {
    const store = await TestStore.create();
    const [v1, v2] = [script(1), script(2)];
    await store.publish({ version: '1', files: { 'main.js': v1 } });
    await store.publish({ version: '2', files: { 'main.js': v2 } });
    const base = sha256(v1);
    const target = sha256(v2);
    const headers = { 'accept-encoding': ALL, 'available-dictionary': dictionaryOf(v1) };
    const flips = [0, 41, -1, -20, -33];
    try {
      for (const memorySizeBytesMax of [2 ** 24, 8]) {
        for (const at of flips) {
          const plane = await DeliveryPlane.start({
            engine,
            store,
            memorySizeBytesMax,
            onMake: never,
          });
          flip(store, { kind: 'delta', target, base }, at);
          const answer = await askRaw(plane, '/app/v/2/main.js', headers);
          assert.equal(answer.status, 200, plane.lines.join('\n'));
          assert.equal(answer.headers['content-encoding'], 'br', `delta at ${at}`);
          assert.equal(brotliDecompressSync(answer.bytes).toString(), v2);
          assert.match(plane.lines.join('\n'), /not what was stored: delta/);
          await plane.stop();
          await store.makeDelta(target, base);
        }
      }
      flip(store, { kind: 'variant', sha256: target, encoding: 'br' }, 100);
      flip(store, { kind: 'variant', sha256: target, encoding: 'zstd' }, -3);
      const plane = await DeliveryPlane.start({ engine, store, onMake: never });
      const gzip = await askRaw(plane, '/app/v/2/main.js', { 'accept-encoding': 'br, zstd, gzip' });
      assert.equal(gzip.headers['content-encoding'], 'gzip');
      assert.equal(gunzipSync(gzip.bytes).toString(), v2);
      flip(store, { kind: 'object', sha256: target }, 70_000);
      const canonical = await askRaw(plane, '/app/v/2/main.js');
      assert.equal(canonical.status, 503);
      assert.equal(canonical.headers['x-sluice-reason'], '1013');
      assert.equal(canonical.headers['cache-control'], 'no-store');
      const again = await askRaw(plane, '/app/v/2/main.js');
      assert.equal(again.status, 503, 'gone, and still not another file');
      const still = await askRaw(plane, '/app/v/2/main.js', { 'accept-encoding': 'gzip' });
      assert.equal(gunzipSync(still.bytes).toString(), v2);
      await plane.stop();
    } finally {
      store.remove();
    }
  });

  it('cuts a stream whose later block is damaged', async () => {
    const store = await TestStore.create();
    await store.publish({ version: '1', files: { 'large.png': LARGE } });
    flip(store, { kind: 'object', sha256: sha256(LARGE) }, 2_000_000);
    const plane = await DeliveryPlane.start({ engine, store, memorySizeBytesMax: 8 });
    try {
      await assert.rejects(askRaw(plane, '/app/v/1/large.png'), /aborted|ECONNRESET|hang up/);
      assert.equal((await askRaw(plane, '/app/v/1/large.png')).status, 503);
    } finally {
      await plane.stop();
      store.remove();
    }
  });

  it('makes what is missing once, and answers meanwhile with what there is', async () => {
    const store = await TestStore.create();
    const [v1, v2] = [script(1), script(2)];
    await store.publish({ version: '1', files: { 'main.js': v1 }, forms: 'none' });
    await store.publish({ version: '2', files: { 'main.js': v2 }, forms: 'none' });
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const plane = await DeliveryPlane.start({ engine, store, onMake: () => held });
    const take = plane.desk.take.bind(plane.desk);
    let wantsCount = 0;
    plane.desk.take = (message, reply) => {
      wantsCount += Number(message.kind === 'want');
      take(message, reply);
    };
    try {
      const headers = { 'accept-encoding': ALL, 'available-dictionary': dictionaryOf(v1) };
      const ask = () => askRaw(plane, '/app/v/2/main.js', headers);
      for (const answer of await Promise.all(Array.from({ length: 10 }, ask))) {
        assert.equal(answer.headers['content-encoding'], undefined);
        assert.match(answer.headers['cache-control']!, /s-maxage=60/);
        assert.equal(answer.bytes.toString(), v2);
      }
      // A crowd was a message for each request to the main thread, which has other things to do.
      assert.equal(wantsCount, 4);
      release();
      await until(() => plane.desk.report().making.made === 4);
      assert.equal(plane.wanted.filter(({ kind }) => kind === 'delta').length, 1);
      assert.equal(plane.wanted.length, 4);
      const delta = await ask();
      assert.equal(delta.headers['content-encoding'], 'dcz');
      assert.doesNotMatch(delta.headers['cache-control']!, /s-maxage/);
      plane.deliverer.report();
      const [channel] = plane.desk.report().channels;
      assert.deepEqual([...channel!.bases.keys()], [sha256(v1)]);
      rmSync(store.store.pathOf({ kind: 'delta', target: sha256(v2), base: sha256(v1) }));
    } finally {
      await plane.stop();
      store.remove();
    }
  });
}

function never(): Promise<void> {
  return new Promise(() => {});
}

export async function until(isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000; ++turn) {
    if (isDone()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('what was waited for did not come');
}
