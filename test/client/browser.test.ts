// The bundle for browsers in Debian's Chromium: an update by delta, a start without the origin, and
// one after the browser has cleared what it kept. Needs `npm run build`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';
import { script } from '../support/loader.ts';
import { ReleaseOrigin } from '../support/release-origin.ts';
import { ReleaseShelf, sha256, type TestRelease } from '../support/release-shelf.ts';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const shelf = new ReleaseShelf();
let builtIn: TestRelease;
let origin: ReleaseOrigin;
let pages: Server;
let browser: Browser;
let page: Page;

/** The app's own pages: a document, the bundle, and the built-in release. */
function servePages(): Server {
  const html = '<!doctype html><title>app</title>';
  return createServer((request, response) => {
    const path = (request.url ?? '/').slice(1);
    const file = builtIn.files.get(path.replace(/^built-in\//, ''));
    // A policy as an app should have it: the decoder needs no more than this.
    response.setHeader(
      'content-security-policy',
      "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src *",
    );
    if (path === '') response.setHeader('content-type', 'text/html').end(html);
    else if (path === 'loader.js') {
      response.setHeader('content-type', 'text/javascript');
      response.end(readFileSync('dist/client/sluice-loader.browser.js'));
    } else if (path === 'manifest.json') response.end(builtIn.manifest);
    else if (file !== undefined) response.end(file);
    else response.writeHead(404).end();
  });
}

interface Told {
  readonly source: string;
  readonly version: string;
  readonly update: string | null;
  readonly message: string | null;
  readonly sha256: string;
  readonly level: readonly string[];
  readonly bytesReceived: number;
}

/** Starts a loader in the page, and updates if asked. */
async function runInPage(does: 'start' | 'update'): Promise<Told> {
  return await page.evaluate(
    async ({ does, originUrl, trustRoot }) => {
      const url = '/loader.js';
      const { createLoader, cacheStorage, builtInUrl } = await import(url);
      const loader = createLoader({
        channels: ['app'],
        origins: [originUrl],
        trustRoot,
        storage: cacheStorage(),
        builtIn: { app: builtInUrl('/built-in/', '/manifest.json') },
        limits: { rounds: 1, requestTimeoutMs: 5_000 },
      });
      let bytesReceived = 0;
      loader.on('progress', (progress: { bytesReceived: number }) => {
        bytesReceived = progress.bytesReceived;
      });
      await loader.start();
      const [update] = does === 'update' ? await loader.update() : [];
      const bytes = await loader.get('main.js');
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
      const { source, version } = loader.release();
      await loader.confirm();
      const level = loader.trail().map((one: { level: string; code: string; detail: string }) => {
        return `${one.level} ${one.code} ${one.detail}`;
      });
      await loader.idle();
      await loader.close();
      const message = update?.error?.message ?? null;
      return {
        source,
        version,
        update: update?.status ?? null,
        message,
        sha256,
        level,
        bytesReceived,
      };
    },
    { does, originUrl: origin.url, trustRoot: shelf.trustRoot },
  );
}

before(async () => {
  builtIn = shelf.publish('app', { 'main.js': script(1), 'style.css': 'body {}' });
  origin = await ReleaseOrigin.open(shelf);
  pages = servePages();
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  page = await browser.newPage();
  await page.goto(`http://localhost:${(pages.address() as AddressInfo).port}/`);
});
after(async () => {
  await browser?.close();
  await origin.close();
  pages.closeAllConnections();
  await new Promise((resolve) => pages.close(resolve));
});

describe('the loader in Chromium', () => {
  it('opens what is built in, and comes to the next release by delta', async () => {
    shelf.publish('app', { 'main.js': script(2), 'style.css': 'body {}' });
    const told = await runInPage('update');
    assert.equal(told.update, 'updated', told.message ?? '');
    assert.deepEqual([told.source, told.version], ['current', '1.2.0']);
    assert.equal(told.sha256, sha256(script(2)));
    assert.deepEqual(told.level, []);
    assert.equal(origin.count(/main\.js\?base=/), 1);
    assert.equal(origin.count(/main\.js$/), 0);
    assert.ok(told.bytesReceived > 0 && told.bytesReceived < script(2).length / 4);
    const outcomes = origin.outcomes.map((one) => (one as { outcome: string }).outcome);
    assert.deepEqual(outcomes, ['delivered', 'applied', 'opened']);
  });

  it('opens it again after a reload, without the origin', async () => {
    origin.options = { fault: () => ({ kind: 'refuse' }) };
    const asked = origin.requests.length;
    await page.reload();
    const told = await runInPage('start');
    assert.deepEqual([told.source, told.version], ['current', '1.2.0']);
    assert.equal(told.sha256, sha256(script(2)));
    assert.deepEqual(told.level, []);
    assert.equal(origin.requests.length, asked);
  });

  it('mends a damaged cache, and notes it', async () => {
    origin.options = {};
    await page.evaluate(
      async (wanted) => {
        const cache = await caches.open('sluice-loader');
        const [key] = (await cache.keys()).filter(({ url }) => url.endsWith(wanted));
        await cache.put(key!, new Response('rotten'));
      },
      sha256(script(2)),
    );
    await page.reload();
    const told = await runInPage('update');
    assert.equal(told.version, '1.2.0');
    assert.equal(told.sha256, sha256(script(2)));
    assert.ok(
      told.level.some((one) => one.startsWith('disk LOADER_HASH')),
      told.level.join(),
    );
  });

  it('opens what is built in when the browser has cleared everything', async () => {
    origin.options = { fault: () => ({ kind: 'refuse' }) };
    await page.evaluate(async () => {
      for (const name of await caches.keys()) await caches.delete(name);
    });
    await page.reload();
    const told = await runInPage('start');
    assert.deepEqual([told.source, told.version], ['builtIn', '1.1.0']);
    assert.equal(told.sha256, sha256(script(1)));
  });
});
