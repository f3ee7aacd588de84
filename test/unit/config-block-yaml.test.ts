// The fast YAML reader against the general parser: what the fast one reads, both read alike.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readBlockYaml } from '../../host/config/block-yaml.ts';
import { readText } from '../../host/config/document.ts';
import { composeYaml, convertYaml } from '../../host/config/general-yaml.ts';
import { SeededRandom } from '../../host/core/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';

/** What the general parser makes of a text, or undefined when it refuses it. */
function general(text: string): unknown {
  const composed = composeYaml(text);
  if (!composed.ok) return undefined;
  const converted = convertYaml(composed.document);
  return converted.ok ? converted.value : undefined;
}

function agree(text: string, note: string): 'read' | 'left' {
  const fast = readBlockYaml(text);
  if (fast === null) return 'left';
  assert.deepEqual(fast.value, general(text), `${note}\n${JSON.stringify(text)}`);
  return 'read';
}

const READ: readonly string[] = [
  'a: 1',
  'a: 1\n',
  'a:\n',
  'a:',
  'a:   # nothing\nb: 2',
  'a: b c d',
  'a: b  # comment\n\n# another\nb: c',
  'a:\r\n  b: c\r\n',
  'a:\n- 1\n- 2\nb: 3',
  'a:\n  - 1\n  - b: 2\n    c: 3\n  -\n    d: 4\n  -\n  - e',
  'a: [b, "c, d", {e: 1, f: []}, {}]',
  'a: { b: { c: d }, "e f": g }',
  "a: 'it''s'\nb: \"\\u0041\\n\\\"\"",
  'a: 5s\nb: 10.0.0.0/8\nc: 1.2.3.4\nd: http://a:80/x\ne: 0\nf: 12',
  'a: true\nb: False\nc: null\nd: NULL\ne: trueish\nf: yes',
  'a: /x/{id}/*\nb: /a,b',
  'a:\n    b:\n        c: 1\n    d: 2',
  '"quoted key": 1\n\'single\': 2',
  '# only then\na: b',
  'a: x-y_z=1;q&r',
];

const LEFT: readonly string[] = [
  '',
  'a',
  '- a',
  'a: &x b',
  'a: *x',
  'a: !!str b',
  'a: |\n  text',
  'a: >\n  text',
  'a: b\n  c',
  'a: [b,\n c]',
  'a: b: c',
  'a: 1.5',
  'a: 0x1f',
  'a: 007',
  'a: 1e3',
  'a: ~',
  'a: -1',
  'a: "b\n  c"',
  'a: "\\x41"',
  'a: b\na: c',
  '__proto__: 1',
  '<<: {}',
  '? a\n: b',
  'a:\tb',
  'a: b\r',
  '--- \na: b',
  'a:\n  b: 1\n c: 2',
  'a:\n  - b\n - c',
  '- - a',
  'a: [b, ]',
  'a: {b}',
  'a: @b',
  'a: b #c: d\n  e',
  'a: "b"c',
  'true: 1',
];

/** Every path of a value, and one that is missing in each map. */
function pathsOf(value: unknown, path: readonly (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [[...path]];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item])
    : Object.entries(value);
  const below = entries.flatMap(([key, item]) => pathsOf(item, [...path, key]));
  return [[...path], [...path, 'missing'], ...below];
}

function placesAgree(text: string): void {
  const read = readText(text);
  const composed = composeYaml(text);
  assert.ok(read.ok && composed.ok, text);
  for (const path of pathsOf(read.value)) {
    for (const focus of ['key', 'value', 'missing'] as const) {
      const place = read.locate(path, focus);
      const note = `${path.join('/')} ${focus} in ${JSON.stringify(text.slice(0, 200))}`;
      assert.deepEqual(place, composed.document.locate(path, focus), note);
    }
  }
}

describe('places', () => {
  const nothingInLists = (text: string) => /^ *-$/m.test(text);
  for (const text of READ.filter((one) => !nothingInLists(one))) {
    it(`are those of the general parser in ${JSON.stringify(text)}`, () => placesAgree(text));
  }

  it('are those of the general parser in golden files', () => {
    for (const name of ['plain.yaml', 'full.yaml.normal.json', 'native.json']) {
      const text = readFileSync(`test/golden/config/${name}`, 'utf8').replaceAll('\t', '  ');
      placesAgree(text.replace('json,\n  level', 'json, level'));
    }
  });
});

describe('the fast YAML reader', () => {
  for (const text of READ) {
    it(`reads ${JSON.stringify(text)}`, () => assert.equal(agree(text, ''), 'read'));
  }

  for (const text of LEFT) {
    it(`leaves ${JSON.stringify(text)}`, () => assert.equal(agree(text, ''), 'left'));
  }

  it('leaves deep nesting', () => {
    const block = Array.from({ length: 100 }, (_, level) => `${' '.repeat(level)}a:`).join('\n');
    assert.equal(agree(block, ''), 'left');
    assert.equal(agree(`a: ${'['.repeat(100)}${']'.repeat(100)}`, ''), 'left');
  });

  it('reads the configurations that people write', () => {
    const text = readFileSync('test/golden/config/plain.yaml', 'utf8');
    assert.equal(agree(text.replace('json,\n  level', 'json, level'), ''), 'read');
  });

  it('agrees with the general parser on random damage', () => {
    const seed = testSeed('block yaml');
    const random = new SeededRandom(seed);
    const deadlineMs = Date.now() + FUZZ_TIME_MS;
    const fragments = ['\n', '  ', ' ', ': ', '- ', ', ', '#', ' #', ':', '-', '{', '}', '[', ']'];
    fragments.push('"', "'", '\\', 'a', '0', '1', '.', '\n  ', '\n- ', '\r\n', '/', '~', '*', '_');
    let readCount = 0;
    for (let run = 0; run < 60_000 && Date.now() < deadlineMs; run++) {
      let text = READ[random.uint32() % READ.length]!;
      if (random.uint32() % 3 === 0) text += `\n${READ[random.uint32() % READ.length]}`;
      for (let edits = 1 + (random.uint32() % 3); edits > 0; edits--) {
        const from = random.uint32() % (text.length + 1);
        const to = from + (random.uint32() % 3);
        text = text.slice(0, from) + fragments[random.uint32() % fragments.length] + text.slice(to);
      }
      if (agree(text, `SEED=${seed} run ${run}`) === 'read') readCount += 1;
    }
    assert.ok(readCount > 20, `only ${readCount} texts were read`);
  });
});
