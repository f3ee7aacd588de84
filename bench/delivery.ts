// The release that the delivery scenarios are answered from: two versions of one script, published
// by the program under test with keys of its own, and the bytes that a right answer has. The
// scripts come from a fixed seed, so that a delta is of one size in every run.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Store } from '../host/distribution/index.ts';
import { Codec } from '../host/kernels/index.ts';
import type { Scenario } from './scenarios.ts';

export interface Delivery {
  readonly storeDir: string;
  readonly headKey: string;
  readonly signingKey: string;
  /** The body of every answer, whoever gives it. */
  readonly body: Uint8Array;
}

const CHANNEL = 'app';
const FILE = 'main.js';
const SCRIPT_SIZE_BYTES = 16_384;
/** Of text that the second version has anew: such that the delta has about 2.5 KB. */
const CHANGED_SIZE_BYTES = 3_500;
const SEED = 42;

/** Where the second version of the script is served. */
export const DELIVERY_PATH = `/r/${CHANNEL}/v/2.0.0/${FILE}`;

const [olderScript, newerScript] = makeScripts();

/** What a client sends that takes the file as it is. */
export const FILE_HEADERS: readonly string[] = ['accept-encoding: identity'];
/** What Chromium sends when it holds the first version. */
export const DELTA_HEADERS: readonly string[] = [
  'accept-encoding: gzip, deflate, br, zstd, dcb, dcz',
  `available-dictionary: :${sha256Of(olderScript).toString('base64')}:`,
];

/** Publishes both versions. Errors: what the program says; an Error when there is no delta. */
export async function publishDelivery(
  scenario: Scenario,
  folder: string,
  sluiceCommand: readonly string[],
): Promise<Delivery> {
  const [program, ...words] = sluiceCommand;
  const keysDir = join(folder, 'keys');
  const storeDir = join(folder, 'store');
  const run = (...more: readonly string[]) => {
    execFileSync(program!, [...words, ...more], { stdio: ['ignore', 'ignore', 'pipe'] });
  };
  run('keys', 'init', '--dir', keysDir);
  for (const [version, script] of Object.entries({ '1.0.0': olderScript, '2.0.0': newerScript })) {
    const tree = join(folder, version);
    mkdirSync(tree, { recursive: true });
    writeFileSync(join(tree, FILE), script);
    const release = ['--channel', CHANNEL, '--version', version];
    run('publish', tree, ...release, '--key', keysDir, '--dir', storeDir);
  }
  const body = scenario.name === 'deliver-delta' ? await readDelta(storeDir) : newerScript;
  const [headKey, signingKey] = ['head', 'release'].map((role) => keyFile(keysDir, role));
  return { storeDir, headKey: headKey!, signingKey: signingKey!, body };
}

/** One request ahead of the load: a fast wrong answer must not win.
 *  Errors: an Error that says what came instead. */
export async function checkDelivery(
  scenario: Scenario,
  delivery: Delivery,
  contender: { readonly name: string; readonly port: number },
): Promise<void> {
  const { status, body } = await fetchRaw(scenario, contender.port);
  if (status === 200 && body.equals(delivery.body)) return;
  throw new Error(
    `${contender.name} in ${scenario.name}: status ${status} and ${body.length} bytes, not the ` +
      `${delivery.body.length} expected`,
  );
}

async function readDelta(storeDir: string): Promise<Uint8Array> {
  const module = new URL('../build/codec.wasm', import.meta.url);
  const store = new Store(storeDir, Codec.create(new Uint8Array(readFileSync(module))));
  const [target, base] = [newerScript, olderScript].map((it) => sha256Of(it).toString('hex'));
  const delta = await store.readWhole({ kind: 'delta', target: target!, base: base! });
  if (delta === null) throw new Error('sluice publish made no delta');
  return delta;
}

function fetchRaw(scenario: Scenario, port: number): Promise<{ status: number; body: Buffer }> {
  const lines = scenario.headers.map((line) => line.split(/: (.*)/).slice(0, 2));
  const headers = Object.fromEntries(lines) as Record<string, string>;
  return new Promise((resolve, reject) => {
    const target = { host: '127.0.0.1', port, path: scenario.path, headers, agent: false };
    const sent = request(target, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks) });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

function keyFile(keysDir: string, role: string): string {
  return join(keysDir, readdirSync(keysDir).find((name) => name.startsWith(`${role}-`))!);
}

function sha256Of(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** The older version, and the newer one with other text in the middle of it. */
function makeScripts(): readonly [Uint8Array, Uint8Array] {
  const random = randomText(SEED);
  const older = random(SCRIPT_SIZE_BYTES);
  const start = (SCRIPT_SIZE_BYTES - CHANGED_SIZE_BYTES) >> 1;
  const changed = random(CHANGED_SIZE_BYTES);
  const newer = older.slice(0, start) + changed + older.slice(start + CHANGED_SIZE_BYTES);
  return [Buffer.from(older), Buffer.from(newer)];
}

/** Lines of script whose names and numbers do not repeat. Source: Marsaglia, Xorshift RNGs
 *  (2003). */
function randomText(seed: number): (sizeBytes: number) => string {
  let state = seed;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0).toString(36);
  };
  return (sizeBytes) => {
    let text = '';
    while (text.length < sizeBytes) text += `export const _${next()} = '${next()}${next()}';\n`;
    return text.slice(0, sizeBytes);
  };
}
