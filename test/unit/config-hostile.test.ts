// Texts that mean harm, and random damage to good ones: loading always ends, never throws, and
// gives a configuration or issues.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type ConfigIssue, formatIssue, loadConfig } from '../../host/config/index.ts';
import { SeededRandom } from '../../host/core/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

function issuesOf(text: string): readonly ConfigIssue[] {
  const result = loadConfig(text, 'x.yaml', 4);
  if (result.ok) return [];
  assert.ok(result.issues.length > 0 && result.issues.length <= 100);
  for (const issue of result.issues) {
    assert.doesNotMatch(formatIssue(issue), /\n/);
    assert.ok(formatIssue(issue).length < 2_000, formatIssue(issue).slice(0, 2_000));
  }
  return result.issues;
}

function firstCode(text: string): string | undefined {
  return issuesOf(text)[0]?.code;
}

describe('hostile texts', () => {
  it('aliases that explode are bounded', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 12; level++) {
      const inner = Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ');
      lines.push(`a${level}: &a${level} [${inner}]`);
    }
    assert.equal(firstCode(lines.join('\n')), 'GW_CONFIG_LIMIT');
  });

  it('an alias inside its own anchor is refused', () => {
    assert.equal(firstCode('log: &a { level: *a }'), 'GW_CONFIG_SYNTAX');
  });

  it('deep nesting is refused, in every notation, before it can exhaust the stack', () => {
    const depth = 5_000;
    assert.equal(firstCode('['.repeat(depth) + ']'.repeat(depth)), 'GW_CONFIG_LIMIT');
    assert.equal(firstCode(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`), 'GW_CONFIG_LIMIT');
    assert.equal(firstCode('{a: '.repeat(depth) + '}'.repeat(depth)), 'GW_CONFIG_LIMIT');
    assert.equal(firstCode('- '.repeat(depth)), 'GW_CONFIG_LIMIT');
    const block = Array.from({ length: 200 }, (_, level) => `${' '.repeat(level)}a:`);
    assert.equal(firstCode(block.join('\n')), 'GW_CONFIG_LIMIT');
    assert.equal(firstCode('['.repeat(depth)), 'GW_CONFIG_LIMIT');
  });

  // 2 MB of `[` cost 20 s and 2.2 GB, for the depth was looked at when all of it had been parsed.
  // Now reading stops at the 65th: what follows is never looked at, which the message shows.
  it('deep nesting is refused where it begins, however long it goes on', () => {
    for (const level of ['[', '{a: ', '- ', '? ', '[{', 'a: ', '{? ']) {
      const before = process.memoryUsage().heapUsed + process.memoryUsage().external;
      const issues = issuesOf(`listen: 1\nx:\n  ${level.repeat(2_000_000)}`);
      const grown = process.memoryUsage().heapUsed + process.memoryUsage().external - before;
      assert.equal(issues[0]!.code, 'GW_CONFIG_LIMIT', level);
      assert.equal(issues[0]!.message, 'nested 65 deep, the limit is 64');
      assert.ok(grown < 100_000_000, `${level} took ${grown} bytes`);
    }
  });

  it('a flood of tokens is refused where it passes the limit', () => {
    const more = 'more tokens than the limit of 500000 for YAML that is not plain';
    for (const token of ['&a ', '*a ', '!a ', '# a\n', '"a" ', '? a\n', 'a: &a 1\n']) {
      assert.equal(issuesOf(token.repeat(600_000))[0]!.message, more, token);
    }
  });

  // The quoted text of 30 MB was a RangeError: V8 gives a regular expression 64 MiB of stack.
  it('a text of any length is a configuration or an issue, in every notation', () => {
    const long = 'a'.repeat(30_000_000);
    const limit = 'the limit is 8388608';
    for (const text of [`x: "${long}"`, `x: '${long}'`, `x: ${long}`, `x: [${long}]`]) {
      const issue = issuesOf(text)[0]!;
      assert.equal(issue.code, 'GW_CONFIG_LIMIT');
      assert.match(issue.message, new RegExp(`of 3000000\\d characters, ${limit}`));
      assert.equal(issue.column, text.indexOf('a') + 1 - (/["']a/.test(text) ? 1 : 0));
    }
    const listener = `"listen":[{"port":1}],"routes":[{"match":{},"respond":{"body":"${long}"}}]`;
    const issue = issuesOf(`{"${long}":1,${listener}}`).at(-1)!;
    assert.deepEqual([issue.code, issue.path], ['GW_CONFIG_LIMIT', 'routes[0].respond.body']);
    assert.equal(firstCode(long), 'GW_CONFIG_LIMIT');
    for (const key of [`*${long.slice(0, 8_000_000)}`, `{"listen":[{"port":1}],"${long}":1}`]) {
      assert.match(formatIssue(issuesOf(key)[0]!), /a{100,1000}\.\.\./);
    }
  });

  it('prototype keys change no prototype', () => {
    for (const text of [
      'listen: [{ port: 1 }]\n__proto__: { polluted: 1 }\nconstructor: { prototype: { x: 1 } }',
      '{"listen":[{"port":1}],"__proto__":{"polluted":1},"toString":1}',
      'listen: [{ port: 1, __proto__: { port: 2 } }]',
      'listen: [{ port: 1 }]\nservices: { __proto__: { endpoints: ["http://a"] } }',
    ]) {
      const codes = issuesOf(text).map(({ code }) => code);
      assert.ok(codes.length > 0, text);
      assert.equal(({} as Record<string, unknown>).polluted, undefined);
    }
    const headers = '{ match: { headers: { __proto__: x } }, respond: {} }';
    const result = loadConfig(`listen: [{ port: 1 }]\nroutes: [${headers}]`, 'x.yaml');
    assert.ok(result.ok);
    assert.equal(result.config.routes[0]!.match.headers[0]!.name, '__proto__');
  });

  it('huge numbers, odd numbers and odd words are no ports', () => {
    for (const port of [
      '1e999',
      '-.inf',
      '.nan',
      '9'.repeat(400),
      '-0.5',
      '0x',
      'yes',
      '~',
      '1_0',
    ]) {
      assert.equal(firstCode(`listen: [{ port: ${port} }]`), 'GW_CONFIG_BAD_VALUE', port);
    }
    const result = loadConfig('listen: [{ port: 0x50 }]', 'x.yaml');
    assert.ok(result.ok && result.config.listeners[0]!.port === 80);
  });

  it('control characters, half characters and nonsense are refused', () => {
    assert.equal(firstCode('listen: "\u0007"'), 'GW_CONFIG_SYNTAX');
    const lone = '{"listen":[{"port":1}],"routes":[{"match":{},"respond":{"body":"\\ud800"}}]}';
    assert.match(issuesOf(lone)[0]!.message, /half a character/);
    for (const text of [
      '\uFEFF',
      '---',
      '...',
      '}',
      ']',
      '&a',
      '*a',
      '!',
      '|',
      '"',
      "'",
      '? ',
      ': ',
    ]) {
      assert.ok(issuesOf(text).length > 0, JSON.stringify(text));
    }
  });

  it('many keys in one map stay linear', () => {
    const keys = Array.from({ length: 50_000 }, (_, index) => `k${index}: &a${index} 1`);
    assert.ok(issuesOf(keys.join('\n')).length === 100);
    const services = Array.from({ length: 5_000 }, (_, index) => `  s${index}: {}`);
    const issues = issuesOf(`listen: [{ port: 1 }]\nservices:\n${services.join('\n')}`);
    assert.match(issues[0]!.message, /5000 services are more than the limit of 4096/);
  });

  it('patterns that explode elsewhere are linear, and too large ones refused', () => {
    const route = (path: string) =>
      `listen: [{ port: 1 }]\nroutes: [{ match: { path: "${path}" }, respond: {} }]`;
    assert.deepEqual(issuesOf(route('~ ^(a+)+$')), []);
    assert.equal(firstCode(route('~ ((a{100}){100}){100}')), 'GW_CONFIG_BAD_VALUE');
    assert.equal(firstCode(route(`~ ${'a'.repeat(2_000)}`)), 'GW_CONFIG_LIMIT');
  });
});

describe('random damage', () => {
  const originals = ['full.yaml', 'native.json', 'plain.yaml'].map((name) =>
    readFileSync(`test/golden/config/${name}`, 'utf8'),
  );
  const fragments = '{}[]:,-?&*!|>\'"%@`#~\n\t \\ /..$0é\u{1F4A5}'.split('');
  fragments.push('\r\n', '- ', ': ', '<<: ', '__proto__: ', '&a ', '*a', '!!map ', '---\n', '"\\u');

  function mutate(text: string, random: SeededRandom): string {
    let mutated = text;
    for (let edits = 1 + (random.uint32() % 4); edits > 0; edits--) {
      const from = random.uint32() % (mutated.length + 1);
      const to = Math.min(mutated.length, from + (random.uint32() % 12));
      const kind = random.uint32() % 4;
      const fragment = fragments[random.uint32() % fragments.length]!;
      const piece = mutated.slice(from, to);
      const middle = [fragment, '', piece + piece, fragment + piece][kind]!;
      mutated = mutated.slice(0, from) + middle + mutated.slice(to);
    }
    return mutated;
  }

  it('never throws and always gives a configuration or issues', () => {
    const seed = testSeed('config mutations');
    const random = new SeededRandom(seed);
    const deadlineMs = Date.now() + FUZZ_TIME_MS;
    let runs = 0;
    // A busy machine takes longer for the least there is.
    for (; runs <= 50 || (runs < 20_000 && Date.now() < deadlineMs); runs++) {
      const text = mutate(originals[runs % originals.length]!, random);
      try {
        issuesOf(text);
      } catch (cause) {
        assert.fail(`SEED=${seed} run ${runs}: ${cause}\n${JSON.stringify(text)}`);
      }
    }
    assert.ok(runs > 50);
  });
});
