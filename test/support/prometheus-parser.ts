// A strict parser of Prometheus' text format 0.0.4: what a lenient scraper would let pass is an
// error here. Each family stands in one piece, after its HELP and TYPE; no sample comes twice.

import assert from 'node:assert/strict';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

export function parseExposition(text: string): Map<string, Family> {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: [string, string] | null = null;
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const helped = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    const typed = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary)$/.exec(
      line,
    );
    if (helped !== null) {
      help = [helped[1]!, helped[2]!];
    } else if (typed !== null) {
      current = typed[1]!;
      assert.equal(help?.[0], current, `TYPE follows the HELP of ${current}`);
      assert.ok(!families.has(current), `${current} stands in two places`);
      families.set(current, { type: typed[2]!, help: help![1], samples: [] });
    } else {
      const sample = parseSample(line);
      const family = families.get(current);
      assert.ok(family !== undefined, `${line} stands before any family`);
      const names = SUFFIXES[family.type]!.map((suffix) => current + suffix);
      assert.ok(names.includes(sample.name), `${sample.name} stands in ${current}`);
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      assert.ok(!seen.has(key), `${key} comes twice`);
      seen.add(key);
      family.samples.push(sample);
    }
  }
  return families;
}

/** The value of the one sample of a name with these labels. */
export function sampleValue(
  families: Map<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === Object.keys(labels).length &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )?.value;
}

function parseSample(line: string): Sample {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0];
  assert.ok(name !== undefined, `no name: ${JSON.stringify(line)}`);
  const labels: Record<string, string> = {};
  let at = name.length;
  if (line[at] === '{') {
    at += 1;
    while (line[at] !== '}') {
      const found = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|(?=\}))/.exec(
        line.slice(at),
      );
      assert.ok(found !== null, `bad labels: ${JSON.stringify(line)}`);
      assert.ok(!Object.hasOwn(labels, found[1]!), `label ${found[1]} comes twice`);
      labels[found[1]!] = found[2]!.replace(/\\(.)/g, (_, escaped: string) =>
        escaped === 'n' ? '\n' : escaped,
      );
      at += found[0].length;
    }
    at += 1;
  }
  const value = /^ (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|\+Inf|-Inf|NaN)$/.exec(line.slice(at));
  assert.ok(value !== null, `bad value: ${JSON.stringify(line)}`);
  return { name, labels, value: Number(value[1]!.replace('Inf', 'Infinity')) };
}
