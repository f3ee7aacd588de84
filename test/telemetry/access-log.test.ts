import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { isGatewayError } from '../../host/core/index.ts';
import {
  type AccessEntry,
  jsonLine,
  LineTime,
  textLine,
} from '../../host/telemetry/access-line.ts';
import { ACCESS_LOG_BUFFER_SIZE_BYTES_MAX } from '../../host/telemetry/access-log.ts';
import { AccessLog } from '../../host/telemetry/index.ts';
import { testSeed } from '../support/seed.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-access-'));
after(() => rmSync(folder, { recursive: true }));

const TIME = '2023-11-14T22:13:20.007Z';
const ENTRY: AccessEntry = {
  wallMs: 1_700_000_000_007,
  clientAddress: '203.0.113.9',
  method: 'GET',
  path: '/api/pay/7?x=1',
  protocol: 'HTTP/1.1',
  route: 'pay',
  service: 'wallet',
  endpoint: '127.0.0.1:9001',
  status: 200,
  reason: 0,
  bytesIn: 12,
  bytesOut: 3456,
  durationMs: 1.23456,
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  detail: '',
};

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({
    unit: fc.constantFrom(
      '"',
      '\\',
      '\n',
      '\r',
      '\t',
      '\0',
      '\x1b',
      '\x7f',
      '\x9b',
      '\u2028',
      ' ',
      'a',
    ),
    maxLength: 30,
  }),
  fc.constantFrom('\ud800', '\udc00x', '\u202e', '\u001b[2J', '","status":500,"x":"'),
);
const entries: fc.Arbitrary<AccessEntry> = fc.record({
  wallMs: fc.double(),
  clientAddress: hostile,
  method: hostile,
  path: hostile.map((text) => Buffer.from(text, 'utf8').toString('latin1')),
  protocol: hostile,
  route: hostile,
  service: hostile,
  endpoint: hostile,
  status: fc.integer(),
  reason: fc.nat(),
  bytesIn: fc.maxSafeNat(),
  bytesOut: fc.maxSafeNat(),
  durationMs: fc.double(),
  traceId: hostile,
  detail: hostile,
});

describe('access log lines', () => {
  it('in JSON', () => {
    const line = jsonLine(ENTRY, TIME);
    assert.deepEqual(JSON.parse(line), {
      time: TIME,
      client: '203.0.113.9',
      method: 'GET',
      path: '/api/pay/7?x=1',
      protocol: 'HTTP/1.1',
      route: 'pay',
      service: 'wallet',
      endpoint: '127.0.0.1:9001',
      status: 200,
      reason: 0,
      bytesIn: 12,
      bytesOut: 3456,
      durationMs: 1.235,
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    });
  });

  it('in text', () => {
    assert.equal(
      textLine({ ...ENTRY, service: '', traceId: '', path: '/"\\\x1b[2J é' }, TIME),
      `${TIME} 203.0.113.9 "GET /\\x22\\x5C\\x1B[2J \\xE9 HTTP/1.1" 200 0 12 3456 1.235ms ` +
        'pay - 127.0.0.1:9001 -\n',
    );
  });

  it('a path that is UTF-8 is text in JSON and bytes in text, any other is bytes in both', () => {
    for (const [path, json, text] of [
      ['/gr\xc3\xbcn?\xc4\x8d', '/gr\\u00fcn?\\u010d', '/gr\\xC3\\xBCn?\\xC4\\x8D'],
      ['/\xf0\x9f\x98\x80', '/\\ud83d\\ude00', '/\\xF0\\x9F\\x98\\x80'],
      ['/\xc3\xbc/\xff', '/\\u00c3\\u00bc/\\u00ff', '/\\xC3\\xBC/\\xFF'],
    ] as const) {
      assert.ok(jsonLine({ ...ENTRY, path }, TIME).includes(`"path":"${json}"`), path);
      assert.ok(textLine({ ...ENTRY, path }, TIME).includes(`"GET ${text} HTTP/1.1"`), path);
    }
  });

  it('JSON gives back exactly what a client sent', () => {
    const check = (entry: AccessEntry) => {
      const line = jsonLine(entry, TIME);
      assert.match(line, /^[ -~]*\n$/, 'a line is ASCII and ends once');
      const parsed = JSON.parse(line) as Record<string, unknown>;
      assert.equal(parsed.client, entry.clientAddress);
      const text = Buffer.from(entry.path, 'latin1').toString('utf8');
      assert.equal(parsed.path, text.includes('\ufffd') ? entry.path : text);
      for (const key of ['method', 'protocol', 'route', 'service', 'endpoint'] as const) {
        assert.equal(parsed[key], entry[key]);
      }
      assert.equal(parsed.traceId, entry.traceId);
      assert.equal(parsed.detail ?? '', entry.detail.slice(0, 512));
      for (const key of ['status', 'reason', 'bytesIn', 'bytesOut'] as const) {
        assert.equal(parsed[key], entry[key]);
      }
      assert.equal(Object.keys(parsed).length, entry.detail === '' ? 14 : 15);
    };
    fc.assert(fc.property(entries, check), { seed: testSeed('access JSON'), numRuns: 500 });
  });

  it('text holds no control character and always the same fields', () => {
    const check = (entry: AccessEntry) => {
      const line = textLine(entry, TIME);
      assert.match(line, /^[ -~]*\n$/);
      assert.match(line, /^\S+ \S+ "[^"]*" -?\d+ \d+ \d+ \d+ \S+ms \S+ \S+ \S+ \S+( "[^"]*")?\n$/);
    };
    fc.assert(fc.property(entries, check), { seed: testSeed('access text'), numRuns: 500 });
  });

  it('a field has a bound', () => {
    const line = jsonLine({ ...ENTRY, path: 'é'.repeat(100_000) }, TIME);
    assert.equal((JSON.parse(line) as AccessEntry).path, 'é'.repeat(16_384));
    assert.ok(textLine({ ...ENTRY, path: 'a'.repeat(100_000) }, TIME).length < 17_000);
  });

  it('times are those of the wall clock, and a broken clock does not throw', () => {
    const time = new LineTime();
    for (const wallMs of [0, 7, 99.9, 1_700_000_000_007.5, 1_700_000_000_999, 1_700_000_001_000]) {
      assert.equal(time.text(wallMs), new Date(Math.floor(wallMs)).toISOString());
    }
    for (const wallMs of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      assert.equal(time.text(wallMs), '1970-01-01T00:00:00.000Z');
    }
  });
});

describe('access log', () => {
  const failed = (error: Error) => assert.fail(error);

  it('writes every line to a file, in order', async () => {
    const path = join(folder, 'all.log');
    const log = new AccessLog({ format: 'json', destination: path, onError: failed });
    for (let index = 0; index < 10_000; index++) log.write({ ...ENTRY, bytesIn: index });
    await log.close();
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    assert.equal(lines.length, 10_000);
    assert.equal(log.linesWritten, 10_000);
    assert.equal(log.linesDropped, 0);
    const order = lines.map((line) => (JSON.parse(line) as AccessEntry).bytesIn);
    assert.deepEqual(
      order,
      Array.from({ length: 10_000 }, (_, index) => index),
    );
    log.write(ENTRY);
    assert.equal(log.linesDropped, 1, 'after its end it only counts');
    await log.close();
  });

  it('writes a lonely line without being asked', async () => {
    const path = join(folder, 'lonely.log');
    const log = new AccessLog({ format: 'text', destination: path, onError: failed });
    log.write(ENTRY);
    const ended = Date.now() + 5_000;
    while (readFileSync(path, 'utf8') === '' && Date.now() < ended) await delay(20);
    assert.match(readFileSync(path, 'utf8'), /GET \/api\/pay/);
    await log.close();
  });

  it('goes on in a new file after a rotation', async () => {
    const path = join(folder, 'rotated.log');
    const log = new AccessLog({ format: 'text', destination: path, onError: failed });
    log.write(ENTRY);
    log.flush();
    const ended = Date.now() + 5_000;
    while (readFileSync(path, 'utf8') === '' && Date.now() < ended) await delay(10);
    renameSync(path, `${path}.1`);
    log.reopen();
    log.write({ ...ENTRY, path: '/second' });
    await log.close();
    assert.match(readFileSync(`${path}.1`, 'utf8'), /api\/pay/);
    assert.match(readFileSync(path, 'utf8'), /second/);
  });

  it('drops and counts while nobody reads, in bounded memory, then goes on', async () => {
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const readEnd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    const log = new AccessLog({ format: 'json', destination: writeEnd, onError: failed });
    const size = jsonLine(ENTRY, TIME).length;
    const offered = Math.ceil((3 * ACCESS_LOG_BUFFER_SIZE_BYTES_MAX) / size);
    for (let index = 0; index < offered; index++) log.write(ENTRY);
    log.flush();
    assert.equal(log.linesWritten + log.linesDropped, offered);
    assert.ok(log.linesDropped > offered / 2);
    assert.ok(log.linesWritten * size <= ACCESS_LOG_BUFFER_SIZE_BYTES_MAX + size);
    let text = '';
    const reader = new Socket({ fd: readEnd, readable: true, writable: false });
    reader.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const expected = log.linesWritten;
    const ended = Date.now() + 20_000;
    while (text.length < expected * size && Date.now() < ended) await delay(20);
    log.write({ ...ENTRY, path: '/again' });
    await log.close();
    while (!text.includes('/again') && Date.now() < ended) await delay(20);
    const lines = text.trimEnd().split('\n');
    assert.equal(lines.length, expected + 1);
    assert.ok(lines.every((line) => (JSON.parse(line) as AccessEntry).status === 200));
    reader.destroy();
  });

  it('reports a reader that has left once, and neither throws nor hangs', async () => {
    const fifo = join(folder, 'broken');
    execFileSync('mkfifo', [fifo]);
    const readEnd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    closeSync(readEnd);
    const errors: Error[] = [];
    const log = new AccessLog({
      format: 'json',
      destination: writeEnd,
      onError: (error) => errors.push(error),
    });
    for (let round = 0; round < 5; round++) {
      log.write(ENTRY);
      log.flush();
      await delay(10);
    }
    await log.close();
    assert.equal(errors.length, 1);
    assert.match(errors[0]!.message, /EPIPE/);
  });

  it('a reader that leaves is reported once, its lines counted, a new one served', async () => {
    const fifo = join(folder, 'leaving');
    execFileSync('mkfifo', [fifo]);
    const readEnd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    const errors: Error[] = [];
    const log = new AccessLog({
      format: 'text',
      destination: writeEnd,
      onError: (error) => errors.push(error),
    });
    closeSync(readEnd);
    for (let round = 0; round < 5; round++) {
      log.write(ENTRY);
      log.flush();
      await delay(20);
    }
    assert.deepEqual(
      errors.map((error) => (error as NodeJS.ErrnoException).code),
      ['EPIPE'],
    );
    assert.deepEqual([log.linesWritten, log.linesDropped], [0, 5]);
    const secondEnd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    log.write({ ...ENTRY, path: '/second' });
    await log.close();
    assert.equal(log.linesWritten, 1);
    assert.match(readFileSync(secondEnd, 'utf8'), /\/second/);
    closeSync(secondEnd);
  });

  // A blocking write to a full pipe holds a thread of libuv's pool of four, so the logs of four
  // workers, piped to a program that had stopped, kept every file and name lookup waiting.
  it('full pipes hold up nothing else in the process', async () => {
    const logs: AccessLog[] = [];
    const ends: number[] = [];
    for (let worker = 0; worker < 5; worker++) {
      const fifo = join(folder, `full-${worker}`);
      execFileSync('mkfifo', [fifo]);
      ends.push(openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK));
      const writeEnd = openSync(fifo, constants.O_WRONLY);
      const log = new AccessLog({ format: 'json', destination: writeEnd, onError: failed });
      for (let index = 0; index < 2_000; index++) log.write(ENTRY);
      log.flush();
      logs.push(log);
    }
    await delay(50);
    const looked = await Promise.race([stat(folder), delay(5_000, null)]);
    assert.ok(looked !== null, 'a look at a folder waited for the pipes');
    await Promise.all(logs.map((log) => log.close()));
    for (const end of ends) closeSync(end);
  });

  it('a file that cannot be opened is a clear error', () => {
    const destination = join(folder, 'no', 'such', 'folder.log');
    assert.throws(
      () => new AccessLog({ format: 'json', destination, onError: failed }),
      (error) => isGatewayError(error) && error.code === 'GW_CONFIG_FILE',
    );
  });
});
