// An unmodified Chromium takes deltas from the distribution plane, and goes on without them
// wherever it cannot. Source of what is expected: RFC 9842, and what Chromium was seen to do.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';
import { needDebian } from '../support/debian.ts';
import { DeliveryPlane } from '../support/delivery-plane.ts';
import { script, TestStore } from '../support/distribution.ts';

const CHROMIUM = '/usr/bin/chromium';
/** A dictionary is registered some time after its answer has been read. */
const REGISTERED_MS_MAX = 20_000;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage'];

interface Fetched {
  readonly coding: string | null;
  readonly sha256: string;
  readonly encodedBytes: number;
}

function sha(bytes: Uint8Array | string, form: 'hex' | 'base64' = 'hex'): string {
  return createHash('sha256').update(bytes).digest(form);
}

/** A module that is valid and large enough to be worth a delta: custom sections of text. */
function wasmModule(version: number): Buffer {
  const name = Buffer.from('text');
  const text = Buffer.from(script(version, 400));
  const content = Buffer.concat([Buffer.from([name.length]), name, text]);
  const size = [];
  for (let rest = content.length; ; rest >>>= 7) {
    size.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Buffer.concat([
    Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0]),
    Buffer.from(size),
    content,
  ]);
}

describe('a browser', () => {
  let store: TestStore;
  let plane: DeliveryPlane;
  let browser: Browser;
  const scripts = [1, 2, 3].map((version) =>
    `globalThis.ran = ${version};\n${script(version)}`.replaceAll('export ', ''),
  );
  const page = '<!doctype html><title>delta</title>';
  const hashedName = (version: number): string => {
    return `assets/entry-${sha(scripts[version - 1]!).slice(0, 8)}.js`;
  };

  before(async () => {
    needDebian('chromium', 'chromium');
    store = await TestStore.create();
    for (const version of [1, 2, 3]) {
      await store.publish({
        version: `${version}.0.0`,
        files: {
          'index.html': page,
          'main.js': scripts[version - 1]!,
          'odd (1)+x.js': scripts[version - 1]!,
          'app.wasm': wasmModule(version),
          [hashedName(version)]: scripts[version - 1]!,
        },
      });
    }
    plane = await DeliveryPlane.start({ engine: 'uws', store });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  });

  after(async () => {
    await browser?.close();
    await plane.stop();
    store.remove();
  });

  /** A page of a browser that has been nowhere yet. */
  async function freshPage(origin = `http://localhost:${plane.port}`): Promise<Page> {
    const context = await browser.newContext();
    const opened = await context.newPage();
    await opened.goto(`${origin}/r/app/current/`);
    return opened;
  }

  function load(from: Page, path: string): Promise<Fetched> {
    return from.evaluate(async (url) => {
      const answer = await fetch(url);
      const bytes = await answer.arrayBuffer();
      // Only a secure context has digests; an insecure one sends its bytes to be hashed outside.
      const digest =
        crypto.subtle === undefined ? null : await crypto.subtle.digest('SHA-256', bytes);
      const digits = [...new Uint8Array(digest ?? new ArrayBuffer(0))].map((byte) =>
        byte.toString(16).padStart(2, '0'),
      );
      const entries = performance.getEntriesByName(new URL(url, location.href).href);
      const last = entries.at(-1) as PerformanceResourceTiming;
      return {
        coding: answer.headers.get('content-encoding'),
        sha256: digits.join(''),
        encodedBytes: last.encodedBodySize,
      };
    }, path);
  }

  /** Loads versions of a file that the browser has not seen, until it offers the base. */
  async function untilDelta(from: Page, path: string): Promise<Fetched> {
    const beganMs = Date.now();
    for (let attempt = 0; ; ++attempt) {
      const found = await load(from, `${path}?attempt=${attempt}`);
      if (found.coding === 'dcz' || Date.now() - beganMs > REGISTERED_MS_MAX) return found;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  it('takes the next version as a delta, and the one after against that', async () => {
    const tab = await freshPage();
    const first = await load(tab, '/r/app/v/1.0.0/main.js');
    assert.notEqual(first.coding, 'dcz');
    assert.equal(first.sha256, sha(scripts[0]!));
    const second = await untilDelta(tab, '/r/app/v/2.0.0/main.js');
    assert.equal(second.coding, 'dcz');
    assert.equal(second.sha256, sha(scripts[1]!));
    assert.ok(second.encodedBytes < 2_000, `${second.encodedBytes} bytes on the wire`);
    const third = await untilDelta(tab, '/r/app/v/3.0.0/main.js');
    assert.equal(third.coding, 'dcz');
    assert.equal(third.sha256, sha(scripts[2]!));
    await tab.context().close();
  });

  it('matches paths whose characters mean something in a pattern', async () => {
    const tab = await freshPage();
    await load(tab, '/r/app/v/1.0.0/odd%20(1)+x.js');
    const second = await untilDelta(tab, '/r/app/v/2.0.0/odd%20(1)+x.js');
    assert.equal(second.coding, 'dcz');
    assert.equal(second.sha256, sha(scripts[1]!));
    await tab.context().close();
  });

  it('takes a file by delta whose name holds its hash', async () => {
    const tab = await freshPage();
    await load(tab, `/r/app/v/1.0.0/${hashedName(1)}`);
    const second = await untilDelta(tab, `/r/app/v/2.0.0/${hashedName(2)}`);
    assert.equal(second.coding, 'dcz');
    assert.equal(second.sha256, sha(scripts[1]!));
    await tab.context().close();
  });

  it('runs a script that came as a delta, and checks its integrity', async () => {
    const tab = await freshPage();
    await load(tab, '/r/app/v/1.0.0/main.js');
    await untilDelta(tab, '/r/app/v/2.0.0/main.js');
    const run = (integrity: string) =>
      tab.evaluate(
        ([url, value]) =>
          new Promise<string>((resolve) => {
            const element = document.createElement('script');
            element.src = url!;
            element.integrity = value!;
            element.onload = () => {
              const entry = performance.getEntriesByName(new URL(url!, location.href).href)[0];
              const { encodedBodySize } = entry as PerformanceResourceTiming;
              resolve(`${(globalThis as { ran?: number }).ran} ${encodedBodySize < 2_000}`);
            };
            element.onerror = () => resolve('error');
            document.head.append(element);
          }),
        [`/r/app/v/3.0.0/main.js?${integrity.slice(7, 12)}`, integrity],
      );
    assert.equal(await run(`sha256-${sha(scripts[2]!, 'base64')}`), '3 true');
    assert.equal(await run(`sha256-${sha(scripts[1]!, 'base64')}`), 'error');
    await tab.context().close();
  });

  it('compiles a Wasm module as its delta arrives', async () => {
    const tab = await freshPage();
    await load(tab, '/r/app/v/1.0.0/app.wasm');
    const second = await untilDelta(tab, '/r/app/v/2.0.0/app.wasm');
    assert.equal(second.coding, 'dcz');
    const sections = await tab.evaluate(async () => {
      const answer = await fetch('/r/app/v/3.0.0/app.wasm');
      const coding = answer.headers.get('content-encoding');
      const module = await WebAssembly.compileStreaming(answer);
      const [text] = WebAssembly.Module.customSections(module, 'text');
      return { coding, sizeBytes: text!.byteLength };
    });
    assert.equal(sections.coding, 'dcz');
    assert.equal(sections.sizeBytes, script(3, 400).length);
    await tab.context().close();
  });

  it('falls back when the store has no delta against what it has', async () => {
    const other = await TestStore.create();
    const foreign = script(40);
    await other.publish({ version: '1', files: { 'index.html': page, 'main.js': foreign } });
    await other.publish({ version: '2', files: { 'main.js': scripts[1]! }, forms: 'none' });
    const never = () => new Promise<void>(() => {});
    const own = await DeliveryPlane.start({ engine: 'uws', store: other, onMake: never });
    try {
      const context = await browser.newContext();
      const tab = await context.newPage();
      await tab.goto(`http://localhost:${own.port}/r/app/v/1/index.html`);
      await load(tab, '/r/app/v/1/main.js');
      await until(async () => {
        const found = await load(tab, `/r/app/v/2/main.js?${own.wanted.length}.${Math.random()}`);
        assert.equal(found.coding, null);
        assert.equal(found.sha256, sha(scripts[1]!));
        return own.wanted.some(({ kind }) => kind === 'delta');
      });
      await context.close();
    } finally {
      await own.stop();
      other.remove();
    }
  });

  it('falls back after its cache was cleared', async () => {
    const tab = await freshPage();
    await load(tab, '/r/app/v/1.0.0/main.js');
    assert.equal((await untilDelta(tab, '/r/app/v/2.0.0/main.js')).coding, 'dcz');
    const session = await tab.context().newCDPSession(tab);
    await session.send('Network.clearBrowserCache');
    await until(async () => {
      const found = await load(tab, `/r/app/v/3.0.0/main.js?cleared=${Math.random()}`);
      assert.equal(found.sha256, sha(scripts[2]!));
      return found.coding !== 'dcz';
    });
    await tab.context().close();
  });

  it('asks for no delta from an origin that is not secure', async () => {
    // A name that is no localhost, sent to this machine by the browser's own resolver.
    const args = [...FLAGS, '--host-resolver-rules=MAP plain.example 127.0.0.1'];
    const own = await chromium.launch({ executablePath: CHROMIUM, args });
    try {
      const tab = await own.newPage();
      await tab.goto(`http://plain.example:${plane.port}/r/app/current/`);
      assert.equal(await tab.evaluate(() => isSecureContext), false);
      await load(tab, '/r/app/v/1.0.0/main.js');
      for (let attempt = 0; attempt < 8; ++attempt) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        const found = await load(tab, `/r/app/v/2.0.0/main.js?insecure=${attempt}`);
        assert.notEqual(found.coding, 'dcz');
        assert.ok(found.encodedBytes > 2_000);
      }
    } finally {
      await own.close();
    }
  });
});

async function until(isDone: () => Promise<boolean>): Promise<void> {
  const beganMs = Date.now();
  while (!(await isDone())) {
    if (Date.now() - beganMs > REGISTERED_MS_MAX) throw new Error('it did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
