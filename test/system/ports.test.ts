// Ports that the kernel chooses.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ask } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';

/** The port of each listening socket of a process. Source: proc(5), /proc/net/tcp. */
function listeningPorts(pid: number): number[] {
  const inodes = new Set<string>();
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const found = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${name}`));
    if (found !== null) inodes.add(found[1]!);
  }
  const rows = readFileSync(`/proc/${pid}/net/tcp`, 'utf8').trim().split('\n').slice(1);
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((row) => row[3] === '0A' && inodes.has(row[9]!))
    .map((row) => Number.parseInt(row[1]!.split(':')[1]!, 16));
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // It has been closed meanwhile.
    return '';
  }
}

describe('port 0', { timeout: 60_000 }, () => {
  // Each io worker took a port of its own, and the log said 0.
  it('is one port for all io workers, and the log names it', async () => {
    const gateway = await startGateway({
      config: {
        listen: [
          { port: 0, address: '127.0.0.1' },
          { port: 0, address: '127.0.0.1', engine: 'node' },
        ],
        workers: { io: 3 },
        routes: [{ match: {}, respond: { body: 'hello' } }],
      },
    });
    const [uws, node] = gateway.ports as [number, number];
    const expected = [uws, uws, uws, node, gateway.adminPort];
    assert.deepEqual(listeningPorts(gateway.child.pid!).sort(), expected.sort());
    for (const port of gateway.ports) {
      assert.equal((await ask(`http://127.0.0.1:${port}`)).body, 'hello');
    }
    assert.equal(await gateway.stop(), 0);
  });
});
