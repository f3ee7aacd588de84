// The filters of plugins/, each through the cases beside it, by the command that authors use; and
// what a file of cases cannot say: many pieces, and a share.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { CASE_FILE, type CaseFile } from '../../host/cli/plugin/case-schema.ts';
import { readModule } from '../../host/cli/plugin/read-module.ts';
import { runCases } from '../../host/cli/plugin/run-cases.ts';
import { readDocument } from '../../host/config/index.ts';
import { isGatewayError, SeededRandom } from '../../host/core/index.ts';
import type { PluginModule } from '../../host/proxywasm/index.ts';
import { testSeed } from '../support/seed.ts';

const FOLDER = 'plugins';
const NAMES = readdirSync(FOLDER).filter((name) => existsSync(`${FOLDER}/${name}/index.ts`));

function moduleOf(name: string): PluginModule {
  const module = readModule(`build/plugins/${name}.wasm`, 'strict');
  assert.ok(!isGatewayError(module), `${name}: ${module}`);
  return module;
}

function caseFile(text: string, fileName: string): CaseFile {
  const read = readDocument(text, CASE_FILE, fileName);
  assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.issues));
  return read.value;
}

function assertCases(name: string, text: string): void {
  const results = runCases(moduleOf(name), caseFile(text, `${name} cases`));
  const bad = results.filter(({ problems }) => problems.length > 0);
  assert.deepEqual(bad, []);
}

describe('filters', () => {
  it('are the five of the guide', () => {
    assert.deepEqual(NAMES, ['ab-cookie', 'json-guard', 'jwt', 'request-id', 'token-bucket']);
  });

  for (const name of NAMES) {
    it(`${name}: every case beside it, and no import that another host may lack`, () => {
      assertCases(name, readFileSync(`${FOLDER}/${name}/cases.yaml`, 'utf8'));
      assert.deepEqual(moduleOf(name).report.warnings, []);
      assert.equal(moduleOf(name).report.abi, '0.2.1');
    });
  }
});

describe('jwt', () => {
  it('refuses a token with any one bit of it changed', () => {
    const seed = testSeed('jwt bits');
    const random = new SeededRandom(seed);
    const secret = Buffer.alloc(32, 7);
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256' })}.${part({ exp: 4_000_000_000 })}`;
    const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
    const exchanges = Array.from({ length: 200 }, () => {
      const bytes = Buffer.from(token);
      const at = random.uint32() % bytes.length;
      bytes[at]! ^= 1 << (random.uint32() % 7);
      const header = bytes.toString('latin1').replace(/[^\x21-\x7e]/g, '!');
      return {
        request: { headers: { authorization: `Bearer ${header}` } },
        expect: { upstream: false, response: { status: 401 } },
      };
    });
    const good = { request: { headers: { authorization: `Bearer ${token}` } } };
    const passes = { ...good, expect: { upstream: {}, response: { status: 200 } } };
    const config = { keys: [{ kty: 'oct', k: secret.toString('base64url') }] };
    const cases = [{ name: `SEED=${seed}`, exchanges: [passes, ...exchanges, passes] }];
    assertCases('jwt', JSON.stringify({ config, cases }));
  });
});

describe('json-guard', () => {
  it('cuts the same out of a body, however it is cut into pieces', () => {
    const seed = testSeed('json-guard pieces');
    const random = new SeededRandom(seed);
    const secret = { a: [1, { b: 'x"\\é\u{1F600}' }], c: null };
    const text = JSON.stringify([
      { id: 1, ssn: secret, name: 'é\u{1F600}\\"' },
      { ssn: 12, deep: { ssn: true, list: ['ssn'] } },
    ]);
    const wanted = JSON.stringify([
      { id: 1, ssn: '[redacted]', name: 'é\u{1F600}\\"' },
      { ssn: '[redacted]', deep: { ssn: '[redacted]', list: ['ssn'] } },
    ]);
    const exchanges = Array.from({ length: 100 }, () => {
      const chunks: string[] = [];
      for (let at = 0; at < text.length; ) {
        const size = 1 + (random.uint32() % 9);
        // A chunk of a case is text: it is cut between characters.
        const end = /[\ud800-\udbff]$/.test(text.slice(at, at + size)) ? at + size + 1 : at + size;
        chunks.push(text.slice(at, end));
        at = end;
      }
      return {
        upstream: { headers: { 'content-type': 'application/json' }, body: chunks },
        expect: { response: { body: wanted } },
      };
    });
    const cases = [{ name: `SEED=${seed}`, exchanges }];
    assertCases('json-guard', JSON.stringify({ config: { response: { redact: ['ssn'] } }, cases }));
  });

  it('reads a body of a megabyte within the steps of its callbacks', () => {
    const chunk = `{"name":"${'x'.repeat(16_000)}","list":[${'1,'.repeat(100)}1]},`;
    const body = ['[', ...Array.from({ length: 60 }, () => chunk), '{}]'];
    const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
    const expect = { upstream: { body: body.join('') }, response: { status: 200 } };
    const cases = [{ name: 'a megabyte', request, expect }];
    assertCases('json-guard', JSON.stringify({ config: { request: { check: true } }, cases }));
  });
});

describe('ab-cookie', () => {
  it('gives each variant its share of known ids', () => {
    const config = {
      unitHeader: 'x-user',
      experiments: [
        {
          name: 'a',
          variants: [
            { name: 'x', weight: 9 },
            { name: 'y', weight: 1 },
          ],
        },
      ],
    };
    const module = moduleOf('ab-cookie');
    const share = (variant: string): number => {
      const cases = Array.from({ length: 500 }, (_, index) => ({
        request: { headers: { 'x-user': `user-${index}` } },
        expect: { upstream: { headers: { 'x-ab-a': variant } } },
      }));
      const file = { config, cases: [{ name: 'all', exchanges: cases }] };
      const [result] = runCases(module, caseFile(JSON.stringify(file), 'share'));
      return 500 - result!.problems.length;
    };
    const [x, y] = [share('x'), share('y')];
    assert.equal(x + y, 500);
    // The ids are fixed, so that this is no question of chance: 450 in the mean, six deviations.
    assert.ok(x > 410 && x < 490, `${x} of 500`);
  });
});
