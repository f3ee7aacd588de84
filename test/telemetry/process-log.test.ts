import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { GatewayError, ManualClock } from '../../host/core/index.ts';
import {
  createPostedLog,
  createProcessLog,
  type LogLevel,
  type LogRecord,
} from '../../host/telemetry/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
after(() => rmSync(folder, { recursive: true }));

function written(level: LogLevel, use: (log: ReturnType<typeof createProcessLog>) => void) {
  const path = join(folder, `${level}-${Math.floor(performance.now() * 1e3)}.log`);
  const fd = openSync(path, 'a');
  const log = createProcessLog({ level, clock: new ManualClock(1_000), fd });
  use(log);
  log.flush();
  closeSync(fd);
  const text = readFileSync(path, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('process log', () => {
  it('writes JSON lines with level, time, message and fields', () => {
    const lines = written('info', (log) => {
      log.debug('not shown');
      log.info('listening', { port: 8080, address: '0.0.0.0' });
      log.warn('a "quoted"\nline \u001b[2J');
      log.error('failed', { error: new GatewayError('GW_LISTEN', 'port 80') });
    });
    assert.deepEqual(lines[0], {
      level: 'info',
      time: '2023-11-14T22:13:21.000Z',
      port: 8080,
      address: '0.0.0.0',
      message: 'listening',
    });
    assert.equal(lines[1]!.message, 'a "quoted"\nline \u001b[2J');
    const error = lines[2]!.error as Record<string, unknown>;
    assert.equal(error.code, 'GW_LISTEN');
    assert.match(String(error.message), /port 80/);
    assert.equal(lines.length, 3);
  });

  it('writes what workers post, with their index and their time', () => {
    const posted: LogRecord[] = [];
    const worker = createPostedLog({
      level: 'debug',
      clock: new ManualClock(5_000),
      workerIndex: 3,
      post: (record) => posted.push(structuredClone(record)),
    });
    worker.debug('seen', { count: 1 });
    worker.error('broke', { error: new Error('inner', { cause: new Error('outer') }) });
    const lines = written('debug', (log) => {
      for (const record of posted) log.write(record);
    });
    assert.deepEqual(lines[0], {
      level: 'debug',
      time: '2023-11-14T22:13:25.000Z',
      worker: 3,
      count: 1,
      message: 'seen',
    });
    const error = lines[1]!.error as Record<string, unknown>;
    assert.deepEqual([error.message, error.cause], ['inner', 'outer']);
    assert.match(String(error.stack), /process-log\.test/);
  });

  it('a worker posts at most 100 records a second and says how many it kept back', () => {
    const clock = new ManualClock();
    const posted: LogRecord[] = [];
    const log = createPostedLog({
      level: 'info',
      clock,
      workerIndex: 0,
      post: (record) => posted.push(record),
    });
    for (let index = 0; index < 250; index++) log.error('again');
    log.debug('below the level');
    assert.equal(posted.length, 100);
    clock.advance(1_000);
    log.error('later');
    assert.equal(posted.length, 102);
    assert.equal(posted[100]!.message, 'log records suppressed');
    assert.deepEqual(posted[100]!.fields, { suppressed: 150, limit: 100 });
  });

  it('takes another level later, as the configuration is read after the log is made', () => {
    const lines = written('info', (log) => {
      log.setLevel('error');
      log.info('hidden');
      log.write({ level: 'warn', message: 'hidden', fields: {}, wallMs: 0, workerIndex: 0 });
      log.setLevel('debug');
      log.debug('seen');
    });
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['seen'],
    );
  });

  it('a message has a bound, in the bytes that are written', () => {
    // Escapes made six bytes of one: a plugin's line of 4 KiB was written as 24.
    for (const [text, kept] of [
      ['x', 8_189],
      ['\u0001', 1_364],
      ['\n', 4_094],
      ['"', 4_094],
      ['é', 4_094],
      ['€', 2_729],
      ['\ud800', 1_364],
      ['😀', 2_047],
    ] as const) {
      const whole = text.repeat(100_000);
      const [line] = written('warn', (log) => log.warn(whole));
      const message = String(line!.message);
      assert.equal(message, `${text.repeat(kept)}…`);
      assert.ok(Buffer.byteLength(JSON.stringify(message)) <= 8_192 + 2, JSON.stringify(text));
    }
    const fits = `${'x'.repeat(8_000)}${'\u0001'.repeat(32)}`;
    const [line] = written('warn', (log) => log.warn(fits));
    assert.equal(line!.message, fits);
  });
});
