// The bundle for browsers in Debian's Chromium: an update by delta, a start without the origin, and
// one after the browser has cleared what it kept. Needs `npm run build`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { LevelSwitches } from '../../client/api.ts';
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
function servePage(request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '/').slice(1);
  const file = builtIn.files.get(path.replace(/^built-in\//, ''));
  // A policy as an app should have it: the decoder needs no more than this.
  response.setHeader(
    'content-security-policy',
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src *",
  );
  if (path === '') {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>app</title>');
  } else if (path === 'loader.js') {
    response.setHeader('content-type', 'text/javascript');
    response.end(readFileSync('dist/client/sluice-loader.browser.js'));
  } else if (path === 'manifest.json') response.end(builtIn.manifest);
  else if (file !== undefined) response.end(file);
  else response.writeHead(404).end();
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
async function runInPage(
  does: 'start' | 'update',
  more: { readonly levels?: Partial<LevelSwitches>; readonly rounds?: number } = {},
): Promise<Told> {
  const { levels = {}, rounds = 1 } = more;
  return await page.evaluate(
    async ({ does, originUrl, trustRoot, levels, rounds }) => {
      const url = '/loader.js';
      const { createLoader, cacheStorage, builtInUrl } = await import(url);
      const loader = createLoader({
        channels: ['app'],
        origins: [originUrl],
        trustRoot,
        storage: cacheStorage(),
        builtIn: { app: builtInUrl('/built-in/', '/manifest.json') },
        levels,
        limits: { rounds, requestTimeoutMs: 5_000 },
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
    { does, originUrl: origin.url, trustRoot: shelf.trustRoot, levels, rounds },
  );
}

/** A browser offers a dictionary from some moment after its response on: asks until it does. */
async function untilOffered(wanted: string): Promise<void> {
  for (let probe = 0; probe < 100; probe += 1) {
    await page.evaluate((path) => fetch(path), `/r/app/v/probe-${wanted}-${probe}/main.js`);
    if (origin.requests.at(-1)?.dictionary === wanted) return;
    await page.waitForTimeout(100);
  }
  assert.fail(`Chromium never offered ${wanted}`);
}

before(async () => {
  builtIn = shelf.publish('app', { 'main.js': script(1), 'style.css': 'body {}' });
  origin = await ReleaseOrigin.open(shelf);
  pages = createServer(servePage);
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

  it('comes by the delta that Chromium decodes itself, and past one that is broken', async () => {
    const levels = { delta: false };
    const asked: string[] = [];
    const decoded = (target: Buffer, base: string): Buffer => {
      asked.push(base);
      return Buffer.from(shelf.delta(target, base)!);
    };
    // Chromium keeps dictionaries for the page's own site only.
    origin.options = { dictionary: decoded, page: servePage };
    await page.goto(new URL('/', origin.url).href);
    shelf.publish('app', { 'main.js': script(3), 'style.css': 'body {}' });
    assert.equal((await runInPage('update', { levels })).update, 'updated');
    await untilOffered(sha256(script(3)));
    shelf.publish('app', { 'main.js': script(4), 'style.css': 'body {}' });
    const native = await runInPage('update', { levels });
    assert.deepEqual([native.update, native.sha256], ['updated', sha256(script(4))]);
    assert.deepEqual(asked, [sha256(script(3))]);
    await untilOffered(sha256(script(4)));
    const broken = (target: Buffer, base: string): Buffer => decoded(target, base).fill(7, 8, 40);
    origin.options = { dictionary: broken, page: servePage };
    shelf.publish('app', { 'main.js': script(5), 'style.css': 'body {}' });
    const before = origin.requests.length;
    const told = await runInPage('update', { levels, rounds: 2 });
    assert.deepEqual([told.update, told.sha256], ['updated', sha256(script(5))]);
    const targets = origin.requests.slice(before).map(({ target }) => target);
    const files = targets.filter((target) => /\/v\//.test(target));
    assert.deepEqual(files, ['/app/v/1.5.0/main.js', '/app/v/1.5.0/%6Dain.js']);
    assert.ok(told.level.some((one) => one.startsWith('full LOADER_NETWORK')));
  });
});
