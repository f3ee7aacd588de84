// Holds together what is written twice: schema and documentation, error registry and its page,
// sources and what is generated from them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import * as z from 'zod';
import {
  documentKeys,
  formatIssue,
  jsonSchema,
  keyGroups,
  loadConfig,
} from '../../host/config/index.ts';
import { ERRORS, type ErrorCode } from '../../host/core/index.ts';

const KEYS_PAGE = readFileSync('docs/configuration.md', 'utf8');

describe('docs/configuration.md', () => {
  it('has a table for every map of the schema, and no other', () => {
    const documented = [...KEYS_PAGE.matchAll(/<!-- keys: (\S+) -->/g)].map((found) => found[1]);
    const inSchema = keyGroups().map(({ path }) => path || 'file');
    assert.deepEqual([...documented].sort(), [...inSchema].sort());
  });

  it('lists every key of each map, and no other', () => {
    const tables = /<!-- keys: (\S+) -->\n([\s\S]*?)<!-- end of keys -->/g;
    const groups = new Map(keyGroups().map(({ path, fields }) => [path || 'file', fields]));
    for (const [, path, table] of KEYS_PAGE.matchAll(tables)) {
      const documented = [...table!.matchAll(/^\| `([^`]+)` \|/gm)].map((found) => found[1]);
      assert.deepEqual(documented, Object.keys(groups.get(path!)!), path);
    }
    assert.equal(documentKeys(KEYS_PAGE), KEYS_PAGE, 'run npm run generate');
  });

  it('refuses a page with a table too few or too many', () => {
    assert.throws(() => documentKeys('no tables'), /the page has no table for file, listen/);
    const extra = `${KEYS_PAGE}\n<!-- keys: nothing -->\n<!-- end of keys -->`;
    assert.throws(() => documentKeys(extra), /the schema has no map nothing/);
  });

  it('every example is a configuration that loads, or a part of one', () => {
    const examples = [...KEYS_PAGE.matchAll(/```yaml\n([\s\S]*?)```/g)].map((found) => found[1]!);
    assert.ok(examples.length > 10);
    for (const example of examples) {
      const result = loadConfig(completed(example), 'example.yaml');
      const why = result.ok ? '' : result.issues.map(formatIssue).join('\n');
      assert.ok(result.ok, `${example}\n${why}`);
    }
  });
});

/** Completes an example of a part to a whole file. */
function completed(example: string): string {
  const indented = (by: string) => example.replace(/^/gm, by);
  const service = 'services: { wallet: { endpoints: ["http://a"] } }\n';
  const next = service.replace(' } }', ' }, wallet-next: { endpoints: ["http://b"] } }');
  if (/^(match|rewrite|redirect|rate|headers):/m.test(example)) {
    const action = /^redirect:/m.test(example) ? 'name: part' : 'to: wallet';
    const match = /^match:/m.test(example) ? '' : '    match: {}\n';
    const head = `listen: [{ port: 1 }]\n${service}routes:\n  - ${action}\n`;
    return `${head}${match}${indented('    ')}\n`;
  }
  const listen = /^listen:/m.test(example) ? '' : 'listen: [{ port: 1 }]\n';
  const services = /^routes:/m.test(example) && !/^services:/m.test(example) ? next : '';
  return listen + services + example;
}

describe('docs/sluice.schema.json', () => {
  const schema = z.fromJSONSchema(jsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
  const fits = (text: string) => schema.safeParse(parse(text)).success;

  it('takes every good file', () => {
    const names = readdirSync('test/golden/config').filter((name) => !/normal/.test(name));
    for (const name of names) {
      const text = readFileSync(`test/golden/config/${name}`, 'utf8');
      const result = schema.safeParse(parse(text));
      assert.ok(result.success, `${name}: ${result.error?.message}`);
    }
  });

  it('refuses unknown keys, keys that are not built, missing keys and wrong forms', () => {
    const base = 'listen: [{ port: 1 }]\n';
    assert.ok(fits(base));
    for (const part of [
      'routs: []',
      'plugins: []',
      'log: { level: loud }',
      'admin: { port: 70000 }',
      'workers: { io: many }',
      'services: { a: {} }',
      'services: { a: { endpoints: [] } }',
      'services: { a: { endpoints: ["ftp://a"] } }',
      'services: { a: { endpoints: ["http://a"], timeouts: { connect: 5 } } }',
      'services: { "a b": { endpoints: ["http://a"] } }',
      'routes: [{ to: a }]',
      'routes: [{ match: {}, to: a, cors: {} }]',
      'routes: [{ match: { path: a }, to: a }]',
      'routes: [{ match: {}, redirect: { to: /, status: 200 } }]',
      'routes: [{ match: {}, to: a, rate: [{ limit: 0, per: 1s }] }]',
    ]) {
      assert.ok(!fits(base + part), part);
    }
    assert.ok(!fits('services: {}'));
  });
});

describe('docs/reasons.md', () => {
  const page = readFileSync('docs/reasons.md', 'utf8');
  const rows = new Map(
    [...page.matchAll(/^\| `((?:GW|DB)_\w+)` \| (\d+) \| (\S+) \| (.+?) \| (.+?) \|$/gm)].map(
      ([, code, reason, status, meaning, advice]) => [
        code!,
        { reason: Number(reason), status: status === '–' ? 0 : Number(status), meaning, advice },
      ],
    ),
  );

  it('names every code and no dead one', () => {
    assert.deepEqual([...rows.keys()].sort(), Object.keys(ERRORS).sort());
    const named = new Set([...page.matchAll(/\b(?:GW|DB)_\w+/g)].map(([code]) => code));
    assert.equal(named.size, rows.size);
  });

  it('gives reason, status and meaning as the registry does, and an advice', () => {
    for (const [code, row] of rows) {
      const { reason, status, title } = ERRORS[code as ErrorCode];
      assert.deepEqual(
        { reason: row.reason, status: row.status, meaning: row.meaning },
        { reason, status, meaning: title },
        code,
      );
      assert.ok(row.advice!.length > 10, `${code} has no advice`);
    }
  });

  it('no reason number stands twice', () => {
    const reasons = Object.values(ERRORS).map(({ reason }) => reason);
    assert.equal(new Set(reasons).size, reasons.length);
  });
});

describe('what is generated', () => {
  it('is what the sources give today', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-generate-'));
    try {
      const run = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/generate.ts', folder], {
        encoding: 'utf8',
      });
      assert.equal(run.status, 0, run.stderr);
      const files = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      assert.ok(files.length > 10);
      for (const file of files) {
        const committed = file.slice(folder.length + 1);
        const message = `${committed} is stale: run npm run generate`;
        assert.equal(readFileSync(file, 'utf8'), readFileSync(committed, 'utf8'), message);
      }
      const generated = files.filter((file) => file.includes('host/config/generated'));
      assert.equal(generated.length, readdirSync('host/config/generated').length);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
