// Good files and their normal form (golden), and bad files with the exact place of each issue.
// UPDATE=1 rewrites the golden normal forms; read the difference before committing it.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { formatIssue, loadConfig } from '../../host/config/index.ts';
import { BAD_CASES, BASE } from './config-load.cases.ts';

const FOLDER = 'test/golden/config';
const CORES_COUNT = 4;

describe('good configurations', () => {
  const files = readdirSync(FOLDER).filter((name) => !name.endsWith('.normal.json'));
  for (const name of files) {
    it(name, () => {
      const text = readFileSync(`${FOLDER}/${name}`, 'utf8');
      const result = loadConfig(text, `conf/${name}`, CORES_COUNT);
      assert.ok(result.ok, result.ok ? '' : result.issues.map(formatIssue).join('\n'));
      const normalFile = `${FOLDER}/${name}.normal.json`;
      const normal = `${JSON.stringify(result.config, null, 2)}\n`;
      if (process.env.UPDATE === '1') writeFileSync(normalFile, normal);
      assert.equal(normal, readFileSync(normalFile, 'utf8'));
      assertFrozen(result.config);
    });
  }

  it('auto follows the cores, between its bounds', () => {
    const workers = (coresCount: number) => {
      const result = loadConfig('listen: [{ port: 1 }]', 'a.yaml', coresCount);
      return result.ok ? result.config.workers : null;
    };
    assert.deepEqual(workers(1), { io: 1, db: 1, compute: 1 });
    assert.deepEqual(workers(8), { io: 8, db: 4, compute: 4 });
    assert.deepEqual(workers(256), { io: 62, db: 32, compute: 64 });
  });

  it('a file with CRLF, a byte order mark and tabs inside lines means the same', () => {
    const text = readFileSync(`${FOLDER}/full.yaml`, 'utf8');
    const plain = loadConfig(text, 'a.yaml', CORES_COUNT);
    const dressed = `\uFEFF${text.replaceAll('\n', '\r\n').replaceAll('}, {', '},\t{')}`;
    assert.deepEqual(loadConfig(dressed, 'a.yaml', CORES_COUNT), plain);
  });

  it('aliases are read', () => {
    const text = `${BASE.replace('a: {', 'a: &a {')}  b: *a\n`.replace(/^routes.*$/m, '');
    const result = loadConfig(text, 'a.yaml');
    assert.ok(result.ok);
    assert.deepEqual(
      result.config.services.map(({ name }) => name),
      ['a', 'b'],
    );
  });
});

describe('bad configurations', () => {
  for (const { title, text, issues } of BAD_CASES) {
    it(title, () => {
      const result = loadConfig(text, 'x.yaml', CORES_COUNT);
      assert.ok(!result.ok, 'the text was taken');
      const found = result.issues.map(({ code, line, column, path, message }) => {
        return `${line}:${column} ${path} ${code} ${message}`;
      });
      assert.equal(found.length, issues.length, found.join('\n'));
      for (const [index, expected] of issues.entries()) {
        const [place, message] = expected.split(' | ');
        const actual = found[index]!;
        assert.ok(actual.startsWith(`${place} `), `expected ${place}, found ${actual}`);
        assert.ok(actual.includes(message!), `expected ... ${message}, found ${actual}`);
      }
    });
  }

  it('an issue is one line with file, line, column, key, message, code and reason', () => {
    const result = loadConfig('listen: [{ port: 1 }]\nlog: { level: loud }\n', 'sluice.yaml');
    assert.ok(!result.ok);
    assert.equal(
      formatIssue(result.issues[0]!),
      'sluice.yaml:2:15: log.level: expected one of debug, info, warn, error, found "loud" ' +
        '(GW_CONFIG_BAD_VALUE, reason 403)',
    );
  });

  it('issues are bounded to 100 and come in the order of their lines', () => {
    const routes = Array.from({ length: 500 }, (_, index) => `  - { name: r${index} }`);
    const result = loadConfig(`listen: []\nroutes:\n${routes.join('\n')}\n`, 'x.yaml');
    assert.ok(!result.ok);
    assert.equal(result.issues.length, 100);
    const lines = result.issues.map(({ line }) => line);
    assert.deepEqual(
      lines,
      [...lines].sort((left, right) => left - right),
    );
  });

  it('a refused admin token is never shown', () => {
    const result = loadConfig('listen: [{port: 1}]\nadmin: { token: "s3cret ü" }\n', 'x.yaml');
    assert.ok(!result.ok);
    assert.doesNotMatch(result.issues.map(formatIssue).join('\n'), /s3cret/);
  });

  it('the same issues have the same places in JSON', () => {
    const text = '{"listen": [{"port": 1}],\n "log": {\n  "level": "loud"}, "routs": []}';
    const result = loadConfig(text, 'x.json');
    assert.ok(!result.ok);
    const places = result.issues.map(({ line, column, path }) => `${line}:${column} ${path}`);
    assert.deepEqual(places, ['3:12 log.level', '3:21 routs']);
  });
});

function assertFrozen(value: unknown, path = 'config'): void {
  if (typeof value !== 'object' || value === null) return;
  assert.ok(Object.isFrozen(value), `${path} is not frozen`);
  for (const [key, child] of Object.entries(value)) assertFrozen(child, `${path}.${key}`);
}
