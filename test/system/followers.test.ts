// Two gateways with the same databases: one takes writes, the other follows it over HTTP. Both are
// real processes, which are killed and started again; what they have is compared row by row.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { SeededRandom } from '../../host/core/index.ts';
import {
  assertSame,
  clientOf,
  follow,
  kill,
  makeItems,
  newPlace,
  post,
  removeFolders,
  replication,
  rowsOf,
  start,
  TOKEN,
  until,
} from '../support/follower-scene.ts';
import { parseExposition, sampleValue } from '../support/prometheus-parser.ts';
import { testSeed } from '../support/seed.ts';

const random = new SeededRandom(testSeed('followers'));
after(removeFolders);

for (const engine of ['uws', 'node'] as const) {
  describe(`a follower over HTTP, both on ${engine} listeners`, { timeout: 180_000 }, () => {
    it('has the rows of the primary, says how late, and refuses writes by its name', async () => {
      const [first, second] = [await newPlace(engine), await newPlace(engine)];
      const primary = await start(first);
      const follower = await start(second, follow(first.port));
      try {
        await makeItems(first, 'shop', 20);
        await makeItems(first, 'other', 3);
        await assertSame(first, second, 'shop');
        await assertSame(first, second, 'other');
        const writing = clientOf(second, 'shop').execute('DELETE FROM item');
        await assert.rejects(writing, new RegExp(`follows http://127.0.0.1:${first.port}/db`));
        await assert.rejects(
          clientOf(second, 'nowhere').execute('SELECT 1'),
          /there is no database nowhere here: this gateway follows/,
        );
        await until('the lag is told', async () => {
          const metrics = parseExposition(await follower.metrics());
          for (const worker of ['0', '1']) {
            assert.equal(sampleValue(metrics, 'sluice_db_follower_lag_commits', { worker }), 0);
            const seconds = sampleValue(metrics, 'sluice_db_follower_lag_seconds', { worker });
            assert.ok(seconds! < 30, String(seconds));
          }
        });
        const { role, follows } = await replication(follower);
        assert.deepEqual([role, follows], ['follower', `http://127.0.0.1:${first.port}/db`]);
      } finally {
        assert.equal(await follower.stop(), 0, follower.log());
        assert.equal(await primary.stop(), 0, primary.log());
      }
    });
  });
}

describe('a follower that is killed, late or lied to', { timeout: 600_000 }, () => {
  it('goes on from where it was after each kill', async () => {
    const [first, second] = [await newPlace(), await newPlace()];
    const primary = await start(first);
    await makeItems(first, 'shop', 1);
    for (let round = 0; round < 3; ++round) {
      const follower = await start(second, follow(first.port));
      const writing = makeItems(first, 'shop', 60, 2_000);
      await new Promise((resolve) => setTimeout(resolve, random.uint32() % 400));
      await kill(follower);
      await writing;
    }
    const follower = await start(second, follow(first.port));
    try {
      await assertSame(first, second, 'shop');
    } finally {
      assert.equal(await follower.stop(), 0, follower.log());
      assert.equal(await primary.stop(), 0, primary.log());
    }
  });

  it('takes a snapshot where the log it needs is gone', async () => {
    const [first, second] = [await newPlace(), await newPlace()];
    const kept = { retention: '0s', replication: { token: TOKEN, keep: '1KiB', keepFor: '1ms' } };
    let primary = await start(first, kept);
    await makeItems(first, 'shop', 3);
    let follower = await start(second, follow(first.port));
    await assertSame(first, second, 'shop');
    assert.equal(await follower.stop(), 0, follower.log());
    // More than two segments of log, folded and trimmed when the primary stops.
    await makeItems(first, 'shop', 12, 500_000);
    assert.equal(await primary.stop(), 0, primary.log());
    primary = await start(first, kept);
    follower = await start(second, follow(first.port));
    try {
      await assertSame(first, second, 'shop');
      assert.match(follower.log(), /DB_LOG_TRIMMED.*a snapshot of the database is fetched/);
      await makeItems(first, 'shop', 2);
      await assertSame(first, second, 'shop');
    } finally {
      assert.equal(await follower.stop(), 0, follower.log());
      assert.equal(await primary.stop(), 0, primary.log());
    }
  });

  it('never takes what was damaged on the way, and asks for it again', async () => {
    const [first, second] = [await newPlace(), await newPlace()];
    const primary = await start(first);
    await makeItems(first, 'shop', 100, 5_000);
    const liar = await startLiar(first.port);
    const follower = await start(second, follow(liar.port));
    try {
      await assertSame(first, second, 'shop');
      await makeItems(first, 'shop', 100, 5_000);
      await assertSame(first, second, 'shop');
      assert.ok(liar.flippedCount() > 0, 'nothing was flipped');
      assert.match(follower.log(), /DB_FEED_CORRUPT/);
    } finally {
      assert.equal(await follower.stop(), 0, follower.log());
      liar.close();
      assert.equal(await primary.stop(), 0, primary.log());
    }
  });

  it('is not served without the token', async () => {
    const first = await newPlace();
    const primary = await start(first);
    try {
      const url = `${primary.url}/db/.replication/state`;
      const ask = (token: string) =>
        fetch(url, { method: 'POST', body: 'x', headers: { authorization: `Bearer ${token}` } });
      assert.equal((await ask('another-token-of-theirs')).status, 401);
      assert.equal((await ask(TOKEN)).status, 400);
    } finally {
      assert.equal(await primary.stop(), 0, primary.log());
    }
  });
});

describe('a promotion', { timeout: 600_000 }, () => {
  it('takes writes, and the former primary that comes back takes none', async () => {
    const [first, second] = [await newPlace(), await newPlace()];
    let primary = await start(first);
    const follower = await start(second, follow(first.port));
    await makeItems(first, 'shop', 10);
    await assertSame(first, second, 'shop');
    assert.equal((await post(primary, '/replication/promote')).status, 409);
    await kill(primary);
    const promoted = await post(follower, '/replication/promote');
    assert.equal(promoted.status, 200, await promoted.clone().text());
    assert.equal(((await promoted.json()) as { term: number }).term, 2);
    await makeItems(second, 'shop', 5);
    await makeItems(second, 'newer', 1);
    primary = await start(first);
    try {
      await until('the former primary is fenced', async () => {
        assert.equal((await replication(primary)).role, 'fenced');
      });
      const writing = clientOf(first, 'shop').execute('DELETE FROM item');
      await assert.rejects(writing, /was the primary and has learned of a newer one, of term 2/);
      assert.deepEqual(await rowsOf(first, 'shop', 'SELECT count(*) FROM item'), [[10]]);
      // A restart does not make it forget.
      await kill(primary);
      primary = await start(first);
      assert.equal((await replication(primary)).role, 'fenced');
      // It follows, from where it was.
      assert.equal(await primary.stop(), 0, primary.log());
      primary = await start(first, follow(second.port));
      await assertSame(second, first, 'shop');
      await assertSame(second, first, 'newer');
    } finally {
      assert.equal(await primary.stop(), 0, primary.log());
      assert.equal(await follower.stop(), 0, follower.log());
    }
  });

  it('leaves what only the former primary has where it is, and says so', async () => {
    const [first, second] = [await newPlace(), await newPlace()];
    let primary = await start(first);
    const follower = await start(second, follow(first.port));
    await makeItems(first, 'shop', 10);
    await assertSame(first, second, 'shop');
    // Commits that the follower never gets.
    assert.equal(await follower.stop(), 0, follower.log());
    await makeItems(first, 'shop', 3);
    await kill(primary);
    const successor = await start(second, follow(first.port));
    assert.equal((await post(successor, '/replication/promote')).status, 200);
    await makeItems(second, 'shop', 5);
    primary = await start(first, follow(second.port));
    try {
      await until('the divergence is told', async () => {
        assert.match(primary.log(), /DB_LOG_DIVERGED.*lsn \d+/);
      });
      assert.deepEqual(await rowsOf(first, 'shop', 'SELECT count(*) FROM item'), [[13]]);
    } finally {
      assert.equal(await primary.stop(), 0, primary.log());
      assert.equal(await successor.stop(), 0, successor.log());
    }
  });
});

/** A way to the primary that flips a bit of some answers, behind their heads. */
async function startLiar(port: number) {
  const sockets = new Set<Socket>();
  let flipped = 0;
  let answers = 0;
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
    client.pipe(upstream);
    upstream.on('data', (piece: Buffer) => {
      const body = piece.indexOf('\r\n\r\n') + 4;
      answers += 1;
      if (answers % 4 === 0 && body > 3 && body < piece.length) {
        const at = body + (random.uint32() % (piece.length - body));
        piece[at]! ^= 1 << (random.uint32() % 8);
        flipped += 1;
      }
      client.write(piece);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    flippedCount: () => flipped,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
