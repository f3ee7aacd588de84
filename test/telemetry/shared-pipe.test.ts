import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

describe('access log of several workers', () => {
  it('lines stay whole and complete on one shared pipe, even to a slow reader', async () => {
    const program = fileURLToPath(new URL('./shared-pipe.program.ts', import.meta.url));
    // What node gives a child as a pipe is a socket; the shell makes a pipe, as people do.
    const command = '"$0" --import tsx "$1" | cat';
    const child = spawn('sh', ['-c', command, process.execPath, program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    let chunks = 0;
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      chunks += 1;
      if (chunks % 10 !== 0) return;
      child.stdout.pause();
      setTimeout(() => child.stdout.resume(), 5);
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(code, 0);
    const lines = text.trimEnd().split('\n');
    assert.equal(lines.length, 15_000);
    const next = new Map<string, number>();
    for (const line of lines) {
      const { bytesIn, route } = JSON.parse(line) as { bytesIn: number; route: string };
      assert.equal(bytesIn, next.get(route) ?? 0, `${route} is out of order`);
      next.set(route, bytesIn + 1);
    }
    assert.deepEqual([...next.values()], [5_000, 5_000, 5_000]);
  });
});
