// Gateways that are killed in the middle of a snapshot that crosses from one to the other, and in
// the middle of a promotion. A proxy between the two holds a piece of the snapshot back, so that
// the kill comes when some of it is there and some is not.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import {
  assertSame,
  clientOf,
  follow,
  kill,
  makeItems,
  newPlace,
  type Place,
  post,
  removeFolders,
  replication,
  rowsOf,
  start,
  until,
} from '../support/follower-scene.ts';
import type { GatewayProcess } from '../support/gateway.ts';

after(removeFolders);

/** Pieces of a snapshot have 1 MiB. */
const ITEMS_COUNT = 12;
const ITEM_SIZE_BYTES = 400_000;

/** A way to the primary that lets some pieces of snapshots through and holds the next one back. */
async function startGate(port: number) {
  const sockets = new Set<Socket>();
  let piecesLeft = Number.POSITIVE_INFINITY;
  let reached = (): void => {};
  const server: Server = createServer((client) => {
    const upstream = dial(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    upstream.pipe(client);
    client.on('data', (bytes: Buffer) => {
      if (/^POST \S+\/\.replication\/pages\//.test(bytes.toString('latin1'))) {
        piecesLeft -= 1;
        if (piecesLeft < 0) {
          // This question never arrives; the follower asks again on another connection.
          reached();
          return;
        }
      }
      upstream.write(bytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    /** Resolves when the piece after some others is asked for, which does not come. */
    closeAfter(count: number): Promise<void> {
      piecesLeft = count;
      return new Promise((resolve) => {
        reached = resolve;
      });
    },
    open(): void {
      piecesLeft = Number.POSITIVE_INFINITY;
      for (const socket of sockets) socket.destroy();
    },
    close(): void {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** What copies are made in, until they are whole. */
function halves({ folder }: Place): string[] {
  return readdirSync(join(folder, '.temporary'));
}

describe('a snapshot whose sender or receiver is killed', { timeout: 600_000 }, () => {
  it('is made anew, and the copy is the same', async () => {
    const [first, second] = [await newPlace(), await newPlace()];
    let primary = await start(first);
    await makeItems(first, 'shop', ITEMS_COUNT, ITEM_SIZE_BYTES);
    const gate = await startGate(first.port);

    // The receiver.
    let reached = gate.closeAfter(2);
    let follower = await start(second, follow(gate.port));
    await reached;
    await kill(follower);
    assert.equal(halves(second).length, 1, 'it was in the middle of a copy');
    assert.ok(!readdirSync(second.folder).includes('shop'));

    // The sender, while somebody writes.
    reached = gate.closeAfter(1);
    follower = await start(second, follow(gate.port));
    await reached;
    await makeItems(first, 'shop', 2, 1_000);
    await kill(primary);
    gate.open();
    primary = await start(first);
    await makeItems(first, 'shop', 1, 1_000);
    await assertSame(first, second, 'shop');
    assert.deepEqual(await rowsOf(second, 'shop', 'SELECT count(*) FROM item'), [
      [ITEMS_COUNT + 3],
    ]);
    assert.deepEqual(halves(second), []);

    // Both, when the copy is thrown away and fetched again.
    reached = gate.closeAfter(3);
    const dropped = await fetch(`${follower.adminUrl}/databases/shop`, { method: 'DELETE' });
    assert.equal(dropped.status, 200, await dropped.text());
    await reached;
    await Promise.all([kill(follower), kill(primary)]);
    gate.open();
    primary = await start(first);
    follower = await start(second, follow(gate.port));
    try {
      await assertSame(first, second, 'shop');
      assert.deepEqual(halves(second), []);
      const checked = await fetch(`${follower.adminUrl}/databases/shop/check`, { method: 'POST' });
      assert.deepEqual(((await checked.json()) as { findings: string[] }).findings, []);
    } finally {
      assert.equal(await follower.stop(), 0, follower.log());
      gate.close();
      assert.equal(await primary.stop(), 0, primary.log());
    }
  });
});

describe('a promotion that is killed', { timeout: 600_000 }, () => {
  it('has happened or has not, and fences once it has', async () => {
    const [first, second] = [await newPlace(), await newPlace()];
    let primary = await start(first);
    await makeItems(first, 'shop', 3);
    let rowsCount = 3;
    for (const step of [2, 4, 5] as const) {
      const flags = ['--require', './test/faults/kill-at-standing.cjs'];
      const env = { ...process.env, KILL_STANDING: String(step) };
      const follower = await start(second, follow(first.port), { nodeFlags: flags, env });
      // Nothing is left of a promotion that was killed before it stood in its place.
      assert.deepEqual(await standingOf(follower), ['follower', 1]);
      await assert.rejects(clientOf(second, 'shop').execute('DELETE FROM item'), /follows/);
      await makeItems(first, 'shop', 1);
      rowsCount += 1;
      await assertSame(first, second, 'shop');
      if (step === 5) await kill(primary);
      const ended = once(follower.child, 'exit');
      await assert.rejects(post(follower, '/replication/promote'));
      assert.equal((await ended)[1], 'SIGKILL', `step ${step}\n${follower.log()}`);
    }
    // The standing was in its place: it is the primary, whoever heard of it.
    let successor = await start(second, follow(first.port));
    assert.deepEqual(await standingOf(successor), ['primary', 2]);
    await makeItems(second, 'shop', 4);
    rowsCount += 4;
    await kill(successor);
    successor = await start(second, follow(first.port));
    primary = await start(first);
    try {
      assert.deepEqual(await standingOf(successor), ['primary', 2]);
      assert.deepEqual(await rowsOf(second, 'shop', 'SELECT count(*) FROM item'), [[rowsCount]]);
      await until('the former primary is fenced', async () => {
        assert.deepEqual(await standingOf(primary), ['fenced', 2]);
      });
      await assert.rejects(clientOf(first, 'shop').execute('DELETE FROM item'), /of term 2/);
      assert.deepEqual(await rowsOf(first, 'shop', 'SELECT count(*) FROM item'), [[rowsCount - 4]]);
    } finally {
      assert.equal(await primary.stop(), 0, primary.log());
      assert.equal(await successor.stop(), 0, successor.log());
    }
  });
});

async function standingOf(gateway: GatewayProcess) {
  const { role, term } = await replication(gateway);
  return [role, term] as const;
}
