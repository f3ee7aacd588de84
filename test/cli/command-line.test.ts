// What the command line says to a person who mistypes, or asks for help.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

function sluice(...args: readonly string[]) {
  const { status, stderr, stdout } = spawnSync(process.execPath, ['dist/sluice.js', ...args], {
    encoding: 'utf8',
  });
  return { status, stderr, stdout };
}

describe('the command line', () => {
  // It printed the help and no word about the command.
  it('names an unknown command', () => {
    const { status, stderr } = sluice('nonsense');
    assert.equal(status, 2);
    assert.match(stderr, /^unknown command nonsense, expected serve, .*reason \d+\)\n$/);
  });

  it('shows the help to who gives no command', () => {
    const { status, stdout } = sluice();
    assert.equal(status, 2);
    assert.match(stdout, /serve/);
  });

  it('shows the defaults of bench', () => {
    const { status, stdout } = sluice('bench', '--help');
    assert.equal(status, 0);
    for (const [flag, value] of [
      ['--rate', 'required'],
      ['--duration', 'default: 10s'],
      ['--connections', 'default: 32'],
      ['--warmup', 'default: none'],
      ['--rounds', 'default: 5'],
    ]) {
      assert.match(stdout, new RegExp(`${flag} <.*${value}`));
    }
  });

  it('shows what stands behind each action of db', () => {
    const { status, stdout } = sluice('db', '--help');
    assert.equal(status, 0);
    assert.match(stdout, /sluice db backup NAME FILE\n/);
    assert.match(stdout, /sluice db restore NAME --at MOMENT --as OTHER/);
    assert.match(sluice('db', 'shell', 'shop', '--admin', 'http://x').stderr, /by --url/);
  });

  // It said: found "missing".
  it('says that a rate is missing', () => {
    const { status, stderr } = sluice('bench', 'http://127.0.0.1:1/');
    assert.equal(status, 2);
    assert.match(stderr, /--rate is missing, expected a number above 0/);
    assert.doesNotMatch(stderr, /"missing"/);
  });
});
