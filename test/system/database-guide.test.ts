// docs/databases.md as a newcomer follows it: its commands are run in their order, in a folder with
// nothing else in it, and say what the page shows. Ports are free ones.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createClient } from '@libsql/client';
import { parse } from 'yaml';
import { formatIssue, loadConfig } from '../../host/config/index.ts';
import { type GatewayProcess, startGateway } from '../support/gateway.ts';

const page = readFileSync('docs/databases.md', 'utf8');
const root = mkdtempSync(join(tmpdir(), 'sluice-guide-'));
after(() => rmSync(root, { recursive: true }));

interface Block {
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks below a heading, up to the next of its kind. */
function blocksOf(heading: string): Block[] {
  const from = page.indexOf(`\n## ${heading}\n`);
  assert.ok(from >= 0, heading);
  const to = page.indexOf('\n## ', from + 1);
  const found = page.slice(from, to).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...found].map(([, language, text]) => ({ language: language!, text: text! }));
}

/** `sluice` and `npx tsx` as a checkout has them. */
function toolsFolder(): string {
  const folder = join(root, 'bin');
  mkdirSync(folder);
  const loader = resolve('node_modules/tsx/dist/loader.mjs');
  const tools = {
    sluice: `exec node ${resolve('dist/sluice.js')} "$@"`,
    npx: `shift; script="$1"; shift
      exec node --import ${loader} "${resolve('.')}/$script" "$@"`,
  };
  for (const [name, line] of Object.entries(tools)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

interface Scene {
  readonly gateway: GatewayProcess;
  /** Of the configuration: where the commands are run. */
  readonly folder: string;
}

async function open(yaml: string, publicKey?: string): Promise<Scene> {
  const { listen: _, admin, db, ...config } = parse(yaml);
  const auth = publicKey === undefined ? {} : { auth: { publicKey } };
  const gateway = await startGateway({
    config: { ...config, admin: { port: 0, ...admin }, db: { ...db, ...auth } },
  });
  const folder = dirname(gateway.configPath);
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  return { gateway, folder };
}

async function bash(script: string, cwd: string): Promise<string> {
  const { SLUICE_ADMIN_TOKEN: _, SLUICE_DB_TOKEN: __, ...inherited } = process.env;
  const env = { ...inherited, PATH: `${join(root, 'bin')}:${process.env.PATH}` };
  const child = spawn('bash', ['-eo', 'pipefail', '-c', script], { cwd, env });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (bytes: Buffer) => {
      said[name] += bytes.toString();
    });
  }
  child.stdin.end();
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `${script}\n${said.stdout}${said.stderr}`);
  return said.stdout;
}

/** Runs the blocks in their order; a `text` behind an `sh` is what it prints, `…` anything. */
async function follow(blocks: readonly Block[], { gateway, folder }: Scene): Promise<number> {
  let checkedCount = 0;
  for (const [index, { language, text }] of blocks.entries()) {
    const here = text
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${gateway.port}`)
      .replaceAll('127.0.0.1:9901', `127.0.0.1:${gateway.adminPort}`);
    const fileName = /^\/\/ (\S+\.mjs)\n/.exec(here)?.[1];
    if (language === 'js' && fileName !== undefined) writeFileSync(join(folder, fileName), here);
    if (language !== 'sh') continue;
    const printed = await bash(here, folder);
    const expected = blocks[index + 1];
    if (expected?.language !== 'text') continue;
    const pattern = expected.text.split('…').map(literal).join('[\\s\\S]*');
    assert.match(printed, new RegExp(`^${pattern}$`), text);
    checkedCount += 1;
  }
  return checkedCount;
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

describe('docs/databases.md', { timeout: 240_000 }, () => {
  before(() => toolsFolder());

  it('shows only whole configurations', () => {
    const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((found) => found[1]!);
    assert.ok(examples.length >= 4);
    for (const example of examples) {
      const result = loadConfig(example, 'example.yaml');
      assert.ok(result.ok, `${example}${result.ok ? '' : result.issues.map(formatIssue)}`);
    }
  });

  it('leads from nothing to databases that were written, read, branched and restored', async () => {
    const blocks = blocksOf('First steps');
    const scene = await open(blocks.find(({ language }) => language === 'yaml')!.text);
    try {
      assert.ok((await follow(blocks, scene)) >= 4);
    } finally {
      assert.equal(await scene.gateway.stop(), 0, scene.gateway.log());
    }
  });

  it('leads to tokens that give what they say', async () => {
    const [makeTokens, yaml, useThem] = blocksOf('Tokens').filter(({ language }) =>
      ['sh', 'yaml'].includes(language),
    );
    const publicKey = (await bash(makeTokens!.text, root)).trim();
    const scene = await open(yaml!.text, publicKey);
    try {
      for (const name of ['shop.token', 'reader.token']) {
        writeFileSync(join(scene.folder, name), readFileSync(join(root, name)));
      }
      const text = blocksOf('Tokens').find(({ language }) => language === 'text')!;
      assert.equal(await follow([useThem!, text], scene), 1);
      const tokenOf = (name: string) => readFileSync(join(scene.folder, name), 'utf8').trim();
      const { port } = scene.gateway;
      const clientOf = (name: string, authToken: string) =>
        createClient({ url: `ws://127.0.0.1:${port}/db/${name}/`, authToken });
      const writer = clientOf('shop', tokenOf('shop.token'));
      await writer.execute("INSERT INTO item VALUES ('lamp')");
      const reader = clientOf('shop', tokenOf('reader.token'));
      assert.equal((await reader.execute('SELECT name FROM item')).rows[0]!.name, 'lamp');
      await assert.rejects(reader.execute('DELETE FROM item'), { code: 'SQLITE_READONLY' });
      const foreign = clientOf('other', tokenOf('shop.token'));
      await assert.rejects(foreign.execute('SELECT 1'), /AUTH_FORBIDDEN|not for the database/);
      for (const client of [writer, reader, foreign]) client.close();
    } finally {
      assert.equal(await scene.gateway.stop(), 0, scene.gateway.log());
    }
  });
});
